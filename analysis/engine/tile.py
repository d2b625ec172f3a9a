"""Makes a tile: everything about its rows and its columns that comes before a pair's two vectors meet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.binning import find_binnings, outlier_sets
from analysis.engine.marginals import tabulate
from analysis.engine.scratch import Scratch, SideScratch
from analysis.engine.simd.counting import LANES
from analysis.engine.vectors import Binned, NLogN, Side, Tile, Vectors


def diagonal(vectors: Vectors, members: NDArray[np.int64], bins: int, weights: NLogN, scratch: Scratch) -> Tile:
    """The tile of the vectors `members` (int64 [R], ascending) with themselves."""
    of_rows = _by_set(vectors, members)
    side = _side(vectors, of_rows, vectors, of_rows, bins, weights, scratch.rows)
    return Tile(side, side, True)


def rectangle(
    a: Vectors, rows: NDArray[np.int64], b: Vectors, columns: NDArray[np.int64],
    bins: int, weights: NLogN, scratch: Scratch,
) -> Tile:  # fmt: skip
    """The tile of the vectors `rows` of `a` with the vectors `columns` of `b` (int64, ascending)."""
    of_rows, of_columns = _by_set(a, rows), _by_set(b, columns)
    return Tile(
        _side(a, of_rows, b, of_columns, bins, weights, scratch.rows),
        _side(b, of_columns, a, of_rows, bins, weights, scratch.columns),
        False,
    )


class _BySet(NamedTuple):
    """Vectors in the order of their outlier sets."""

    members: NDArray[np.int64]  # int64 [R]
    sets: NDArray[np.int64]  # int64 [S], the outlier sets that occur
    set_of: NDArray[np.int64]  # int64 [R], which of these each vector has


def _by_set(vectors: Vectors, members: NDArray[np.int64]) -> _BySet:
    """Puts vectors into the order of their outlier sets: neighbours then ask for the same binnings.

    Sets of fewer vectors than there are lanes come first: among the others they would break up lanes that agree, and
    on the diagonal the first columns are in the fewest pairs.
    """
    sets, set_of, vectors_of = np.unique(vectors.set_of[members], return_inverse=True, return_counts=True)
    order = np.lexsort((set_of, vectors_of[set_of] >= LANES))
    return _BySet(members[order], sets, set_of[order])


def _side(
    vectors: Vectors, own: _BySet, partners: Vectors, met: _BySet, bins: int, weights: NLogN, scratch: SideScratch
) -> Side:
    sets = outlier_sets(partners, met.sets)
    binnings, chosen = find_binnings(vectors, own.members, sets, bins, scratch)
    by_set = scratch.by_set.array(chosen.binning.shape[::-1], np.int64)
    by_set[:] = chosen.binning.T
    marginals = tabulate(vectors, own.members, sets, binnings, chosen, weights, scratch)
    return Side(vectors, own.members, Binned(own.set_of, chosen.binning, by_set, binnings), marginals)
