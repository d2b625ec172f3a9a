"""The pairs of a tile on a GPU.

The binning, with its edge variants, and the last arithmetic are the engine's own and run on the CPU. On the GPU are the
joint entropies, as fused int8 products (`analysis.gpu_kernel`) of the variants that meet (`analysis.gpu_plan`), and the
products of the covariance. Joint terms are integers and equal the CPU's to the last bit.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.engine.binning import Vectors
from analysis.engine.cores import usable_cores
from analysis.engine.joint import Tile
from analysis.engine.outliers import centred
from analysis.gpu_memory import DeviceTile, upload
from analysis.gpu_plan import Products, plan

CAPABILITY = (8, 0)
"""The first GPUs whose tensor cores Triton gives int8 products to."""


class GpuEngine:
    """The engine on a torch device; see `analysis.engine.joint.Engine` for what its functions promise.

    Raises ValueError where the device, Triton or what Triton needs is missing. The device may be "cpu" where Triton
    interprets its kernels (`TRITON_INTERPRET=1`, set before Triton is imported): slow, and the same code.
    """

    side = 4096
    """More than on the CPU: what the CPU does for a tile grows with its side, what the GPU does with its area."""

    threads = usable_cores()
    """All that this process may use: a GPU counts much faster than one core can finish."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        if self.device.type == "cuda":
            _check_gpu(device)
        if importlib.util.find_spec("triton") is None:
            raise ValueError("pairs on a GPU need Triton, which torch for CUDA brings; pip install triton")
        # Triton comes with torch for CUDA only, and is not there to import where no GPU is asked for.
        self._kernel = importlib.import_module("analysis.gpu_kernel")

    def joint_terms(self, tile: Tile, table: NDArray[np.int64]) -> NDArray[np.int64]:
        on_device = self.upload(tile)
        joint = torch.empty(len(tile.set_a), len(tile.set_b), dtype=torch.int64, device=self.device)
        self.fill(on_device, self.plan(on_device), torch.tensor(table, device=self.device), joint)
        return self._download(joint)

    def upload(self, tile: Tile) -> DeviceTile:
        """The tile in the device's memory."""
        bins, row_bytes = self._kernel.shape_of_rows(*tile.variants_b.bits.shape[1:])
        return upload(tile, bins, row_bytes, self.device)

    def plan(self, tile: DeviceTile) -> Products:
        """Which of its variants meet in which product."""
        return plan(tile, self._kernel.variants_per_product(tile))

    def fill(self, tile: DeviceTile, products: Products, table: torch.Tensor, joint: torch.Tensor) -> None:
        """Writes the joint terms of every pair into `joint`, int64 [R, C] on the device."""
        self._kernel.launch(tile, products, table, joint)

    def products(
        self, a: Vectors, rows: NDArray[np.int64], b: Vectors, columns: NDArray[np.int64], diagonal: bool
    ) -> NDArray[np.float64]:
        left = torch.from_numpy(centred(a, rows)).to(self.device)
        right = left if diagonal else torch.from_numpy(centred(b, columns)).to(self.device)
        return self._download(left @ right.T)

    def _download(self, values: torch.Tensor) -> NDArray[Any]:
        """Through pinned memory, which torch keeps for the next tile: several times the pace of a plain copy."""
        host = torch.empty(values.shape, dtype=values.dtype, pin_memory=self.device.type == "cuda")
        return np.asarray(host.copy_(values).numpy())


def _check_gpu(device: str) -> None:
    if not torch.cuda.is_available():
        raise ValueError(f"device is {device}, but torch finds no GPU here; use device='cpu'")
    capability = torch.cuda.get_device_capability(device)
    if capability < CAPABILITY:
        raise ValueError(
            f"device is {device}, of compute capability {capability[0]}.{capability[1]}; the int8 products need "
            f"{CAPABILITY[0]}.{CAPABILITY[1]} or more: use device='cpu'"
        )
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        raise ValueError(
            f"device is {device}, but Triton finds no C compiler here to build its launcher with; install gcc or name "
            "one in CC"
        )
