"""What mutual information would be without dependence: bias corrections, a permutation null, a Gaussian reference.

Plug-in MI is biased upwards: independent Gaussian vectors of 1,024 dimensions and 15 x 15 bins have a plug-in MI of
about 0.12 bits. The bias depends on the margins and on the number of dimensions left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.pairwise import PreparedVectors, joint_counts
from analysis.reference import entropy


def miller_madow(joint: NDArray[np.int64]) -> float:
    """MI in bits of a table of joint counts, each entropy corrected by (K - 1) / (2 n ln 2), K its *occupied* cells.

    The convention matters: with all cells instead of the occupied ones the correction is too large. NaN for an empty
    table. Miller (1955), "Note on the bias of information estimates".
    """
    n = joint.sum()
    if n == 0:
        return float("nan")
    tables = joint.sum(axis=1), joint.sum(axis=0), joint
    h_x, h_y, h_xy = (entropy(t) + (np.count_nonzero(t) - 1) / (2 * n * np.log(2)) for t in tables)
    return float(h_x + h_y - h_xy)


def permutation_null(
    prepared: PreparedVectors, pairs: NDArray[np.int64], permutations: int, seed: int
) -> NDArray[np.float64]:
    """Plug-in MI in bits of pairs whose dependence is broken: float64 [P, permutations].

    `pairs` is int64 [P, 2], indices of vectors. The dimensions left in a pair are permuted in one vector, which keeps
    both margins. Rows are NaN where no dimension is left.
    """
    rng = np.random.default_rng(seed)
    null = np.empty((len(pairs), permutations))
    for row, (i, j) in enumerate(pairs):
        joint = joint_counts(prepared, int(i), prepared, int(j))
        bins = len(joint)
        x, y = np.repeat(np.arange(bins), joint.sum(axis=1)), np.repeat(np.arange(bins), joint.sum(axis=0))
        margins = entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0)) if x.size else np.nan
        for k in range(permutations):
            shuffled = np.bincount(x * bins + rng.permutation(y), minlength=bins * bins)
            null[row, k] = margins - entropy(shuffled) if x.size else np.nan
    return null


def gaussian_mi(corr: NDArray[np.float64]) -> NDArray[np.float64]:
    """MI in bits of jointly Gaussian variables with correlation `corr`: -log2(1 - r^2) / 2; infinite at |r| = 1."""
    with np.errstate(divide="ignore"):
        return -0.5 * np.log2(1 - np.square(corr))
