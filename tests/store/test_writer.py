from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pyarrow.compute as pc
import pytest

from store import paths
from store.commits import FileReceipt
from store.errors import ChunkInvalid, ObjectMissing
from store.keys import ChunkKey
from store.objects.locations import object_store
from store.writer import StudyWriter, publish_chunk, read_chunk, read_settled_chunk, settle_chunk
from tests.builders import book_chunks, publish_book, record_of, shard_of, synthetic_study

STUDY = synthetic_study(layers=2, marks=6)


@pytest.fixture
def chunk():
    return book_chunks(STUDY, 0)[0]


def test_a_chunk_reads_back_as_published(location, chunk):
    key, table = chunk
    receipt = publish_chunk(location, key, table)
    data = object_store(location).read(receipt.path)
    assert receipt == FileReceipt(paths.chunk_path(key), 15, len(data), hashlib.sha256(data).hexdigest())
    assert read_chunk(location, key).to_pylist() == table.to_pylist()


def test_publishing_again_gives_the_same_receipt(location, chunk):
    assert publish_chunk(location, *chunk) == publish_chunk(location, *chunk)


def test_the_first_to_publish_wins(location, chunk):
    key, table = chunk
    other = table.set_column(4, "mi", pc.add(table.column("mi"), 1.0).cast("float"))
    first = publish_chunk(location, key, table)
    assert publish_chunk(location, key, other) == first
    assert read_chunk(location, key).to_pylist() == table.to_pylist()
    receipt, standing = settle_chunk(location, key, other)
    assert receipt == first
    assert standing.column("mi").to_pylist() == table.column("mi").to_pylist(), "the rows that won"


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"", lambda data: b"alien" * 100])
def test_a_damaged_leftover_is_replaced(location, chunk, damage):
    key, table = chunk
    receipt = publish_chunk(location, key, table)
    objects = object_store(location)
    objects.put(receipt.path, damage(objects.read(receipt.path)))
    assert publish_chunk(location, key, table) == receipt
    assert hashlib.sha256(objects.read(receipt.path)).hexdigest() == receipt.sha256


@pytest.mark.parametrize("number", range(len(book_chunks(STUDY, 0))))
def test_a_leftover_of_other_marks_is_replaced_until_it_is_committed(location, number):
    key, ours = book_chunks(STUDY, 0)[number]
    of_another_version = book_chunks(synthetic_study(layers=2, marks=5), 0)
    (theirs,) = [table for other, table in of_another_version if replace(other, shard=key.shard) == key]
    publish_chunk(location, key, theirs)
    receipt, standing = settle_chunk(location, key, ours)
    assert read_settled_chunk(location, key) == (receipt, read_chunk(location, key))
    assert standing.to_pylist() == read_chunk(location, key).to_pylist() == ours.to_pylist()
    writer = StudyWriter.open(location, STUDY)
    with writer.lock():
        writer.commit(record_of(STUDY, 0, [receipt]))
    assert publish_chunk(location, key, theirs) == receipt, "what is committed stays"
    assert read_chunk(location, key).to_pylist() == ours.to_pylist()


def test_an_invalid_table_publishes_nothing(location, chunk):
    key, table = chunk
    with pytest.raises(ChunkInvalid, match=rf"pairs of shard {key.shard} layer 0 class internal: row 1"):
        publish_chunk(location, key, table.take([1, 0]))
    assert list(object_store(location).walk()) == []


def test_reading_a_chunk_that_is_not_there(location, chunk):
    with pytest.raises(ObjectMissing, match=r"pairs/layer=00/class=internal/.* is missing"):
        read_chunk(location, chunk[0])


def test_hidden_states_are_read_by_chunk(location):
    from store.columns import TABLES
    from tests.builders import hidden_states, table_of

    states = hidden_states(1, "terminal", 0, 6, 16, 0)
    rows = [
        {"layer": 1, "class": "terminal", "book": "book0", "i": i, "state": s.tolist()} for i, s in enumerate(states)
    ]
    key = ChunkKey("hidden_states", shard_of(STUDY, 0), 1, "terminal")
    publish_chunk(location, key, table_of("hidden_states", rows))
    table = read_chunk(location, key)
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


def test_sound_files_of_an_interrupted_attempt_are_found(location):
    chunks = book_chunks(STUDY, 0)
    receipts = {key: publish_chunk(location, key, table) for key, table in chunks[:3]}
    publish_book(location, STUDY, 1)
    objects = object_store(location)
    truncated = paths.chunk_path(chunks[2][0])
    objects.put(truncated, objects.read(truncated)[:-1])
    writer = StudyWriter.open(location, STUDY)
    del receipts[chunks[2][0]]
    assert writer.uncommitted_chunks(shard_of(STUDY, 0)) == receipts
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


def test_records_do_not_depend_on_the_order_of_receipts(location):
    files = [publish_chunk(location, key, table) for key, table in book_chunks(STUDY, 0)]
    assert record_of(STUDY, 0, files).path == record_of(STUDY, 0, files[::-1]).path
