"""Has a sample more than one mode? A multiscale test on order statistics, for the clusters of marks.

A density with one mode has no valley: no stretch V that is sparser than a stretch A before it **and** than a stretch B
behind it. Between order statistics, the share that V has of the length of V and A together is Beta(spacings of V,
spacings of A) where the density is even, so that a signed likelihood ratio tells how much sparser V is. It is less its
scale's share of what a search over all stretches finds by chance (Dümbgen and Spokoiny 2001,
doi:10.1214/aos/996986504; for modes of a density Dümbgen and Walther 2008, doi:10.1214/07-AOS521), and a valley is as
deep as its lesser side. The deepest valley is compared with that of even samples, which are the unimodal ones that come
nearest to having two modes (Hartigan and Hartigan 1985, doi:10.1214/aos/1176346577): tails, however heavy, have no
valley, which is why this and no criterion of fit decides on the number of clusters.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled

SMALLEST_SIDE = 5
"""Values that a side of a valley has at least: fewer are single marks, not a group."""

_CLOSEST = 1e-6
"""Equal values are taken to be so far apart, as a share of a stretch: a lump without width is not infinitely sure."""


class Valley(NamedTuple):
    """The deepest valley of a sample: how much deeper than chance allows at its scale, where it lies, on which axis."""

    depth: float
    place: float
    axis: int = 0


def deepest_valley(values: NDArray[np.floating], beyond: float = -np.inf, smallest: int = 0) -> Valley:
    """The deepest valley of the values, float [n], or on any of several axes, float [n, axes].

    One that leaves fewer than `smallest` values on a side of it is none. Of depth `beyond`, and nowhere, where none is
    deeper or the values are too few.
    """
    ordered = np.sort(np.atleast_2d(values.T).astype(np.float64), axis=1)
    n = ordered.shape[1]
    if n < 2 * SMALLEST_SIDE + 2:
        return Valley(beyond, 0.0)
    scales = _scales(n, float(np.floor(4 * beyond) / 4))
    return Valley(*_search_axes(ordered, *scales, beyond, smallest))


class _Scales(NamedTuple):
    """Spacings of the valleys and of the sides that are compared, and what holds of each two of them.

    `chance`, `least`: float64 [valleys, sides], what chance has, and what share of their length a valley must have.
    """

    valleys: NDArray[np.int64]
    sides: NDArray[np.int64]
    chance: NDArray[np.float64]
    least: NDArray[np.float64]


@lru_cache(maxsize=1024)
def _scales(n: int, beyond: float) -> _Scales:
    """The scales of n values; chance has sqrt(2 log(e n / spacings)) of two stretches together."""
    valleys, sides = _doublings(1, n), _doublings(SMALLEST_SIDE, n)
    together = valleys[:, None] + sides
    chance = np.where(together <= n, np.sqrt(2 * (1 + np.log(n / together))), np.inf)
    return _Scales(valleys, sides, chance, _least_share(valleys, sides, chance, beyond))


def _doublings(first: int, n: int) -> NDArray[np.int64]:
    """Spacings of the stretches to be compared: `first`, twice as many, and so on."""
    return first * 2 ** np.arange(max(1, int(np.log2(n / (2 * first))) + 1), dtype=np.int64)


def _least_share(
    valleys: NDArray[np.int64], sides: NDArray[np.int64], chance: NDArray[np.float64], beyond: float
) -> NDArray[np.float64]:
    """The share of the length that a valley must have at the least to be deeper than `beyond`: [valleys, sides].

    From an upper bound of the likelihood ratio, so that a stretch with less needs no logarithm, and none is missed:
    KL(p, q) <= (p - q)^2 / (q (1 - q)), solved for q.
    """
    even = valleys[:, None] / (valleys[:, None] + sides)
    height = np.maximum(chance + max(beyond, -1e6), 0)
    ratio = np.where(np.isinf(height), 0, height) ** 2 / (2 * (valleys[:, None] + sides))
    root = np.sqrt(ratio * (ratio + 4 * even * (1 - even)))
    least: NDArray[np.float64] = np.where(np.isinf(height), 1.0, (2 * even + ratio + root) / (2 * (1 + ratio)))
    return least * (1 - 1e-12)


@compiled
def _search_axes(
    ordered: NDArray[np.float64],
    valleys: NDArray[np.int64],
    sides: NDArray[np.int64],
    chance: NDArray[np.float64],
    least: NDArray[np.float64],
    beyond: float,
    smallest: int,
) -> tuple[float, float, int]:
    """Depth, place and axis of the deepest valley of the order statistics [axes, n]: a call an axis would cost more."""
    n = ordered.shape[1]
    best, place, found = beyond, 0.0, 0
    for axis in range(len(ordered)):
        x = ordered[axis]
        if x[0] == x[-1]:
            continue
        depth, left, right = _search(x, valleys, sides, chance, least, best)
        if depth > best:
            middle = (x[left] + x[right]) / 2
            above = n - np.searchsorted(x, middle, side="right")
            if smallest <= above <= n - smallest:
                best, place, found = depth, middle, axis
    return best, place, found


@compiled
def _search(
    x: NDArray[np.float64],
    valleys: NDArray[np.int64],
    sides: NDArray[np.int64],
    chance: NDArray[np.float64],
    least: NDArray[np.float64],
    beyond: float,
) -> tuple[float, int, int]:
    """The depth of the deepest valley and the order statistics that it lies between."""
    n = len(x)
    best, best_left, best_right = beyond, 0, n - 1
    sparse = np.empty((2, n), np.bool_)
    for number in range(len(valleys)):
        v = valleys[number]
        stop = n - v - SMALLEST_SIDE
        if not _mark_sparse(x, v, sides, least[number], sparse):
            continue
        for left in range(SMALLEST_SIDE, stop):
            if not (sparse[0, left] and sparse[1, left]):
                continue
            right = left + v
            width = x[right] - x[left]
            before = after = -np.inf
            for side in range(len(sides)):
                a = sides[side]
                if a <= left:
                    before = max(before, _sparser(width, v, x[left] - x[left - a], a, chance[number, side]))
                if right + a < n:
                    after = max(after, _sparser(width, v, x[right + a] - x[right], a, chance[number, side]))
            if min(before, after) > best:
                best, best_left, best_right = min(before, after), left, right
    return best, best_left, best_right


@compiled
def _mark_sparse(
    x: NDArray[np.float64],
    v: int,
    sides: NDArray[np.int64],
    least: NDArray[np.float64],
    sparse: NDArray[np.bool_],
) -> bool:
    """Mark the stretches of v spacings that have the `least` share beside a side before them, and one behind them."""
    n = len(x)
    sparse[:] = False
    width = x[v:] - x[:-v]
    for side in range(len(sides)):
        a, own, others = sides[side], 1.0 - least[side], least[side]
        if v + a >= n:
            break
        other = x[a:] - x[:-a]
        # Slices, so that every index counts from 0: with sums of two the loops would not become vector code.
        before, width_behind = sparse[0, a : n - v], width[a:]
        after, other_behind = sparse[1, : n - v - a], other[v:]
        for k in range(n - v - a):
            before[k] |= width_behind[k] * own >= other[k] * others
        for k in range(n - v - a):
            after[k] |= width[k] * own >= other_behind[k] * others
    found = False
    for left in range(n):
        found |= sparse[0, left] & sparse[1, left]
    return found


@compiled
def _sparser(width: float, v: int, other: float, a: int, chance: float) -> float:
    """By how much v spacings of this width are sparser than `a` spacings of another's."""
    total = v + a
    if chance == np.inf or width + other <= 0.0:
        return -np.inf
    share, even = min(width / (width + other), 1.0 - _CLOSEST), v / total
    if share <= even:
        return -np.inf
    ratio = total * (even * np.log(even / share) + (1 - even) * np.log((1 - even) / (1 - share)))
    return float(np.sqrt(2 * max(ratio, 0.0)) - chance)
