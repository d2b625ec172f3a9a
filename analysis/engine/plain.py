"""The steps of the pair engine in plain NumPy, one function a step: what each of the fast steps must give.

Here a pair is two vectors and a mask. All that the fast steps do beside is to do it for many pairs at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.reference import entropy, kept_dimensions


def valid_dimensions(x: NDArray[np.float32], outlier_z: float) -> NDArray[np.bool_]:
    """Step 1, `outliers`. Bool [N, D]: where a vector of float32 [N, D] is not an outlier among its own values."""
    return np.array([kept_dimensions(vector, outlier_z) for vector in x], np.bool_).reshape(x.shape)


def codes(x: NDArray[np.float32], valid: NDArray[np.bool_], bins: int) -> NDArray[np.int64]:
    """Step 2, `binning`. Int64 [D]: the bin of each dimension of a vector; -1 where it is not valid for the pair."""
    found = np.full(x.size, -1)
    if valid.any():
        low, high = x[valid].min(), x[valid].max()
        if low == high:
            low, high = low - np.float32(0.5), high + np.float32(0.5)
        edges = np.linspace(low, high, bins + 1)
        found[valid] = np.minimum(np.searchsorted(edges, x[valid], side="right") - 1, bins - 1)
    return found


def marginal_histogram(codes: NDArray[np.int64], bins: int) -> NDArray[np.int64]:
    """Step 3, `marginals`. Int64 [bins]: dimensions of a vector in each bin."""
    return np.bincount(codes[codes >= 0], minlength=bins)


def joint_histogram(x: NDArray[np.int64], y: NDArray[np.int64], bins: int) -> NDArray[np.int64]:
    """Step 4, `joint`. Int64 [bins, bins]: dimensions in each bin of x and bin of y, from the codes of both."""
    both = (x >= 0) & (y >= 0)
    return np.bincount(x[both] * bins + y[both], minlength=bins * bins).reshape(bins, bins)


def terms(histogram: NDArray[np.int64], units: NDArray[np.int64]) -> int:
    """Sum of n log2 n over a histogram, in units. Of some rows and columns alone, this is `sparse`."""
    return int(units[histogram].sum())


def centred(x: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Step 5, `covariance`. Float64 [N, D] whose matrix product with itself is wanted: x - mean, and 0 where masked."""
    n = np.maximum(valid.sum(axis=1, keepdims=True), 1)
    mean = np.where(valid, x, np.float64(0)).sum(axis=1, keepdims=True) / n
    return np.where(valid, x - mean, 0.0)


def finish(
    x: NDArray[np.float32], y: NDArray[np.float32], valid: NDArray[np.bool_], joint: NDArray[np.int64]
) -> dict[str, float]:
    """Step 6, `finish`. Every field of `PairStatistics` by name, from a pair's valid dimensions."""
    n = int(valid.sum())
    if n == 0:
        return {"n": 0} | dict.fromkeys(("mi", "cov", "corr", "hx", "hy"), np.nan)
    hx, hy = entropy(joint.sum(axis=1)), entropy(joint.sum(axis=0))
    a, b = x[valid] - x[valid].mean(dtype=np.float64), y[valid] - y[valid].mean(dtype=np.float64)
    constant = n < 2 or np.ptp(x[valid]) == 0 or np.ptp(y[valid]) == 0
    corr = np.nan if constant else float(a @ b / np.sqrt((a @ a) * (b @ b)))
    cov = np.nan if n < 2 else float(a @ b / (n - 1))
    return {"mi": hx + hy - entropy(joint), "cov": cov, "corr": corr, "n": n, "hx": hx, "hy": hy}
