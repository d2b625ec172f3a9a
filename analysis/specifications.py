"""The contrast of two classes of vectors under other ways of measuring pairs: does a finding hang on one of them?

A `Measuring` is one way: bins, outlier threshold, which form of the states, which estimator. `Trial` holds the vectors
of two classes of one book in one layer, and gives for each way the mutual information of all pairs, summed by passages:
what `analysis.contrasts` makes likeness, difference and separation of. Forms of the states are made once for all ways.

- **raw**: as the model gives them.
- **centred**: each class less its own mean over the other half of the passages; between two classes, less the middle
  of both means. A separation of centred classes is not defined, for pairs within and between are centred differently.
- **standardised**: each dimension less its mean, over its standard deviation, both over the marks of both classes.

Multiverse analysis: Steegen et al. 2016, doi:10.1177/1745691616658637; specification curves: Simonsohn et al. 2020,
doi:10.1038/s41562-020-0912-z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.contrasts import Floats, PairSums, contrast, counted, pseudo_values
from analysis.measures import centred, copula_mi_between, copula_mi_within, copula_scores, means_of_the_other_half
from analysis.pairing import ROUNDING
from analysis.pairwise import cross_range, prepare, row_range
from analysis.summaries import counts_by_group, sums_by_group

RAW, CENTRED, STANDARDISED = "raw", "centred", "standardised"
FORMS = (RAW, CENTRED, STANDARDISED)

HISTOGRAM, COPULA = "histogram", "copula"
ESTIMATORS = (HISTOGRAM, COPULA)

QUANTITIES = ("difference", "separation")
"""What is estimated of two classes, in the order of columns."""

Vectors = NDArray[np.float32]
Passages = NDArray[np.integer]


@dataclass(frozen=True)
class Measuring:
    """One way to measure pairs. The copula knows neither bins nor a threshold: both are None with it.

    `outlier_z` None: no dimension is left out. `states`: one of FORMS, `estimator`: one of ESTIMATORS.
    """

    bins: int | None = 15
    outlier_z: float | None = 5.0
    states: str = RAW
    estimator: str = HISTOGRAM

    def __post_init__(self) -> None:
        if self.states not in FORMS or self.estimator not in ESTIMATORS:
            raise ValueError(f"states {self.states!r} or estimator {self.estimator!r} is none of {FORMS}, {ESTIMATORS}")
        if (self.estimator == COPULA) != (self.bins is None) or (self.bins is None and self.outlier_z is not None):
            raise ValueError(f"{self}: a histogram takes bins; the copula takes neither bins nor a threshold")


@dataclass(frozen=True, eq=False)
class Contrasted:
    """Difference and separation under one specification: `whole` float64 [2], `by_passage` pseudo-values [P, 2]."""

    whole: Floats
    by_passage: Floats


class Trial:
    """The vectors of two classes, float32 [marks, D] each, and the passages of their marks, int [marks] each."""

    def __init__(self, first: Vectors, second: Vectors, passages: tuple[Passages, Passages]) -> None:
        self._raw = (first, second)
        self._passages = passages
        self._count = 1 + max((int(of.max()) for of in passages if len(of)), default=-1)

    def sums(self, measuring: Measuring) -> tuple[PairSums, PairSums, PairSums] | None:
        """MI of the pairs within the first class, within the second and between, by passages; one layer.

        None where the states cannot be centred: a half of the passages has no mark of one of the classes.
        """
        forms = self._forms(measuring.states)
        if forms is None:
            return None
        within, between = forms
        if measuring.estimator == COPULA:
            values = self._copula(measuring.states, within, between)
        else:
            values = _histogram(measuring, within, between)
        first, second = self._passages
        return (
            self._by_passage(values[0], *_triangle(first)),
            self._by_passage(values[1], *_triangle(second)),
            self._by_passage(values[2], np.repeat(first, len(second)), np.tile(second, len(first))),
        )

    def _forms(self, states: str) -> tuple[tuple[Vectors, Vectors], tuple[Vectors, Vectors]] | None:
        """The vectors of both classes for the pairs within them, and for those between."""
        if states == CENTRED:
            return self._centred
        chosen = self._raw if states == RAW else self._standardised
        return chosen, chosen

    @cached_property
    def _standardised(self) -> tuple[Vectors, Vectors]:
        return standardised(*self._raw)

    @cached_property
    def _centred(self) -> tuple[tuple[Vectors, Vectors], tuple[Vectors, Vectors]] | None:
        halves = [np.asarray(of) % 2 == 1 for of in self._passages]
        if any(not half.any() or half.all() for half in halves):
            return None
        means = [means_of_the_other_half(x, half) for x, half in zip(self._raw, halves, strict=True)]
        middle = np.mean(means, axis=0)
        own = [centred(x, h, m, ROUNDING) for x, h, m in zip(self._raw, halves, means, strict=True)]
        both = [centred(x, h, middle, ROUNDING) for x, h in zip(self._raw, halves, strict=True)]
        return (own[0], own[1]), (both[0], both[1])

    def _copula(
        self, states: str, within: tuple[Vectors, Vectors], between: tuple[Vectors, Vectors]
    ) -> tuple[Floats, Floats, Floats]:
        own = [copula_scores(x) for x in within]
        both = own if between is within else [copula_scores(x) for x in between]
        return (
            copula_mi_within(own[0], 0, len(within[0])),
            copula_mi_within(own[1], 0, len(within[1])),
            copula_mi_between(both[0], both[1], 0, len(between[0])),
        )

    def _by_passage(self, values: Floats, first: Passages, second: Passages) -> PairSums:
        shape = (self._count, self._count)
        return PairSums(counts_by_group(first, second, shape), sums_by_group(values, first, second, shape)[None])


def contrasted(
    sums: tuple[PairSums, PairSums, PairSums], measuring: Measuring, touching: NDArray[np.bool_] | None = None
) -> Contrasted:
    """Difference and separation over the pairs that `counted` leaves; NaN where one is not defined.

    `touching`: bool [P - 1], whether a passage touches the next; none does where it is left out.
    """
    apart = np.zeros(max(0, len(sums[0].pairs) - 1), dtype=np.bool_) if touching is None else touching
    first, second, between = counted(dict(enumerate(sums)), apart).values()
    whole, pseudo = contrast(first, second, between), pseudo_values(first, second, between)
    columns = [np.concatenate([c.difference, c.separation], axis=-1) for c in (whole, pseudo)]
    if measuring.states == CENTRED:
        for values in columns:
            values[..., 1] = np.nan
    return Contrasted(columns[0], columns[1])


def standardised(first: Vectors, second: Vectors) -> tuple[Vectors, Vectors]:
    """Both classes with each dimension less its mean over its standard deviation, over the marks of both.

    A dimension in which no mark differs becomes 0.
    """
    together = np.concatenate([first, second]).astype(np.float64)
    spread = together.std(axis=0, ddof=1)
    away = together - together.mean(axis=0)
    usable = spread > 1e-6 * np.abs(together).max(axis=0, initial=0.0)
    scaled = np.divide(away, spread, out=np.zeros_like(away), where=usable).astype(np.float32)
    return np.ascontiguousarray(scaled[: len(first)]), np.ascontiguousarray(scaled[len(first) :])


def share_with_sign(estimates: Floats, default: float) -> float:
    """The share of estimates that have the default's sign; NaN where there is none, or the default is 0 or NaN."""
    present = estimates[np.isfinite(estimates)]
    if not len(present) or not math.isfinite(default) or default == 0:
        return math.nan
    return float((np.sign(present) == np.sign(default)).mean())


def _histogram(
    measuring: Measuring, within: tuple[Vectors, Vectors], between: tuple[Vectors, Vectors]
) -> tuple[Floats, Floats, Floats]:
    assert measuring.bins is not None
    own = [prepare(x, measuring.bins, measuring.outlier_z) for x in within]
    both = own if between is within else [prepare(x, measuring.bins, measuring.outlier_z) for x in between]
    first, second = (row_range(of, 0, len(of.x)).mi for of in own)
    return first, second, cross_range(both[0], both[1], 0, len(both[0].x)).mi


def _triangle(passages: Passages) -> tuple[Passages, Passages]:
    i, j = np.triu_indices(len(passages), 1)
    return passages[i], passages[j]
