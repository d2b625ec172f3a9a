"""With `sql` one can neither read nor write any file outside the store, nor write in it, nor change anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from store.errors import QueryError, StoreError
from store.query.reader import open_store
from tests.builders import build_store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store, and beside it a file and a folder that are nobody's business."""
    folder = tmp_path_factory.mktemp("sandbox")
    build_store(folder / "store", books=1, layers=1, marks=4)
    build_store(folder / "sibling", books=1, layers=1, marks=4)
    (folder / "secret.csv").write_text("secret\n42\n")
    return folder


@pytest.fixture
def store(folder):
    with open_store(folder / "store") as store:
        yield store


def files(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


READS_ELSEWHERE = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM sniff_csv('{folder}/secret.csv')",
    "SELECT * FROM read_csv('{folder}/secret.csv')",
    "SELECT * FROM '{folder}/secret.csv'",
    "SELECT * FROM read_parquet('{folder}/sibling/*/*/*/*.parquet')",
    "SELECT * FROM read_parquet('{folder}/store/../sibling/books/*.parquet')",
    "SELECT * FROM parquet_metadata('{folder}/sibling/books/x.parquet')",
    "WITH stolen AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM stolen",
    "WITH stolen AS MATERIALIZED (FROM read_csv('/etc/passwd')) SELECT count(*) FROM books, stolen",
    "SELECT (SELECT count(*) FROM read_text('/etc/passwd')) FROM books",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''/etc/passwd'')'))",
    "EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')",
    "DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
    "SUMMARIZE SELECT * FROM read_csv('/etc/passwd')",
    "PIVOT (SELECT * FROM read_csv('{folder}/secret.csv')) ON secret",
    "SELECT 1; SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT * FROM folder",
    "SELECT getenv('HOME')",
]

ACTS = [
    "COPY pairs TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/store/out.parquet'",
    "COPY (SELECT 1) TO '{folder}/store/books/out.parquet' (FORMAT parquet)",
    "COPY (PIVOT pairs ON i) TO '{folder}/store/out.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/store/out.csv'",
    "EXPLAIN /* */ (ANALYZE) COPY (SELECT 1) TO '{folder}/store/out.csv'",
    "-- a comment\nEXPLAIN ANALYZE -- another\n COPY (SELECT 1) TO '{folder}/store/out.csv'",
    "EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO '{folder}/store/out.csv'",
    "EXPLAIN ANALYZE COPY (PIVOT pairs ON i) TO '{folder}/store/out.csv'",
    "SELECT 1; COPY (SELECT 1) TO '{folder}/store/out.csv'",
    "EXPORT DATABASE '{folder}/store/exported'",
    "IMPORT DATABASE '{folder}/store'",
    "ATTACH '{folder}/store/new.db'",
    "ATTACH ':memory:' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL httpfs",
    "SET threads = 1",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET VARIABLE files_of_pairs = ['{folder}/secret.csv']",
    "RESET lock_configuration",
    "PRAGMA enable_external_access",
    "PRAGMA database_size",
    "CALL pragma_version()",
    "CALL enable_logging()",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE OR REPLACE VIEW pairs AS SELECT 1",
    "CREATE TEMP TABLE mine AS SELECT 1",
    "CREATE SECRET (TYPE s3)",
    "CREATE MACRO one() AS 1",
    "CREATE TABLE mine AS PIVOT pairs ON i",
    "DROP VIEW pairs",
    "ALTER VIEW pairs RENAME TO p",
    "COMMENT ON VIEW pairs IS 'mine'",
    "INSERT INTO pairs SELECT * FROM pairs",
    "DELETE FROM pairs",
    "UPDATE pairs SET mi = 1",
    "PREPARE p AS COPY (SELECT 1) TO '{folder}/store/out.csv'",
    "EXECUTE p",
    "BEGIN",
    "USE memory",
    "VACUUM",
    "CHECKPOINT",
]


@pytest.mark.parametrize("query", READS_ELSEWHERE)
def test_nothing_outside_the_store_is_read(store, folder, query):
    with pytest.raises((StoreError, Exception), match=r"(?i)permission|does not exist|disabled|Missing Extension"):
        store.sql(query.format(folder=folder)).fetchall()


@pytest.mark.parametrize("query", ACTS)
def test_everything_that_is_no_reading_is_refused_and_leaves_no_trace(store, folder, query):
    before = files(folder)
    with pytest.raises(QueryError) as refused:
        store.sql(query.format(folder=folder)).fetchall()
    assert refused.value.exit_code == 2
    assert files(folder) == before
    assert store.sql("SELECT count(*) FROM pairs").fetchall() == [(12,)]


def test_every_refusal_comes_before_anything_is_executed(store, folder):
    with pytest.raises(QueryError, match="a store is read-only and COPY is no reading; use SELECT, or -o FILE"):
        store.sql(f"SELECT 1; COPY (SELECT 1) TO '{folder}/store/out.csv'")


READINGS = [
    "SELECT count(*) FROM pairs",
    "FROM pairs LIMIT 1",
    "WITH p AS (SELECT * FROM pairs) SELECT count(*) FROM p",
    "TABLE books",
    "VALUES (1)",
    "DESCRIBE pairs",
    "SHOW TABLES",
    "SUMMARIZE summaries",
    "EXPLAIN SELECT * FROM pairs",
    "EXPLAIN ANALYZE SELECT * FROM pairs",
    "EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM pairs",
    "EXPLAIN (FORMAT json) SELECT * FROM pairs",
    "explain /* why */ analyze -- not\n select 1",
    "EXPLAIN (SELECT 1)",
    "PIVOT summaries ON class USING avg(mi_mean) GROUP BY layer",
    "SELECT * FROM (PIVOT summaries ON class IN ('internal') USING avg(mi_mean) GROUP BY layer)",
    "SELECT unnest(mean) FROM activations",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM information_schema.columns",
]


@pytest.mark.parametrize("query", READINGS)
def test_every_way_of_reading_is_open(store, query):
    assert len(store.sql(query).fetchall()) > 0


def test_a_query_too_large_for_memory_spills_to_a_private_folder(folder, monkeypatch, tmp_path):
    """Spilling works although no file may be touched otherwise, and its folder goes with the connection."""
    import tempfile

    from store.query import sandbox

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    connect = sandbox.duckdb.connect

    def small(database: str):
        connection = connect(database)
        connection.execute("SET memory_limit = '60MB'")
        connection.execute("SET threads = 1")
        return connection

    monkeypatch.setattr(sandbox.duckdb, "connect", small)
    with open_store(folder / "store") as store:
        query = "SELECT count(*) FROM (SELECT hash(range) AS h, range AS r FROM range(6000000) ORDER BY h) WHERE r >= 0"
        rows = "SELECT max(r) FROM (SELECT DISTINCT range || 'x' AS t, range AS r FROM range(3000000))"
        assert store.sql(query).fetchall() == [(6_000_000,)]
        assert store.sql(rows).fetchall() == [(2_999_999,)]
    assert os.listdir(tmp_path) == []


def test_over_s3_no_file_of_this_machine_is_readable(s3_location, tmp_path):
    build_store(s3_location, books=1, layers=1, marks=4)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with open_store(s3_location) as store:
        assert store.sql("SELECT count(*) FROM pairs").fetchall() == [(12,)]
        for query in READS_ELSEWHERE:
            with pytest.raises(Exception, match=r"(?i)permission|does not exist|disabled|Missing Extension"):
                store.sql(query.format(folder=tmp_path)).fetchall()
