"""Texts in the rows of a Parquet file, a few rows in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.config import RunConfig
from jobs.corpus.records import Content, Record, bounded_text, column_value
from jobs.corpus.references import BookRef, Problem, UnreadableSourceError, UnusableTextError

_BATCH_BYTES = 32_000_000
_MOST_ROWS = 1_024


def list_rows(data: BinaryIO, run: RunConfig) -> Iterator[Record]:
    """Every row's text. `number` counts rows of the file, `offset` is the row group.

    Raises UnusableTextError where the file has no such column, UnreadableSourceError where it is damaged.
    """
    file = _open(data, run)
    columns = {run.text_column, run.id_column or "id", run.title_column or "title"} & set(file.schema_arrow.names)
    number = 0
    for group in range(file.num_row_groups):
        for row in _rows(file, group, sorted(columns), run):
            content = _content(row[run.text_column], run)
            name, title = column_value(row, run.id_column, "id"), column_value(row, run.title_column, "title")
            yield Record(content, number, group, name, title)
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
            raise UnreadableSourceError(f"row {ref.record} is no longer there; the file has changed")
        if group != current:
            rows, current = enumerate(_rows(file, group, [run.text_column], run), first_rows[group]), group
        row = next((row for number, row in rows if number == ref.record), None)
        if row is None:
            raise UnreadableSourceError(f"row {ref.record} is no longer there; the file has changed")
        yield ref, _content(row[run.text_column], run)


def _open(data: BinaryIO, run: RunConfig) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(data)
    except pa.ArrowInvalid as error:
        raise UnreadableSourceError(f"the Parquet file is damaged: {error}") from None
    if run.text_column not in file.schema_arrow.names:
        raise UnusableTextError(
            f"there is no column {run.text_column!r}; found: {', '.join(file.schema_arrow.names)[:200]}. "
            "Name the column with --text-column",
            Problem.FORMAT,
        )
    return file


def _rows(file: pq.ParquetFile, group: int, columns: list[str], run: RunConfig) -> Iterator[dict[str, Any]]:
    size = _batch_rows(file, group, run.text_column)
    try:
        for batch in file.iter_batches(batch_size=size, row_groups=[group], columns=columns, use_threads=False):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise UnreadableSourceError(f"the Parquet file is damaged in row group {group}: {error}") from None


def _batch_rows(file: pq.ParquetFile, group: int, text_column: str) -> int:
    """So many rows that their texts, as large as the average one, fill a batch."""
    metadata = file.metadata.row_group(group)
    sizes = (metadata.column(index) for index in range(metadata.num_columns))
    text_bytes = sum(column.total_uncompressed_size for column in sizes if column.path_in_schema == text_column)
    return max(1, min(_MOST_ROWS, _BATCH_BYTES * metadata.num_rows // max(text_bytes, 1)))


def _content(value: Any, run: RunConfig) -> Content:
    if isinstance(value, str | bytes):
        return bounded_text(value, run)
    return UnusableTextError(f"the text column holds {type(value).__name__} instead of text", Problem.FORMAT)
