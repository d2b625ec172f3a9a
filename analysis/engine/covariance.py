"""Sums of products of all pairs of centred vectors, which make covariances.

Vectors go in panels of PANEL, dimension by dimension, so that one load brings a dimension of a whole panel. A block of
8 x 16 sums stays in registers; of a group of vectors with itself, only blocks on and above the diagonal are made. BLAS
makes as much of it as of a whole matrix product for a few hundred vectors, or half as fast where it knows the triangle.
A pair's products are always added in the order of the dimensions: its sum is the same to the last bit in every block.
"""

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled
from analysis.engine.scratch import Scratch, SideScratch
from analysis.engine.simd.products import PANEL, add_products
from analysis.engine.vectors import Side, Tile, Vectors

PIECE = 128
"""Dimensions taken at a time: of four panels, they take 32 KiB, which a first-level cache holds."""

PACKED_AT_ONCE = 64
"""Dimensions of a panel that are filled before the next ones."""


def products(tile: Tile, scratch: Scratch) -> NDArray[np.float64]:
    """Float64 [R, C] or more: entry (r, c) sums the products of a row and a column of the tile.

    Each vector is less its own mean, and 0 in the dimensions that it masks. On the diagonal, entries below it hold no
    result. The array lies in `scratch`.
    """
    panels_a = panels_b = _panels(tile.rows, scratch.rows)
    if not tile.on_diagonal:
        panels_b = _panels(tile.columns, scratch.columns)
    out = scratch.products.array((len(panels_a) * PANEL, len(panels_b) * PANEL), np.float64)
    _add_all(panels_a, panels_b, -(-len(tile.rows.members) // PANEL), tile.on_diagonal, out)
    return out


def inner_products(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Float64 [R, C]: the sums of products of every row of `a` [R, D] with every row of `b` [C, D].

    Like all products here, those of a pair are the same to the last bit in every block; BLAS does not promise that.
    """
    panels_a, panels_b = _plain_panels(a), _plain_panels(b)
    out = np.empty((len(panels_a) * PANEL, len(panels_b) * PANEL))
    _add_all(panels_a, panels_b, -(-len(a) // PANEL), False, out)
    return out[: len(a), : len(b)]


def _plain_panels(x: NDArray[np.float64]) -> NDArray[np.float64]:
    panels = 2 * -(-len(x) // (2 * PANEL))
    padded = np.zeros((panels * PANEL, x.shape[1]))
    padded[: len(x)] = x
    return np.ascontiguousarray(padded.reshape(panels, PANEL, x.shape[1]).transpose(0, 2, 1))


def _panels(side: Side, scratch: SideScratch) -> NDArray[np.float64]:
    """Float64 [an even number of panels, D, PANEL]; vectors that are not there are 0."""
    number = 2 * -(-len(side.members) // (2 * PANEL))
    panels = scratch.panels.array((number, side.vectors.x.shape[1], PANEL), np.float64)
    _pack(side.vectors, side.members, panels)
    return panels


@compiled
def _pack(vectors: Vectors, members: NDArray[np.int64], panels: NDArray[np.float64]) -> None:
    x, set_start, set_dims = vectors.x, vectors.set_start, vectors.set_dims
    for first in range(0, panels.shape[0] * PANEL, PANEL):
        panel, number = panels[first // PANEL], min(PANEL, max(0, members.size - first))
        if number < PANEL:
            panel[:] = 0.0
        # A few dimensions of all the vectors, then the next: where they go stays in the first-level cache.
        for start in range(0, panel.shape[0], PACKED_AT_ONCE):
            stop = min(start + PACKED_AT_ONCE, panel.shape[0])
            for lane in range(np.uintp(number)):
                row, mean = x[members[first + lane]], vectors.mean[members[first + lane]]
                for d in range(np.uintp(start), np.uintp(stop)):
                    panel[d, lane] = row[d] - mean if row[d] == row[d] else 0.0
        for lane in range(number):
            outlier_set = vectors.set_of[members[first + lane]]
            for k in range(set_start[outlier_set], set_start[outlier_set + 1]):
                panel[set_dims[k], lane] = 0.0


@compiled
def _add_all(
    a: NDArray[np.float64], b: NDArray[np.float64], used: int, diagonal: bool, out: NDArray[np.float64]
) -> None:
    """Two panels of `a` stay in the first-level cache while all of `b` goes by, two panels at a time."""
    dims, width = a.shape[1], out.shape[1]
    out[:] = 0.0
    for start in range(0, dims, PIECE):
        length = min(PIECE, dims - start)
        for first in range(0, used, 2):
            for column in range(first if diagonal else 0, b.shape[0], 2):
                for panel in range(first, min(first + 2, used)):
                    add_products(a, (panel * dims + start) * PANEL, b, (column * dims + start) * PANEL, dims * PANEL,
                                 length, out, panel * PANEL * width + column * PANEL, width)  # fmt: skip
