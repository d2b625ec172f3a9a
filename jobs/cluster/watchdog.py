"""Names the units of work that make no progress. It acts on nothing: what to do is for the schedule, or a person."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

PATIENCE_SECONDS = 120.0
"""Longer than any healthy block takes: a unit without progress for so long is named, and again each time as long."""


class Watchdog:
    """Keeps when each unit last gave a sign of progress, by a clock that the caller reads.

    A unit is anything with a name: one of the schedule's, or a model that is being loaded.
    """

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._since: dict[Hashable, float] = {}
        self._named: dict[Hashable, float] = {}
        self._loading: set[Hashable] = set()

    def started(self, unit: Hashable, now: float) -> None:
        """A unit was started, or made progress."""
        self._since[unit] = now
        self._named.pop(unit, None)

    def ended(self, unit: Hashable) -> None:
        """A unit ended, well or not."""
        self._since.pop(unit, None)
        self._named.pop(unit, None)

    def loading(self, models: Iterable[Hashable], now: float) -> None:
        """These models are being loaded, and no others."""
        models = set(models)
        for model in models - self._loading:
            self.started(model, now)
        for model in self._loading - models:
            self.ended(model)
        self._loading = models

    def overdue(self, now: float) -> list[tuple[Hashable, float]]:
        """Units to be named now, and for how many seconds each has stood still; the one that waits longest first."""
        found = []
        for unit, since in self._since.items():
            if now - self._named.get(unit, since) >= self._patience:
                self._named[unit] = now
                found.append((unit, now - since))
        return sorted(found, key=lambda item: -item[1])
