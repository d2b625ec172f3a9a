"""The GPU form gives what the CPU's kernels give: interpreted without a GPU, on the device where there is one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from analysis import gpu, pairwise
from analysis.engine.joint import CpuEngine
from tests.analysis.conftest import moving_states

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICES = [
    pytest.param("cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="Triton does not interpret its kernels here")),
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")),
]
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


@pytest.fixture(params=DEVICES)
def device(request) -> str:
    return request.param


@pytest.fixture
def on_gpu_form(device, monkeypatch):
    """Computes statistics with the GPU form on the device under test."""

    def compute(function, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(pairwise, "_engine", lambda _: gpu.GpuEngine(device))
            return function(*arguments)

    return compute


def assert_same(found: pairwise.PairStatistics, expected: pairwise.PairStatistics) -> None:
    for field in ("mi", "n", "hx", "hy"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field), err_msg=field)
    for field in ("cov", "corr"):
        np.testing.assert_allclose(
            getattr(found, field), getattr(expected, field), rtol=1e-9, atol=1e-12, err_msg=field
        )


@needs_triton
@pytest.mark.parametrize(
    ("vectors", "dimensions", "bins"),
    [(2, 64, 15), (30, 2, 2), (30, 65, 15), (23, 192, 16), (20, 130, 17), (21, 300, 64), (16, 1024, 15)],
)
def test_pairs_of_one_group(on_gpu_form, vectors, dimensions, bins):
    x = moving_states(vectors, dimensions, seed=dimensions)
    assert_same(on_gpu_form(pairwise.pair_statistics, x, bins, 3.0), pairwise.pair_statistics(x, bins, 3.0))


@needs_triton
def test_most_dimensions_left_out(on_gpu_form):
    x = moving_states(20, 130, seed=3)
    assert_same(on_gpu_form(pairwise.pair_statistics, x, 15, 0.9), pairwise.pair_statistics(x, 15, 0.9))


@needs_triton
def test_counts_beyond_one_window_of_the_table(on_gpu_form):
    x = moving_states(9, 4200, seed=1)
    x[2], x[5, 7:] = 0.5, -1.0
    x[7] = 2 * x[5]
    found = on_gpu_form(pairwise.pair_statistics, x, 15, 70.0)
    assert_same(found, pairwise.pair_statistics(x, 15, 70.0))
    pair = list(zip(*np.triu_indices(9, 1), strict=True)).index((5, 7))
    assert found.mi[pair] == pytest.approx(found.hx[pair], abs=1e-12)
    assert 0 < found.hx[pair] < 0.1


@needs_triton
def test_pairs_between_groups_in_tiles(on_gpu_form, monkeypatch):
    x = moving_states(41, 130, seed=5)
    groups = pairwise.prepare(x[:14], outlier_z=3.0), pairwise.prepare(x[14:], outlier_z=3.0)
    whole = pairwise.cross_statistics(*groups)
    monkeypatch.setattr(gpu.GpuEngine, "side", 12)
    assert_same(on_gpu_form(pairwise.cross_statistics, *groups), whole)
    assert_same(on_gpu_form(pairwise.pair_statistics, x, 15, 3.0), pairwise.pair_statistics(x, 15, 3.0))


@needs_triton
def test_real_states(on_gpu_form, smollm2_states):
    x = smollm2_states[30, "terminal"][:24]
    assert_same(on_gpu_form(pairwise.pair_statistics, x), pairwise.pair_statistics(x))


@needs_triton
def test_what_no_pair_asks_for_is_not_written(device, monkeypatch):
    seen = []
    joint_terms = CpuEngine.joint_terms
    monkeypatch.setattr(CpuEngine, "joint_terms", lambda *call: seen.append(call[1:]) or joint_terms(*call))
    pairwise.pair_statistics(moving_states(26, 65, seed=9), 15, 3.0)
    ((tile, table),) = seen
    engine = gpu.GpuEngine(device)
    on_device = engine.upload(tile)
    joint = torch.full((26, 26), -7, device=engine.device)
    engine.fill(on_device, engine.plan(on_device), torch.tensor(table, device=engine.device), joint)
    upper = np.triu(np.ones((26, 26), bool), 1)
    np.testing.assert_array_equal(joint.cpu().numpy()[upper], joint_terms(CpuEngine(), tile, table)[upper])
    assert (joint.cpu().numpy()[~upper] == -7).all()


@needs_triton
def test_the_benchmark_is_ready_to_run():
    command = [sys.executable, "-m", "benchmarks.pairs_gpu", "--rehearse"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "the joint terms of 40 vectors equal the CPU's; nothing was timed" in result.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_asking_for_a_gpu_that_is_not_there():
    with pytest.raises(ValueError, match="no GPU here"):
        pairwise.pair_statistics(moving_states(3, 64, seed=0), device="cuda")


@pytest.fixture
def a_gpu(monkeypatch):
    """A machine that says it has a recent GPU and a compiler."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setenv("CC", "gcc")


def test_triton_is_missing(a_gpu, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install triton"):
        gpu.GpuEngine("cuda")


def test_no_compiler_for_triton(a_gpu, monkeypatch):
    monkeypatch.delenv("CC")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="no C compiler"):
        gpu.GpuEngine("cuda")


def test_a_gpu_without_int8_products(a_gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    with pytest.raises(ValueError, match=r"compute capability 7\.5"):
        gpu.GpuEngine("cuda")
