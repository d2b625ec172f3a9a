"""Sums of products of all pairs of centred vectors, which make covariances.

Vectors go in panels of PANEL, dimension by dimension, so that one load brings a dimension of a whole panel. A block of
8 x 16 sums stays in registers; of a group of vectors with itself, only blocks on and above the diagonal are made. BLAS
makes as much of it as of a whole matrix product for a few hundred vectors, or half as fast where it knows the triangle.
A pair's products are always added in the order of the dimensions: its sum is the same to the last bit in every block.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled
from analysis.engine.scratch import Buffer, Scratch
from analysis.engine.simd.products import PANEL, add_products
from analysis.engine.vectors import Tile, Vectors

PIECE = 128
"""Dimensions taken at a time: of four panels, they take 32 KiB, which a first-level cache holds."""

PACKED_AT_ONCE = 64
"""Dimensions of a panel that are filled before the next ones."""


class Panels(NamedTuple):
    """Vectors as the products read them: `values` float64 [an even number of panels, D, PANEL], 0 beyond `number`."""

    number: int
    values: NDArray[np.float64]


def products(tile: Tile, scratch: Scratch) -> NDArray[np.float64]:
    """Float64 [R, C] or more: entry (r, c) sums the products of a row and a column of the tile.

    Each vector is less its own mean, and 0 in the dimensions that it masks. On the diagonal, entries below it hold no
    result. The array lies in `scratch`.
    """
    rows, columns = tile.rows, tile.columns
    members = None if tile.on_diagonal else columns.members
    return centred_products(rows.vectors, rows.members, columns.vectors, members, scratch)


def centred_products(
    a: Vectors, rows: NDArray[np.int64], b: Vectors, columns: NDArray[np.int64] | None, scratch: Scratch
) -> NDArray[np.float64]:
    """The same of the vectors `rows` of `a` with the vectors `columns` of `b`; None stands for the rows themselves."""
    of_rows = of_columns = _centred(a, rows, scratch.rows.panels)
    if columns is not None:
        of_columns = _centred(b, columns, scratch.columns.panels)
    return _multiplied(of_rows, of_columns, columns is None, scratch)


def panels_of(x: NDArray[np.float64]) -> Panels:
    """Vectors, float64 [N, D], for `products_within` and `products_between`."""
    values = np.empty((_even(len(x)), x.shape[1], PANEL))
    _transpose(x, values)
    return Panels(len(x), values)


def products_within(x: Panels, start: int, stop: int, scratch: Scratch) -> NDArray[np.float64]:
    """The sums of products of all pairs (i, j) with start <= i < stop and i < j < N, flat and row-major.

    Like all products here, those of a pair are the same to the last bit in every block; BLAS does not promise that.
    """
    rows, first = _slice(x, start, stop)
    columns, _ = _slice(x, start, x.number)
    found = _multiplied(rows, columns, True, scratch)
    flat = np.empty(sum(x.number - 1 - i for i in range(start, stop)))
    _take_triangle(found, start - first, stop - first, x.number - first, flat)
    return flat


def products_between(a: Panels, b: Panels, start: int, stop: int, scratch: Scratch) -> NDArray[np.float64]:
    """The same of the vectors `start` to `stop` of `a` with all of `b`, flat and row-major."""
    rows, first = _slice(a, start, stop)
    found = _multiplied(rows, b, False, scratch)
    return found[start - first : stop - first, : b.number].flatten()


def _even(vectors: int) -> int:
    return 2 * -(-vectors // (2 * PANEL))


def _slice(x: Panels, start: int, stop: int) -> tuple[Panels, int]:
    """The vectors from `start` to `stop`, and some before where two panels begin: from which on."""
    panel = 2 * (start // (2 * PANEL))
    first = panel * PANEL
    return Panels(stop - first, x.values[panel : panel + _even(stop - first)]), first


def _centred(vectors: Vectors, members: NDArray[np.int64], scratch: Buffer) -> Panels:
    values = scratch.array((_even(len(members)), vectors.x.shape[1], PANEL), np.float64)
    _pack(vectors, members, values)
    return Panels(len(members), values)


def _multiplied(a: Panels, b: Panels, diagonal: bool, scratch: Scratch) -> NDArray[np.float64]:
    out = scratch.products.array((len(a.values) * PANEL, len(b.values) * PANEL), np.float64)
    _add_all(a.values, b.values, -(-a.number // PANEL), diagonal, out)
    return out


@compiled
def _take_triangle(
    products: NDArray[np.float64], start: int, stop: int, number: int, flat: NDArray[np.float64]
) -> None:
    k = 0
    for i in range(start, stop):
        for j in range(i + 1, number):
            flat[k] = products[i, j]
            k += 1


@compiled
def _transpose(x: NDArray[np.float64], panels: NDArray[np.float64]) -> None:
    for first in range(0, panels.shape[0] * PANEL, PANEL):
        panel, number = panels[first // PANEL], min(PANEL, max(0, x.shape[0] - first))
        if number < PANEL:
            panel[:] = 0.0
        for start in range(0, panel.shape[0], PACKED_AT_ONCE):
            stop = min(start + PACKED_AT_ONCE, panel.shape[0])
            for lane in range(np.uintp(number)):
                row = x[first + lane]
                for d in range(np.uintp(start), np.uintp(stop)):
                    panel[d, lane] = row[d]


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
