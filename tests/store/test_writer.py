from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pyarrow.compute as pc
import pytest

from store import paths
from store.commits import FileReceipt
from store.errors import ChunkInvalid, ObjectMissing, StoreError
from store.keys import ChunkKey, ShardKey
from store.objects.locations import object_store
from store.writer import StudyWriter, publish_chunk, read_chunk, read_leftover, settle_chunk
from tests.builders import RUN, book_chunks, publish_book, shard_of, synthetic_study

STUDY = synthetic_study(layers=2, marks=6)


@pytest.fixture
def chunk():
    return book_chunks(STUDY, 0)[0]


def test_a_chunk_reads_back_as_published(location, chunk):
    key, table = chunk
    receipt = publish_chunk(location, key, table, RUN)
    data = object_store(location).read(receipt.path)
    assert receipt == FileReceipt(paths.chunk_path(key, RUN), 15, len(data), hashlib.sha256(data).hexdigest())
    assert read_chunk(location, key, RUN).to_pylist() == table.to_pylist()


def test_publishing_again_gives_the_same_receipt(location, chunk):
    assert publish_chunk(location, *chunk, RUN) == publish_chunk(location, *chunk, RUN)


def test_the_first_to_publish_wins(location, chunk):
    key, table = chunk
    other = table.set_column(4, "mi", pc.add(table.column("mi"), 1.0).cast("float"))
    first = publish_chunk(location, key, table, RUN)
    assert publish_chunk(location, key, other, RUN) == first
    assert read_chunk(location, key, RUN).to_pylist() == table.to_pylist()
    receipt, standing = settle_chunk(location, key, other, RUN)
    assert receipt == first
    assert standing.column("mi").to_pylist() == table.column("mi").to_pylist(), "the rows that won"


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"", lambda data: b"alien" * 100])
def test_a_damaged_leftover_is_replaced(location, chunk, damage):
    key, table = chunk
    receipt = publish_chunk(location, key, table, RUN)
    objects = object_store(location)
    objects.put(receipt.path, damage(objects.read(receipt.path)))
    assert publish_chunk(location, key, table, RUN) == receipt
    assert hashlib.sha256(objects.read(receipt.path)).hexdigest() == receipt.sha256


def test_each_run_has_files_of_its_own(location, chunk):
    """So that a file which was given up is never named again, and may be removed at any later time."""
    first, second = publish_chunk(location, *chunk, "run-1"), publish_chunk(location, *chunk, "run-2")
    assert first.path != second.path
    assert first.sha256 == second.sha256
    object_store(location).delete(first.path)
    assert read_chunk(location, chunk[0], "run-2").num_rows == 15


def test_an_invalid_table_publishes_nothing(location, chunk):
    key, table = chunk
    with pytest.raises(ChunkInvalid, match=rf"pairs of shard {key.shard} layer 00 class internal: row 1"):
        publish_chunk(location, key, table.take([1, 0]), RUN)
    assert list(object_store(location).walk()) == []


def test_reading_a_chunk_that_is_not_there(location, chunk):
    with pytest.raises(ObjectMissing, match=r"pairs/layer=00/class=internal/.* is missing"):
        read_chunk(location, chunk[0], RUN)


def test_hidden_states_are_read_by_chunk(location):
    from store.columns import TABLES
    from tests.builders import hidden_states, table_of

    states = hidden_states(STUDY, 1, "terminal", 0)
    rows = [
        {"layer": 1, "class": "terminal", "book": "book0", "i": i, "state": s.tolist()} for i, s in enumerate(states)
    ]
    key = ChunkKey("hidden_states", shard_of(STUDY, 0), 1, "terminal")
    publish_chunk(location, key, table_of("hidden_states", rows), RUN)
    table = read_chunk(location, key, RUN)
    assert table.schema.equals(TABLES["hidden_states"].schema)
    vectors = table.column("state").combine_chunks().flatten().to_numpy().reshape(6, 16)
    assert (vectors == states).all()


def test_commit_makes_a_shard_done_once(location):
    writer = StudyWriter.open(location, STUDY)
    record = publish_book(location, STUDY, 0)
    with writer.lock():
        assert writer.committed().shards == frozenset()
        assert writer.commit(record)
        assert not writer.commit(record)
    done = writer.committed()
    assert done.shards == {record.shard.name}
    book = done.books["book0"]
    assert (book.status, book.source, book.sha256) == ("used", "/books/book0.txt", record.books[0].sha256)


def test_a_book_is_not_committed_in_two_shards(location):
    writer = StudyWriter.open(location, STUDY)
    both = replace(publish_book(location, STUDY, 0), shard=ShardKey("f" * 16), files=())
    with writer.lock():
        assert writer.commit(publish_book(location, STUDY, 0))
        with pytest.raises(StoreError, match=r"book book0 of shard f+ is in the store already, by _commits/00000002"):
            writer.commit(both)
    assert writer.committed().shards == {shard_of(STUDY, 0).name}


@pytest.mark.parametrize(
    "path",
    ["/tmp/x", "../../x", "pairs/layer=00/class=internal/0123456789abcdef-0123456789ab.parquet", "study.json", ""],
)
def test_a_record_of_other_files_than_its_runs_is_not_committed(location, path):
    writer = StudyWriter.open(location, STUDY)
    record = publish_book(location, STUDY, 0)
    foreign = replace(record.files[0], path=path)
    with writer.lock(), pytest.raises(StoreError, match="is not a path of its shard and run"):
        writer.commit(replace(record, files=(*record.files, foreign)))
    assert writer.committed().shards == frozenset()


def test_files_that_stopped_runs_left_are_found(location):
    chunks = book_chunks(STUDY, 0)
    for run in ("run-1", "run-2"):
        for key, table in chunks[:3]:
            publish_chunk(location, key, table, run)
    publish_book(location, STUDY, 1)
    writer = StudyWriter.open(location, STUDY)
    left = writer.uncommitted_chunks(shard_of(STUDY, 0))
    assert left.keys() == {key for key, _ in chunks[:3]}
    for key, table in chunks[:3]:
        assert read_leftover(location, key, left[key]).to_pylist() == table.to_pylist()
    assert writer.uncommitted_chunks(shard_of(STUDY, 7)) == {}


def test_committed_files_are_no_leftovers(location):
    writer = StudyWriter.open(location, STUDY)
    with writer.lock():
        writer.commit(publish_book(location, STUDY, 0))
    assert StudyWriter.open(location, STUDY).uncommitted_chunks(shard_of(STUDY, 0)) == {}


def test_a_run_record_can_be_rewritten(location):
    writer = StudyWriter.open(location, STUDY)
    writer.record_run("run-1", {"shards": 0})
    writer.record_run("run-1", {"shards": 5, "title": "ü"})
    assert json.loads(object_store(location).read("_runs/run-1.json")) == {"shards": 5, "title": "ü"}
