"""The clouds that clusters of marks make of their pairs, and how much of a measure's variance lies between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled

Labels = NDArray[np.int64]


class CloudVariance:
    """How much of each measure's variance over pairs the clusters of the two marks take: R^2 of the clouds' means."""

    def __init__(self, clusters: int, measures: int) -> None:
        self._totals = np.zeros((clusters, clusters, measures, 3))

    def add(
        self,
        first: Labels,
        second: Labels,
        i: NDArray[np.integer],
        j: NDArray[np.integer],
        values: Sequence[NDArray[np.floating]],
    ) -> None:
        """Take in the pairs of marks i of those labelled `first` and j of `second`, with each measure [pairs].

        What is not finite is left out.
        """
        _add(first, second, i, j, np.stack(values).astype(np.float32, copy=False), self._totals)

    @property
    def shares(self) -> list[float]:
        """Of each measure 0 to 1; NaN where there are no pairs or they do not vary."""
        return [_share(*self._totals[:, :, measure].reshape(-1, 3).T) for measure in range(self._totals.shape[2])]


def _share(counts: NDArray[np.float64], sums: NDArray[np.float64], squares: NDArray[np.float64]) -> float:
    pairs = counts.sum()
    if not pairs:
        return np.nan
    mean = sums.sum() / pairs
    total = squares.sum() - pairs * mean**2
    between = (sums**2 / np.maximum(counts, 1)).sum() - pairs * mean**2
    return float(np.clip(between / total, 0, 1)) if total > 1e-12 * squares.sum() else np.nan


@compiled
def _add(
    first: Labels,
    second: Labels,
    i: NDArray[np.integer],
    j: NDArray[np.integer],
    values: NDArray[np.float32],
    totals: NDArray[np.float64],
) -> None:
    for pair in range(len(i)):
        a, b = first[np.uintp(i[pair])], second[np.uintp(j[pair])]
        cloud = totals[np.uintp(min(a, b)), np.uintp(max(a, b))]
        for measure in range(len(values)):
            value = np.float64(values[measure, pair])
            if np.isfinite(value):
                cloud[measure, 0] += 1.0
                cloud[measure, 1] += value
                cloud[measure, 2] += value * value
