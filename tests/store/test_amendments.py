"""A removed book is gone from all that readers see and from nothing else, whoever works on the store meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from store import amendments, paths
from store.amendments import remove, retitle
from store.books import BookStatus
from store.columns import TABLES
from store.commits import live_records, load_records
from store.encoding import decode
from store.errors import NoStore, NoSuchBook, StoreError
from store.keys import ShardKey
from store.lock import MAINTENANCE, StoreLock
from store.log import CommitLog
from store.objects.local_folder import LocalFolder
from store.objects.locations import object_store
from store.query.reader import open_store
from store.upkeep import compaction
from store.upkeep.compaction import compact
from store.upkeep.verify import fix, verify
from store.writer import StudyWriter
from tests.builders import build_store, publish_book, synthetic_study

ROOT = Path(__file__).resolve().parents[2]
BOOKS, LAYERS, MARKS = 3, 2, 5
STUDY = synthetic_study(LAYERS, MARKS)
REASON = "its owner asked for it"


@pytest.fixture
def built(any_location):
    build_store(any_location, BOOKS, LAYERS, MARKS)
    return any_location


def books_in_views(location):
    """The books of which any view but `books` has a row."""
    with open_store(location) as store:
        names = [name for name in store.tables() if name not in ("study", "books")]
        found = [store.sql(f"SELECT DISTINCT book FROM {name}").fetchall() for name in names]
    return {book for rows in found for (book,) in rows}


def rows_of(location, book):
    with open_store(location) as store:
        return [
            store.sql(f"SELECT count(*), sum(hash(t)) FROM {name} t WHERE book = '{book}'").fetchall()
            for name in store.tables()
            if name != "study"
        ]


def words(location):
    with open_store(location) as store:
        return store.sql("SELECT book, status, reason FROM books ORDER BY book, status").fetchall()


def snapshot(location):
    with open_store(location) as store:
        return store.snapshot


def books_on_disk(location):
    """The books of which any file that readers open holds rows, `books` itself aside."""
    objects = object_store(location)
    files = [file.path for record in live_records(load_records(objects)) for file in record.files]
    found = set()
    for path in files:
        table = path.partition("/")[0]
        if table != "books":
            found |= set(decode(TABLES[table], objects.read(path), path).column("book").to_pylist())
    return found


def retake(location, number, run="another-run"):
    """What a run does that was told to take a removed book again."""
    writer = StudyWriter.open(location, STUDY)
    with writer.lock():
        writer.retaken = {f"book{number}": writer.committed().books[f"book{number}"].attempted}
        return writer.commit(publish_book(location, STUDY, number, run))


@pytest.mark.parametrize("compacted", [False, True], ids=["shards", "generation"])
def test_a_removed_book_is_in_no_view_and_the_others_are_as_they_were(built, compacted):
    if compacted:
        compact(built)
    others, before = [rows_of(built, f"book{n}") for n in (0, 2)], snapshot(built)
    with open_store(built) as early:
        pairs = early.sql("SELECT count(DISTINCT book) FROM pairs")
        (removed,) = remove(built, ["book1"], REASON)
        assert (removed.key, removed.status) == ("book1", BookStatus.USED)
        assert pairs.fetchall() == [(3,)], "a reader that was open sees what it saw"
    assert books_in_views(built) == {"book0", "book2"}
    assert [rows_of(built, f"book{n}") for n in (0, 2)] == others
    assert words(built) == [("book0", "used", None), ("book1", "removed", REASON), ("book2", "used", None)]
    assert snapshot(built) != before
    assert verify(built).damages == []
    assert remove(built, ["book1"], "again") == []
    assert words(built)[1][2] == REASON


def test_a_compaction_writes_no_row_of_it_and_its_files_go_with_the_grace_period(built):
    remove(built, ["book1"], REASON)
    views, name = [rows_of(built, f"book{n}") for n in range(3)], snapshot(built)
    assert books_on_disk(built) == {"book0", "book1", "book2"}
    compact(built)
    assert books_on_disk(built) == {"book0", "book2"}
    assert [rows_of(built, f"book{n}") for n in range(3)] == views
    assert snapshot(built) == name
    assert verify(built).damages == []
    removed = compact(built, grace_s=0).removed
    assert removed == BOOKS * (removed // BOOKS) > 0
    assert verify(built).uncommitted == []
    assert words(built)[1] == ("book1", "removed", REASON)


def test_a_large_generation_is_rewritten_for_it(built):
    compact(built, target_bytes=2)
    remove(built, ["book1"], REASON)
    report = compact(built, target_bytes=2)
    assert report.generations == 1
    assert books_on_disk(built) == {"book0", "book2"}


@pytest.mark.parametrize("compacted", [False, True], ids=["shards", "generation"])
def test_it_is_taken_again_only_by_who_was_told_to(built, compacted):
    before = rows_of(built, "book1")
    remove(built, ["book1"], REASON)
    if compacted:
        compact(built)
    writer = StudyWriter.open(built, STUDY)
    with writer.lock():
        assert writer.committed().books["book1"].status is BookStatus.REMOVED
        record = publish_book(built, STUDY, 1, "a-run-that-knows-nothing")
        assert not writer.commit(record), "its shard stands, and is not to be seen"
    assert retake(built, 1)
    assert not retake(built, 1), "it is there"
    assert rows_of(built, "book1") == before
    assert words(built) == [(f"book{n}", "used", None) for n in range(3)]
    assert [damage.what for damage in verify(built).damages] == []
    compact(built)
    assert rows_of(built, "book1") == before
    assert verify(built).damages == []
    remove(built, ["book1"], "once more")
    assert rows_of(built, "book1")[0] == [(0, None)]


def test_another_shard_with_a_removed_book_is_refused(built):
    remove(built, ["book1"], REASON)
    writer = StudyWriter.open(built, STUDY)
    with (
        writer.lock(),
        pytest.raises(StoreError, match=r"book1 was removed; .* --retake book1"),
    ):
        writer.commit(replace(publish_book(built, STUDY, 1), shard=ShardKey("f" * 16), files=()))


def test_a_retaken_book_and_a_removed_one_in_a_generation_are_told_apart(built):
    """book1 is removed and taken again; then its new shard is compacted with others, and one of those is removed."""
    before = rows_of(built, "book1")
    remove(built, ["book1"], REASON)
    assert retake(built, 1)
    remove(built, ["book0"], REASON)
    assert (rows_of(built, "book1"), rows_of(built, "book0")[0]) == (before, [(0, None)])
    compact(built)
    remove(built, ["book2"], REASON)
    assert (rows_of(built, "book1"), rows_of(built, "book2")[0]) == (before, [(0, None)])
    assert verify(built).damages == []


def test_a_compaction_that_had_read_the_book_brings_nothing_back(built, monkeypatch):
    publish = compaction._publish

    def removed_before(held, generation):
        remove(built, ["book1"], REASON)
        publish(held, generation)

    with monkeypatch.context() as patched:
        patched.setattr(compaction, "_publish", removed_before)
        compact(built)
    assert books_in_views(built) == {"book0", "book2"}
    assert verify(built).damages == []
    compact(built)
    assert books_on_disk(built) == {"book0", "book2"}


def test_runs_and_compactions_may_be_at_work(any_location):
    location = any_location
    build_store(location, 2, LAYERS, MARKS)
    writer = StudyWriter.open(location, STUDY)
    with writer.lock(), StoreLock(object_store(location), MAINTENANCE):
        remove(location, ["book0"], REASON)
        assert writer.commit(publish_book(location, STUDY, 2))
    assert words(location) == [("book0", "removed", REASON), ("book1", "used", None), ("book2", "used", None)]


def test_a_dropped_generation_does_not_bring_it_back(built):
    remove(built, ["book1"], REASON)
    compact(built)
    objects = object_store(built)
    (generation,) = live_records(load_records(objects))
    objects.put(generation.files[0].path, b"rotten")
    fix(built)
    assert books_in_views(built) == {"book0", "book2"}
    assert verify(built).damages == []


def test_a_checkpoint_knows_it(built):
    remove(built, ["book1"], REASON)
    retitle(built, "book0", "A New Title")
    objects = object_store(built)
    before = words(built), snapshot(built)
    CommitLog.read(objects).write_checkpoint()
    assert [path for path in (entry.path for entry in objects.walk(paths.COMMITS)) if "checkpoint" in path]
    assert (words(built), snapshot(built)) == before
    assert verify(built).damages == []


def remove_and_die(location: str, after: bool) -> None:
    """In a process of its own: be killed before the removal is published, or right after."""
    put_new = LocalFolder.put_new

    def dies(self: LocalFolder, path: str, data: bytes) -> bool:
        if after:
            put_new(self, path, data)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    LocalFolder.put_new = dies  # type: ignore[method-assign]
    remove(location, ["book1"], REASON)


@pytest.mark.parametrize("after", [False, True], ids=["before it is published", "right after"])
def test_a_removal_that_is_killed_has_happened_or_has_not(tmp_path, after):
    build_store(tmp_path, 2, LAYERS, MARKS)

    code = "import sys; from tests.store import test_amendments as t; t.remove_and_die(sys.argv[1], bool(sys.argv[2]))"
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path), "after" if after else ""], cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    assert books_in_views(tmp_path) == ({"book0"} if after else {"book0", "book1"})
    assert verify(tmp_path).damages == []
    remove(tmp_path, ["book1"], REASON)
    assert books_in_views(tmp_path) == {"book0"}


def test_a_title_is_told_anew_through_compactions_and_changes_the_snapshot(built):
    query = "SELECT title, author FROM books WHERE book = 'book1'"

    def told():
        with open_store(built) as store:
            return store.sql(query).fetchall()

    rows, before = rows_of(built, "book1")[0], snapshot(built)
    retitle(built, "book1", "A New Title")
    ((title, author),) = told()
    assert title == "A New Title"
    retitle(built, "book1", author="Someone Else")
    assert told() == [("A New Title", "Someone Else")]
    assert author != "Someone Else"
    compact(built, grace_s=0)
    assert told() == [("A New Title", "Someone Else")]
    assert (rows_of(built, "book1")[0], snapshot(built) != before) == (rows, True)
    assert verify(built).damages == []


def test_what_is_wrong_is_said_and_changes_nothing(built, tmp_path):
    before = snapshot(built)
    with pytest.raises(NoSuchBook, match="has no book 'bok1'; like it are book"):
        remove(built, ["book0", "bok1"], REASON)
    with pytest.raises(NoSuchBook, match=r"has no book 'nothing like it'\. `interpunct sql"):
        retitle(built, "nothing like it", "A Title")
    with pytest.raises(StoreError, match="a removal needs a reason"):
        remove(built, ["book0"], " ")
    with pytest.raises(NoStore):
        remove(tmp_path / "none", ["book0"], REASON)
    assert snapshot(built) == before
    assert amendments.titles_of([]) == {}
