"""Texts in the rows of a table of delimited values (CSV, TSV), one row in memory at a time."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from jobs.config import RunConfig
from jobs.corpus.corpus_text import Content, CorpusText, bounded_text, check_columns, column_value, limit_of, too_large
from jobs.corpus.references import BookRef, Problem, UnreadableSourceError, UnusableTextError

_DELIMITERS = ",\t;|"
_SLACK = 65_536
_ANY_FIELD = 2**31 - 1
_MOST_FIELDS = 2_000_000
_NOT_UTF8 = "the table is not UTF-8; save it as CSV in UTF-8"
_ROWS_THAT_SHOW = 2
_COLUMN_NAME = re.compile(r"[\w-]+(?: [\w-]+)?")

Row = dict[str, str] | UnusableTextError
"""The fields of a row by column, or why it is none."""


@dataclass(frozen=True)
class _Layout:
    """How a table is written: its delimiter, its encoding, and its columns in their order."""

    delimiter: str
    encoding: str
    columns: tuple[str, ...]


def looks_delimited(head: bytes, text_column: str) -> bool:
    """Whether bytes start like a table with a header in which the text column is one of several.

    Prose has commas too: only a first line of short names, one of them the column's, followed by rows of as many
    fields, is taken for a header.
    """
    encoding = _encoding(head)
    if encoding is None:
        return False
    lines = head.decode(encoding, errors="ignore").splitlines(keepends=True)
    if not lines or text_column not in lines[0]:
        return False
    delimiter = _delimiter(lines[0], text_column)
    try:
        rows = [row for row, _ in zip(csv.reader(lines, delimiter=delimiter, strict=True), range(4), strict=False)]
    except csv.Error:
        return False
    header = rows[0]
    named = text_column in header and len(header) > 1 and all(map(_COLUMN_NAME.fullmatch, header))
    # The last row may be cut off where the head ends.
    whole = rows if len(rows) == _ROWS_THAT_SHOW else rows[:-1]
    return named and len(rows) >= _ROWS_THAT_SHOW and all(len(row) == len(header) for row in whole)


def list_rows(data: BinaryIO, head: bytes, run: RunConfig) -> Iterator[CorpusText]:
    """Every row's text, numbered.

    Raises UnusableTextError where the table lacks a column that was named or is not UTF-8 or UTF-16.
    """
    layout = _layout(head, run)
    check_columns(layout.columns, run)
    for number, row in enumerate(_rows(data, layout, run)):
        values = row if isinstance(row, dict) else {}
        name, title = column_value(values, run.id_column, "id"), column_value(values, run.title_column, "title")
        yield CorpusText(_content(row, run), number, None, name, title)


def read_rows(
    data: BinaryIO, head: bytes, refs: Sequence[BookRef], run: RunConfig
) -> Iterator[tuple[BookRef, Content]]:
    """The texts of some rows, in ascending order, in one pass: a quoted line break hides where a row starts."""
    layout = _layout(head, run)
    check_columns(layout.columns, run)
    rows = enumerate(_rows(data, layout, run))
    for ref in refs:
        row = next((row for number, row in rows if number == ref.number), None)
        if row is None:
            raise UnreadableSourceError(f"row {ref.number} is no longer there; the file has changed")
        yield ref, _content(row, run)


def _layout(head: bytes, run: RunConfig) -> _Layout:
    encoding = _encoding(head)
    if encoding is None:
        raise UnusableTextError(_NOT_UTF8, Problem.FORMAT)
    lines = head.decode(encoding, errors="ignore").splitlines(keepends=True)
    delimiter = _delimiter(lines[0] if lines else "", run.text_column)
    columns = next(csv.reader(lines, delimiter=delimiter), [])
    return _Layout(delimiter, encoding, tuple(columns))


def _encoding(head: bytes) -> str | None:
    """UTF-16 by its mark, otherwise UTF-8 if the bytes are; None where they are not."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    return "utf-8-sig"


def _delimiter(header: str, text_column: str) -> str:
    """The delimiter that makes the text column one of the header's fields, or else the one that cuts it most."""

    def fits(delimiter: str) -> tuple[bool, int]:
        fields = next(csv.reader([header], delimiter=delimiter), [])
        return text_column in fields, len(fields)

    return max(_DELIMITERS, key=fits)


def _rows(data: BinaryIO, layout: _Layout, run: RunConfig) -> Iterator[Row]:
    """Rows by column, or why one is none: a row with too many or too few fields does not take the others with it."""
    csv.field_size_limit(_ANY_FIELD)
    lines = _Lines(data, layout, run)
    rows = csv.reader(lines, delimiter=layout.delimiter)
    try:
        next(rows, None)
        for row in rows:
            lines.row()
            if len(row) == len(layout.columns):
                yield dict(zip(layout.columns, row, strict=True))
            elif row:
                yield UnusableTextError(
                    f"line {rows.line_num} ends a row of {len(row)} fields; the header has {len(layout.columns)}",
                    Problem.FORMAT,
                )
    except UnicodeDecodeError as error:
        raise UnusableTextError(f"{_NOT_UTF8}: {error.reason}", Problem.FORMAT) from None
    except csv.Error as error:
        raise UnusableTextError(f"line {rows.line_num} of the table cannot be read: {error}", Problem.FORMAT) from None
    finally:
        lines.close()


class _Lines:
    """The lines of a table, as long as one row of them is no longer than a text may be."""

    def __init__(self, data: BinaryIO, layout: _Layout, run: RunConfig) -> None:
        self._text = io.TextIOWrapper(cast(IO[bytes], data), layout.encoding, newline="")
        self._delimiter, self._run = layout.delimiter, run
        self._since_row = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(limit_of(self._run) + _SLACK)
        self._since_row += len(line)
        if self._since_row > limit_of(self._run) + _SLACK - 1 or line.count(self._delimiter) > _MOST_FIELDS:
            raise too_large(self._run)
        if not line:
            raise StopIteration
        return line

    def row(self) -> None:
        """Note that a row is complete."""
        self._since_row = 0

    def close(self) -> None:
        """Let go of the data, which is closed by those who opened it; once they have, there is nothing to let go of."""
        with contextlib.suppress(ValueError):
            self._text.detach()


def _content(row: Row, run: RunConfig) -> Content:
    return row if isinstance(row, UnusableTextError) else bounded_text(row[run.text_column], run)
