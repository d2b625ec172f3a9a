"""How much two groups of values differ, whatever their distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cliffs_delta(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """P(a > b) - P(a < b) for values drawn from either group: -1 to 1, 0 where neither tends to be larger.

    Flat arrays without NaN; NaN where one is empty. Cliff (1993, doi:10.1037/0033-2909.114.3.494).
    """
    comparisons = len(a) * len(b)
    if not comparisons:
        return float("nan")
    queries, ordered = np.sort(a), np.sort(b)
    smaller = np.searchsorted(ordered, queries, side="left").sum()
    not_larger = np.searchsorted(ordered, queries, side="right").sum()
    return float((smaller + not_larger - comparisons) / comparisons)


def explained_share(values: NDArray[np.floating], groups: NDArray[np.integer]) -> float:
    """Share of the variance of values that the means of their groups take: eta squared, 0 to 1.

    Flat arrays of one length; `groups` has small whole numbers from 0 on. NaN for values that are all equal or none.
    Many small groups take a share of anything: compare with the share of groups that mean nothing.

    >>> explained_share(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    1.0
    """
    if not len(values):
        return float("nan")
    deviations = values - values.mean(dtype=np.float64)
    total = float(np.square(deviations).sum())
    if not total > 0:
        return float("nan")
    counts = np.bincount(groups)
    sums = np.bincount(groups, weights=deviations)
    between = np.divide(np.square(sums), counts, out=np.zeros(len(sums)), where=counts > 0).sum()
    return float(between / total)
