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
