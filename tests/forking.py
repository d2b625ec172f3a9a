"""Work in forked processes, for tests that kill it: a fork has everything imported and costs nothing to start.

Only a process without threads and connections may fork; what starts any belongs into a child.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable


def in_child(work: Callable[[], None]) -> None:
    """Do the work in a child and wait for it; AssertionError where it fails."""
    _, status = os.waitpid(_fork(work), 0)
    assert status == 0, status


def kill_after(seconds: float, work: Callable[[], None]) -> bool:
    """Start the work, kill it, and say whether it was cut short; AssertionError where it had failed by then."""
    child = _fork(work)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
