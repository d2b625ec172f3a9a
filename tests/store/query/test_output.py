from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.errors import QueryError, StoreUnavailable
from store.query import output
from store.query.output import print_result, write_result
from store.query.reader import open_store
from tests.builders import build_store

QUERY = """
SELECT book, layer, mean[1:2] AS head, {'a': 1} AS struct, map {'x': 2} AS counts, 'a,"b"' AS quoted,
       'nan'::FLOAT AS missing, NULL AS nothing, sum(layer) OVER () AS total, DATE '2020-01-02' AS day
FROM activations WHERE class = 'internal' ORDER BY ALL
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("results") / "store"
    build_store(place, books=2, layers=2, marks=5)
    return place


@pytest.fixture
def store(place):
    with open_store(place) as store:
        yield store


def test_csv(store, tmp_path):
    write_result(store.sql(QUERY), "csv", tmp_path / "out.csv", store.location)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    expected = store.sql(QUERY).fetchall()
    assert [row["book"] for row in rows] == [row[0] for row in expected]
    assert json.loads(rows[0]["head"]) == expected[0][2]
    assert json.loads(rows[0]["counts"]) == {"x": 2}
    assert (rows[0]["quoted"], rows[0]["nothing"], rows[0]["day"]) == ('a,"b"', "", "2020-01-02")


def test_json(store, tmp_path):
    write_result(store.sql(QUERY), "json", tmp_path / "out.json", store.location)
    rows = json.loads((tmp_path / "out.json").read_text())
    assert len(rows) == 4
    assert (rows[0]["struct"], rows[0]["counts"], rows[0]["missing"]) == ({"a": 1}, {"x": 2}, None)


def test_json_of_no_rows_is_an_empty_array(store, capfdbinary):
    print_result(store.sql("SELECT * FROM books WHERE false"), "json")
    assert json.loads(capfdbinary.readouterr().out) == []


def test_parquet_keeps_types(store, tmp_path):
    write_result(store.sql(QUERY), "parquet", tmp_path / "out.parquet", store.location)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("layer").to_pylist() == [row[1] for row in store.sql(QUERY).fetchall()]
    assert str(table.schema.field("layer").type) == "int16"


def test_a_table_in_a_pipe_is_not_cut(store, capsys):
    print_result(store.sql("SELECT i, repeat('long ', 60) AS text FROM range(100) r(i)"), "table")
    out = capsys.readouterr().out
    assert out.count("long " * 60) == 100


def test_a_plan_is_shown_as_text(store, capsys):
    print_result(store.sql("EXPLAIN SELECT * FROM books"), "table")
    out = capsys.readouterr().out
    assert "explain_value" not in out
    assert "books" in out or "READ_PARQUET" in out


def test_parquet_needs_a_file(store):
    with pytest.raises(QueryError, match="-o FILE"):
        print_result(store.sql("SELECT 1"), "parquet")


def test_two_columns_of_one_name(store, capfdbinary):
    print_result(store.sql("SELECT 1 AS a, [2] AS a"), "csv")
    assert capfdbinary.readouterr().out == b'a,a_1\n1,"[2]"\n'


def test_an_error_while_computing_leaves_no_file(store, tmp_path):
    failing = store.sql("SELECT CASE WHEN i = 150000 THEN error('boom') END AS x FROM range(200000) r(i)")
    for form in ("csv", "json", "parquet"):
        with pytest.raises(QueryError, match="boom"):
            write_result(failing, form, tmp_path / "out", store.location)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(store, tmp_path):
    with pytest.raises(StoreUnavailable, match="cannot be written: No such file or directory"):
        write_result(store.sql("SELECT 1"), "csv", tmp_path / "none" / "out.csv", store.location)


@pytest.mark.parametrize("inside", ["out.csv", "pairs/out.csv", "../store/out.csv"])
def test_a_file_inside_the_store_is_refused(store, place, inside):
    with pytest.raises(QueryError, match="lies inside the store"):
        write_result(store.sql("SELECT 1"), "csv", place / inside, store.location)
    assert not (place / inside).exists()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_large_results_stream(store, tmp_path, monkeypatch, form):
    """Two million rows, 32 MB, never lie in memory at once."""
    allocated = pa.default_memory_pool().bytes_allocated
    before, seen, batches = allocated(), [], output._batches

    def watched(relation):
        for batch in batches(relation):
            seen.append(allocated() - before)
            yield batch

    monkeypatch.setattr(output, "_batches", watched)
    relation = store.sql("SELECT i, i * 1.5::DOUBLE AS x FROM range(2000000) r(i)")
    write_result(relation, form, tmp_path / "out", store.location)
    assert len(seen) > 10
    assert max(seen) < 16_000_000
