"""The schedule on an injected clock: no overlap, missed ticks made up once, daylight saving, and a clean end."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from reports.clock.schedule import LONGEST_WAIT, SystemClock, ending_on_signals, run_schedule, ticks, zone
from reports.errors import ReportUsageError

BERLIN = ZoneInfo("Europe/Berlin")


class MadeUpClock:
    """Time moves only when it is waited for, or when a test moves it; ends at a set moment."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self.moment = start
        self.end = end
        self.waits: list[float] = []

    def now(self) -> datetime:
        return self.moment

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.moment += timedelta(seconds=seconds)
        return self.moment >= self.end


def reports_between(start: datetime, end: datetime, cron: str, tz: ZoneInfo, takes: Callable = lambda n: timedelta()):
    """The ticks that reports were made for, and the lines that were said."""
    clock, due, lines = MadeUpClock(start, end), [], []

    def report(tick: datetime) -> None:
        due.append(tick)
        clock.moment += takes(len(due))

    assert run_schedule(cron, tz, clock, report, lines.append) == len(due)
    return due, lines, clock


def test_a_report_at_every_tick_in_the_zones_own_time():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    due, lines, clock = reports_between(start, start + timedelta(days=3), "0 6 * * *", BERLIN)
    assert [tick.astimezone(UTC).hour for tick in due] == [5, 5, 5]
    assert [tick.hour for tick in due] == [6, 6, 6]
    assert lines[0] == "next report at 2026-01-01T06:00+01:00"
    assert max(clock.waits) <= LONGEST_WAIT


def test_a_report_longer_than_the_interval_never_overlaps_and_missed_ticks_are_made_up_once():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    slow_first = lambda number: timedelta(minutes=35) if number == 1 else timedelta()  # noqa: E731
    due, lines, _ = reports_between(start, start + timedelta(hours=1), "*/10 * * * *", ZoneInfo("UTC"), slow_first)
    assert [tick.minute for tick in due] == [10, 40, 50]
    assert "2 earlier ticks missed; one report makes up for all" in lines


def test_a_machine_that_slept_makes_one_report_when_it_wakes():
    clock = MadeUpClock(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 9, 1, tzinfo=UTC))
    due = []
    real_wait = clock.wait

    def wait_and_sleep_once(seconds: float) -> bool:
        if clock.moment < datetime(2026, 1, 2, tzinfo=UTC):
            clock.moment = datetime(2026, 1, 8, 12, tzinfo=UTC)
            return False
        return real_wait(seconds)

    clock.wait = wait_and_sleep_once
    run_schedule("0 6 * * *", ZoneInfo("UTC"), clock, due.append)
    assert [tick.day for tick in due] == [8]


def test_the_hour_that_spring_skips_and_the_one_that_autumn_repeats():
    spring = datetime(2026, 3, 28, 12, tzinfo=UTC)
    due, _, _ = reports_between(spring, spring + timedelta(days=2), "30 2 * * *", BERLIN)
    assert [tick.astimezone(UTC).day for tick in due] == [29, 30]
    autumn = datetime(2026, 10, 24, 12, tzinfo=UTC)
    due, _, _ = reports_between(autumn, autumn + timedelta(days=2), "30 2 * * *", BERLIN)
    assert [tick.day for tick in due] == [25, 26]


def test_an_interval_runs_through_the_change_of_time_without_a_gap():
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)
    due, _, _ = reports_between(start, start + timedelta(hours=6), "0 * * * *", BERLIN)
    instants = [tick.astimezone(UTC) for tick in due]
    assert {later - earlier for earlier, later in itertools.pairwise(instants)} == {timedelta(hours=1)}


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("", "it has 0 fields"),
        ("@daily", "it has 1 fields"),
        ("every day", "it has 2 fields"),
        ("0 6 * *", "it has 4 fields"),
        ("0 6 * * * *", "it has 6 fields, and five are wanted"),
        ("0 0 6 * * * 2026", "it has 7 fields"),
        ("61 * * * *", "Bad minute"),
        ("0 25 * * *", "Bad hour"),
        ("*/0 * * * *", "Bad minute"),
        ("5-1 * * * *", "Bad minute"),
        ("0 6 * * 9", "Bad day-of-week"),
        ("\u0660 6 * * *", "Bad minute"),
        pytest.param("9" * 5000 + " 6 * * *", "not a cron expression", id="5,000 digits"),
        ("0 0 30 2 *", "Bad day-of-month"),
    ],
)
def test_an_expression_that_is_none_is_explained(cron, says):
    with pytest.raises(ReportUsageError, match=says):
        ticks(cron, datetime(2026, 1, 1, tzinfo=UTC), BERLIN)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe/Berlin\0"])
def test_a_zone_that_is_none_is_explained(name):
    with pytest.raises(ReportUsageError, match="IANA name"):
        zone(name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_schedule_soon(number):
    clock, killed, made = SystemClock(), [], []
    threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
    started = time.monotonic()
    with ending_on_signals(clock, lambda: killed.append(True)):
        assert run_schedule("0 0 1 1 *", ZoneInfo("UTC"), clock, made.append) == 0
    assert time.monotonic() - started < 10
    assert (killed, made) == ([], [])


def test_a_signal_during_a_report_waits_for_it_and_a_second_one_kills_it():
    clock, killed, due = SystemClock(), [], []
    clock.now = lambda: datetime(2026, 1, 1, 6, 0, 1, tzinfo=UTC)

    def report(tick: datetime) -> None:
        due.append(tick)
        os.kill(os.getpid(), signal.SIGTERM)
        assert not killed
        if len(due) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    start = datetime(2026, 1, 1, 5, 59, 59, tzinfo=UTC)
    moments = iter([start])
    late = clock.now
    clock.now = lambda: next(moments, late())
    with ending_on_signals(clock, lambda: killed.append(True)):
        assert run_schedule("0 6 * * *", ZoneInfo("UTC"), clock, report) == 1
    assert killed == [True]
