"""Texts in the lines of a JSON lines file, one line in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from jobs.config import RunConfig
from jobs.corpus.records import Content, Record, bounded_text, column_value, limit_of, too_large
from jobs.corpus.references import BookRef, Problem, UnreadableSourceError, UnusableTextError


def list_lines(data: BinaryIO, run: RunConfig) -> Iterator[Record]:
    number = 0
    for offset, line in _lines(data, run):
        if isinstance(line, bytes) and not line.strip():
            continue
        record = _record(line, number, offset, run)
        if number == 0 and isinstance(record.content, UnusableTextError) and record.content.kind is Problem.FORMAT:
            raise record.content
        yield record
        number += 1


def seek_lines(data: BinaryIO, refs: Iterable[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    for ref in refs:
        data.seek(ref.offset or 0)
        (_, line) = next(_lines(data, run), (0, b""))
        yield ref, _record(line, ref.record or 0, ref.offset or 0, run).content


def scan_lines(data: BinaryIO, refs: Iterable[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    """A compressed file has no random access: pass once over its lines and parse those that are asked for."""
    lines = _lines(data, run)
    for ref in refs:
        for offset, line in lines:
            if offset == ref.offset:
                yield ref, _record(line, ref.record or 0, offset, run).content
                break
        else:
            raise UnreadableSourceError(f"record {ref.record} is no longer there; the file has changed")


def _lines(data: BinaryIO, run: RunConfig) -> Iterator[tuple[int, bytes | UnusableTextError]]:
    """Lines with the byte at which they start. JSON may spell one character as six, so a line may be longer than
    the text in it; what is longer still is passed over piece by piece."""
    longest = 6 * limit_of(run) + 65_536
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


def _record(line: bytes | UnusableTextError, number: int, offset: int, run: RunConfig) -> Record:
    if isinstance(line, UnusableTextError):
        return Record(line, number, offset)
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Record(UnusableTextError(f"line {number + 1} is not JSON: {error}", Problem.FORMAT), number, offset)
    text = values.get(run.text_column) if isinstance(values, dict) else None
    if not isinstance(text, str):
        return Record(_without_text(values, run.text_column), number, offset)
    name, title = column_value(values, run.id_column, "id"), column_value(values, run.title_column, "title")
    return Record(bounded_text(text, run), number, offset, name, title)


def _without_text(values: Any, column: str) -> UnusableTextError:
    found = ", ".join(sorted(map(str, values))) if isinstance(values, dict) else type(values).__name__
    return UnusableTextError(
        f"there is no text under the key {column!r}; found: {found[:200]}. Name the key with --text-column",
        Problem.FORMAT,
    )
