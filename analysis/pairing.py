"""All measures of the pairs of one book's marks in one layer: within each class, and between each two.

`BookVectors` takes the hidden states by class and gives rows of pairs, measure by measure, so that a caller may cut
them as it likes: results do not depend on how.

**Centred** vectors answer whether two marks are alike beyond what all marks of their class share. From each vector the
mean of its class is taken, over the marks in the other half of the book's passages (odd and even ones), so that no
vector is in its own mean (cross-fitting: Chernozhukov et al. 2018, doi:10.1111/ectj.12097). Between classes, the mean
of both classes' means is taken from both, so that what sets the classes apart stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.engine.covariance import Panels
from analysis.measures import centred, copula_mi_between, copula_mi_within, copula_scores, means_of_the_other_half
from analysis.pairwise import (
    PairStatistics,
    PreparedVectors,
    correlation_range,
    cross_correlation_range,
    cross_range,
    prepare,
    row_range,
)

Columns = dict[str, NDArray[np.floating]]

NOTEBOOK = "notebook"
STANDARD = "standard"
ALL = "all"
CHOICES = (STANDARD, ALL, NOTEBOOK)
"""Which measures a pair has: the notebook's alone, these with the copula's and the centred ones, or all."""

MEASURES = {
    NOTEBOOK: ("mi", "cov", "corr"),
    STANDARD: ("mi", "cov", "corr", "mi_copula", "corr_centred", "mi_copula_centred"),
    ALL: ("mi", "cov", "corr", "mi_copula", "corr_centred", "mi_copula_centred", "mi_centred"),
}
"""The measures of each choice."""


ROUNDING = 1e-5
"""A centred vector whose largest value is below this share of the vector's own is taken for 0."""


@dataclass(frozen=True)
class PairOptions:
    """How pairs are measured: bins of an axis, threshold of outliers, and which of CHOICES."""

    bins: int = 15
    outlier_z: float | None = 5.0
    measures: str = STANDARD


class BookVectors:
    """The vectors of one book's marks in one layer, by class: `states` float32 [marks, D], `passages` int [marks].

    Raises ValueError where a state is not finite, naming `where`, class, mark and dimension.
    """

    def __init__(
        self,
        states: Mapping[str, NDArray[np.float32]],
        passages: Mapping[str, NDArray[np.integer]],
        options: PairOptions,
        where: str = "",
    ) -> None:
        self._options = options
        self._halves = {name: np.asarray(of) % 2 == 1 for name, of in passages.items()}
        self.prepared: dict[str, PreparedVectors] = {
            name: prepare(x, options.bins, options.outlier_z, where=f"{where} class {name}".strip())
            for name, x in states.items()
        }
        self._centred: tuple[tuple[str, ...], list[_Centred | None]] = ((), [])

    def within(self, name: str, start: int, stop: int) -> tuple[PairStatistics, Columns]:
        """The pairs (i, j), start <= i < stop, i < j, of a class: the notebook's statistics, and the other measures."""
        statistics = row_range(self.prepared[name], start, stop)
        return statistics, self._others((name,), start, stop)

    def between(self, name: str, other: str, start: int, stop: int) -> tuple[PairStatistics, Columns]:
        """The same of the pairs (i, j) of mark i of one class, start <= i < stop, with every mark j of another."""
        statistics = cross_range(self.prepared[name], self.prepared[other], start, stop)
        return statistics, self._others((name, other), start, stop)

    def _others(self, classes: tuple[str, ...], start: int, stop: int) -> Columns:
        if self._options.measures == NOTEBOOK:
            return {}
        scores = [self._scores[name] for name in classes]
        columns: Columns = {"mi_copula": _copula(scores, start, stop)}
        centred = self._centred_of(classes)
        if any(one is None for one in centred):
            missing = np.full(columns["mi_copula"].shape, np.nan)
            columns |= dict.fromkeys(("corr_centred", "mi_copula_centred"), missing)
            return columns | ({"mi_centred": missing} if self._options.measures == ALL else {})
        whole = [one for one in centred if one is not None]
        columns |= self._of_centred([one.prepared for one in whole], start, stop)
        columns["mi_copula_centred"] = _copula([one.scores for one in whole], start, stop)
        return columns

    def _of_centred(self, vectors: list[PreparedVectors], start: int, stop: int) -> Columns:
        """Histograms are most of the engine's work, and only `mi_centred` needs them."""
        first, second = vectors[0], vectors[-1]
        within = len(vectors) == 1
        if self._options.measures == ALL:
            of = row_range(first, start, stop) if within else cross_range(first, second, start, stop)
            return {"corr_centred": of.corr, "mi_centred": of.mi}
        if within:
            return {"corr_centred": correlation_range(first, start, stop)}
        return {"corr_centred": cross_correlation_range(first, second, start, stop)}

    @cached_property
    def _scores(self) -> dict[str, Panels]:
        return {name: copula_scores(prepared.x) for name, prepared in self.prepared.items()}

    def _centred_of(self, classes: tuple[str, ...]) -> list[_Centred | None]:
        """The centred vectors of a class for its own pairs, or of two for the pairs between them.

        Only those asked for last are kept: of sixteen classes, all of them would be a hundred times the states.
        """
        if self._centred[0] != classes:
            self._centred = (classes, [self._centre(name, classes) for name in classes])
        return self._centred[1]

    def _centre(self, name: str, classes: tuple[str, ...]) -> _Centred | None:
        """None where a half of the passages has no mark of one of the classes: there is nothing to centre by."""
        means = [self._means[of] for of in classes]
        if any(of_class is None for of_class in means):
            return None
        mean = np.mean([of for of in means if of is not None], axis=0)
        # Where all marks have one state (the embedding of one token), rounding is all that is left.
        x = centred(self.prepared[name].x, self._halves[name], mean, ROUNDING)
        return _Centred(prepare(x, self._options.bins, self._options.outlier_z), copula_scores(x))

    @cached_property
    def _means(self) -> dict[str, NDArray[np.float64] | None]:
        """What is to be taken from the vectors of each class and half; None where a half has no marks."""
        return {
            name: means_of_the_other_half(prepared.x, half) if half.any() and not half.all() else None
            for (name, prepared), half in zip(self.prepared.items(), self._halves.values(), strict=True)
        }


@dataclass(frozen=True)
class _Centred:
    prepared: PreparedVectors
    scores: Panels


def _copula(scores: list[Panels], start: int, stop: int) -> NDArray[np.float64]:
    if len(scores) == 1:
        return copula_mi_within(scores[0], start, stop)
    return copula_mi_between(scores[0], scores[1], start, stop)
