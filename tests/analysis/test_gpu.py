"""The torch form gives what the kernels give, on the CPU always and on a GPU where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis import gpu, pairwise
from tests.analysis.conftest import moving_states

EXACT = ("mi", "n", "hx", "hy")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


@pytest.fixture(params=DEVICES)
def torch_engine(request, monkeypatch) -> str:
    """Makes every device name lead to the torch form on the device under test."""
    monkeypatch.setattr(pairwise, "_engine", lambda _: gpu.TorchEngine(request.param))
    monkeypatch.setattr(gpu, "ELEMENTS_AT_ONCE", 10_000)
    return request.param


@pytest.mark.parametrize(("dimensions", "bins"), [(2, 2), (65, 15), (192, 15), (300, 64)])
def test_pairs_of_one_group(torch_engine, dimensions, bins):
    x = moving_states(30, dimensions, seed=dimensions)
    found = pairwise.pair_statistics(x, bins, 3.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairwise, "_engine", lambda _: pairwise.CpuEngine())
        kernels = pairwise.pair_statistics(x, bins, 3.0)
    for field in EXACT:
        np.testing.assert_array_equal(getattr(found, field), getattr(kernels, field), err_msg=field)
    for field in ("cov", "corr"):
        np.testing.assert_allclose(getattr(found, field), getattr(kernels, field), rtol=1e-9, atol=1e-12)


def test_pairs_between_groups(torch_engine, monkeypatch):
    x = moving_states(24, 130, seed=5)
    groups = pairwise.prepare(x[:9]), pairwise.prepare(x[9:])
    monkeypatch.setattr(pairwise, "TILE", 8)
    found = pairwise.cross_statistics(*groups)
    monkeypatch.setattr(pairwise, "_engine", lambda _: pairwise.CpuEngine())
    kernels = pairwise.cross_statistics(*groups)
    for field in EXACT:
        np.testing.assert_array_equal(getattr(found, field), getattr(kernels, field), err_msg=field)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_asking_for_a_gpu_that_is_not_there():
    with pytest.raises(ValueError, match="no GPU here"):
        pairwise.pair_statistics(moving_states(3, 64, seed=0), device="cuda")
