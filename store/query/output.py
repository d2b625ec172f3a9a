"""Query results as a table, CSV, JSON or Parquet: streamed in batches, whatever their size, and never by COPY."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from store.errors import QueryError, StoreError, StoreUnavailable
from store.objects.locations import is_remote

FORMATS = ("table", "csv", "json", "parquet")

_BATCH_ROWS = 65_536
_SHOWN_ROWS = 40
_FILED_ROWS = 10_000
_UNBOUNDED_WIDTH = 1_000_000
_NESTED = {"list", "array", "struct", "map", "union"}


def print_result(relation: duckdb.DuckDBPyRelation, form: str) -> None:
    """Write a result to standard output. Raises QueryError where computing it fails."""
    if form == "parquet":
        raise QueryError("a Parquet file is no text for the terminal; add -o FILE")
    with _explained():
        if form == "table":
            _show(relation, sys.stdout.isatty())
            return
        sys.stdout.flush()
        _WRITERS[form](relation, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def write_result(relation: duckdb.DuckDBPyRelation, form: str, path: Path, store: str) -> None:
    """Write a result to a file, which appears whole or not at all. A file inside the store is refused."""
    if not is_remote(store) and Path(store).resolve() in path.resolve().parents:
        raise QueryError(f"{path} lies inside the store, which holds nothing but its own files; name another place")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _explained(), open(temporary, "wb") as file:
            _WRITERS[form](relation, file)
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _write_table(relation: duckdb.DuckDBPyRelation, file: IO[bytes]) -> None:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        _show(relation, on_terminal=False)
    file.write(text.getvalue().encode())


def _show(relation: duckdb.DuckDBPyRelation, on_terminal: bool) -> None:
    """DuckDB's own drawing of a result; a plan is shown as the text it is."""
    if relation.columns == ["explain_key", "explain_value"]:
        print("\n".join(value for _, value in relation.fetchall()))
    elif on_terminal:
        relation.show(max_rows=_SHOWN_ROWS, max_width=os.get_terminal_size().columns)
    else:
        relation.show(max_rows=_FILED_ROWS, max_width=_UNBOUNDED_WIDTH, max_col_width=_UNBOUNDED_WIDTH)


def _write_csv(relation: duckdb.DuckDBPyRelation, file: IO[bytes]) -> None:
    """Lists and maps are written as JSON: CSV has no notation of its own for them."""
    names, kinds = relation.columns, [str(kind.id) for kind in relation.types]
    columns = [f"to_json(#{n})" if kind in _NESTED else f"#{n}" for n, kind in enumerate(kinds, 1)]
    flat = relation.project(", ".join(f"{column} AS c{n}" for n, column in enumerate(columns)))
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(names)
    file.write(header.getvalue().encode())
    options = pa_csv.WriteOptions(include_header=False)
    for batch in _batches(flat):
        pa_csv.write_csv(_without_dictionaries(batch), file, options)


def _write_json(relation: duckdb.DuckDBPyRelation, file: IO[bytes]) -> None:
    """One array of objects, an object a line. JSON has no NaN and no infinity: both become null."""
    separator = b"[\n"
    for batch in _batches(relation):
        for row in batch.to_pylist(maps_as_pydicts="lossy"):
            file.write(separator + json.dumps(_json_value(row), ensure_ascii=False, default=str).encode())
            separator = b",\n"
    file.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _write_parquet(relation: duckdb.DuckDBPyRelation, file: IO[bytes]) -> None:
    schema = relation.limit(0).to_arrow_table().schema
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(relation):
            writer.write_batch(batch)


_WRITERS = {"table": _write_table, "csv": _write_csv, "json": _write_json, "parquet": _write_parquet}


def _batches(relation: duckdb.DuckDBPyRelation) -> Iterator[pa.RecordBatch]:
    try:
        yield from relation.to_arrow_reader(_BATCH_ROWS)
    except OSError as error:  # so Arrow's stream passes on what DuckDB says in the middle of a result
        raise QueryError(str(error)) from error


def _without_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _json_value(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    return value


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """DuckDB computes a result while it is read, so its errors come here too."""
    try:
        yield
    except duckdb.IOException as error:
        raise QueryError(f"{error}; if a compaction removed the file meanwhile, ask again") from error
    except duckdb.Error as error:
        raise QueryError(str(error)) from error
    except pa.ArrowException as error:
        raise QueryError(f"the result cannot be written: {error}") from error
