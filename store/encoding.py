"""Arrow tables to validated Parquet bytes and back. Equal tables give equal bytes.

Files are encoded whole in memory, so that a failure here leaves nothing behind. How a column is encoded follows from
its place in the table: sort keys repeat or count up, measurements are floats. The choices were measured; docs/store.md
has the cost of each column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from store.columns import Column, Table
from store.errors import ChunkDamaged, ChunkInvalid

ROWS_PER_GROUP = 122_880
COMPRESSION_LEVEL = 3


def encode(spec: Table, table: pa.Table, where: str) -> bytes:
    """Validate a table against its spec and encode it; `where` names it in errors.

    Raises ChunkInvalid where names, types, nulls or the order of rows are not as the spec says.
    """
    table = validated(spec, table, where)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **parquet_options(spec)) as writer:
        writer.write_table(table, row_group_size=ROWS_PER_GROUP)
    return bytes(sink.getvalue())


def decode(spec: Table, data: bytes, where: str) -> pa.Table:
    """The table of a file's bytes, validated. Raises ChunkDamaged for anything but a sound file of this table."""
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ChunkDamaged(f"{where} is not a readable Parquet file: {_first_line(error)}") from error
    try:
        return validated(spec, table, where)
    except ChunkInvalid as error:
        raise ChunkDamaged(str(error)) from error


def validated(spec: Table, table: pa.Table, where: str) -> pa.Table:
    """The table with the spec's exact schema, strings brought to dictionaries and back. Raises ChunkInvalid."""
    expected = [column.name for column in spec.file_columns]
    if table.column_names != expected:
        raise ChunkInvalid(f"{where}: columns are {table.column_names}; {spec.name} files have {expected}")
    columns = [_conforming(column, table.column(column.name), where) for column in spec.file_columns]
    result = pa.Table.from_arrays(columns, schema=spec.schema)
    _check_order(spec, result, where)
    return result


def _conforming(column: Column, values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    if values.type != column.type:
        if not (_is_text(values.type) and _is_text(column.type)):
            raise ChunkInvalid(f"{where}: column {column.name} is {values.type}; it must be {column.type}")
        values = values.cast(pa.string())
        if pa.types.is_dictionary(column.type):
            values = values.dictionary_encode()
    if values.null_count and not column.nullable:
        raise ChunkInvalid(f"{where}: column {column.name} has {values.null_count} nulls; it must have none")
    # One chunk, one dictionary in order of appearance: the bytes then depend on the values alone.
    if pa.types.is_dictionary(column.type) and not _appears_in_order(values):
        return pa.chunked_array([values.cast(pa.string()).combine_chunks().dictionary_encode()], column.type)
    return values


def _appears_in_order(values: pa.ChunkedArray) -> bool:
    """Whether a dictionary column is one chunk, and its dictionary what appears, once, in the order of appearance."""
    if values.num_chunks != 1 or values.null_count:
        return False
    chunk = values.chunk(0)
    names = chunk.dictionary.to_pylist()
    if len(names) == 1:
        return len(chunk) > 0
    latest = np.maximum.accumulate(chunk.indices.to_numpy())
    new = np.flatnonzero(np.diff(latest, prepend=-1))
    return len(set(names)) == len(names) and bool(np.array_equal(latest[new], np.arange(len(names))))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_order(spec: Table, table: pa.Table, where: str) -> None:
    """Rows must ascend strictly by the sort columns, which makes them unique too; and i < j in a pair."""
    if table.num_rows == 0:
        return
    columns = [name for name in spec.sorted_by if name in table.column_names]
    ascends = np.zeros(table.num_rows - 1, dtype=bool)
    for name in reversed(columns):
        ranks = _ranks(table.column(name))
        ascends = (ranks[:-1] < ranks[1:]) | ((ranks[:-1] == ranks[1:]) & ascends)
    if columns and not ascends.all():
        row = int(np.argmin(ascends)) + 1
        raise ChunkInvalid(f"{where}: row {row} does not come after row {row - 1} by ({', '.join(columns)})")
    if spec.name == "pairs":
        wrong = pc.sum(pc.greater_equal(table.column("i"), table.column("j"))).as_py()
        if wrong:
            raise ChunkInvalid(f"{where}: {wrong} rows have i >= j; a pair is stored once, with i < j")


def order_of(spec: Table, table: pa.Table) -> np.ndarray:
    """The row numbers in the spec's order, int64 `[rows]`."""
    names = [name for name in spec.sorted_by if name in table.column_names]
    rows: np.ndarray = np.lexsort([_ranks(table.column(name)) for name in reversed(names)])
    return rows


def _ranks(column: pa.ChunkedArray) -> np.ndarray:
    """Integers in the order of the values, `[rows]`."""
    values = column.combine_chunks()
    ranks: np.ndarray
    if not _is_text(values.type):
        ranks = values.to_numpy(zero_copy_only=False)
        return ranks
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    names = np.array(values.dictionary.to_pylist(), dtype=object)
    places = np.empty(len(names), dtype=np.int64)
    places[np.argsort(names, kind="stable")] = np.arange(len(names))
    ranks = places[values.indices.to_numpy()]
    return ranks


def parquet_options(spec: Table) -> dict[str, Any]:
    """How each column is encoded.

    Text, repeating integers and lists of small ones by dictionary. Other integers by their differences, which for
    sorted keys are 0 or 1.
    Floats split by byte, so that zstd sees signs and exponents together; but not where equal values follow each
    other, since zstd finds whole repeated values and splitting would tear them apart (entropies: 1.5 bytes, not 2.1).
    """
    columns = spec.file_columns
    integers = [column for column in columns if pa.types.is_integer(column.type)]
    text = [column.name for column in columns if _is_text(column.type)]
    return {
        "compression": "zstd",
        "compression_level": COMPRESSION_LEVEL,
        "use_dictionary": [
            *text,
            *(column.name for column in integers if column.repeats),
            *(_leaf(column) for column in columns if column.type == pa.list_(pa.int8())),
        ],
        "use_byte_stream_split": [_leaf(c) for c in columns if _is_float(c.type) and not c.repeats],
        "column_encoding": {column.name: "DELTA_BINARY_PACKED" for column in integers if not column.repeats},
        "write_statistics": True,
    }


def _is_float(kind: pa.DataType) -> bool:
    values = kind.value_type if pa.types.is_list(kind) else kind
    return bool(pa.types.is_floating(values))


def _leaf(column: Column) -> str:
    """The name of a column's values inside the file: a list's are one level down."""
    return f"{column.name}.list.element" if pa.types.is_list(column.type) else column.name


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
