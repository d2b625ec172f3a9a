from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.errors import QueryError, StoreUnavailable
from store.query import drawing, output
from store.query.output import format_of, print_result, write_result
from store.query.reader import open_store
from tests.builders import build_store

QUERY = """
SELECT book, layer, mean[1:2]::DOUBLE[] AS head, {'a': 1} AS struct, map {'x': 2} AS counts, 'a,"b"' AS quoted,
       'nan'::FLOAT AS missing, NULL AS nothing, sum(layer) OVER () AS total, DATE '2020-01-02' AS day
FROM activations WHERE class = 'internal' ORDER BY ALL
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("results") / "store"
    build_store(place, books=2, layers=2, marks=5, baseline=None)
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


def test_every_row_reaches_a_pipe_and_a_file(store, capsys, tmp_path):
    relation = store.sql("SELECT i, 'row ' || i AS name FROM range(25000) r(i)")
    print_result(relation, "table")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 25_000 + 5
    assert lines[-2].split() == ["│", "24999", "│", "row", "24999", "│"]
    write_result(relation, "table", tmp_path / "out.txt", store.location)
    assert (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines() == lines


def test_a_table_is_aligned_by_what_is_seen(store, capsys):
    print_result(store.sql("SELECT * FROM (VALUES ('漢字', 1.5), (NULL, -20), ('a', NULL)) t(word, number)"), "table")
    assert capsys.readouterr().out == (
        "┌─────────┬───────────────┐\n"
        "│  word   │    number     │\n"
        "│ varchar │ decimal(11,1) │\n"
        "├─────────┼───────────────┤\n"
        "│ 漢字    │           1.5 │\n"
        "│ NULL    │         -20.0 │\n"
        "│ a       │          NULL │\n"
        "└─────────┴───────────────┘\n"
    )


def test_a_later_file_s_wider_rows_widen_the_columns(store, capsys):
    """A batch of a result ends where a file of the store does; a width must not be that of the first file's rows."""
    print_result(store.sql("SELECT book, repeat('wide ', i * (book = 'book1')::INT) AS title FROM marks"), "table")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * 10 + 5
    assert len({len(line) for line in lines}) == 1


def test_rows_behind_those_that_are_measured_stream(store, monkeypatch):
    """Later batches are drawn one by one, in columns of the width that the first ones have."""
    monkeypatch.setattr(drawing, "_MEASURED_ROWS", 5)
    drawn: list[str] = []
    batches, ahead = drawing._cells, []

    def watched(relation):
        for batch in batches(relation):
            ahead.append(len(drawn))
            yield batch

    monkeypatch.setattr(drawing, "_cells", watched)
    drawing.draw(store.sql("SELECT i, 'row' AS name FROM range(20000) r(i)"), drawn.append)
    assert len(drawn) == 20_000 + 5
    assert ahead == sorted(set(ahead))
    assert len(ahead) > 2


def test_a_table_holds_nothing_that_a_terminal_obeys(store, capsys):
    print_result(store.sql("SELECT e'\\x1b[2J\\n' AS \"na\x1bme\""), "table")
    assert r"│ \x1b[2J\n │" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_what_goes_to_a_terminal_moves_no_cursor(store, capsys, monkeypatch, form):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("os.get_terminal_size", lambda: os.terminal_size((80, 24)))
    print_result(store.sql("SELECT 'a\x9b31m\x1b]0;t\x07\u202eb' AS text"), form)
    out = capsys.readouterr().out
    assert "text" in out
    assert not set("\x9b\x1b\x07\u202e") & set(out)


def test_an_encoding_without_borders_gets_plain_ones(store, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    print_result(store.sql("SELECT 'é漢' AS x"), "table")
    assert raw.getvalue().decode("latin-1").splitlines()[3:5] == ["+---------+", "| é\\u6f22     |"]


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_every_type_of_sql_has_a_text(store, tmp_path, form):
    write_result(store.sql("FROM test_all_types()"), form, tmp_path / "out", store.location)
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert "83 years 3 months 999 days 00:16:39.999999" in text
    assert "goo" in text
    if form == "json":
        rows = json.loads(text)
        assert (rows[0]["hugeint"], rows[0]["blob"]) == (-(2**127), r"thisisalongblob\x00withnullbytes")
        assert rows[1]["double_array"] == [42.0, None, None, None, None, -42.0]


def test_parquet_takes_intervals_and_unions_as_text(store, tmp_path):
    query = "SELECT INTERVAL '1 day' AS i, union_value(a := 2) AS u, '\\xAB'::BLOB AS b"
    write_result(store.sql(query), "parquet", tmp_path / "out.parquet", store.location)
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [{"i": "1 day", "u": "2", "b": b"\xab"}]


def test_a_plan_is_shown_as_text(store, capsys):
    print_result(store.sql("EXPLAIN SELECT * FROM books"), "table")
    out = capsys.readouterr().out
    assert "explain_value" not in out
    assert "READ_PARQUET" in out
    assert "unique_tokens" in out


def test_parquet_needs_a_file(store):
    with pytest.raises(QueryError, match="-o FILE"):
        print_result(store.sql("SELECT 1"), "parquet")


TWICE = "SELECT 1 AS a, [2] AS a, 3 AS A, 4 AS a_1"


def test_columns_of_one_name_are_told_apart_in_every_format(store, tmp_path, capfdbinary):
    names = ["a", "a_2", "A_3", "a_1"]
    assert store.sql(TWICE).columns == names
    assert list(store.sql(TWICE).df().columns) == names
    print_result(store.sql(TWICE), "csv")
    assert capfdbinary.readouterr().out == b'a,a_2,A_3,a_1\n1,"[2]",3,4\n'
    print_result(store.sql(TWICE), "json")
    assert json.loads(capfdbinary.readouterr().out) == [{"a": 1, "a_2": [2], "A_3": 3, "a_1": 4}]
    print_result(store.sql(TWICE), "table")
    assert capfdbinary.readouterr().out.decode().splitlines()[1].split()[1::2] == names
    write_result(store.sql(TWICE), "parquet", tmp_path / "out.parquet", store.location)
    assert pq.read_table(tmp_path / "out.parquet").column_names == names


def test_a_join_keeps_the_class_of_both_sides(store):
    query = "SELECT * FROM pairs JOIN summaries USING (book, layer) WHERE pairs.class <> summaries.class LIMIT 1"
    (row,) = store.sql(query).to_arrow_table().to_pylist()
    assert {row["class"], row["class_1"]} == {"internal", "terminal"}


def test_an_error_while_computing_leaves_no_file(store, tmp_path):
    failing = store.sql("SELECT CASE WHEN i = 150000 THEN error('boom') END AS x FROM range(200000) r(i)")
    for form in ("csv", "json", "parquet"):
        with pytest.raises(QueryError, match="boom"):
            write_result(failing, form, tmp_path / "out", store.location)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(store, tmp_path):
    with pytest.raises(StoreUnavailable, match="cannot be written: No such file or directory"):
        write_result(store.sql("SELECT 1"), "csv", tmp_path / "none" / "out.csv", store.location)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
def test_only_a_file_is_replaced(store, tmp_path, kind):
    path = Path("/dev/null") if kind == "device" else tmp_path / "out.csv"
    if kind == "link":
        (tmp_path / "target").write_text("before")
        path.symlink_to(tmp_path / "target")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    before = path.lstat().st_mode
    with pytest.raises(QueryError, match=r"is a .*, which is never replaced"):
        write_result(store.sql("SELECT 1"), "csv", path, store.location)
    assert path.lstat().st_mode == before


def test_a_file_is_replaced_as_a_whole(store, tmp_path):
    (tmp_path / "out.csv").write_text("before")
    write_result(store.sql("SELECT 1 AS a"), "csv", tmp_path / "out.csv", store.location)
    assert (tmp_path / "out.csv").read_text() == "a\n1\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "out.csv"]


@pytest.mark.parametrize("name", ["x.tsv", "x.xlsx", "x", "x.csv.gz", ".csv"])
def test_a_suffix_that_means_no_format_is_refused(name):
    with pytest.raises(QueryError, match=r"written as \.csv, \.json, \.parquet, \.txt; .* --format table, csv"):
        format_of(Path(name))


@pytest.mark.parametrize(
    ("name", "form"), [("a.csv", "csv"), ("a.JSON", "json"), ("a.b.parquet", "parquet"), ("a.txt", "table")]
)
def test_the_suffix_says_the_format(name, form):
    assert format_of(Path(name)) == form


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
