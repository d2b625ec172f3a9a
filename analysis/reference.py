"""One pair at a time, with `numpy.histogram2d`: the plain statement of what a pair's statistics are.

This is the definition that the fast engine is tested against, and the pace that benchmarks compare with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mutual_information(
    x: NDArray[np.float32], y: NDArray[np.float32], bins: int = 15, outlier_z: float | None = 5.0
) -> float:
    """Plug-in mutual information in bits of two float32 [D] vectors over the dimensions left; NaN if none is."""
    kept = kept_dimensions(x, outlier_z) & kept_dimensions(y, outlier_z)
    joint = joint_histogram(x[kept], y[kept], bins)
    if joint.sum() == 0:
        return float("nan")
    return entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0)) - entropy(joint)


def covariance(x: NDArray[np.float32], y: NDArray[np.float32], outlier_z: float | None = 5.0) -> float:
    """Covariance (divided by n - 1) in float64 over the dimensions left; NaN if fewer than two are."""
    kept = kept_dimensions(x, outlier_z) & kept_dimensions(y, outlier_z)
    n = int(np.count_nonzero(kept))
    if n < 2:
        return float("nan")
    x_left, y_left = x[kept].astype(np.float64), y[kept].astype(np.float64)
    return float(np.sum((x_left - x_left.mean()) * (y_left - y_left.mean())) / (n - 1))


def kept_dimensions(x: NDArray[np.float32], outlier_z: float | None = 5.0) -> NDArray[np.bool_]:
    """Which dimensions have |z| <= `outlier_z`, z in float32 from the vector's own mean and std(ddof=1); None: all."""
    if outlier_z is None:
        return np.ones(x.shape, np.bool_)
    with np.errstate(all="ignore"):
        z = (x - x.mean()) / x.std(ddof=1)
        outlier: NDArray[np.bool_] = np.abs(z) > outlier_z
    return ~outlier


def joint_histogram(x: NDArray[np.float32], y: NDArray[np.float32], bins: int = 15) -> NDArray[np.int64]:
    """`numpy.histogram2d` counts, int64 [bins, bins], edges from the smallest and largest value of each vector."""
    joint, _, _ = np.histogram2d(x, y, bins=bins)
    return joint.astype(np.int64)


def entropy(counts: NDArray[np.int64]) -> float:
    """Plug-in entropy in bits of a table of counts (Shannon 1948)."""
    p = counts[counts > 0] / counts.sum()
    return float(-np.sum(p * np.log2(p)))
