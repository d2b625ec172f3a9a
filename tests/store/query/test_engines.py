"""Other engines read the Parquet folders as they are."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import polars
import pyarrow.dataset as ds
import pytest

from store.query.reader import open_store
from tests.builders import build_store

QUERY = "SELECT count(*), sum(mi::DOUBLE), sum(n) FROM pairs WHERE layer = 1 AND class = 'terminal'"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("engines") / "store"
    build_store(place, books=3, layers=3, marks=40, baseline=None)
    return place


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A store with layers of two digits, of which the first ones begin with a zero."""
    place = tmp_path_factory.mktemp("engines") / "study"
    build_store(place, books=1, layers=11, marks=4, baseline=None)
    return place


@pytest.fixture(scope="module")
def expected(place):
    with open_store(place) as store:
        return store.sql(QUERY).fetchall()[0]


def test_pyarrow_dataset(place, expected):
    pairs = ds.dataset(place / "pairs", partitioning="hive")
    table = pairs.to_table(filter=(ds.field("layer") == 1) & (ds.field("class") == "terminal"))
    read = table.num_rows, sum(table.column("mi").to_pylist()), sum(table.column("n").to_pylist())
    assert read == pytest.approx(expected)


def test_polars(place, expected):
    pairs = polars.scan_parquet(place / "pairs" / "**" / "*.parquet", hive_partitioning=True)
    chosen = pairs.filter((polars.col("layer") == 1) & (polars.col("class") == "terminal"))
    columns = [polars.len(), polars.col("mi").cast(polars.Float64).sum(), polars.col("n").cast(polars.Int64).sum()]
    assert chosen.select(columns).collect().row(0) == pytest.approx(expected)


def test_polars_knows_layers_as_numbers(deep):
    pairs = polars.scan_parquet(deep / "pairs" / "**" / "*.parquet", hive_partitioning=True)
    assert pairs.filter(polars.col("layer") > 9).select("layer").unique().collect().to_series().to_list() == [10]


def test_plain_duckdb_as_documented(deep):
    """The statement of docs/store.md, run from the folder that holds the store."""
    page = (Path(__file__).parents[3] / "docs" / "store.md").read_text(encoding="utf-8")
    (statement,) = re.findall(r"```sql\n(SELECT[^`]*hive_types[^`]*)```", page)
    found = duckdb.sql(statement.replace("study/", f"{deep}/")).fetchall()
    with open_store(deep) as store:
        expected = store.sql("SELECT layer, class, avg(mi) FROM pairs WHERE layer > 9 GROUP BY ALL ORDER BY ALL")
        assert found == expected.fetchall()
    assert {layer for layer, *_ in found} == {10}


@pytest.mark.parametrize("table", ["marks", "passages", "books", "activations", "summaries"])
def test_the_other_tables(place, table):
    with open_store(place) as store:
        expected = store.sql(f"SELECT * FROM {table} ORDER BY ALL").to_arrow_table()
    assert ds.dataset(place / table).to_table().num_rows == expected.num_rows
    frame = polars.read_parquet(place / table / "*.parquet")
    assert frame.columns == expected.column_names
    assert sorted(frame["book"].cast(polars.String)) == sorted(expected.column("book").to_pylist())
