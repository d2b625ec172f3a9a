"""When a failure of what all units share is waited out, and when it ends the run."""

from __future__ import annotations

import pytest

from jobs.cluster.outage import PAUSES, Outage
from jobs.cluster.unit_scheduler import Stage
from jobs.errors import UsageError
from store.errors import StoreFull, StoreUnavailable

AWAY = StoreUnavailable("s3://bucket: 503")


def fail_through(outage: Outage, error: Exception, now: float = 0.0) -> tuple[int, float]:
    """Fail at every look; how many pauses were begun, and when it was over."""
    for pauses in range(100):
        try:
            seconds = outage.failed(Stage.COMPUTE, error, now)
        except type(error):
            return pauses, now
        assert seconds is not None
        assert outage.failed(Stage.COMPUTE, error, now + seconds / 2) is None
        assert outage.paused(now + seconds / 2)
        now += seconds
        assert not outage.paused(now)
    raise AssertionError("no end")


@pytest.mark.parametrize("error", [AWAY, StoreFull("full")])
def test_a_store_that_stays_away_ends_the_run_after_minutes_and_not_after_so_many_units(error):
    assert fail_through(Outage(attempts=3), error) == (len(PAUSES), sum(PAUSES))
    assert sum(PAUSES) > 120


@pytest.mark.parametrize("attempts", [1, 3, 99])
def test_wrong_use_gets_a_units_attempts(attempts):
    pauses, _ = fail_through(Outage(attempts), UsageError("no such model"))
    assert pauses == min(attempts - 1, len(PAUSES))


def test_a_success_of_the_same_stage_starts_the_count_anew_and_one_of_another_does_not():
    outage = Outage(attempts=3)
    now = 0.0
    for _ in range(3):
        for seconds in PAUSES:
            assert outage.failed(Stage.COMPUTE, AWAY, now) == seconds
            now += seconds
            outage.succeeded(Stage.PREPARE)
        outage.succeeded(Stage.COMPUTE)
    assert outage.failed(Stage.COMPUTE, AWAY, now) == PAUSES[0]
    assert fail_through(outage, AWAY, now + PAUSES[0])[0] == len(PAUSES) - 1
