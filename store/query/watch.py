"""Limits that the engine does not keep by itself, kept by the process that a query runs in.

DuckDB looks at its clock and counts its memory between steps of its own: one call of `repeat` can take minutes, or more
memory than the limit says.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_GRACE_S = 10.0
"""The engine stops by itself at its limit, with a better message; only where it has not by then, the process ends."""

_SLACK = 1 << 30
"""For what is beside the engine: Python, Arrow's batches of a result, the stacks of threads."""


@contextlib.contextmanager
def memory_bounded(limit: int) -> Iterator[None]:
    """Let this process take no more memory than it has now, the limit and some slack; on Linux, elsewhere no bound.

    What is refused memory fails with an error, DuckDB's own or a MemoryError.
    """
    taken = _data_bytes()
    before = resource.getrlimit(resource.RLIMIT_DATA)
    bound = taken + limit + _SLACK
    if taken == 0 or (before[0] != resource.RLIM_INFINITY and before[0] <= bound):
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (bound, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


@contextlib.contextmanager
def stopped_after(seconds: float | None) -> Iterator[None]:
    """End this process where the block takes longer than its seconds and a grace period. None: no limit."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds + _GRACE_S, _end, [seconds])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(seconds: float) -> None:
    if sys.stderr is not None:
        print(f"interpunct: the query took longer than {seconds:g} s and was stopped", file=sys.stderr, flush=True)
    os._exit(2)


def _data_bytes() -> int:
    """How much writable memory of its own the process has asked for; 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmData:")]
    return int(found[0]) << 10 if found else 0
