"""Texts in the rows of a table of delimited values (CSV, TSV), a block of rows in memory at a time."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
from pyarrow import csv as arrow_csv

from jobs.config import RunConfig
from jobs.corpus.records import Content, Record, bounded_text, check_columns, column_value, limit_of, too_large
from jobs.corpus.references import BookRef, Problem, UnreadableSourceError, UnusableTextError

_DELIMITERS = ",\t;|"
_BLOCK_SLACK = 65_536
_ROWS_THAT_SHOW = 2
_COLUMN_NAME = re.compile(r"[\w-]+(?: [\w-]+)?")


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


def list_rows(data: BinaryIO, head: bytes, run: RunConfig) -> Iterator[Record]:
    """Every row's text, numbered.

    Raises UnusableTextError where the table lacks a column that was named or is not UTF-8 or UTF-16.
    """
    layout = _layout(head, run)
    check_columns(layout.columns, run)
    for number, row in enumerate(_rows(data, layout, run)):
        name, title = column_value(row, run.id_column, "id"), column_value(row, run.title_column, "title")
        yield Record(_content(row, run), number, None, name, title)


def read_rows(
    data: BinaryIO, head: bytes, refs: Sequence[BookRef], run: RunConfig
) -> Iterator[tuple[BookRef, Content]]:
    """The texts of some rows, in ascending order, in one pass: a quoted line break hides where a row starts."""
    layout = _layout(head, run)
    check_columns(layout.columns, run)
    rows = enumerate(_rows(data, layout, run))
    for ref in refs:
        row = next((row for number, row in rows if number == ref.record), None)
        if row is None:
            raise UnreadableSourceError(f"row {ref.record} is no longer there; the file has changed")
        yield ref, _content(row, run)


def _layout(head: bytes, run: RunConfig) -> _Layout:
    encoding = _encoding(head)
    if encoding is None:
        raise UnusableTextError("the table is not UTF-8; save it as CSV in UTF-8", Problem.FORMAT)
    lines = head.decode(encoding, errors="ignore").splitlines(keepends=True)
    delimiter = _delimiter(lines[0] if lines else "", run.text_column)
    csv.field_size_limit(max(csv.field_size_limit(), len(head)))
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


def _rows(data: BinaryIO, layout: _Layout, run: RunConfig) -> Iterator[dict[str, str]]:
    wanted = dict.fromkeys((run.text_column, run.id_column or "id", run.title_column or "title"))
    columns = [name for name in wanted if name in layout.columns]
    reader = _open(data, layout, columns, run)
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except pa.ArrowInvalid as error:
            raise _refusal(error, run) from None
        values = [batch.column(name) for name in columns]
        for index in range(batch.num_rows):
            yield {name: value[index].as_py() for name, value in zip(columns, values, strict=True)}


def _open(data: BinaryIO, layout: _Layout, columns: list[str], run: RunConfig) -> arrow_csv.CSVStreamingReader:
    encoding = "utf8" if layout.encoding == "utf-8-sig" else layout.encoding
    try:
        return arrow_csv.open_csv(
            data,
            arrow_csv.ReadOptions(use_threads=False, block_size=limit_of(run) + _BLOCK_SLACK, encoding=encoding),
            arrow_csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True),
            arrow_csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string())),
        )
    except pa.ArrowInvalid as error:
        raise _refusal(error, run) from None


def _refusal(error: Exception, run: RunConfig) -> UnusableTextError:
    """A row must fit into a block; arrow says so in words of its own."""
    if "straddl" in str(error):
        return too_large(run)
    return UnusableTextError(f"the table cannot be read: {' '.join(str(error).split())[:300]}", Problem.FORMAT)


def _content(row: dict[str, str], run: RunConfig) -> Content:
    return bounded_text(row[run.text_column], run)
