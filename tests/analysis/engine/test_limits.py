"""Memory, other processors, threads, and compiled code that is kept: in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from analysis import pairwise
from tests.analysis.conftest import moving_states

ROOT = Path(__file__).resolve().parents[3]


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True)


def test_two_thousand_vectors_take_less_than_a_gigabyte():
    code = """
import resource
from analysis.pairwise import pair_statistics
from tests.analysis.conftest import moving_states
x = moving_states(2000, 1024, seed=0)
pair_statistics(x[:3])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = pair_statistics(x)
assert len(found.mi) == 1999000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    assert int(run(code).stdout) < 1024


def test_fifty_thousand_vectors_go_in_blocks():
    x = moving_states(50_000, 64, seed=1)
    prepared = pairwise.prepare(x, 15, 3.0)
    start, stop = pairwise.row_ranges(50_000, 1_000_000)[1]
    found = pairwise.row_range(prepared, start, stop)
    assert 900_000 < len(found.mi) <= 1_000_000
    last = pairwise.pair_statistics(x[[stop - 1, 49_999]], 15, 3.0)
    assert (found.mi[-1], found.n[-1]) == (last.mi[0], last.n[0])


def test_threads_share_nothing():
    x = moving_states(50, 200, seed=2)
    expected = pairwise.pair_statistics(x).mi
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(pairwise.pair_statistics(x).mi)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for mi in found:
        np.testing.assert_array_equal(mi, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "features"), [("x86-64-v3", "+avx2,+popcnt,+bmi,+fma"), ("x86-64", "")])
def test_other_processors_get_the_same_numbers(name, features, tmp_path):
    """Compiled for processors without AVX-512 and without any vector population count."""
    code = """
import numpy as np
from analysis.pairwise import pair_statistics
from tests.analysis.conftest import moving_states
found = pair_statistics(moving_states(30, 200, seed=3))
print(repr([found.mi.tobytes().hex(), found.n.tobytes().hex()]))
"""
    outputs = [run(code, NUMBA_CACHE_DIR=str(tmp_path)).stdout]
    outputs.append(run(code, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features).stdout)
    assert outputs[0] == outputs[1]


@pytest.mark.slow
def test_kernels_are_compiled_once_and_announced(tmp_path):
    code = "import numpy; from analysis.pairwise import prepare; prepare(numpy.eye(3, dtype='float32'))"
    first, second = (run(code, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path)).stderr for _ in range(2))
    assert "compiling the pair kernels" in first
    assert str(tmp_path) in first
    assert "compiling" not in second


def test_a_cache_folder_is_found_where_home_cannot_be_written(tmp_path):
    (tmp_path / "interpunct").write_text("in the way")
    code = "from analysis.engine import compilation; print(compilation.cache_folder())"
    folder = Path(run(code, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path), TMPDIR=str(tmp_path)).stdout.strip())
    assert folder.is_dir()
    assert folder.stat().st_uid == os.getuid()
    assert folder.parent.stat().st_mode & 0o077 == 0


def test_it_is_known_whether_kernels_were_compiled(tmp_path):
    code = """
from analysis.engine import compilation
print(compilation.is_cold())
(compilation.cache_folder() / "kernel.nbi").touch()
print(compilation.is_cold())
"""
    assert run(code, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path)).stdout.split() == ["True", "False"]


def test_importing_the_engine_changes_no_setting_of_numba():
    code = "import numba; from analysis import pairwise; print(repr(numba.config.CACHE_DIR))"
    assert run(code, NUMBA_CACHE_DIR="").stdout.strip() == "''"
