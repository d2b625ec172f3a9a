"""Mergeable summaries of the measures of pairs: what a report over more pairs than anyone can read is computed from.

A `MeasureSummary` holds count, mean, sum of squared deviations, co-moment with mutual information, extremes and a
fixed-bin histogram of one measure. `merge` is associative and commutative up to rounding, so summaries of books add up
to the summary of a library in any order. The update formulas are those of Chan, Golub & LeVeque (1983,
doi:10.1080/00031305.1983.10483115) and, for the co-moment, Pebay (2008, Sandia SAND2008-6212).

`sums_by_group` adds up a measure by the groups that the two members of a pair belong to: with passages for groups, all
that resampling passages needs; with single marks, each mark's likeness to its class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled
from analysis.histograms import FixedBins

MI_EDGES: NDArray[np.float64] = np.linspace(0.0, 6.0, 241)
"""Edges of the histograms of mutual information, bits: 240 bins of 0.025 up to log2(64), the largest MI of 64 bins.

A bias-corrected estimate can fall below 0: it counts in the first bin."""

_DECADES = np.logspace(-6, 6, 12 * 12 + 1)
COV_EDGES: NDArray[np.float64] = np.concatenate([[-np.inf], -_DECADES[::-1], [0.0], _DECADES, [np.inf]])
"""Edges of the histogram of covariance: 12 bins a decade from 1e-6 to 1e6 on either side of 0; the outer are open."""

CORR_EDGES: NDArray[np.float64] = np.linspace(-1.0, 1.0, 201)
"""Edges of the histograms of correlation: 200 bins of 0.01."""

EDGES: dict[str, NDArray[np.float64]] = {
    "mi": MI_EDGES,
    "cov": COV_EDGES,
    "corr": CORR_EDGES,
    "mi_copula": MI_EDGES,
    "corr_centred": CORR_EDGES,
    "mi_copula_centred": MI_EDGES,
    "mi_centred": MI_EDGES,
}
"""The edges of each measure's histogram; its keys are the measures that a pair can have."""

_BINS = {name: FixedBins(edges) for name, edges in EDGES.items()}


@dataclass(frozen=True)
class MeasureSummary:
    """Summary of one measure over the pairs for which it and mutual information are numbers.

    `m2`: sum of squared deviations from the mean. `mi_comoment`: sum of the products of the deviations of the measure
    and of MI. Mean and extremes are NaN where there are no pairs.
    """

    pairs: int
    mean: float
    m2: float
    minimum: float
    maximum: float
    mi_mean: float
    mi_comoment: float
    histogram: NDArray[np.int64]

    @property
    def variance(self) -> float:
        """Sample variance (divided by pairs - 1); NaN for fewer than two pairs."""
        return self.m2 / (self.pairs - 1) if self.pairs > 1 else math.nan


def summarise(measures: Mapping[str, NDArray[np.floating]]) -> dict[str, MeasureSummary]:
    """The summary of each measure of some pairs; `measures` holds floating arrays of one length, `mi` among them.

    Raises ValueError for arrays of different lengths and a measure that is not known.
    """
    shapes = {name: values.shape for name, values in measures.items()}
    if len(set(shapes.values())) != 1 or measures["mi"].ndim != 1:
        raise ValueError(f"measures have the shapes {shapes}; pass flat arrays of one length")
    unknown = sorted(set(measures) - set(EDGES))
    if unknown:
        raise ValueError(f"measure {unknown[0]!r} is not one of {', '.join(EDGES)}")
    mi = measures["mi"]
    if np.isfinite(mi).all():
        of_mi = _Deviations(mi)
        return {name: _summarise(_BINS[name], values, mi, of_mi) for name, values in measures.items()}
    return {name: _summarise(_BINS[name], values, mi, None) for name, values in measures.items()}


def merge(a: Mapping[str, MeasureSummary], b: Mapping[str, MeasureSummary]) -> dict[str, MeasureSummary]:
    """The summaries of the pairs of both, measure by measure. Raises KeyError where they hold different measures."""
    if a.keys() != b.keys():
        raise KeyError(f"summaries of {sorted(a)} and of {sorted(b)} cannot be merged")
    return {name: _merge(a[name], b[name]) for name in a}


def correlation(summaries: Mapping[str, MeasureSummary], measure: str) -> float:
    """Pearson's r of MI and a measure over the pairs; NaN where either does not vary or has other pairs."""
    mi, other = summaries["mi"], summaries[measure]
    scale = math.sqrt(mi.m2) * math.sqrt(other.m2)
    if not scale > 0 or mi.pairs != other.pairs:
        return math.nan
    return min(1.0, max(-1.0, other.mi_comoment / scale))


def sums_by_group(
    values: NDArray[np.floating], first: NDArray[np.integer], second: NDArray[np.integer], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Sums of measures by group of a pair's first and of its second member: float64 `[..., *shape]`.

    `values` floating `[n]`, or `[measures, n]`; `first`, `second` int `[n]`: the groups of the two members, below
    `shape`. A NaN makes the sum of its groups NaN. Values are added in their order, in double precision.
    """
    return sums_by_member(values, _cells(first, second, shape), shape[0] * shape[1]).reshape(*values.shape[:-1], *shape)


def sums_by_member(values: NDArray[np.floating], member: NDArray[np.integer], members: int) -> NDArray[np.float64]:
    """The same by one member of each pair, int `[n]`, below `members`: float64 `[..., members]`."""
    if len(member) and not 0 <= member.min() <= member.max() < members:
        raise ValueError(f"members from {member.min()} to {member.max()}; there are {members}, counted from 0")
    rows = np.atleast_2d(values)
    sums = np.zeros((members, len(rows)))
    _add(rows, member, sums)
    return np.ascontiguousarray(sums.T).reshape(*values.shape[:-1], members)


def counts_by_group(
    first: NDArray[np.integer], second: NDArray[np.integer], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """How many pairs have their members in each two groups: int64 `shape`; see `sums_by_group`."""
    return np.bincount(_cells(first, second, shape), minlength=shape[0] * shape[1]).reshape(shape)


def _cells(first: NDArray[np.integer], second: NDArray[np.integer], shape: tuple[int, int]) -> NDArray[np.int64]:
    return first.astype(np.int64) * shape[1] + second


@compiled
def _add(values: NDArray[np.floating], member: NDArray[np.integer], sums: NDArray[np.float64]) -> None:
    """All measures of a pair together: neighbours mostly share a group, and a sum waits for the one before."""
    for k in range(member.size):
        row = np.uintp(member[k])
        for m in range(values.shape[0]):
            sums[row, m] += values[m, k]


class _Deviations:
    """Mean of finite values and, for the sums, what each is from it: float64."""

    def __init__(self, values: NDArray[np.floating]) -> None:
        doubles = values.astype(np.float64)
        self.mean = float(doubles.mean()) if doubles.size else math.nan
        self.deviation = np.subtract(doubles, self.mean, out=doubles)


def _summarise(
    bins: FixedBins, values: NDArray[np.floating], mi: NDArray[np.floating], of_mi: _Deviations | None
) -> MeasureSummary:
    """`of_mi`: that of all of `mi`, where all of it is finite."""
    numbers = np.isfinite(values)
    if of_mi is None or not numbers.all():
        numbers &= np.isfinite(mi)
        values, of_mi = values[numbers], _Deviations(mi[numbers])
    histogram = bins.count(values)
    if values.size == 0:
        nan = math.nan
        return MeasureSummary(0, nan, 0.0, nan, nan, nan, 0.0, histogram)
    own = _Deviations(values)
    # Summed by numpy and not by BLAS, whose last bit moves with the number of threads.
    comoment = float((own.deviation * of_mi.deviation).sum())
    return MeasureSummary(
        pairs=values.size,
        mean=own.mean,
        m2=float(np.square(own.deviation, out=own.deviation).sum()),
        minimum=float(values.min()),
        maximum=float(values.max()),
        mi_mean=of_mi.mean,
        mi_comoment=comoment,
        histogram=histogram,
    )


def _merge(a: MeasureSummary, b: MeasureSummary) -> MeasureSummary:
    if a.pairs == 0 or b.pairs == 0:
        return a if b.pairs == 0 else b
    pairs = a.pairs + b.pairs
    weight = b.pairs / pairs
    step, mi_step = b.mean - a.mean, b.mi_mean - a.mi_mean
    spread = a.pairs * weight
    return MeasureSummary(
        pairs=pairs,
        mean=a.mean + step * weight,
        m2=a.m2 + b.m2 + step * step * spread,
        minimum=min(a.minimum, b.minimum),
        maximum=max(a.maximum, b.maximum),
        mi_mean=a.mi_mean + mi_step * weight,
        mi_comoment=a.mi_comoment + b.mi_comoment + step * mi_step * spread,
        histogram=a.histogram + b.histogram,
    )
