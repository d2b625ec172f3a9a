"""Passages tile a text without a gap, and the ones that are taken are as few as the classes need."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.marks.passages import PassageGrid, choose_passages, evenly, hashes, reach, thin


@given(st.integers(1, 5000), st.integers(2, 600), st.data())
def test_bodies_follow_each_other_and_every_token_behind_the_first_warm_up_is_in_one(tokens, length, data):
    warmup = data.draw(st.integers(0, length - 1))
    grid = PassageGrid.of(tokens, length, warmup)
    ordinals = grid.ordinal(np.arange(tokens))
    starts = grid.starts
    assert (ordinals[: grid.warmup] == -1).all()
    inside = np.arange(grid.warmup, tokens)
    of = ordinals[grid.warmup :]
    assert ((of >= 0) & (of < grid.count)).all()
    assert (np.diff(of) >= 0).all()
    assert (inside - starts[of] >= grid.warmup).all(), "a mark has at least the warm-up before it"
    assert (inside - starts[of] < grid.length).all(), "and lies in its passage"
    assert ((starts >= 0) & (starts + grid.length <= tokens)).all()
    assert set(of.tolist()) == set(range(grid.count)) or tokens <= grid.warmup


def test_a_text_shorter_than_a_passage_is_one_passage_with_a_warm_up_in_proportion():
    grid = PassageGrid.of(200, 512, 128)
    assert (grid.count, grid.length, grid.warmup) == (1, 200, 50)
    assert PassageGrid.of(0, 512, 128).count == 0


def test_a_warm_up_that_fills_the_passage_is_refused():
    with pytest.raises(ValueError, match="leaves nothing"):
        PassageGrid.of(1000, 128, 128)


def marks_at(grid: PassageGrid, counts: list[int]) -> np.ndarray:
    """`counts[k]` positions in the body of passage k."""
    bodies = grid.warmup + np.arange(grid.count) * grid.stride
    return np.concatenate([body + np.arange(count) for body, count in zip(bodies, counts, strict=True)]).astype(int)


GRID = PassageGrid.of(128 + 10 * 384, 512, 128)


def chosen(counts: list[list[int]], wanted: int | None, sample: str, salt: bytes = b"0") -> list[int]:
    return choose_passages(GRID, [marks_at(GRID, row) for row in counts], wanted, sample, salt).tolist()


def test_spread_takes_the_smallest_number_of_evenly_spaced_passages():
    assert chosen([[5] * 10], 10, "spread") == [2, 7]
    assert chosen([[5] * 10], 11, "spread") == [1, 5, 8]
    assert chosen([[5] * 10, [1] * 10], 3, "spread") == [1, 5, 8], "the rarer class decides"
    assert chosen([[0, 0, 9, 0, 0, 0, 0, 0, 0, 0], [5] * 10], 9, "spread") == [2, 7], "which two is settled by spacing"


def test_spread_is_the_first_number_that_holds_enough_by_trying_each():
    generator = np.random.default_rng(0)
    for _ in range(50):
        counts = generator.poisson(2.0, (3, 10))
        wanted = int(generator.integers(1, 12))
        if (counts.sum(axis=1) < wanted).any():
            continue
        tried = (evenly(number, 10) for number in range(1, 11))
        expected = next(e for e in tried if (counts[:, e].sum(axis=1) >= wanted).all())
        assert chosen(counts.tolist(), wanted, "spread") == expected.tolist()


def test_first_and_random_take_as_many_as_are_needed():
    assert chosen([[5] * 10], 11, "first") == [0, 1, 2]
    taken = chosen([[5] * 10], 11, "random")
    assert len(taken) == 3
    assert taken == sorted(taken)
    assert taken == chosen([[5] * 10], 11, "random")
    assert len({tuple(chosen([[5] * 10], 11, "random", str(seed).encode())) for seed in range(20)}) > 10


@pytest.mark.parametrize("sample", ["first", "spread", "random"])
def test_a_rare_class_takes_all_and_an_absent_one_asks_for_nothing(sample):
    assert chosen([[5] * 10, [0] * 9 + [1]], 5, sample) == list(range(10))
    assert len(chosen([[5] * 10, [0] * 10], 5, sample)) == 1
    assert chosen([[0] * 10], 5, sample) == list(range(10))
    assert chosen([[5] * 10], None, sample) == list(range(10))


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_bodies_are_read_as_far_as_the_classes_need_and_no_further(seed, wanted):
    """One token less, and some class that had enough has not; a class that has not enough asks for whole bodies."""
    generator = np.random.default_rng(seed)
    places = np.arange(GRID.warmup, GRID.tokens)
    marks = [np.sort(generator.choice(places, generator.integers(0, 300), replace=False)) for _ in range(3)]
    passages = np.sort(generator.choice(GRID.count, 4, replace=False))
    depth = reach(GRID, marks, passages, wanted)
    chosen_marks = [positions[np.isin(GRID.ordinal(positions), passages)] for positions in marks]
    within = [[(GRID.depth(positions) < limit).sum() for positions in chosen_marks] for limit in (depth, depth - 1)]
    for positions, enough in zip(chosen_marks, within[0], strict=True):
        assert enough >= min(wanted, positions.size)
    if depth < GRID.stride:
        assert any(positions.size and short < wanted for positions, short in zip(chosen_marks, within[1], strict=True))
    assert reach(GRID, marks, passages, None) == GRID.stride


def test_marks_are_thinned_evenly_and_stay_in_order():
    positions = np.arange(0, 100, 3)
    assert thin(positions, None, "spread", b"").tolist() == positions.tolist()
    assert thin(positions, 4, "first", b"").tolist() == [0, 3, 6, 9]
    assert thin(positions, 4, "spread", b"").tolist() == [12, 36, 63, 87]
    random = thin(positions, 4, "random", b"1")
    assert len(random) == 4
    assert (np.diff(random) > 0).all()
    assert random.tolist() != thin(positions, 4, "random", b"2").tolist()


def test_hashes_are_fixed_for_ever():
    assert hashes(np.arange(3), b"x").tolist() == [18265819140421432110, 4455856344838067482, 6331806654681600138]
