"""Texts in JSON: what one value gives, and files of one array or of several values, in bounded memory.

A value is never built as a whole: of an object only the wanted keys are kept, as its events go by, so that neither
an endless array nor a million keys fill the memory.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, cast

import ijson

from jobs.config import RunConfig
from jobs.corpus.corpus_text import Content, CorpusText, bounded_text, column_value, limit_of, missing_column, too_large
from jobs.corpus.references import BookRef, Problem, UnreadableSourceError, UnusableTextError

_SMALL = 1_000_000
"""Up to so many bytes, the built value of any JSON is at most some 40 MB."""

_BUFFER = 65_536
_MOST_KEYS = 100
_DEEPEST = 1_000
_OPENING, _CLOSING = ("start_map", "start_array"), ("end_map", "end_array")


def parse(line: bytes, run: RunConfig) -> Any:
    """One JSON value. Of a large object only the wanted keys have values, and others stand for what they are.

    Raises ValueError or RecursionError where it is not one JSON value.
    """
    if len(line) <= _SMALL:
        return json.loads(line)
    try:
        values = list(_values(io.BytesIO(line), run, unpack=False))
    except ijson.JSONError as error:
        raise ValueError(_first_line(error)) from None
    if len(values) != 1:
        raise ValueError(f"{len(values)} values instead of one")
    return values[0]


def text_of(value: Any, number: int, offset: int | None, run: RunConfig) -> CorpusText:
    """The text of a JSON value: the value under the text key, or the value itself where it is a string."""
    text = value.get(run.text_column) if isinstance(value, dict) else value
    if not isinstance(text, str):
        return CorpusText(_without_text(value, run.text_column), number, offset)
    columns = value if isinstance(value, dict) else {}
    name, title = column_value(columns, run.id_column, "id"), column_value(columns, run.title_column, "title")
    return CorpusText(bounded_text(text, run), number, offset, name, title)


def check_keys(values: Iterable[Any], run: RunConfig) -> None:
    """Read values until each key that was named has been seen.

    Raises UnusableTextError, with the keys that there are, where no value has one of them; the first problem where
    nothing is JSON. A file without any value passes.
    """
    options = {"--id-column": run.id_column, "--title-column": run.title_column}
    wanted = {column: option for option, column in options.items() if column is not None}
    text_seen = anything = False
    found: dict[str, None] = {}
    problem: UnusableTextError | None = None
    for value in values:
        anything = True
        if isinstance(value, UnusableTextError):
            problem = problem or value
            continue
        columns = value if isinstance(value, dict) else {}
        found.update(dict.fromkeys(list(columns)[:_MOST_KEYS] if len(found) < _MOST_KEYS else ()))
        text_seen = text_seen or isinstance(columns.get(run.text_column) if columns else value, str)
        wanted = {column: option for column, option in wanted.items() if column not in columns}
        if text_seen and not wanted:
            return
        last = value
    if not anything:
        return
    if not text_seen:
        raise problem if problem is not None and not found else _without_text(found or last, run.text_column)
    column, option = next(iter(wanted.items()))
    raise missing_column(column, found, option, "key")


def list_values(data: BinaryIO, run: RunConfig) -> Iterator[CorpusText]:
    """Every text of a file that is one JSON array, or any number of JSON values after another."""
    for number, value in enumerate(values_of(data, run)):
        yield text_of(value, number, None, run)


def scan_values(data: BinaryIO, refs: Sequence[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    """The texts of some values, in ascending order, in one pass."""
    values = enumerate(values_of(data, run))
    for ref in refs:
        for number, value in values:
            if number == ref.number:
                yield ref, text_of(value, number, None, run).content
                break
        else:
            raise UnreadableSourceError(f"text #{ref.number} is no longer there; the file has changed")


def values_of(data: BinaryIO, run: RunConfig) -> Iterator[Any]:
    """The items of an array, or the values themselves.

    Raises UnusableTextError where the file is not JSON, or at a string that is too large: nothing can be found
    behind it without holding it.
    """
    try:
        yield from _values(data, run, unpack=True)
    except ijson.JSONError as error:
        raise UnusableTextError(f"the file is not JSON: {_first_line(error)}", Problem.FORMAT) from None
    except UnicodeDecodeError:
        raise UnusableTextError("the file is not JSON: it is not UTF-8", Problem.FORMAT) from None


def _first_line(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    words = cause.decode("utf-8", errors="replace") if isinstance(cause, bytes) else str(cause)
    return (words.splitlines() or [type(error).__name__])[0]


class _Bounded:
    """A stream that stops where one string or number goes on for longer than a text may be."""

    def __init__(self, data: BinaryIO, run: RunConfig) -> None:
        self._data, self._run = data, run
        self._since_event = 0

    def read(self, size: int) -> bytes:
        if self._since_event > limit_of(self._run) + _BUFFER:
            raise too_large(self._run)
        chunk = self._data.read(size)
        self._since_event += len(chunk)
        return chunk

    def event(self) -> None:
        self._since_event = 0


def _values(data: BinaryIO, run: RunConfig, *, unpack: bool) -> Iterator[Any]:
    """Values from their events. With `unpack`, an outermost array gives its items."""
    wanted = {run.text_column, run.id_column or "id", run.title_column or "title"}
    bounded = _Bounded(data, run)
    events = ijson.basic_parse(cast(Any, bounded), multiple_values=True, use_float=True, buf_size=_BUFFER)
    depth = base = 0
    key = ""
    value: dict[str, Any] | list[Any] = {}
    for event, content in events:
        bounded.event()
        if event in _CLOSING:
            depth -= 1
            if depth < base:
                base = 0
            elif depth == base:
                yield value
        elif unpack and depth == 0 and event == "start_array":
            base = depth = 1
        elif event in _OPENING:
            if depth == base:
                value = {} if event == "start_map" else []
            elif depth == base + 1 and isinstance(value, dict):
                _keep(value, key, {} if event == "start_map" else [], wanted)
            depth += 1
            if depth > _DEEPEST:
                raise UnusableTextError(f"the JSON is nested deeper than {_DEEPEST} levels", Problem.FORMAT)
        elif event == "map_key":
            key = content if depth == base + 1 else key
        elif depth == base:
            yield content
        elif depth == base + 1 and isinstance(value, dict):
            _keep(value, key, content, wanted)


def _keep(value: dict[str, Any], key: str, content: Any, wanted: set[str]) -> None:
    """Of keys that nobody asked for, only the first ones are kept, for messages."""
    if key in wanted:
        value[key] = content
    elif len(value) < _MOST_KEYS:
        value[key[:_MOST_KEYS]] = None


def _without_text(value: Any, column: str) -> UnusableTextError:
    if isinstance(value, dict):
        return missing_column(column, value, "--text-column", "text under the key")
    return UnusableTextError(
        f"there is no text under the key {column!r}; found: {type(value).__name__}. Name the key with --text-column",
        Problem.FORMAT,
    )
