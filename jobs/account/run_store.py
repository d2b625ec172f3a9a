"""The run's hold on its store: opened late, locked while it is open, closed whatever happens.

A store that does not exist yet is created only when there is something to put in it, so that a run that fails on
wrong input leaves nothing behind.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

from store.commits import CommitRecord, Committed
from store.keys import ChunkKey, ShardKey
from store.objects.locations import object_store
from store.study import Study, match, study_of
from store.writer import StudyWriter


class Results:
    """Where a run's results go, as a context manager.

    Entering it checks and locks a store that exists. Raises StudyMismatch where it holds another study, StoreLocked
    where another run is at work on it, StoreUnavailable where it shows at once that none can be made.
    """

    def __init__(self, location: str, study: Study) -> None:
        self.location = location
        self.study = study
        self._writer: StudyWriter | None = None
        self._exit = ExitStack()

    def __enter__(self) -> Results:
        existing = study_of(self.location)
        if existing is not None:
            match(existing, self.study, self.location)
            self.open()
        else:
            object_store(self.location).check_place()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._exit.close()

    @property
    def is_open(self) -> bool:
        """Whether the store exists."""
        return self._writer is not None

    def open(self) -> StudyWriter:
        """The writer; creates the store where there is none yet. Raises StoreError where it cannot be written."""
        if self._writer is None:
            self._writer = StudyWriter.open(self.location, self.study)
            self._exit.enter_context(self._writer.lock())
        return self._writer

    def committed(self) -> Committed:
        """What is done already."""
        return self._writer.committed() if self._writer else Committed(frozenset(), {})

    def retake(self, removed: dict[str, int]) -> None:
        """Take these removed books again: key -> the attempt that was removed."""
        if removed:
            self.open().retaken |= removed

    def leftovers(self, shard: ShardKey) -> dict[ChunkKey, str]:
        """The paths of the files that stopped runs left of a shard."""
        return self._writer.uncommitted_chunks(shard) if self._writer else {}

    def commit(self, record: CommitRecord) -> bool:
        """Make a shard visible to readers; False where another attempt had done so."""
        return self.open().commit(record)

    def record_run(self, run_id: str, record: dict[str, Any]) -> None:
        """Write down what the run has done so far, where a store exists."""
        if self._writer is not None:
            self._writer.record_run(run_id, record)
