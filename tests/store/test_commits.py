from __future__ import annotations

import pytest

from store.commits import (
    CommitRecord,
    CommittedBook,
    FileReceipt,
    committed,
    live_records,
    load_records,
    superseded_books,
)
from store.errors import StoreError
from store.keys import ShardKey
from store.objects.locations import object_store


def shard(number: int) -> ShardKey:
    return ShardKey(f"{number:016x}")


def attempt(number: int, key: str, source: str, status: str, at: str) -> CommitRecord:
    return CommitRecord(shard(number), (), (CommittedBook(key, None, source, status, "why", at),), committed=at)


def test_a_record_survives_the_round_trip():
    files = (FileReceipt("books/0000000000000001.parquet", 1, 100, "ab"),)
    books = (CommittedBook("pg1", "cd", "/x", "used"), CommittedBook("pg2", None, "/ü", "failed", "gone"))
    record = CommitRecord(shard(1), files, books, "run-1").stamped()
    assert CommitRecord.from_json(record.to_json(), "") == record
    generation = CommitRecord(
        shard(2), files, books, number=3, shards=(shard(1).name,), replaces=(record.path,)
    ).stamped()
    assert CommitRecord.from_json(generation.to_json(), "") == generation
    assert generation.path == "_commits/generation-000003.json"


def test_stamping_keeps_the_time_of_an_earlier_attempt():
    record = attempt(1, "a", "/a", "failed", "2026-01-01T00:00:00+00:00").stamped()
    assert record.books[0].attempted == "2026-01-01T00:00:00+00:00"
    assert record.committed > record.books[0].attempted


def test_a_generation_replaces_what_it_names():
    old = [attempt(n, f"b{n}", f"/{n}", "used", "1") for n in range(3)]
    generation = CommitRecord(
        shard(9), (), old[0].books, number=1, shards=(shard(0).name, shard(1).name), replaces=(old[0].path, old[1].path)
    )
    live = live_records([*old, generation])
    assert live == [old[2], generation]
    assert committed(live).shards == {shard(0).name, shard(1).name, shard(2).name}


def test_a_later_attempt_takes_the_place_of_a_failed_one():
    first = attempt(1, "pg1", "/pg1", "failed", "1")
    second = attempt(2, "pg1", "/pg1", "failed", "2")
    used = attempt(3, "pg1", "/pg1", "used", "3")
    assert superseded_books([first, second]) == {first.path: {("pg1", "/pg1")}}
    assert superseded_books([used, second, first]) == {
        first.path: {("pg1", "/pg1")},
        second.path: {("pg1", "/pg1")},
    }
    assert committed([used, second, first]).books["pg1"].status == "used"


def test_a_source_that_was_read_once_stays_read():
    used, gone = attempt(1, "pg1", "/pg1", "used", "1"), attempt(2, "pg1", "/pg1", "failed", "2")
    assert superseded_books([used, gone]) == {gone.path: {("pg1", "/pg1")}}


def test_of_two_words_on_one_text_the_newest_stays_and_used_before_all():
    first, second = attempt(1, "pg1-2", "/a", "duplicate", "1"), attempt(2, "pg1-2", "/a", "duplicate", "2")
    used = attempt(3, "pg1-2", "/a", "used", "1")
    gone = {("pg1-2", "/a")}
    assert superseded_books([second, first]) == {first.path: gone}
    assert superseded_books([first, used, second]) == {first.path: gone, second.path: gone}
    assert committed([used, first, second]).books["pg1-2"].status == "used"


def test_a_book_that_is_used_twice_shows_twice():
    assert superseded_books([attempt(1, "a", "/a", "used", "1"), attempt(2, "a", "/a", "used", "2")]) == {}


def test_two_texts_of_one_source_both_stay():
    assert superseded_books([attempt(1, "a", "/a", "used", "1"), attempt(2, "a-2", "/a", "used", "2")]) == {}


def test_a_key_belongs_to_the_source_that_was_read():
    records = [attempt(1, "pg1", "/x", "used", "1"), attempt(2, "pg1", "/y", "quarantined", "2")]
    assert committed(records).books["pg1"].source == "/x"


@pytest.mark.parametrize("text", [b"", b"{}", b'{"shard": "x"}', b"[1]", b"\xff"])
def test_a_damaged_record_is_named_with_its_remedy(tmp_path, text):
    objects = object_store(tmp_path)
    path = attempt(1, "a", "/a", "used", "1").path
    objects.put(path, text)
    with pytest.raises(StoreError, match=r"_commits/0000000000000001.json is damaged .* verify --fix"):
        load_records(objects)
    damaged: list[str] = []
    assert load_records(objects, damaged) == []
    assert damaged == [path]


def test_a_record_under_another_name_is_refused(tmp_path):
    objects = object_store(tmp_path)
    objects.put("_commits/0000000000000002.json", attempt(1, "a", "/a", "used", "1").to_json())
    with pytest.raises(StoreError, match="copied or renamed"):
        load_records(objects)


def test_records_that_vanish_while_they_are_read_are_listed_again(tmp_path, monkeypatch):
    objects = object_store(tmp_path)
    stays, goes = attempt(1, "a", "/a", "used", "1"), attempt(2, "b", "/b", "used", "1")
    for record in (stays, goes):
        objects.put(record.path, record.to_json())
    read, reads = type(objects).read, []

    def read_after_compaction(self, path):
        reads.append(path)
        self.delete(goes.path)
        return read(self, path)

    monkeypatch.setattr(type(objects), "read", read_after_compaction)
    assert load_records(objects) == [stays]
    assert len(reads) > 2, "the first listing met a missing record"


def test_files_beside_the_records_are_no_records(tmp_path):
    objects = object_store(tmp_path)
    objects.put("_commits/.0000000000000001.json.ab.tmp", b"half")
    objects.put("_commits/notes.txt", b"mine")
    assert load_records(objects) == []
