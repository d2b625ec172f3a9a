"""Texts in the lines of a JSON lines file, one line in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from jobs.config import RunConfig
from jobs.corpus.corpus_text import Content, CorpusText, limit_of, too_large
from jobs.corpus.json_values import check_keys, parse, text_of
from jobs.corpus.references import BookRef, Problem, UnreadableSourceError, UnusableTextError

_SLACK = 65_536


def check_lines(data: BinaryIO, run: RunConfig) -> None:
    """Raise UnusableTextError, with the keys that there are, where no line has a key that was named."""
    lines = (line for _, line in _lines(data, run) if isinstance(line, UnusableTextError) or line.strip())
    check_keys((_value(line, number, run) for number, line in enumerate(lines)), run)


def list_lines(data: BinaryIO, run: RunConfig) -> Iterator[CorpusText]:
    """The texts of a JSON Lines file, a line each; blank lines are passed over."""
    number = 0
    for offset, line in _lines(data, run):
        if isinstance(line, bytes) and not line.strip():
            continue
        yield _line_text(line, number, offset, run)
        number += 1


def seek_lines(data: BinaryIO, refs: Iterable[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    """The lines that the references name, found by their offsets."""
    for ref in refs:
        data.seek(ref.offset or 0)
        (_, line) = next(_lines(data, run), (0, b""))
        yield ref, _line_text(line, ref.number or 0, ref.offset or 0, run).content


def scan_lines(data: BinaryIO, refs: Iterable[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    """A compressed file has no random access: pass once over its lines and parse those that are asked for."""
    lines = _lines(data, run)
    for ref in refs:
        for offset, line in lines:
            if offset == ref.offset:
                yield ref, _line_text(line, ref.number or 0, offset, run).content
                break
        else:
            raise UnreadableSourceError(f"text #{ref.number} is no longer there; the file has changed")


def _lines(data: BinaryIO, run: RunConfig) -> Iterator[tuple[int, bytes | UnusableTextError]]:
    """Lines with the byte at which they start. A line beyond the limit of a text is passed over piece by piece."""
    longest = limit_of(run) + _SLACK
    offset = 0
    while line := data.readline(longest):
        start, offset = offset, offset + len(line)
        if len(line) < longest or line.endswith(b"\n"):
            yield start, line
            continue
        while line and not line.endswith(b"\n"):
            line = data.readline(1 << 20)
            offset += len(line)
        yield start, too_large(run)


def _value(line: bytes | UnusableTextError, number: int, run: RunConfig) -> Any:
    """The JSON value of a line, or why it is none."""
    if isinstance(line, UnusableTextError):
        return line
    try:
        return parse(line, run)
    except UnusableTextError as error:
        return error
    except (ValueError, RecursionError) as error:
        return UnusableTextError(f"line {number + 1} is not JSON: {error}", Problem.FORMAT)


def _line_text(line: bytes | UnusableTextError, number: int, offset: int, run: RunConfig) -> CorpusText:
    value = _value(line, number, run)
    if isinstance(value, UnusableTextError):
        return CorpusText(value, number, offset)
    return text_of(value, number, offset, run)
