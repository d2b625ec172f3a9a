"""Books are grouped, skipped and cut as a function of the books alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.corpus.references import BookRef, NamedBook
from jobs.stages.partition import (
    SMALL_CLASS,
    SMALL_RUN,
    SMALL_SHARDS,
    PairShape,
    PartSlice,
    block_keys,
    books_per_shard,
    compute_memory,
    is_committed,
    pairs_of_classes,
    plan_limits,
    plan_parts,
    plan_shards,
    shard_of,
)
from store.commits import Committed, CommittedBook
from store.keys import ShardKey

NOTHING = Committed(frozenset(), {})


def book(key: str, sha256: str | None = None) -> NamedBook:
    return NamedBook(key, BookRef(key, f"/books/{key}.txt", sha256=sha256 or f"sha-{key}"))


def books(number: int) -> list[NamedBook]:
    return [book(f"b{index:03d}") for index in range(number)]


def committed(*done: NamedBook, status: str = "used", shards: tuple[str, ...] = ()) -> Committed:
    return Committed(frozenset(shards), {b.key: CommittedBook(b.key, b.ref.sha256, b.ref.source, status) for b in done})


def test_few_books_are_committed_one_by_one_and_many_in_groups():
    assert {len(shard.books) for shard in plan_shards(books(SMALL_RUN), "f", NOTHING)} == {1}
    assert [len(shard.books) for shard in plan_shards(books(70), "f", NOTHING)] == [32, 32, 6]
    assert books_per_shard(10_000, configured=5) == 5


def test_books_of_few_marks_share_shards_but_make_at_least_eight_where_there_are_eight():
    together = {number: books_per_shard(number, per_class=SMALL_CLASS) for number in range(1, 40)}
    assert [together[number] for number in (1, 8, 9, 16, 17, 32, 33)] == [1, 1, 2, 2, 3, 4, SMALL_RUN]
    assert max(-(-number // of) for number, of in together.items() if number <= SMALL_RUN) == SMALL_SHARDS
    assert books_per_shard(20, per_class=SMALL_CLASS + 1) == books_per_shard(20, per_class=None) == 1
    assert [len(shard.books) for shard in plan_shards(books(20), "f", NOTHING, per_class=10)] == [3] * 6 + [2]
    assert books_per_shard(20, per_class=10, configured=1) == 1


def test_no_book_is_lost_or_done_twice():
    named = books(100)
    planned = [b for shard in plan_shards(named, "f", NOTHING) for b in shard.books]
    assert planned == named


def test_a_relaunch_names_the_same_shards_though_some_are_done():
    named = books(100)
    shards = list(plan_shards(named, "f", NOTHING))
    done = committed(*shards[1].books, shards=(shards[1].key.name,))
    assert list(plan_shards(named, "f", done)) == [shards[0], *shards[2:]]


def test_books_that_were_committed_in_another_grouping_are_not_done_again():
    named = books(40)
    (first, _) = plan_shards(named, "f", NOTHING)
    done = committed(named[0], named[5])
    (rest, _) = plan_shards(named, "f", done)
    assert set(rest.books) == set(first.books) - {named[0], named[5]}
    assert rest.key != first.key


@pytest.mark.parametrize(
    ("status", "again"), [("used", False), ("rejected", False), ("failed", True), ("quarantined", True)]
)
def test_only_failed_and_quarantined_books_are_tried_again(status, again):
    (b,) = books(1)
    assert is_committed(b, committed(b, status=status)) is not again


def test_a_changed_text_is_another_book():
    assert not is_committed(book("a", "new"), committed(book("a", "old")))


def test_a_shard_is_named_by_its_texts_their_keys_and_the_study():
    a, b = book("a"), book("b")
    assert shard_of("f", [a, b]).key == shard_of("f", [b, a]).key == ShardKey.of("f", ["sha-a a", "sha-b b"])
    renamed = NamedBook("a-2", a.ref)
    assert shard_of("f", [a]).key != shard_of("f", [renamed]).key, "files carry the key"
    assert len({shard_of("f", [a, b]).key, shard_of("g", [a, b]).key, shard_of("f", [a]).key}) == 3
    assert [part.key for part in shard_of("f", [a, b]).split("f")] == [shard_of("f", [a]).key, shard_of("f", [b]).key]
    with pytest.raises(ValueError, match="no checksum"):
        shard_of("f", [NamedBook("a", BookRef("a", "/a"))])


shapes = st.builds(PairShape, st.integers(0, 60), st.none() | st.integers(0, 40))


def pairs_one_by_one(shape: PairShape, start: int, stop: int) -> list[tuple[int, int]]:
    def partners(i: int) -> range:
        return range(i + 1, shape.rows) if shape.columns is None else range(shape.columns)

    return [(i, j) for i in range(start, stop) for j in partners(i)]


@given(st.lists(shapes, max_size=8), st.integers(1, 500))
def test_parts_cover_every_pair_once_in_order_within_the_limit(of_books, limit):
    parts = plan_parts(of_books, limit)
    covered = [
        (s.book, *pair) for part in parts for s in part for pair in pairs_one_by_one(of_books[s.book], s.start, s.stop)
    ]
    everything = [
        (book, *pair) for book, shape in enumerate(of_books) for pair in pairs_one_by_one(shape, 0, shape.rows)
    ]
    assert covered == everything
    for part in parts:
        pairs = sum(of_books[s.book].pairs(s.start, s.stop) for s in part)
        assert pairs <= limit or (len(part) == 1 and part[0].stop - part[0].start == 1)


def test_the_usual_shard_fits_in_one_part_and_a_huge_class_in_many():
    assert len(plan_parts([PairShape(250)] * 32)) == 1
    assert len(plan_parts([PairShape(250, 250)] * 32)) == 1
    parts = plan_parts([PairShape(20_000)])
    assert len(parts) == 48
    assert parts[0] == (PartSlice(0, 0, 210),)
    between = plan_parts([PairShape(20_000, 20_000)])
    assert len(between) == 96
    assert between[0] == (PartSlice(0, 0, 209),)


@given(shapes, st.integers(0, 50), st.integers(0, 50))
def test_pairs_of_some_rows_are_counted_and_numbered(shape, start, length):
    start, stop = min(start, shape.rows), min(start + length, shape.rows)
    expected = pairs_one_by_one(shape, start, stop)
    i, j = shape.ordinals(start, stop)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == expected
    assert i.dtype == j.dtype == np.uint16
    assert shape.pairs(start, stop) == len(expected)
    assert shape.total == len(pairs_one_by_one(shape, 0, shape.rows))


def test_pairs_of_classes_are_those_within_and_if_asked_those_between():
    assert pairs_of_classes([4, 3, 0], between=False) == 6 + 3
    assert pairs_of_classes([4, 3, 2], between=True) == 6 + 3 + 1 + 12 + 8 + 6
    assert pairs_of_classes([5], between=True) == 10


def test_blocks_come_layer_by_layer():
    keys = block_keys(ShardKey("00c0ffee00c0ffee"), 3)
    assert [key.layer for key in keys] == [0, 1, 2]


def test_limits_grow_with_the_machine_and_leave_a_model_two_shards():
    small, large = plan_limits(1, 2, 1 << 30, 0.5), plan_limits(8, 256, 64 << 30, 0.5)
    assert small.extracting == 2
    assert large.extracting == 16
    assert small.block_bytes == 1 << 29
    assert small.blocks < large.blocks


def test_a_pair_task_asks_for_bounded_memory():
    assert compute_memory(500, 576, 15) < 1 << 29
    assert compute_memory(65_535, 4096, 15) < 20 << 30
