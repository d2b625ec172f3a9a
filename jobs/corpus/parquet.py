"""Texts in the rows of a Parquet file, a few rows in memory at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.config import RunConfig
from jobs.corpus.corpus_text import Content, CorpusText, bounded_text, check_columns, column_value, limit_of
from jobs.corpus.parquet_pages import largest_page
from jobs.corpus.references import BookRef, Problem, UnreadableSourceError, UnusableTextError

_BATCH_BYTES = 8_000_000
_MOST_ROWS = 1_024
_BUFFER_BYTES = 1 << 20
_MOST_FOOTER_STRING_BYTES = 16_000_000
_MOST_FOOTER_ITEMS = 100_000
_PAGE_PER_TEXT = 4
"""A page holds one text or many small ones; up to so many times the largest text is held for it."""

_FEWEST_ROWS = 10_000


def list_rows(data: BinaryIO, run: RunConfig) -> Iterator[CorpusText]:
    """Every row's text. `number` counts rows of the file, `offset` is the row group.

    Raises UnusableTextError where the file lacks a column that was named or unpacks to more than can be held.
    """
    file = _open(data, run)
    number = 0
    for group in range(file.num_row_groups):
        for row in _rows(data, file, group, _columns(file, run), run):
            content = _content(row[run.text_column], run)
            name, title = column_value(row, run.id_column, "id"), column_value(row, run.title_column, "title")
            yield CorpusText(content, number, group, name, title)
            number += 1


def read_rows(data: BinaryIO, refs: Sequence[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    """The texts of some rows, in ascending order; only the row groups they are in are read."""
    file = _open(data, run)
    first_rows = [0]
    for group in range(file.num_row_groups):
        first_rows.append(first_rows[-1] + file.metadata.row_group(group).num_rows)
    rows: Iterator[tuple[int, dict[str, Any]]] = iter(())
    current = None
    for ref in refs:
        group = ref.offset or 0
        if group >= file.num_row_groups:
            raise UnreadableSourceError(f"row {ref.number} is no longer there; the file has changed")
        if group != current:
            rows, current = enumerate(_rows(data, file, group, [run.text_column], run), first_rows[group]), group
        row = next((row for number, row in rows if number == ref.number), None)
        if row is None:
            raise UnreadableSourceError(f"row {ref.number} is no longer there; the file has changed")
        yield ref, _content(row[run.text_column], run)


def _open(data: BinaryIO, run: RunConfig) -> pq.ParquetFile:
    file = pq.ParquetFile(
        data,
        buffer_size=_BUFFER_BYTES,
        thrift_string_size_limit=_MOST_FOOTER_STRING_BYTES,
        thrift_container_size_limit=_MOST_FOOTER_ITEMS,
    )
    check_columns(file.schema_arrow.names, run)
    kind = file.schema_arrow.field(run.text_column).type
    if not _is_text(kind):
        raise UnusableTextError(
            f"the column {run.text_column!r} holds {kind}, not text; name another with --text-column", Problem.FORMAT
        )
    size = data.seek(0, os.SEEK_END)
    if file.metadata.num_rows > max(_FEWEST_ROWS, size):
        raise UnusableTextError(
            f"{size} bytes claim to hold {file.metadata.num_rows} rows; write the file anew", Problem.TOO_LARGE
        )
    return file


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = ("is_string", "is_large_string", "is_string_view", "is_binary", "is_large_binary", "is_binary_view")
    return any(getattr(pa.types, test)(value) for test in tests)


def _columns(file: pq.ParquetFile, run: RunConfig) -> list[str]:
    """The columns to read: the text's, and those of name and title where they hold text or whole numbers."""
    schema = file.schema_arrow
    others = {run.id_column or "id", run.title_column or "title"} & set(schema.names)
    plain = {name for name in others if _is_text(kind := schema.field(name).type) or pa.types.is_integer(kind)}
    return sorted({run.text_column} | plain)


def _rows(
    data: BinaryIO, file: pq.ParquetFile, group: int, columns: list[str], run: RunConfig
) -> Iterator[dict[str, Any]]:
    size = _batch_rows(data, file, group, columns, run)
    for batch in file.iter_batches(batch_size=size, row_groups=[group], columns=columns, use_threads=False):
        values = [batch.column(name) for name in columns]
        for index in range(batch.num_rows):
            yield {name: _plain(value[index]) for name, value in zip(columns, values, strict=True)}


def _batch_rows(data: BinaryIO, file: pq.ParquetFile, group: int, columns: list[str], run: RunConfig) -> int:
    """So many rows that they cannot fill more than a batch, even if each had the longest value that there may be.

    Raises UnusableTextError where a page unpacks to more than can be held.
    """
    metadata = file.metadata.row_group(group)
    chunks = (metadata.column(index) for index in range(metadata.num_columns))
    pages = [largest_page(data, chunk) for chunk in chunks if chunk.path_in_schema in columns]
    most = _PAGE_PER_TEXT * limit_of(run)
    if pages and max(pages) > most:
        raise UnusableTextError(
            f"a page of the file unpacks to {max(pages)} bytes, more than {most}; write the file with smaller pages, "
            "or raise --max-book-megabytes",
            Problem.TOO_LARGE,
        )
    return max(1, min(_MOST_ROWS, _BATCH_BYTES // max(sum(pages), 1)))


def _plain(value: pa.Scalar) -> Any:
    """A cell as Python has it; as bytes, to be decoded by evidence, where a string is not UTF-8."""
    try:
        return value.as_py()
    except UnicodeDecodeError:
        text = value.value if isinstance(value, pa.DictionaryScalar) else value
        return text.as_buffer().to_pybytes()


def _content(value: Any, run: RunConfig) -> Content:
    if isinstance(value, str | bytes):
        return bounded_text(value, run)
    return UnusableTextError(f"the text column holds {type(value).__name__} instead of text", Problem.FORMAT)
