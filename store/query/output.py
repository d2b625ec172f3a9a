"""Query results as a table, CSV, JSON or Parquet: streamed in batches, whatever their size, and never by COPY."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import math
import os
import stat
import sys
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from store.errors import QueryError, StoreError, StoreUnavailable
from store.foreign_text import lines_for_terminal
from store.objects.locations import is_remote
from store.query.drawing import draw, draw_on_terminal, in_encoding
from store.query.engine_files import reason_of

FORMATS = ("table", "csv", "json", "parquet")

_SUFFIXES = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".txt": "table"}
_BATCH_ROWS = 65_536
_NESTED = {"list", "array", "struct", "map", "union"}
_PLAIN = {
    "boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint",
    "float", "double", "decimal", "varchar", "enum",
}  # fmt: skip
"""Types that CSV and JSON have a notation for."""

_TIME_IS_OUT = "exceeded maximum execution time"  # DuckDB's words, in an error of its own or of Arrow's stream
_OUT_OF_TIME = (
    "the query took longer than it may, 1h unless --time-limit says otherwise; allow more, such as --time-limit 6h,"
    " or 0 for no limit"
)


def format_of(path: Path) -> str:
    """The format that a file's suffix stands for. Raises QueryError for any other suffix."""
    form = _SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise QueryError(
            f"{lines_for_terminal(path.name)}: a result is written as {', '.join(_SUFFIXES)}; name such a file, or say"
            f" what it is to hold with --format {', '.join(FORMATS)}"
        )
    return form


def print_result(relation: duckdb.DuckDBPyRelation, form: str) -> None:
    """Write a result to standard output. Raises QueryError where computing it fails or there is no such output."""
    if form == "parquet":
        raise QueryError("a Parquet file is not text for the terminal; add -o FILE")
    if sys.stdout is None:
        raise QueryError("standard output is closed; add -o FILE")
    try:
        with _explained():
            _print(relation, form)
    except OSError as error:
        if isinstance(error, StoreError | BrokenPipeError):
            raise
        raise StoreUnavailable(f"standard output cannot be written: {error.strerror or error}") from error


def write_result(relation: duckdb.DuckDBPyRelation, form: str, path: Path, *stores: str) -> None:
    """Write a result to a file, which appears whole or not at all.

    Refused are a file inside one of the stores, and a link, pipe or device in the file's place.
    """
    if any(not is_remote(store) and Path(store).resolve() in path.resolve().parents for store in stores):
        raise QueryError(f"{path} lies inside the store, which holds nothing but its own files; name another place")
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        _check_replaceable(path)
        with _explained(), open(temporary, "xb") as file:
            _WRITERS[form](relation, file)
        _check_replaceable(path)
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _print(relation: duckdb.DuckDBPyRelation, form: str) -> None:
    if form == "table":
        _print_table(relation)
    elif sys.stdout.isatty():
        _WRITERS[form](relation, _Terminal())
    else:
        sys.stdout.flush()
        _WRITERS[form](relation, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _check_replaceable(path: Path) -> None:
    """Raise QueryError where something stands at the path that a new file must not take the place of."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise QueryError(
            f"{path} is {kind}, which is never replaced; name a file, or leave -o out and use > in a shell"
        )


class _Terminal(io.BytesIO):  # a BytesIO, so that Arrow takes it for a file
    """Bytes of UTF-8 on their way to a terminal, without what it would obey."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, data: Any) -> int:
        text = lines_for_terminal(self._decoder.decode(bytes(data)))
        sys.stdout.write(in_encoding(text, sys.stdout.encoding))
        return len(data)


def _print_table(relation: duckdb.DuckDBPyRelation) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    if sys.stdout.isatty():
        sys.stdout.write(in_encoding(draw_on_terminal(relation), encoding))
    else:
        draw(relation, lambda text: sys.stdout.write(in_encoding(text, encoding)))
    sys.stdout.flush()


def _write_table(relation: duckdb.DuckDBPyRelation, file: IO[bytes]) -> None:
    draw(relation, lambda text: file.write(text.encode()))


def _write_csv(relation: duckdb.DuckDBPyRelation, file: IO[bytes]) -> None:
    """Lists and maps are written as JSON: CSV has no notation of its own for them."""
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(relation.columns)
    file.write(header.getvalue().encode())
    options = pa_csv.WriteOptions(include_header=False)
    for batch in _batches(_flat(relation, _as_text)):
        pa_csv.write_csv(_without_dictionaries(batch), file, options)


def _write_json(relation: duckdb.DuckDBPyRelation, file: IO[bytes]) -> None:
    """One array of objects, an object a line. JSON has no NaN and no infinity: both become null."""
    separator = b"[\n"
    names = relation.columns
    nested = {name for name, kind in zip(names, relation.types, strict=True) if str(kind.id) in _NESTED}
    for batch in _batches(_flat(relation, _as_text)):
        for row in batch.rename_columns(names).to_pylist():
            values = {name: _json_value(value, name in nested) for name, value in row.items()}
            file.write(separator + json.dumps(values, ensure_ascii=False, default=str).encode())
            separator = b",\n"
    file.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _write_parquet(relation: duckdb.DuckDBPyRelation, file: IO[bytes]) -> None:
    names = relation.columns
    relation = _flat(relation, lambda kind: "{}::VARCHAR" if kind in ("interval", "union") else "{}")
    schema = relation.limit(0).to_arrow_table().rename_columns(names).schema
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(relation):
            writer.write_batch(batch.rename_columns(names))


def _flat(relation: duckdb.DuckDBPyRelation, expression: Callable[[str], str]) -> duckdb.DuckDBPyRelation:
    """The columns as expressions that depend on their types, named by their place."""
    kinds = [str(kind.id) for kind in relation.types]
    return relation.project(", ".join(f"{expression(kind).format(f'#{n}')} AS c{n}" for n, kind in enumerate(kinds, 1)))


def _as_text(kind: str) -> str:
    """What CSV and JSON take: a plain value as it is, lists and maps as JSON, anything else as DuckDB's text."""
    if kind in _NESTED:
        return "to_json({})::VARCHAR"
    return "{}" if kind in _PLAIN else "{}::VARCHAR"


_WRITERS = {"table": _write_table, "csv": _write_csv, "json": _write_json, "parquet": _write_parquet}


def _batches(relation: duckdb.DuckDBPyRelation) -> Iterator[pa.RecordBatch]:
    try:
        yield from relation.to_arrow_reader(_BATCH_ROWS)
    except OSError as error:  # so Arrow's stream passes on what DuckDB says in the middle of a result
        raise QueryError(reason_of(error)) from error


def _without_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _json_value(value: Any, is_json: bool = False) -> Any:
    """A value as JSON has it. `is_json`: the value is a text of JSON, in which DuckDB writes NaN and infinities."""
    if is_json and value is not None:
        return _json_value(json.loads(value))
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    return value


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """DuckDB computes a result while it is read, so its errors come here too."""
    try:
        yield
    except duckdb.IOException as error:
        raise QueryError(f"{reason_of(error)}; if a compaction removed the file meanwhile, ask again") from error
    except (duckdb.Error, QueryError) as error:
        said = reason_of(error)
        raise QueryError(_OUT_OF_TIME if _TIME_IS_OUT in said else said) from error
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise QueryError(f"the result cannot be written: {error}") from error
