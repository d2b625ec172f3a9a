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

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled

SMALLEST_SIDE = 5
"""Values that a side of a valley has at least: fewer are single marks, not a group."""

_CLOSEST = 1e-6
"""Equal values are taken to be so far apart, as a share of a stretch: a lump without width is not infinitely sure."""


class Valley(NamedTuple):
    """The deepest valley of a sample: how much deeper than chance allows at its scale, and where it lies."""

    depth: float
    place: float


def deepest_valley(values: NDArray[np.floating], beyond: float = -np.inf) -> Valley:
    """The deepest valley of the values, float [n]; of depth `beyond` where none is deeper, or they are too few."""
    ordered = np.sort(values.astype(np.float64))
    if len(ordered) < 2 * SMALLEST_SIDE + 2 or ordered[0] == ordered[-1]:
        return Valley(beyond, float(ordered.mean()) if len(ordered) else 0.0)
    n = len(ordered)
    depth, left, right = _search(ordered, _doublings(1, n), _doublings(SMALLEST_SIDE, n), _roots(n), beyond)
    return Valley(depth, float(ordered[left] + ordered[right]) / 2)


def _doublings(first: int, n: int) -> NDArray[np.int64]:
    """Spacings of the stretches to be compared: `first`, twice as many, and so on."""
    return first * 2 ** np.arange(max(1, int(np.log2(n / (2 * first))) + 1), dtype=np.int64)


def _roots(n: int) -> NDArray[np.float64]:
    """What chance has by the spacings of two stretches together, float64 [n + 1]: sqrt(2 log(e n / spacings))."""
    roots: NDArray[np.float64] = np.sqrt(2 * (1 + np.log(n / np.maximum(np.arange(n + 1), 1))))
    return roots


@compiled
def _search(
    x: NDArray[np.float64],
    valleys: NDArray[np.int64],
    sides: NDArray[np.int64],
    chance: NDArray[np.float64],
    beyond: float,
) -> tuple[float, int, int]:
    """The depth of the deepest valley and the order statistics that it lies between."""
    n = len(x)
    best, best_left, best_right = beyond, 0, n - 1
    for v in valleys:
        for left in range(SMALLEST_SIDE, n - v - SMALLEST_SIDE):
            right = left + v
            width = x[right] - x[left]
            before = after = -np.inf
            for a in sides:
                if a > left:
                    break
                before = max(before, _sparser(width, v, x[left] - x[left - a], a, chance))
            if before <= best:
                continue
            for b in sides:
                if right + b >= n:
                    break
                after = max(after, _sparser(width, v, x[right + b] - x[right], b, chance))
            if min(before, after) > best:
                best, best_left, best_right = min(before, after), left, right
    return best, best_left, best_right


@compiled
def _sparser(width: float, v: int, other: float, a: int, chance: NDArray[np.float64]) -> float:
    """By how much v spacings of this width are sparser than `a` spacings of another's."""
    total = v + a
    if total >= len(chance) or width + other <= 0.0:
        return -np.inf
    share, even = min(width / (width + other), 1.0 - _CLOSEST), v / total
    if share <= even:
        return -np.inf
    ratio = total * (even * np.log(even / share) + (1 - even) * np.log((1 - even) / (1 - share)))
    return float(np.sqrt(2 * max(ratio, 0.0)) - chance[total])
