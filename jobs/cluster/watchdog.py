"""Names the units of work that make no progress. It acts on nothing: what to do is for the schedule, or a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable

from jobs.cluster.unit_scheduler import Unit

PATIENCE_SECONDS = 120.0
"""A unit without a sign for so long is named, and again each time as long; longer where healthy units take longer."""

FIRST_PATIENCE_SECONDS = 600.0
"""The same before any unit of a stage has given a sign: nobody knows yet how long one takes here."""

LONGEST_PATIENCE_SECONDS = 3600.0
TIMES = 5
"""So many times as long as the longest silence of a unit that then went on."""


class Watchdog:
    """Keeps when each unit last gave a sign of progress, by a clock that the caller reads.

    A unit is anything with a name: one of the schedule's, or a model that is being loaded. How long one of the
    schedule's may be silent is learned, stage by stage: a large model on a CPU needs minutes for one batch, and a unit
    may wait in a queue behind others. A model that is being loaded has the shortest patience always: it may wait for a
    GPU that nobody has.
    """

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._since: dict[Hashable, float] = {}
        self._named: dict[Hashable, float] = {}
        self._loading: set[Hashable] = set()
        self._silence: defaultdict[Hashable, float] = defaultdict(float)
        """The longest silence of healthy units, by stage; 0 where none has given a sign."""

    def started(self, unit: Hashable, now: float) -> None:
        """A unit was started, or has to wait for the driver: it counts from now on."""
        self._since[unit] = now
        self._named.pop(unit, None)

    def moved(self, unit: Hashable, now: float) -> None:
        """A unit gave a sign of progress."""
        if unit in self._since:
            stage = _stage_of(unit)
            self._silence[stage] = max(self._silence[stage], now - self._since[unit])
            self.started(unit, now)

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
            if now - self._named.get(unit, since) >= self._patience_with(unit):
                self._named[unit] = now
                found.append((unit, now - since))
        return sorted(found, key=lambda item: -item[1])

    def _patience_with(self, unit: Hashable) -> float:
        stage = _stage_of(unit)
        if stage is None:
            return self._patience
        if stage not in self._silence:
            return self._patience * FIRST_PATIENCE_SECONDS / PATIENCE_SECONDS
        return min(max(self._patience, TIMES * self._silence[stage]), LONGEST_PATIENCE_SECONDS)


def _stage_of(unit: Hashable) -> Hashable:
    return unit.stage if isinstance(unit, Unit) else None
