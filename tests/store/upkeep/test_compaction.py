"""Compaction changes files, never rows; killed anywhere it loses nothing; readers and a run may go on."""

from __future__ import annotations

import shutil
from unittest.mock import Mock

import pytest

from store import paths
from store.commits import live_records, load_records
from store.errors import ChunkDamaged, StoreLocked
from store.lock import MAINTENANCE, StoreLock
from store.objects.local_folder import LocalFolder
from store.objects.locations import object_store
from store.query.reader import open_store
from store.upkeep import compaction
from store.upkeep.compaction import compact, plan_groups
from store.upkeep.verify import verify
from store.writer import StudyWriter
from tests.builders import build_store, publish_book, synthetic_study
from tests.store.query.test_reader import failed_attempt
from tests.store.test_lock import elsewhere, take
from tests.store.upkeep.test_verify import FILES, digest

BOOKS, LAYERS, MARKS = 4, 2, 5
STUDY = synthetic_study(LAYERS, MARKS)


@pytest.fixture
def built(any_location):
    build_store(any_location, BOOKS, LAYERS, MARKS)
    return any_location


def snapshot(location):
    with open_store(location) as store:
        return store.snapshot


def test_the_same_rows_in_fewer_files(built):
    before, name = digest(built), snapshot(built)
    report = compact(built)
    assert (report.files_before, report.files_after) == (BOOKS * FILES, FILES)
    assert (report.generations, report.removed) == (1, 0)
    assert digest(built) == before
    assert snapshot(built) == name
    assert verify(built).damages == []


def test_rows_of_a_generation_are_in_order(tmp_path):
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    compact(tmp_path)
    with open_store(tmp_path, layers=[0], classes=["internal"]) as store:
        read = store.sql("SELECT book, i, j FROM pairs").fetchall()
    assert read == sorted(read)
    assert len({book for book, _, _ in read}) == BOOKS


def test_replaced_files_stay_for_the_grace_period(built):
    query = "SELECT count(*), sum(hash(pairs)) FROM pairs"
    with open_store(built) as early:
        pairs = early.sql(query)
        compact(built, grace_s=1000)
        with open_store(built) as late:
            assert pairs.fetchall() == late.sql(query).fetchall(), "a reader that was open keeps its files"
    assert len(load_records(object_store(built))) == BOOKS + 1
    report = compact(built, grace_s=0)
    assert (report.generations, report.removed) == (0, BOOKS * FILES)
    assert len(load_records(object_store(built))) == 1
    assert verify(built).uncommitted == []


def test_compacted_shards_are_still_committed(built):
    writer = StudyWriter.open(built, STUDY)
    before = writer.committed()
    compact(built, grace_s=0)
    assert writer.committed() == before


def test_a_run_goes_on_meanwhile(built, monkeypatch):
    writer = StudyWriter.open(built, STUDY)
    publish = compaction.publish_chunk
    published = []

    def publish_and_commit(location, key, table, run):
        if not published:
            published.append(writer.commit(publish_book(built, STUDY, BOOKS)))
        return publish(location, key, table, run)

    monkeypatch.setattr(compaction, "publish_chunk", publish_and_commit)
    with writer.lock():
        compact(built)
    assert published == [True]
    assert len(writer.committed().shards) == BOOKS + 1
    assert verify(built).damages == []
    with open_store(built) as store:
        assert store.sql("SELECT count(DISTINCT book), count(*) FROM pairs").fetchall() == [
            (BOOKS + 1, LAYERS * 21 * (BOOKS + 1))
        ]


def test_a_generation_is_compacted_again(built):
    compact(built, grace_s=0)
    writer = StudyWriter.open(built, STUDY)
    with writer.lock():
        for number in range(BOOKS, BOOKS + 3):
            writer.commit(publish_book(built, STUDY, number))
    before = digest(built)
    compact(built, grace_s=0)
    (record,) = load_records(object_store(built))
    assert record.is_generation
    assert len(record.shards) == BOOKS + 3
    assert digest(built) == before
    assert verify(built).damages == []


def test_files_are_cut_at_the_target_size(tmp_path):
    build_store(tmp_path, 6, LAYERS, 60)
    before = digest(tmp_path)
    one = max(file.bytes for record in load_records(object_store(tmp_path)) for file in record.files)
    compact(tmp_path, target_bytes=2 * one + one // 2, grace_s=0)
    assert len(load_records(object_store(tmp_path))) == 2, "three shards each"
    assert digest(tmp_path) == before
    assert compact(tmp_path, target_bytes=one).generations == 0, "what is large enough is left alone"


def test_a_large_table_is_cut_into_parts(tmp_path, monkeypatch):
    build_store(tmp_path, 3, LAYERS, 40)
    before = digest(tmp_path)
    monkeypatch.setattr(compaction, "plan_groups", lambda live, target: [live])
    compact(tmp_path, target_bytes=5_000, grace_s=0)
    parts = {paths.parse_chunk_path(entry.path).part for entry in object_store(tmp_path).walk("pairs/")}
    assert len(parts) > 1
    assert digest(tmp_path) == before
    assert verify(tmp_path).damages == []


def test_files_of_a_killed_compaction_of_another_size_do_not_get_among_the_next_ones(tmp_path, monkeypatch):
    build_store(tmp_path, 3, LAYERS, 40)
    before = digest(tmp_path)
    monkeypatch.setattr(compaction, "plan_groups", lambda live, target: [live])
    with monkeypatch.context() as patch:
        patch.setattr(StoreLock, "append", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            compact(tmp_path, target_bytes=5_000)
    assert verify(tmp_path).uncommitted
    compact(tmp_path, grace_s=0)
    assert digest(tmp_path) == before
    assert verify(tmp_path).damages == []


def test_attempts_that_were_replaced_are_left_behind(tmp_path):
    study = build_store(tmp_path, 1, LAYERS, MARKS)
    writer = StudyWriter.open(tmp_path, study)
    with writer.lock():
        writer.commit(failed_attempt(tmp_path, "a" * 16, [(1, "first"), (2, "first")]))
        writer.commit(failed_attempt(tmp_path, "b" * 16, [(2, "second")]))
        writer.commit(publish_book(tmp_path, study, 1))
    query = "SELECT book, status, reason FROM books ORDER BY book"
    expected = [("book0", "used", None), ("book1", "used", None), ("book2", "failed", "second")]
    compact(tmp_path, grace_s=0)
    (record,) = load_records(object_store(tmp_path))
    assert len(record.books) == 3
    with open_store(tmp_path) as store:
        assert store.sql(query).fetchall() == expected
    with writer.lock():
        writer.commit(publish_book(tmp_path, study, 2))
    with open_store(tmp_path) as store:
        assert store.sql(query).fetchall() == [*expected[:2], ("book2", "used", None)]
    assert verify(tmp_path).damages == []


def test_damage_is_not_carried_on(tmp_path):
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    objects = object_store(tmp_path)
    path = load_records(objects)[0].files[0].path
    data = bytearray(objects.read(path))
    data[30] ^= 1
    objects.put(path, bytes(data))
    with pytest.raises(ChunkDamaged, match=rf"{path} is not what was committed; `interpunct verify --fix`"):
        compact(tmp_path)
    assert len(live_records(load_records(objects))) == BOOKS


def test_two_compactions_at_once_are_refused(built):
    with StoreLock(object_store(built), MAINTENANCE), pytest.raises(StoreLocked):
        compact(built)


def test_a_compaction_that_was_overtaken_publishes_nothing(tmp_path, monkeypatch):
    """It slept, and another took its lock."""
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    before = digest(tmp_path)
    objects = object_store(tmp_path)
    rewrite = compaction._rewrite

    def overtaken(*arguments):
        record = rewrite(*arguments)
        take(objects, elsewhere(), MAINTENANCE)
        return record

    monkeypatch.setattr(compaction, "_rewrite", overtaken)
    with pytest.raises(StoreLocked, match=r"process \d+ on elsewhere took over"):
        compact(tmp_path)
    assert digest(tmp_path) == before


class Killed(BaseException):
    """Stands for a kill: nothing in the store catches it."""


@pytest.mark.whole
def test_killed_before_any_step_it_loses_nothing(tmp_path, monkeypatch):
    """At every single write and removal of a compaction that removes the old files at once.

    Some 20 seconds: 50 stores are compacted twice, verified and read, since any step may be the one that matters.
    """
    books, layers = 2, 1
    build_store(tmp_path / "reference", books, layers, MARKS, baseline=None)
    before = digest(tmp_path / "reference")
    real = {method: getattr(LocalFolder, method) for method in ("put_new", "put", "delete")}

    def killed_after(steps):
        """Whether a compaction was killed before its step of this number; afterwards nothing may be lost."""
        location, taken = tmp_path / f"store-{steps}", [0]
        shutil.copytree(tmp_path / "reference", location)

        def counted(method):
            def step(self, path, *data):
                if not path.startswith(paths.LOCKS):
                    taken[0] += 1
                    if taken[0] > steps:
                        raise Killed
                return real[method](self, path, *data)

            return step

        with monkeypatch.context() as patch:
            for method in real:
                patch.setattr(LocalFolder, method, counted(method))
            try:
                compact(location, grace_s=0)
                return False
            except Killed:
                pass
        assert digest(location) == before
        assert verify(location).damages == []
        compact(location, grace_s=0)
        assert digest(location) == before
        return True

    files = 3 * layers + 11
    # The term; the new files and their entry; the old files between two notes; the checkpoint.
    expected = 1 + files + 1 + (1 + books * files + 1) + 1
    assert [killed_after(steps) for steps in range(expected + 1)] == [True] * expected + [False]


def test_groups_depend_on_sizes_only(tmp_path):
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    records = load_records(object_store(tmp_path))
    assert plan_groups(records, 1 << 20) == plan_groups(records[::-1], 1 << 20) == [records]
    assert plan_groups(records[:1], 1 << 20) == []
    assert plan_groups(records, 1) == []
