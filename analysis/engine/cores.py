"""How many processor cores there are for this process."""

import os


def usable_cores() -> int:
    """Cores that this process may run on, where the system tells; otherwise all of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
