"""The pairs of a tile in torch: for a GPU, and tested on the CPU by the same code.

The binning, with its edge variants, and the last arithmetic are the engine's own; here are the joint histograms and the
matrix product. A pair's histogram is one scattered addition of integers, so counts are exact whatever the order, and
the fixed-point terms that come back equal the CPU's to the last bit. No other module of this package imports torch.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.variants import Variants

ELEMENTS_AT_ONCE = 2**25
"""Dimensions of pairs in flight: 256 MiB of indices."""


class TorchEngine:
    """The engine on a torch device; see `analysis.kernels.Engine` for what its functions promise."""

    def __init__(self, device: str) -> None:
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"device is {device}, but torch finds no GPU here; use device='cpu'")
        self.device = torch.device(device)

    def joint_terms(
        self,
        variants_a: Variants,
        variants_b: Variants,
        chosen_a: NDArray[np.int64],
        chosen_b: NDArray[np.int64],
        set_a: NDArray[np.int64],
        set_b: NDArray[np.int64],
        diagonal: bool,
        table: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        bins = variants_a.counts.shape[1]
        codes_a, codes_b, terms = (
            torch.from_numpy(array).to(self.device) for array in (variants_a.codes, variants_b.codes, table)
        )
        shape = (len(set_a), len(set_b))
        rows, columns = np.triu_indices(shape[0], 1) if diagonal else np.indices(shape).reshape(2, -1)
        chosen = np.stack([chosen_a[rows, set_b[columns]], chosen_b[columns, set_a[rows]]])
        joint = np.zeros(shape, np.int64)
        step = max(1, ELEMENTS_AT_ONCE // codes_a.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            va, vb = torch.from_numpy(chosen[:, part]).to(self.device)
            counts = _joint_counts(codes_a[va], codes_b[vb], bins)
            joint[rows[part], columns[part]] = terms[counts].sum(dim=1).cpu().numpy()
        return joint

    def products(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        left = torch.from_numpy(a).to(self.device)
        right = left if b is a else torch.from_numpy(b).to(self.device)
        return np.asarray((left @ right.T).cpu().numpy())


def _joint_counts(a: torch.Tensor, b: torch.Tensor, bins: int) -> torch.Tensor:
    """int64 [P, bins * bins] from uint8 codes [P, D]; what either vector leaves out goes to a cell of its own."""
    cells = a.long() * bins + b
    cells[(a >= bins) | (b >= bins)] = bins * bins
    counts = torch.zeros(len(a), bins * bins + 1, dtype=torch.int64, device=a.device)
    return counts.scatter_add_(1, cells, torch.ones(1, 1, dtype=torch.int64, device=a.device).expand_as(cells))[:, :-1]
