"""How many processor cores this process may use: not more than its affinity and its control group allow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SYSTEM = Path("/")
"""Where /proc and /sys are."""


def usable_cores() -> int:
    """Count the cores that this process may keep busy: at least 1.

    The affinity (taskset, a batch system) names cores; a control group's limit (a container's CPUs) is a share of
    time, and half a core more is a core.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [-(-quota // period) for quota, period in _quotas()]
    return max(1, min([affinity, *limits]))


def _quotas() -> Iterator[tuple[int, int]]:
    """Microseconds of processor time in each period, of this process's control groups and those around them."""
    for group in _groups(""):
        match _words(group / "cpu.max"):
            case [quota, period] if quota.isdigit():
                yield int(quota), int(period)
    for group in _groups("cpu"):
        match _words(group / "cpu.cfs_quota_us"), _words(group / "cpu.cfs_period_us"):
            case [quota], [period] if quota.isdigit():
                yield int(quota), int(period)


def _groups(controller: str) -> Iterator[Path]:
    """Folders of this process's group and the groups around it: of version 2 for "", of version 1 for a controller."""
    root = SYSTEM / "sys/fs/cgroup" / controller
    try:
        lines = (SYSTEM / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            folder = root / path.lstrip("/")
            yield from (parent for parent in (folder, *folder.parents) if parent.is_relative_to(root))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except OSError:
        return []
