"""How long a run goes on while what all its units share has failed: the store, or the files of the model.

Such a failure says nothing of the book that met it. Nothing new is started for a while then, longer each time; and
where no unit of that stage succeeds in between, the run ends with the failure's own error in the end.
"""

from __future__ import annotations

from jobs.cluster.unit_scheduler import Stage
from jobs.errors import UsageError

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0)
"""Seconds between one look and the next: some three minutes in all, beside those that the store itself is patient."""


class Outage:
    """Counts pauses by stage, by a clock that the caller reads.

    Wrong use does not pass by itself: it gets as many looks as a unit has `attempts`, and no more.
    """

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._pauses: dict[Stage, int] = {}
        self._until = 0.0

    def failed(self, stage: Stage, error: Exception, now: float) -> float | None:
        """The seconds of the pause that begins now; None in a pause, in which failures tell nothing new.

        Raises `error` where the stage has gone on failing through all pauses.
        """
        if self.paused(now):
            return None
        begun = self._pauses.get(stage, 0)
        if begun >= min(len(PAUSES), self._attempts - 1 if isinstance(error, UsageError) else len(PAUSES)):
            raise error
        self._pauses[stage] = begun + 1
        self._until = now + PAUSES[begun]
        return PAUSES[begun]

    def succeeded(self, stage: Stage) -> None:
        """A unit ended well: whatever failed at this stage works again."""
        self._pauses.pop(stage, None)

    def paused(self, now: float) -> bool:
        """Whether nothing new is to be started."""
        return now < self._until
