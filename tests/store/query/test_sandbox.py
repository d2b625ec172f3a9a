"""With `sql` one can neither read nor write any file but the committed ones, nor change anything."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import duckdb
import pytest

from store.errors import QueryError, StoreError
from store.query import engine_files
from store.query.reader import open_store
from store.query.sandbox import Limits
from store.writer import StudyWriter
from tests.builders import build_store
from tests.store.query.attacks import ACTS, READINGS, READS

MARKER = "nobody's business"
OF_A_STRANGER = (MARKER, "root:x:0", "sibling-only", "made-up-run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store, and around it files that are nobody's business: in the store's own folder, beside it, and in the cwd."""
    folder = tmp_path_factory.mktemp("sandbox")
    study = build_store(folder / "store", books=1, layers=1, marks=4, baseline=None)
    writer = StudyWriter.open(folder / "store", study)
    with writer.lock():
        writer.record_run("run-1", {"secret": MARKER})
    build_store(folder / "sibling", books=1, layers=1, marks=4, baseline=None)
    (folder / "secret.csv").write_text(f"secret\n{MARKER}\n")
    committed = next((folder / "store" / "books").iterdir())
    stranger = committed.read_bytes().replace(b"book0", b"sibl0")
    (folder / "store" / "books" / "stranger.parquet").write_bytes(stranger)
    (folder / "x.duckdb_extension").write_text(MARKER)
    return folder


@pytest.fixture
def place(folder, tmp_path, monkeypatch) -> dict[str, str]:
    """What attacks name; the process's home, cwd and temporary folder are watched too."""
    for name in ("home", "cwd", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(engine_files.tempfile, "tempdir", str(tmp_path / "tmp"))
    file = next((folder / "store" / "books").glob("[0-9a-f]*.parquet"))
    names = {"folder": folder, "store": folder / "store", "file": file, "name": f"interpunct://data/books/{file.name}"}
    return {name: str(value) for name, value in names.items()}


def files(*folders: Path) -> dict[str, str]:
    """Every file and folder, with a checksum."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*"):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


def answered(execute, query: str) -> str:
    """What the engine says to a query, rows or error, as text."""
    try:
        return repr(execute(query).fetchall())
    except Exception as error:
        return f"error: {error}".replace(query, "")


@pytest.fixture(scope="module")
def opened(folder):
    with open_store(folder / "store") as store:
        yield store


@pytest.fixture
def bare(place):
    """The engine of an open store, views made, without anything that looks at a statement first."""
    with open_store(place["store"]) as store:
        store.sql("SELECT * FROM pairs, books, marks, summaries, activations, study")
        yield store._open_connection()


@pytest.mark.parametrize("query", READS)
def test_nothing_but_the_views_is_read(place, opened, query):
    """An error, or no rows: never a word of what is not the store's."""
    assert_tells_nothing(answered(opened.sql, query.format(**place)))


def assert_tells_nothing(told: str) -> None:
    assert told.startswith("error: ") or told == "[]"
    assert not [text for text in OF_A_STRANGER if text in told]


@pytest.mark.parametrize("query", ACTS)
def test_whatever_is_no_reading_is_refused_in_a_sentence(place, opened, query):
    with pytest.raises(QueryError) as refused:
        opened.sql(query.format(**place)).fetchall()
    assert refused.value.exit_code == 2
    assert "Traceback" not in str(refused.value)
    assert opened.sql("SELECT count(*) FROM pairs").fetchall() == [(12,)]


@pytest.mark.parametrize("query", READS)
def test_the_bare_engine_reads_nothing_but_the_views(place, folder, tmp_path, bare, query):
    before = files(folder, tmp_path)
    assert_tells_nothing(answered(bare.execute, query.format(**place)))
    assert files(folder, tmp_path) == before


def test_of_an_attached_store_too_the_committed_files_alone_are_read(place, folder, tmp_path):
    """The rows of the other store's views, and nothing else of its folder: not for a query, nor for the bare engine."""
    other = folder / "sibling"
    (other / "books" / "stranger.parquet").write_bytes((folder / "store/books/stranger.parquet").read_bytes())
    try:
        with open_store(place["store"], attach={"other": other}) as store:
            before = files(folder, tmp_path)
            books = store.sql("SELECT a.book, b.book FROM books a, other.books b").fetchall()
            assert books == [("book0", "book0")]
            committed = next((other / "books").glob("[0-9a-f]*.parquet")).name
            connection = store._open_connection()
            assert connection.execute(f"FROM read_parquet('interpunct://data/other/books/{committed}')").fetchall()
            for path in (
                f"{other}/books/{committed}",
                "interpunct://data/other/books/stranger.parquet",
                "interpunct://data/other/books/*.parquet",
                f"interpunct://data/other/../other/books/{committed}",
                f"interpunct://data/books/{committed}/../../other/books/stranger.parquet",
                "interpunct://data/other/study.json",
            ):
                for function in ("read_text", "read_blob", "read_parquet", "parquet_schema", "glob"):
                    for execute in (store.sql, connection.execute):
                        assert_tells_nothing(answered(execute, f"SELECT * FROM {function}('{path}')"))
            for act in (
                "CREATE TABLE other.t AS SELECT 1",
                "DROP VIEW other.books",
                "USE other",
                "DROP SCHEMA other CASCADE",
            ):
                with pytest.raises(QueryError, match="read-only"):
                    store.sql(act)
            assert store.sql("SELECT count(*) FROM other.books").fetchall() == [(1,)]
            assert files(folder, tmp_path) == before
    finally:
        (other / "books" / "stranger.parquet").unlink()


@pytest.mark.parametrize("query", ACTS)
def test_the_bare_engine_leaves_no_trace(place, folder, tmp_path, bare, query):
    """Whatever a statement is taken for: no file appears, changes or goes, anywhere that is watched."""
    before = files(folder, tmp_path)
    told = answered(bare.execute, query.format(**place))
    assert files(folder, tmp_path) == before
    bare.close()
    assert files(folder, tmp_path) == before
    assert not [text for text in OF_A_STRANGER if text in told]


def test_no_function_of_the_engine_reads_or_writes_a_path(place, folder, tmp_path, bare):
    """Every function and pragma that this DuckDB has, given the paths of files that are not the store's."""
    named = bare.execute("SELECT DISTINCT function_name, function_type FROM duckdb_functions()").fetchall()
    paths = [place["folder"] + "/secret.csv", place["store"] + "/_runs/run-1.json", place["folder"] + "/new"]
    before, tried = files(folder, tmp_path), 0
    for name, kind in sorted(named):
        form = {"pragma": "PRAGMA {}({})", "table": "SELECT * FROM {}({})", "table_macro": "SELECT * FROM {}({})"}
        for path in paths:
            for arguments in (f"'{path}'", f"'{path}', '{path}'"):
                query = form.get(kind, "SELECT {}({})").format(f'"{name}"' if kind != "pragma" else name, arguments)
                told = answered(bare.execute, query)
                assert MARKER not in told, query
                tried += 1
    assert files(folder, tmp_path) == before
    assert tried > 5000


def test_no_setting_can_be_changed(place, folder, tmp_path, bare):
    settings = [row[0] for row in bare.execute("SELECT name FROM duckdb_settings()").fetchall()]
    before = bare.execute("SELECT name, value FROM duckdb_settings() ORDER BY ALL").fetchall()
    for name in settings:
        for query in (
            f"SET {name} = '{tmp_path}'",
            f"SET GLOBAL {name} = 'true'",
            f"RESET {name}",
            f"PRAGMA {name} = 1",
        ):
            answered(bare.execute, query)
    assert bare.execute("SELECT name, value FROM duckdb_settings() ORDER BY ALL").fetchall() == before
    assert len(settings) > 100


def test_every_refusal_comes_before_anything_is_executed(place):
    with (
        open_store(place["store"]) as store,
        pytest.raises(QueryError, match="a store is read-only and refuses COPY; use SELECT, whose result"),
    ):
        store.sql(f"SELECT 1; COPY (SELECT 1) TO '{place['store']}/out.csv'")


@pytest.mark.parametrize("query", READINGS)
def test_every_way_of_reading_is_open(place, query):
    with open_store(place["store"]) as store:
        assert len(store.sql(query).fetchall()) > 0


@pytest.mark.parametrize("attack", ["link", "pipe", "folder", "gone"])
def test_what_stands_in_a_committed_files_place_is_not_followed(place, tmp_path, attack):
    shutil.copytree(place["store"], tmp_path / "copy")
    victim = tmp_path / "copy" / "books" / Path(place["file"]).name
    other = tmp_path / "other.parquet"
    victim.rename(other)
    if attack == "link":
        victim.symlink_to(other)
    elif attack == "pipe":
        os.mkfifo(victim)
    elif attack == "folder":
        victim.mkdir()
    with open_store(tmp_path / "copy") as store, pytest.raises(StoreError, match=r"books.*`interpunct verify`"):
        store.sql("SELECT * FROM books").fetchall()


def test_no_folder_on_the_way_to_a_file_is_a_link(place, tmp_path):
    """Swapped for one after the view was made, as whoever may write beside the store can at any time."""
    shutil.copytree(place["store"], tmp_path / "copy")
    folder = tmp_path / "copy" / "pairs" / "layer=00"
    with open_store(tmp_path / "copy") as store:
        relation = store.sql("SELECT avg(mi) FROM pairs")
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(duckdb.Error, match="lies behind a link"):
            relation.fetchall()


@pytest.mark.parametrize("above", ["layer=77", "class=evil", "book=evil", "n=5", "layer=x", "mi=1/layer=2"])
def test_names_above_the_store_are_not_its_partitions(tmp_path, above):
    build_store(tmp_path / above / "store", books=1, layers=2, marks=4, baseline=None)
    with open_store(tmp_path / above / "store") as store:
        found = store.sql("SELECT DISTINCT layer, class, book FROM pairs ORDER BY ALL").fetchall()
        assert found == [(layer, name, "book0") for layer in (0, 1) for name in ("internal", "terminal")]
        assert store.sql("SELECT book FROM books").fetchall() == [("book0",)]
        assert store.sql("SELECT count(*) FROM pairs WHERE n = 5").fetchall() == [(0,)]


LARGE_SORT = "SELECT count(*) FROM (SELECT hash(range) AS h, range AS r FROM range(6000000) ORDER BY h) WHERE r >= 0"
LARGE_GROUPS = "SELECT max(r) FROM (SELECT DISTINCT range || 'x' AS t, range AS r FROM range(3000000))"
LARGE_STRINGS = "SELECT count(*) FROM (SELECT repeat(range::VARCHAR, 100000) AS t FROM range(400) ORDER BY t DESC)"


@pytest.mark.parametrize(("query", "answer"), [(LARGE_SORT, 6_000_000), (LARGE_GROUPS, 2_999_999)])
def test_a_query_too_large_for_memory_spills(place, tmp_path, monkeypatch, query, answer):
    """Spilling works although no file may be touched, and nothing of it is ever seen in a folder."""
    spilled = []
    written = engine_files._SpillFile.write
    monkeypatch.setattr(engine_files._SpillFile, "write", lambda file, data: spilled.append(1) or written(file, data))
    with open_store(place["store"], limits=Limits(memory=64 << 20)) as store:
        assert store.sql(query).fetchall() == [(answer,)]
        assert list((tmp_path / "tmp").iterdir()) == []
        assert spilled, "it did spill"
    assert store._engine_files.spilled_bytes == 0


@pytest.mark.parametrize("query", [LARGE_SORT, LARGE_GROUPS, LARGE_STRINGS])
def test_a_spill_limit_holds(place, query):
    with open_store(place["store"], limits=Limits(memory=64 << 20, spill=1 << 20)) as store:
        with pytest.raises(Exception, match=r"max_temp_directory_size|may be spilled|Out of Memory"):
            store.sql(query).fetchall()
        assert store._engine_files.spilled_bytes <= 1 << 20
        assert store.sql("SELECT count(*) FROM pairs").fetchall() == [(12,)]


def test_a_time_limit_holds(place):
    with open_store(place["store"], limits=Limits(seconds=0.2)) as store:
        with pytest.raises(Exception, match="exceeded maximum execution time"):
            store.sql("SELECT count(*) FROM range(10000000) a, range(1000000) b WHERE a.range * b.range = 7").fetchall()
        assert store.sql("SELECT count(*) FROM pairs").fetchall() == [(12,)]


@pytest.mark.parametrize("wrong", [{"memory": 1}, {"spill": -1}, {"seconds": 0}])
def test_limits_that_no_query_can_keep(wrong):
    with pytest.raises(QueryError, match=r"allow 64 MB or more|name 0 or more|name more than 0"):
        Limits(**wrong)


def test_over_s3_no_file_of_this_machine_is_readable(s3_location, tmp_path):
    build_store(s3_location, books=1, layers=1, marks=4, baseline=None)
    (tmp_path / "secret.csv").write_text(f"secret\n{MARKER}\n")
    names = {"folder": tmp_path, "store": s3_location, "file": tmp_path / "x.parquet", "name": "interpunct://data/x"}
    with open_store(s3_location) as store:
        assert store.sql("SELECT count(*) FROM pairs").fetchall() == [(12,)]
        before = files(tmp_path)
        for query in ACTS + READS:
            told = answered(store._open_connection().execute, query.format(**names))
            assert not [text for text in (MARKER, "root:x:0") if text in told], query
        assert files(tmp_path) == before
