"""A unit without progress is named, again and again, until it moves or ends."""

from __future__ import annotations

from jobs.cluster.extractors import Slot
from jobs.cluster.unit_scheduler import Stage, Unit
from jobs.cluster.watchdog import Watchdog
from store.keys import ShardKey

SLOW, QUICK = (Unit(Stage.EXTRACT, ShardKey(name * 16)) for name in "ab")


def test_only_what_stands_still_is_named_and_not_at_every_look():
    watchdog = Watchdog(patience=10.0)
    watchdog.started(SLOW, 0.0)
    watchdog.started(QUICK, 5.0)
    assert watchdog.overdue(9.0) == []
    assert watchdog.overdue(11.0) == [(SLOW, 11.0)]
    assert watchdog.overdue(12.0) == []
    assert watchdog.overdue(16.0) == [(QUICK, 11.0)]
    assert watchdog.overdue(22.0) == [(SLOW, 22.0)]


def test_progress_and_the_end_are_noted():
    watchdog = Watchdog(patience=10.0)
    watchdog.started(SLOW, 0.0)
    watchdog.started(SLOW, 8.0)
    assert watchdog.overdue(15.0) == []
    watchdog.ended(SLOW)
    assert watchdog.overdue(100.0) == []


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
