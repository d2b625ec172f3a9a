"""Names the units of work that make no progress. It acts on nothing: what to do is for the schedule, or a person."""

from __future__ import annotations

from jobs.schedule import Unit

PATIENCE_SECONDS = 120.0
"""Longer than any healthy block takes: a unit without progress for so long is named, and again each time as long."""


class Watchdog:
    """Keeps when each unit last gave a sign of progress, by a clock that the caller reads."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._since: dict[Unit, float] = {}
        self._named: dict[Unit, float] = {}

    def started(self, unit: Unit, now: float) -> None:
        """A unit was started, or made progress."""
        self._since[unit] = now
        self._named.pop(unit, None)

    def ended(self, unit: Unit) -> None:
        """A unit ended, well or not."""
        self._since.pop(unit, None)
        self._named.pop(unit, None)

    def overdue(self, now: float) -> list[tuple[Unit, float]]:
        """Units to be named now, and for how many seconds each has stood still; the one that waits longest first."""
        found = []
        for unit, since in self._since.items():
            if now - self._named.get(unit, since) >= self._patience:
                self._named[unit] = now
                found.append((unit, now - since))
        return sorted(found, key=lambda item: -item[1])
