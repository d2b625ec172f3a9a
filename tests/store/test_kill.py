"""kill -9 at random moments: nothing half is ever visible, and relaunching completes the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_runs_recover(any_location, kills):
    """Each dies at a random moment; then everything visible is whole, and a relaunch ends as if nothing had been."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.store.kill_loop", any_location, str(kills), str(kills)],
        cwd=ROOT,
        env=os.environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) >= kills
