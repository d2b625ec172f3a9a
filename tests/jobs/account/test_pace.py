"""The forecast against runs whose end is known: simulated ones that work at a fixed pace, in turn or side by side."""

from __future__ import annotations

import pytest

from jobs.account.pace import forecast, pace_of, share_done
from jobs.account.tally import Tally

SEQUENCES, PAIRS = 40, 6_000
"""Of one shard."""


def after(seconds: float, shards: int, model: float, pairs: float, side_by_side: bool = False) -> Tally:
    """The tally of a run some seconds after its start: so many sequences and pairs a second, while each works."""
    forward, compute = SEQUENCES / model, PAIRS / pairs
    tally = Tally(shards=shards, side_by_side=side_by_side)
    ends = 0.0
    for number in range(shards):
        begins = number * forward if side_by_side else ends
        if seconds < begins:
            break
        tally.shards_prepared += 1
        tally.sequences_expected += SEQUENCES
        tally.pairs_expected += PAIRS
        worked = min(forward, seconds - begins)
        tally.sequences += int(worked * model)
        tally.seconds["forward"] += worked
        starts = max(begins + forward, ends)
        ends = starts + compute
        computed = min(compute, max(0.0, seconds - starts))
        tally.pairs += int(computed * pairs)
        tally.seconds["pairs"] += computed
        tally.shards_committed += seconds >= ends
    tally.started -= seconds
    return tally


def test_before_any_pair_it_says_at_least_what_the_model_takes():
    tally = after(10.0, shards=1, model=0.5, pairs=100.0)
    left = forecast(tally)
    assert (left.seconds, left.at_least) == (pytest.approx(70.0, rel=0.05), True)
    assert str(left).startswith("at least 0:01:1")


@pytest.mark.parametrize("seconds", [85.0, 100.0, 130.0])
def test_of_one_book_it_is_what_the_pairs_still_take(seconds):
    """80 seconds of the model, then 60 of pairs: the pace of pairs is not thinned by the time before they began."""
    left = forecast(after(seconds, shards=1, model=0.5, pairs=100.0))
    assert (left.seconds, left.at_least) == (pytest.approx(140.0 - seconds, abs=2.0), False)


@pytest.mark.parametrize("seconds", [150.0, 300.0, 500.0])
def test_shards_in_turn_take_the_sum_of_both(seconds):
    left = forecast(after(seconds, shards=4, model=0.5, pairs=100.0))
    assert left.seconds == pytest.approx(4 * 140.0 - seconds, rel=0.1)
    assert share_done(after(seconds, 4, 0.5, 100.0)) == pytest.approx(seconds / 560.0, rel=0.1)


@pytest.mark.parametrize("seconds", [200.0, 400.0, 600.0])
def test_side_by_side_the_slower_stage_sets_the_time(seconds):
    """Ten shards: 80 seconds of the model each, and 60 of pairs beside it; the last pairs come after the model."""
    left = forecast(after(seconds, shards=10, model=0.5, pairs=100.0, side_by_side=True))
    assert left.seconds == pytest.approx(10 * 80.0 + 60.0 - seconds, rel=0.1)


def test_no_share_is_told_while_the_pairs_have_shown_no_pace():
    """Two of 40 passages of the first shard: a share of what is known of the time left would say far too much."""
    tally = after(4.0, shards=4, model=0.5, pairs=100.0)
    assert forecast(tally).at_least
    assert share_done(tally) is None


def test_when_the_model_has_ended_and_no_pair_is_there_it_says_nothing():
    """The first pairs on a machine wait for their kernels: "at least 0:00:00" says less than nothing."""
    tally = after(81.0, shards=1, model=0.5, pairs=100.0)
    tally.pairs, tally.seconds["pairs"] = 0, 0.0
    assert tally.sequences == tally.sequences_expected
    assert forecast(tally) is None


def test_before_anything_was_done_it_says_nothing():
    assert forecast(Tally()) is None
    assert share_done(Tally(shards=3)) is None
    assert pace_of(Tally()).pairs is None


def test_several_models_and_tasks_are_faster_together():
    tally = Tally(models=4, pair_tasks=8, sequences=10, pairs=100)
    tally.seconds |= {"forward": 10.0, "pairs": 4.0, "write": 1.0, "prepare": 99.0}
    assert (pace_of(tally).sequences, pace_of(tally).pairs) == (4.0, 160.0)
