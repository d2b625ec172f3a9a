"""A tile of vectors in a GPU's memory, in the form that the matrix products read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.engine.joint import Tile

SLICES = 4
"""Dimensions that share a byte of a bin row: each takes one bit, and the product of two such bits is 2^(SLICES - 1)."""


class DeviceTile(NamedTuple):
    """`analysis.engine.joint.Tile` on a device; bin rows as half bytes, padded with empty bins and dimensions."""

    rows_a: torch.Tensor  # uint8 [Va, padded bins, bytes]: bit s of byte k is dimension 4 k + s
    rows_b: torch.Tensor  # uint8 [Vb, padded bins, bytes]: the same with the four bits in reverse
    chosen_a: torch.Tensor  # int64 [R, sets of the columns]
    chosen_b: torch.Tensor  # int64 [C, sets of the rows]
    set_a: torch.Tensor  # int64 [R]
    set_b: torch.Tensor  # int64 [C]
    diagonal: bool


def upload(tile: Tile, bins: int, row_bytes: int, device: torch.device) -> DeviceTile:
    """Puts a tile on the device, with `bins` bins a variant and `row_bytes` bytes a bin row."""
    rows_a = half_bytes(tile.variants_a.bits, bins, row_bytes, device)
    rows_b = rows_a if tile.variants_b is tile.variants_a else half_bytes(tile.variants_b.bits, bins, row_bytes, device)
    return DeviceTile(
        rows_a=rows_a,
        rows_b=reversed_bits(rows_b),
        chosen_a=torch.from_numpy(tile.chosen_a).to(device),
        chosen_b=torch.from_numpy(tile.chosen_b).to(device),
        set_a=torch.from_numpy(tile.set_a).to(device),
        set_b=torch.from_numpy(tile.set_b).to(device),
        diagonal=tile.diagonal,
    )


def half_bytes(bits: NDArray[np.uint64], bins: int, row_bytes: int, device: torch.device) -> torch.Tensor:
    """uint8 [V, bins, row_bytes] from bit rows uint64 [V, fewer bins, words]: four dimensions a byte, the rest 0."""
    whole = torch.from_numpy(bits.view(np.uint8)).to(device)
    half = torch.stack((whole & 15, whole >> 4), dim=-1).flatten(2)
    return torch.nn.functional.pad(half, (0, row_bytes - half.shape[2], 0, bins - half.shape[1]))


def reversed_bits(half: torch.Tensor) -> torch.Tensor:
    """The four lower bits of every byte in reverse order."""
    return (half & 1) << 3 | (half & 2) << 1 | (half & 4) >> 1 | half >> 3
