from __future__ import annotations

import json

import numpy as np
import pyarrow.compute as pc
import pytest

from store.columns import TABLES
from store.commits import CommitRecord, CommittedBook
from store.errors import NoStore, QueryError, StoreError
from store.keys import ChunkKey, ShardKey
from store.query.reader import open_store
from store.query.sql_views import sql_type
from store.writer import StudyWriter, publish_chunk
from tests.builders import RUN, book_chunks, book_table, build_store, publish_book, shard_of, synthetic_study, table_of


@pytest.fixture
def built(location):
    build_store(location, books=2, layers=3, marks=6, baseline=None)
    return location


def rows(location, query, **options):
    with open_store(location, **options) as store:
        return store.sql(query).fetchall()


def test_every_row_that_was_written_is_read(built):
    study = synthetic_study(layers=3, marks=6, baseline=None)
    for name, spec in TABLES.items():
        if name == "hidden_states":
            continue
        written = []
        for number in range(2):
            for key, table in book_chunks(study, number):
                folders = {"layer": key.layer, "class": key.mark_class, "other": key.other}
                where = {column: folders[column] for column in spec.partitioned_by}
                written += [{**where, **row} for row in table.to_pylist()] if key.table == name else []
        with open_store(built) as store:
            read = store.sql(f"SELECT * FROM {name}").to_arrow_table().to_pylist()
        columns = [column.name for column in spec.columns]
        both = ([{column: row[column] for column in columns} for row in rows] for rows in (read, written))
        read, written = (sorted(map(json.dumps, rows)) for rows in both)
        assert read == written, name


def test_views_have_the_types_of_the_specs(built):
    with open_store(built) as store:
        for name in store.tables():
            if name != "study":
                described = {row[0]: row[1] for row in store.sql(f"DESCRIBE {name}").fetchall()}
                assert described == {column.name: sql_type(column.type) for column in TABLES[name].columns}


def test_views_and_columns_have_comments(built):
    with open_store(built) as store:
        comments = store.sql(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
        views = dict(store.sql("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall())
    assert ("pairs", "mi", "Plug-in mutual information of the joint histogram [bits]") in comments
    assert all(comment for table, _, comment in comments if table != "study")
    assert views["pairs"] == TABLES["pairs"].description


def test_show_tables_lists_the_views(built):
    with open_store(built) as store:
        assert sorted(store.tables()) == [row[0] for row in store.sql("SHOW TABLES").fetchall()]


def test_an_empty_store_has_every_view(location):
    StudyWriter.open(location, synthetic_study(baseline=None))
    with open_store(location) as store:
        for name in store.tables():
            assert store.sql(f"SELECT count(*) FROM {name}").fetchall() == [(int(name == "study"),)]


def test_hidden_states_appear_where_they_are_kept(location):
    study = synthetic_study(baseline=None)
    kept = type(study)({**study.config, "keep_hidden_states": True}, study.model)
    StudyWriter.open(location, kept)
    with open_store(location) as store:
        assert "hidden_states" in store.tables()
        assert store.sql("SELECT * FROM hidden_states").columns == ["layer", "class", "book", "i", "state"]


def test_the_study_is_one_row_of_settings(built):
    (row,) = rows(built, "SELECT bins, classes, fingerprint, model_identity FROM study")
    study = synthetic_study(layers=3, marks=6, baseline=None)
    assert row == (
        15,
        json.dumps([["internal", [","]], ["terminal", ["."]]]),
        study.fingerprint,
        json.dumps(study.model),
    )


def test_uncommitted_files_are_not_seen(location):
    study = build_store(location, books=1, baseline=None)
    publish_book(location, study, 1)
    assert rows(location, "SELECT DISTINCT book FROM pairs") == [("book0",)]
    assert rows(location, "SELECT DISTINCT book FROM marks") == [("book0",)]


def test_only_the_partitions_asked_for(built):
    layers = "SELECT DISTINCT layer, class FROM {} ORDER BY ALL"
    for view in ("pairs", "summaries", "activations"):
        found = rows(built, layers.format(view), layers=[2], classes=["terminal"])
        assert found == [(2, "terminal")], view
        assert len(rows(built, layers.format(view), layers=[0, 1])) == 4
    assert rows(built, "SELECT DISTINCT class FROM marks", classes=["internal"]) == [("internal",)]


def test_only_the_books_asked_for(built):
    for view in ("pairs", "marks", "books", "summaries", "activations"):
        assert rows(built, f"SELECT DISTINCT book FROM {view}", books=["book1"]) == [("book1",)], view
    with open_store(built, books=["book1"]) as store:
        assert len(store._files("pairs")) == 6, "files of other books are not opened"
    assert rows(built, "SELECT count(*) FROM pairs", books=["nobody's"]) == [(0,)]


def test_a_class_that_does_not_exist_is_named(built):
    with pytest.raises(StoreError, match="class 'comma' is not one of internal, terminal"):
        open_store(built, classes=["comma"])


@pytest.mark.parametrize("layers", [[99], [0, -1], ["1"], [1.0]])
def test_a_layer_that_does_not_exist_is_named_with_those_that_do(built, layers):
    with pytest.raises(StoreError, match=rf"layer {layers[-1]!r} is not one of the study's, the whole numbers 0 to 2$"):
        open_store(built, layers=layers)
    assert rows(built, "SELECT DISTINCT layer FROM pairs", layers=[np.int64(1)]) == [(1,)]


def test_a_query_on_one_layer_and_class_opens_only_their_files(tmp_path):
    build_store(tmp_path, books=3, layers=5, baseline=None)
    with open_store(tmp_path) as store:
        plan = store.sql("EXPLAIN ANALYZE SELECT avg(mi) FROM pairs WHERE layer = 2 AND class = 'internal'").fetchall()
    assert "Scanning Files: 3/30" in plan[0][1]


def test_the_snapshot_changes_with_the_data_and_only_then(location):
    study = build_store(location, books=1, baseline=None)
    with open_store(location) as first, open_store(location) as again:
        assert first.snapshot == again.snapshot
    publish_book(location, study, 1)
    with open_store(location) as uncommitted:
        assert uncommitted.snapshot == first.snapshot
    writer = StudyWriter.open(location, study)
    with writer.lock():
        writer.commit(publish_book(location, study, 1))
    with open_store(location) as later:
        assert later.snapshot != first.snapshot


def test_an_open_store_stays_at_its_moment(location):
    study = build_store(location, books=1, baseline=None)
    with open_store(location) as store:
        writer = StudyWriter.open(location, study)
        with writer.lock():
            writer.commit(publish_book(location, study, 1))
        assert store.sql("SELECT DISTINCT book FROM pairs").fetchall() == [("book0",)]
    assert len(rows(location, "SELECT DISTINCT book FROM pairs")) == 2


def failed_attempt(location, shard, books):
    """A commit of its own that holds `books` rows only."""
    made = [
        book_table(synthetic_study(baseline=None), number, {"internal": 0, "terminal": 0}).to_pylist()[0]
        | {"status": "failed", "reason": reason, "sha256": None}
        for number, reason in books
    ]
    receipt = publish_chunk(location, ChunkKey("books", ShardKey(shard)), table_of("books", made), RUN)
    attempts = (CommittedBook(row["book"], None, row["source"], "failed", row["reason"]) for row in made)
    return CommitRecord(ShardKey(shard), (receipt,), tuple(attempts), RUN)


def test_books_shows_the_newest_attempt_at_each_source(location):
    study = build_store(location, books=1, baseline=None)
    writer = StudyWriter.open(location, study)
    query = "SELECT book, status, reason FROM books ORDER BY book"
    with writer.lock():
        writer.commit(failed_attempt(location, "a" * 16, [(1, "first"), (2, "first")]))
        assert rows(location, query)[1:] == [("book1", "failed", "first"), ("book2", "failed", "first")]
        writer.commit(failed_attempt(location, "b" * 16, [(2, "second")]))
        assert rows(location, query)[1:] == [("book1", "failed", "first"), ("book2", "failed", "second")]
        writer.commit(publish_book(location, study, 1))
        writer.commit(publish_book(location, study, 2))
    assert rows(location, query) == [("book0", "used", None), ("book1", "used", None), ("book2", "used", None)]


def test_a_place_without_a_store(location):
    with pytest.raises(NoStore, match="holds no store; `interpunct run BOOK") as raised:
        open_store(location)
    assert raised.value.exit_code == 2


def test_a_missing_file_is_reported_with_its_remedy(tmp_path):
    study = build_store(tmp_path, books=1, layers=1, baseline=None)
    for file in (tmp_path / "books").iterdir():
        file.unlink()
    with open_store(tmp_path) as store, pytest.raises(StoreError, match=r"`interpunct verify`"):
        store.sql("SELECT * FROM books").fetchall()
    assert study.fingerprint


def test_errors_of_sql_are_duckdbs_own(built):
    with open_store(built) as store:
        with pytest.raises(QueryError, match='syntax error at or near "SELEC"'):
            store.sql("SELEC 1")
        with pytest.raises(QueryError, match='"mii" not found'):
            store.sql("SELECT mii FROM pairs")
        with pytest.raises(QueryError, match="the query is empty"):
            store.sql("  -- nothing\n ")


def test_of_several_statements_the_last_ones_result(built):
    assert rows(built, "SELECT 1; SELECT count(*) FROM books;") == [(2,)]


def test_a_relation_outlives_the_store_it_came_from(built):
    assert open_store(built).sql("SELECT count(*) FROM books").fetchall() == [(2,)]


def test_a_relation_gives_frames_and_arrow(built):
    with open_store(built) as store:
        relation = store.sql("SELECT layer, avg(mi) AS mi FROM pairs GROUP BY ALL ORDER BY ALL")
        assert list(relation.df()["layer"]) == [0, 1, 2]
        assert pc.mean(relation.to_arrow_table().column("mi")).as_py() > 0


def test_books_of_one_shard_are_named_by_its_key(built):
    study = synthetic_study(layers=3, marks=6, baseline=None)
    with open_store(built) as store:
        assert {record.shard for record in store.records} == {shard_of(study, 0), shard_of(study, 1)}


def test_two_stores_in_one_query(location):
    """Each view has its own store's rows, though books and files have the same names in both."""
    for name, seed in (("one", 0), ("two", 1)):
        build_store(f"{location}/{name}", books=2, layers=2, marks=5, baseline=None, seed=seed)
    one, two = (
        dict(rows(f"{location}/{name}", "SELECT layer, sum(mi::DOUBLE) FROM pairs GROUP BY 1"))
        for name in ("one", "two")
    )
    assert one != two
    with open_store(f"{location}/one", attach={"Other": f"{location}/two"}) as store:
        both = store.sql(
            "SELECT layer, sum(a.mi::DOUBLE), sum(b.mi::DOUBLE) FROM pairs a JOIN other.pairs b"
            " USING (layer, class, book, i, j) GROUP BY 1"
        )
        assert {layer: (a, b) for layer, a, b in both.fetchall()} == {n: (one[n], two[n]) for n in one}
        fingerprints = store.sql("SELECT a.fingerprint, b.fingerprint FROM study a, other.study b").fetchall()
        assert fingerprints == [(store.study.fingerprint, store.attached["other"].study.fingerprint)]
        assert store.sql("SELECT count(*) FROM other.marks").fetchall() == [(20,)], "a view of the other alone"
        assert {"pairs", "other.pairs", "other.study"} <= set(store.tables())
        comments = "SELECT DISTINCT comment FROM duckdb_columns() WHERE table_name = 'pairs' AND column_name = 'mi'"
        assert len(store.sql(comments).fetchall()) == 1


@pytest.mark.parametrize(
    "name", ["pairs", "main", "study", "information_schema", "select", "a b", "1st", "", "a.b", '"']
)
def test_a_name_that_cannot_be_attached(tmp_path, name):
    build_store(tmp_path / "store", books=1, layers=1, marks=4, baseline=None)
    with pytest.raises(QueryError, match="cannot be attached as"):
        open_store(tmp_path / "store", attach={name: tmp_path / "store"})
