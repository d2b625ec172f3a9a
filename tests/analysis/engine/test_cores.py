"""Cores are counted by what the process may use: its affinity, and the limits of its control groups."""

from __future__ import annotations

import os

import pytest

from analysis.engine import cores
from analysis.engine.cores import usable_cores


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


def lay_out(folder, monkeypatch, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(cores, "SYSTEM", folder)


V2, V1 = "0::/pod/box\n", "4:cpu,cpuacct:/box\n0::/\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/pod/box/cpu.max": "300000 100000\n"}, 3),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/pod/box/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/pod/box/cpu.max": "20000 100000\n"}, 1),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/pod/cpu.max": "400000 100000\n"}, 4),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/pod/box/cpu.max": "9900000 100000\n"}, 8),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "500000\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
            },
            5,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
def test_control_groups_limit_the_cores(tmp_path, monkeypatch, eight_cores, files, expected):
    lay_out(tmp_path, monkeypatch, files)
    assert usable_cores() == expected


def test_the_affinity_of_this_process_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "SYSTEM", tmp_path)
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
