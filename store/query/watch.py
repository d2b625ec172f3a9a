"""A query that outlives its time is stopped, even where the engine itself does not look at the clock."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

_GRACE_S = 10.0
"""The engine stops by itself at its limit, with a better message; only where it has not by then, the process ends."""


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
