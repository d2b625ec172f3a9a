"""How a run is stopped from outside: as by Ctrl-C, so that its record is written and its lock let go."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_STOPPED_BY = (signal.SIGTERM, signal.SIGHUP)
"""What batch systems send, and what a terminal that goes away leaves behind."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise KeyboardInterrupt for such a signal as long as the context lasts. `nohup` has ignored one: that stays."""
    previous = {number: signal.getsignal(number) for number in _STOPPED_BY}
    listen()
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def listen() -> None:
    """Put the handlers in place; again, after a library has put its own there."""
    for number in _STOPPED_BY:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt
