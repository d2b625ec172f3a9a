"""Mergeable summaries of pairs: what a report over more pairs than anyone can read is computed from.

A `PairSummary` holds count, means, sums of squared deviations, co-moment, extremes and fixed-bin histograms of mutual
information and covariance. `merge` is associative and commutative up to rounding, so summaries of books add up to the
summary of a library in any order. The update formulas are those of Chan, Golub & LeVeque (1983,
doi:10.1080/00031305.1983.10483115) and, for the co-moment, Pebay (2008, Sandia SAND2008-6212).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.histograms import FixedBins

MI_EDGES: NDArray[np.float64] = np.linspace(0.0, 6.0, 241)
"""Edges of `mi_histogram`, bits: 240 bins of 0.025 up to log2(64), the largest MI of 64 bins."""

_DECADES = np.logspace(-6, 6, 12 * 12 + 1)
COV_EDGES: NDArray[np.float64] = np.concatenate([[-np.inf], -_DECADES[::-1], [0.0], _DECADES, [np.inf]])
"""Edges of `cov_histogram`: 12 bins a decade from 1e-6 to 1e6 on either side of 0; the outer bins are open."""

_MI_BINS, _COV_BINS = FixedBins(MI_EDGES), FixedBins(COV_EDGES)


@dataclass(frozen=True)
class PairSummary:
    """Summary of pairs whose MI and covariance are both numbers; the others are left out of all fields.

    `*_m2` are sums of squared deviations from the mean, `mi_cov_comoment` that of the products of deviations. Means
    and extremes are NaN where there are no pairs.
    """

    pairs: int
    mi_mean: float
    mi_m2: float
    mi_min: float
    mi_max: float
    cov_mean: float
    cov_m2: float
    cov_min: float
    cov_max: float
    mi_cov_comoment: float
    mi_histogram: NDArray[np.int64]
    cov_histogram: NDArray[np.int64]

    @property
    def mi_variance(self) -> float:
        """Sample variance of MI (divided by pairs - 1), bits squared; NaN for fewer than two pairs."""
        return self.mi_m2 / (self.pairs - 1) if self.pairs > 1 else math.nan

    @property
    def cov_variance(self) -> float:
        """Sample variance of the covariance (divided by pairs - 1); NaN for fewer than two pairs."""
        return self.cov_m2 / (self.pairs - 1) if self.pairs > 1 else math.nan

    @property
    def correlation(self) -> float:
        """Pearson's r of MI and covariance over the pairs; NaN where either does not vary."""
        scale = math.sqrt(self.mi_m2) * math.sqrt(self.cov_m2)
        return min(1.0, max(-1.0, self.mi_cov_comoment / scale)) if scale > 0 else math.nan


def summarise(mi: NDArray[np.floating], cov: NDArray[np.floating]) -> PairSummary:
    """Summary of pairs with mutual information `mi` (bits) and covariance `cov`, floating arrays of one length."""
    if mi.shape != cov.shape or mi.ndim != 1:
        raise ValueError(f"mi is {list(mi.shape)} and cov {list(cov.shape)}; pass two flat arrays of one length")
    numbers = np.isfinite(mi) & np.isfinite(cov)
    if not numbers.all():
        mi, cov = mi[numbers], cov[numbers]
    return _summarise(mi, cov)


def merge(a: PairSummary, b: PairSummary) -> PairSummary:
    """The summary of the pairs of both."""
    if a.pairs == 0 or b.pairs == 0:
        return a if b.pairs == 0 else b
    pairs = a.pairs + b.pairs
    weight = b.pairs / pairs
    mi_step, cov_step = b.mi_mean - a.mi_mean, b.cov_mean - a.cov_mean
    spread = a.pairs * weight
    return PairSummary(
        pairs=pairs,
        mi_mean=a.mi_mean + mi_step * weight,
        mi_m2=a.mi_m2 + b.mi_m2 + mi_step * mi_step * spread,
        mi_min=min(a.mi_min, b.mi_min),
        mi_max=max(a.mi_max, b.mi_max),
        cov_mean=a.cov_mean + cov_step * weight,
        cov_m2=a.cov_m2 + b.cov_m2 + cov_step * cov_step * spread,
        cov_min=min(a.cov_min, b.cov_min),
        cov_max=max(a.cov_max, b.cov_max),
        mi_cov_comoment=a.mi_cov_comoment + b.mi_cov_comoment + mi_step * cov_step * spread,
        mi_histogram=a.mi_histogram + b.mi_histogram,
        cov_histogram=a.cov_histogram + b.cov_histogram,
    )


def _summarise(mi: NDArray[np.floating], cov: NDArray[np.floating]) -> PairSummary:
    mi_histogram, cov_histogram = _MI_BINS.count(mi), _COV_BINS.count(cov)
    if mi.size == 0:
        nan = math.nan
        return PairSummary(0, nan, 0.0, nan, nan, nan, 0.0, nan, nan, 0.0, mi_histogram, cov_histogram)
    mi, cov = mi.astype(np.float64), cov.astype(np.float64)
    mi_mean, cov_mean = float(mi.mean()), float(cov.mean())
    # Summed by numpy and not by BLAS, whose last bit moves with the number of threads.
    mi_deviation, cov_deviation = mi - mi_mean, cov - cov_mean
    return PairSummary(
        pairs=mi.size,
        mi_mean=mi_mean,
        mi_m2=float(np.square(mi_deviation).sum()),
        mi_min=float(mi.min()),
        mi_max=float(mi.max()),
        cov_mean=cov_mean,
        cov_m2=float(np.square(cov_deviation).sum()),
        cov_min=float(cov.min()),
        cov_max=float(cov.max()),
        mi_cov_comoment=float((mi_deviation * cov_deviation).sum()),
        mi_histogram=mi_histogram,
        cov_histogram=cov_histogram,
    )
