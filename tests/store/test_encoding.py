from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.columns import TABLES
from store.encoding import ROWS_PER_GROUP, decode, encode, order_of
from store.errors import ChunkDamaged, ChunkInvalid
from tests.builders import book_chunks, synthetic_study

PAIRS = TABLES["pairs"]


def pairs(tokens: int = 5, books: tuple[str, ...] = ("a", "b")) -> pa.Table:
    i, j = np.triu_indices(tokens, 1)
    generator = np.random.default_rng(0)
    rows = len(i) * len(books)
    values = {"book": pa.array(np.repeat(books, len(i))).dictionary_encode()}
    values |= {"i": np.tile(i, len(books)).astype(np.uint16), "j": np.tile(j, len(books)).astype(np.uint16)}
    values["n"] = np.full(rows, 16, np.uint16)
    values |= {name: generator.random(rows, np.float32) for name in ("mi", "cov", "corr", "hx", "hy")}
    measures = [column.name for column in PAIRS.file_columns if column.nullable]
    return pa.table(values | {name: generator.random(rows, np.float32) for name in measures})


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


@pytest.mark.parametrize("key_and_table", book_chunks(synthetic_study(), 0), ids=lambda item: str(item[0]))
def test_every_table_survives_the_round_trip(key_and_table):
    key, table = key_and_table
    spec = TABLES[key.table]
    back = decode(spec, encode(spec, table, "here"), "here")
    assert back.schema.equals(spec.schema)
    assert repr(back.to_pylist()) == repr(table.to_pylist()), "as text, in which NaN equals NaN"


def test_equal_tables_give_equal_bytes_however_they_are_chunked_and_encoded():
    table = pairs()
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3)])
    plain = with_column(table, "book", table.column("book").cast(pa.string()))
    large = with_column(table, "book", table.column("book").cast(pa.large_string()))
    other_order = with_column(table, "book", renumbered(table.column("book"), lambda names: names[::-1]))
    unused = with_column(table, "book", renumbered(table.column("book"), lambda names: ["nobody's", *names]))
    versions = (table, chunked, plain, large, other_order, unused)
    assert len({encode(PAIRS, version, "") for version in versions}) == 1


def renumbered(column, rearrange):
    """The same values of a dictionary column with another dictionary."""
    names = rearrange(column.combine_chunks().dictionary.to_pylist())
    indices = pa.array([names.index(name) for name in column.to_pylist()], pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(names))


def test_nan_is_a_value():
    table = with_column(pairs(), "corr", pa.array([np.nan] * 20, pa.float32()))
    back = decode(PAIRS, encode(PAIRS, table, ""), "")
    assert back.column("corr").null_count == 0
    assert np.isnan(back.column("corr").to_numpy()).all()


def test_file_layout():
    rows = 400 * 399 // 2
    table = pairs(400, ("a", "b"))
    metadata = pq.ParquetFile(pa.BufferReader(encode(PAIRS, table, ""))).metadata
    assert metadata.num_rows == 2 * rows
    assert metadata.row_group(0).num_rows == ROWS_PER_GROUP
    columns = {metadata.row_group(0).column(c).path_in_schema: metadata.row_group(0).column(c) for c in range(9)}
    assert all(column.compression == "ZSTD" for column in columns.values())
    assert "RLE_DICTIONARY" in columns["book"].encodings
    assert "DELTA_BINARY_PACKED" in columns["j"].encodings
    assert "BYTE_STREAM_SPLIT" in columns["mi"].encodings
    assert (columns["book"].statistics.min, columns["book"].statistics.max) == ("a", "b")


@pytest.mark.parametrize(("table", "leaf"), [("activations", "mean.list.element"), ("hidden_states", "state")])
def test_vectors_are_split_by_byte(table, leaf):
    spec = TABLES[table]
    values = {"layer": 0, "class": "internal", "book": "a", "marks": 1, "i": 0}
    values |= {"mean": [1.0, 2.0], "state": [1.0, 2.0], "outliers": [0, 0]}
    row = {column.name: values[column.name] for column in spec.file_columns}
    metadata = pq.ParquetFile(
        pa.BufferReader(encode(spec, pa.Table.from_pylist([row], schema=spec.schema), ""))
    ).metadata.row_group(0)
    encodings = {metadata.column(c).path_in_schema: metadata.column(c).encodings for c in range(metadata.num_columns)}
    assert [found for path, found in encodings.items() if path.startswith(leaf) and "BYTE_STREAM_SPLIT" in found]


def test_a_pair_costs_at_most_eight_bytes():
    """On Gaussian vectors at full size; real states compress no worse (docs/store.md)."""
    from analysis.pairwise import pair_statistics
    from tests.builders import pair_table

    states = np.random.default_rng(0).normal(size=(250, 128)).astype(np.float32)
    table = pair_table("book", pair_statistics(states), 250)
    file = pq.ParquetFile(io.BytesIO(encode(PAIRS, table, "")))
    group = file.metadata.row_group(0)
    cost = {group.column(c).path_in_schema: group.column(c).total_compressed_size for c in range(group.num_columns)}
    assert sum(cost[name] for name in ("book", "i", "j", "n", "mi", "cov")) <= 8 * table.num_rows


def swapped(table: pa.Table) -> pa.Table:
    return table.take([1, 0, *range(2, table.num_rows)])


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (pairs().drop_columns(["hy"]), "columns are"),
        (pairs().select(["i", "book", "j", "n", "mi", "cov", "corr", "hx", "hy"]), "columns are"),
        (with_column(pairs(), "mi", pa.array([0.5] * 20, pa.float64())), "column mi is double; it must be float"),
        (with_column(pairs(), "mi", pa.array([0.5] * 19 + [None], pa.float32())), "column mi has 1 nulls"),
        (swapped(pairs()), "row 1 does not come after row 0"),
        (pa.concat_tables([pairs(), pairs()]), "row 20 does not come after row 19"),
        (pa.concat_tables([pairs().slice(0, 1), pairs().slice(0, 1)]), "row 1 does not come after row 0"),
        (with_column(pairs().slice(0, 1), "i", pa.array([1], pa.uint16())), "1 rows have i >= j"),
    ],
)
def test_what_does_not_satisfy_the_spec_is_refused(damaged, said):
    with pytest.raises(ChunkInvalid, match=said):
        encode(PAIRS, damaged, "pairs of shard x")


def test_a_file_of_another_table_is_damaged():
    key, table = book_chunks(synthetic_study(), 0)[-1]
    data = encode(TABLES[key.table], table, "")
    with pytest.raises(ChunkDamaged, match="columns are"):
        decode(PAIRS, data, "some/file.parquet")


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -8])
def test_a_truncated_file_is_damaged(cut):
    data = encode(PAIRS, pairs(), "")
    with pytest.raises(ChunkDamaged, match=r"some/file.parquet is not a readable Parquet file"):
        decode(PAIRS, data[:cut], "some/file.parquet")


def test_order_of_is_the_spec_order():
    table = pairs(6, ("a", "b", "c"))
    shuffled = table.take(np.random.default_rng(1).permutation(table.num_rows))
    assert shuffled.take(order_of(PAIRS, shuffled)).equals(table)
