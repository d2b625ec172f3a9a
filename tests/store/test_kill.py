"""kill -9 at random moments: nothing half is ever visible, and relaunching completes the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def kill_runs(location: str, rounds: int, seed: int) -> int:
    """How many of the runs were killed before their end; raises where one did not recover."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.store.kill_loop", location, str(rounds), str(seed)],
        cwd=ROOT,
        env=os.environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return int(finished.stdout)


@pytest.mark.parametrize("rounds", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_killed_runs_recover(location, rounds):
    """Of sixty runs on a folder and sixty on S3, at least fifty each die before their end."""
    assert kill_runs(location, rounds, seed=rounds) >= rounds * 5 // 6 - 1
