"""A unit without progress is named, again and again, until it moves or ends."""

from __future__ import annotations

from jobs.cluster.extractors import Slot
from jobs.cluster.unit_scheduler import Stage, Unit
from jobs.cluster.watchdog import FIRST_PATIENCE_SECONDS, LONGEST_PATIENCE_SECONDS, PATIENCE_SECONDS, Watchdog
from store.keys import ShardKey

SLOW, QUICK, OTHER = (Unit(Stage.EXTRACT, ShardKey(name * 16)) for name in "abc")
PAIRS = Unit(Stage.COMPUTE, ShardKey("a" * 16))


def one_that_has_seen(silence, patience=10.0):
    """A watchdog that has heard of an extraction after so many seconds."""
    watchdog = Watchdog(patience)
    watchdog.started(OTHER, -silence)
    watchdog.moved(OTHER, 0.0)
    watchdog.ended(OTHER)
    return watchdog


def test_only_what_stands_still_is_named_and_not_at_every_look():
    watchdog = one_that_has_seen(1.0)
    watchdog.started(SLOW, 0.0)
    watchdog.started(QUICK, 5.0)
    assert watchdog.overdue(9.0) == []
    assert watchdog.overdue(11.0) == [(SLOW, 11.0)]
    assert watchdog.overdue(12.0) == []
    assert watchdog.overdue(16.0) == [(QUICK, 11.0)]
    assert watchdog.overdue(22.0) == [(SLOW, 22.0)]


def test_progress_and_the_end_are_noted():
    watchdog = one_that_has_seen(1.0)
    watchdog.started(SLOW, 0.0)
    watchdog.moved(SLOW, 1.0)
    assert watchdog.overdue(10.5) == []
    assert watchdog.overdue(11.0) == [(SLOW, 10.0)]
    watchdog.ended(SLOW)
    watchdog.moved(SLOW, 12.0)
    assert watchdog.overdue(100.0) == []


def test_a_slow_run_that_moves_is_not_named():
    """Batches of 300 seconds, with the real patience: neither the first nor any later one; a hang is, later."""
    watchdog = Watchdog()
    watchdog.started(SLOW, 0.0)
    for second in range(0, 3000, 10):
        if second and second % 300 == 0:
            watchdog.moved(SLOW, second)
        assert watchdog.overdue(second) == []
    assert watchdog.overdue(2700 + 1490) == []
    assert watchdog.overdue(2700 + 1500) == [(SLOW, 1500.0)]


def test_patience_is_learned_for_each_stage_and_has_an_end():
    watchdog = one_that_has_seen(1.0, PATIENCE_SECONDS)
    watchdog.started(SLOW, 0.0)
    watchdog.started(PAIRS, 0.0)
    assert watchdog.overdue(PATIENCE_SECONDS) == [(SLOW, PATIENCE_SECONDS)]
    watchdog.ended(SLOW)
    assert watchdog.overdue(FIRST_PATIENCE_SECONDS - 1) == []
    assert watchdog.overdue(FIRST_PATIENCE_SECONDS) == [(PAIRS, FIRST_PATIENCE_SECONDS)]
    long = one_that_has_seen(LONGEST_PATIENCE_SECONDS)
    long.started(SLOW, 0.0)
    assert long.overdue(LONGEST_PATIENCE_SECONDS - 1) == []
    assert long.overdue(LONGEST_PATIENCE_SECONDS) == [(SLOW, LONGEST_PATIENCE_SECONDS)]


def test_a_unit_is_named_as_logs_and_errors_name_it():
    assert str(SLOW) == "extract of shard aaaaaaaaaaaaaaaa"


def test_a_model_that_stays_loading_is_named():
    watchdog = Watchdog(patience=10.0)
    first, second = Slot(1, None, "loading"), Slot(2, None, "loading")
    watchdog.loading([first, second], 0.0)
    watchdog.loading([second], 5.0)
    assert watchdog.overdue(11.0) == [(second, 11.0)]
    assert str(second) == "loading of model 2"
    watchdog.loading([], 12.0)
    assert watchdog.overdue(100.0) == []
