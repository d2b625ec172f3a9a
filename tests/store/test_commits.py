from __future__ import annotations

from dataclasses import replace

from store.books import BookStatus
from store.commits import CommitRecord, CommittedBook, committed, live_records, superseded_books
from store.keys import ShardKey


def shard(number: int) -> ShardKey:
    return ShardKey(f"{number:016x}")


def attempt(number: int, key: str, source: str, status: str, at: int) -> CommitRecord:
    book = CommittedBook(key, None, source, BookStatus(status), "why", at)
    return CommitRecord(shard(number), (), (book,), "run", number=number)


def book(key: str) -> CommittedBook:
    return CommittedBook(key, None, f"/{key}", BookStatus.USED)


def test_numbering_keeps_the_number_of_an_earlier_attempt():
    record = replace(attempt(1, "a", "/a", "failed", 3), books=(*attempt(1, "a", "/a", "failed", 3).books, book("b")))
    assert [book.attempted for book in record.numbered(9, 2).books] == [3, 9]


def test_a_generation_replaces_what_it_names():
    old = [attempt(n, f"b{n}", f"/{n}", "used", 1) for n in (1, 2, 3)]
    shards = (shard(1).name, shard(2).name)
    generation = CommitRecord(shard(9), (), old[0].books, "compact", number=9, shards=shards, replaces=(1, 2))
    live = live_records([*old, generation])
    assert live == [old[2], generation]
    assert committed(live).shards == {shard(1).name, shard(2).name, shard(3).name}


def test_a_later_attempt_takes_the_place_of_a_failed_one():
    first = attempt(1, "pg1", "/pg1", "failed", 1)
    second = attempt(2, "pg1", "/pg1", "failed", 2)
    used = attempt(3, "pg1", "/pg1", "used", 3)
    assert superseded_books([first, second]) == {first.path: {("pg1", "/pg1")}}
    assert superseded_books([used, second, first]) == {
        first.path: {("pg1", "/pg1")},
        second.path: {("pg1", "/pg1")},
    }
    assert committed([used, second, first]).books["pg1"].status == "used"


def test_a_source_that_was_read_once_stays_read():
    used, gone = attempt(1, "pg1", "/pg1", "used", 1), attempt(2, "pg1", "/pg1", "failed", 2)
    assert superseded_books([used, gone]) == {gone.path: {("pg1", "/pg1")}}


def test_of_two_words_on_one_text_the_newest_stays_and_used_before_all():
    first, second = attempt(1, "pg1-2", "/a", "duplicate", 1), attempt(2, "pg1-2", "/a", "duplicate", 2)
    used = attempt(3, "pg1-2", "/a", "used", 1)
    gone = {("pg1-2", "/a")}
    assert superseded_books([second, first]) == {first.path: gone}
    assert superseded_books([first, used, second]) == {first.path: gone, second.path: gone}
    assert committed([used, first, second]).books["pg1-2"].status == "used"


def test_a_book_that_is_used_twice_shows_twice():
    assert superseded_books([attempt(1, "a", "/a", "used", 1), attempt(2, "a", "/a", "used", 2)]) == {}


def test_two_texts_of_one_source_both_stay():
    assert superseded_books([attempt(1, "a", "/a", "used", 1), attempt(2, "a-2", "/a", "used", 2)]) == {}


def test_a_key_belongs_to_the_source_that_was_read():
    records = [attempt(1, "pg1", "/x", "used", 1), attempt(2, "pg1", "/y", "quarantined", 2)]
    assert committed(records).books["pg1"].source == "/x"
