"""The run record in the store, kept up to date while it runs, so that another shell can watch it."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime
from typing import Any

from jobs.account.display import Listener
from jobs.account.pace import forecast, pace_of, share_done
from jobs.account.run_store import Results
from jobs.account.tally import Tally
from jobs.config import RunConfig
from store.errors import StoreUnavailable

SECONDS_BETWEEN_RECORDS = 5.0


class Recorder:
    """A listener that writes `_runs/<run>.json` and passes everything on to the listener that the user sees."""

    def __init__(self, results: Results, run_id: str, run: RunConfig, shown: Listener) -> None:
        self._results = results
        self._run_id = run_id
        self._shown = shown
        self._last = 0.0
        self.facts: dict[str, Any] = {
            "run": run_id,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "cpus": os.cpu_count(),
            "versions": results.study.written_with,
            "settings": run.to_dict(),
        }

    def line(self, event: str, **keys: object) -> None:
        """Show an event."""
        self._shown.line(event, **keys)

    def update(self, tally: Tally) -> None:
        """Show the tally, and write the run record where the last one is old."""
        self._shown.update(tally)
        if time.monotonic() - self._last >= SECONDS_BETWEEN_RECORDS:
            self._last = time.monotonic()
            self.write(tally, "running")

    def close(self) -> None:
        """Stop showing."""
        self._shown.close()

    def write(self, tally: Tally, state: str) -> None:
        """Write the run record now. A store that does not answer costs the record, not the run."""
        updated = datetime.now(UTC).isoformat(timespec="seconds")
        done, left, pace = share_done(tally), forecast(tally), pace_of(tally)
        progress = {
            "share_done": None if done is None else round(done, 4),
            "time_left": None if left is None else str(left),
            "sequences_per_second": pace.sequences and round(pace.sequences, 3),
            "pairs_per_second": pace.pairs and round(pace.pairs, 1),
        }
        record = {**self.facts, "state": state, "updated": updated, "progress": progress, **tally.to_dict()}
        try:
            self._results.record_run(self._run_id, record)
        except StoreUnavailable as error:
            self._shown.line("the run's record could not be written", reason=error)
