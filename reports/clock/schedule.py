"""Reports on a clock: one at a time, missed ticks made up for by one report, and a clean end.

`run_schedule` is a plain loop over a cron expression with its clock and its report passed in. The expression is read by
cronsim, in the wall-clock time of a zone: a tick that falls into the hour that daylight saving skips comes right after
it, and one in the hour that is repeated comes once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from reports.errors import ReportUsageError

LONGEST_WAIT = 1.0
"""Seconds. The wall clock is looked at this often, so that a machine that slept notices the ticks it missed.

A signal that comes just before a wait begins does not cut it short: its handler runs when the wait is over.
"""


class Clock(Protocol):
    """Time as the schedule sees it."""

    def now(self) -> datetime:
        """The present moment, with a time zone."""

    def wait(self, seconds: float) -> bool:
        """Wait so long at most. True where an end was asked for; returns at once then."""


class SystemClock:
    """The machine's clock; `stop` ends a wait."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)

    def wait(self, seconds: float) -> bool:
        """Wait; True where `stop` ended it."""
        return self._stopping.wait(seconds)

    def stop(self) -> None:
        """Ask for the end: the report in hand is finished, no other is begun."""
        self._stopping.set()


def zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises ReportUsageError for a name that is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ReportUsageError(f"{name!r} is not a time zone; give an IANA name such as Europe/Berlin or UTC") from None


def ticks(expression: str, after: datetime, tz: ZoneInfo) -> Iterator[datetime]:
    """The moments a cron expression names after a moment, each with the zone's offset of that moment.

    Raises ReportUsageError where the expression is not a cron expression or never comes true.
    """
    fields = len(expression.split())
    if fields != 5:
        raise ReportUsageError(
            f"{expression!r} is not a cron expression: it has {fields} fields, and five are wanted (minute, hour, day "
            "of the month, month, day of the week), such as '0 6 * * *' for six every day"
        )
    try:
        moments = CronSim(expression, after.astimezone(tz))
        first = next(moments, None)
    except (CronSimError, ValueError, TypeError, AssertionError, RecursionError) as error:
        raise ReportUsageError(
            f"{expression!r} is not a cron expression ({error}); five fields, such as '0 6 * * *' for six every day"
        ) from None
    if first is None:
        raise ReportUsageError(f"{expression!r} never comes true in the next 50 years; check day and month")

    def all_moments() -> Iterator[datetime]:
        yield first
        yield from moments

    return all_moments()


def run_schedule(
    expression: str,
    tz: ZoneInfo,
    clock: Clock,
    report: Callable[[datetime], None],
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Call `report` at every tick until the clock says to end; returns how many reports were made.

    `report` gets the tick and must not raise for a report that fails. Ticks that passed while a report was made, or
    while the machine slept, are made up for by one report.
    """
    made = 0
    upcoming = next(ticks(expression, clock.now(), tz))
    while True:
        say(f"next report at {upcoming.isoformat(timespec='minutes')}")
        if not _wait_until(upcoming, clock):
            return made
        due, missed = _latest_due(expression, tz, upcoming, clock.now())
        if missed:
            say(f"{missed} earlier tick{'s' if missed > 1 else ''} missed; one report makes up for all")
        report(due)
        made += 1
        upcoming = next(ticks(expression, due, tz))


@contextmanager
def ending_on_signals(clock: SystemClock, kill: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT end the schedule after the report in hand; a second one calls `kill` to end that too."""
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            kill()
        asked = True
        clock.stop()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_until(moment: datetime, clock: Clock) -> bool:
    """Wait for a moment of the wall clock; False where an end was asked for."""
    while (left := (moment - clock.now()).total_seconds()) > 0:
        if clock.wait(min(left, LONGEST_WAIT)):
            return False
    return not clock.wait(0)


def _latest_due(expression: str, tz: ZoneInfo, first: datetime, now: datetime) -> tuple[datetime, int]:
    """The newest tick that is due, and how many before it were missed."""
    due, missed = first, 0
    for moment in ticks(expression, first, tz):
        if moment > now:
            break
        due, missed = moment, missed + 1
    return due, missed
