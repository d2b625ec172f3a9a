"""Measures of pairs beside the notebook's: Gaussian-copula mutual information, and all of it for centred vectors.

The copula's mutual information looks at ranks alone. Ranks become normal scores; the correlation r of the scores of two
vectors gives -1/2 log2(1 - r^2) bits, which is exact where the dependence is Gaussian up to monotone changes of each
side, and a lower bound to the information otherwise. It sees monotone dependence only, needs no bins and no outlier
rule, and takes all D dimensions. Ince et al. 2017, Human Brain Mapping 38, doi:10.1002/hbm.23471.

Centring takes from each vector what its class has in common: a mean in which the vector itself has no part.
"""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled
from analysis.engine.covariance import Panels, panels_of, products_between, products_within
from analysis.engine.ranks import by_rank
from analysis.engine.scratch import scratch_of_this_thread


def normal_scores(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Normal scores of each vector of float32 [N, D], of mean 0 and length 1: float64 [N, D].

    The score of a value of rank k among D is the normal quantile of k / (D + 1); equal values share the mean of their
    ranks. A constant vector has none: its row is NaN. Raises ValueError for values that are NaN.
    """
    if np.isnan(x).any():
        raise ValueError("vectors have NaN, which has no rank; leave such marks out")
    return _of_length_one(by_rank(x, _quantiles(x.shape[1])))


def copula_scores(x: NDArray[np.float32]) -> Panels:
    """The normal scores of vectors float32 [N, D], as `copula_mi_within` and `copula_mi_between` take them."""
    return panels_of(normal_scores(x))


def copula_mi_within(scores: Panels, start: int, stop: int) -> NDArray[np.float64]:
    """Copula MI in bits of all pairs (i, j) with start <= i < stop and i < j < N, row-major: as `pairwise.row_range`.

    `scores` are those of `copula_scores`. Bias-corrected, so that it may be a little below 0; NaN where a vector is
    constant.
    """
    _check_rows(start, stop, scores.number)
    return gaussian_information(products_within(scores, start, stop, scratch_of_this_thread()), _dimensions(scores))


def copula_mi_between(a: Panels, b: Panels, start: int, stop: int) -> NDArray[np.float64]:
    """Copula MI in bits of the vectors start to stop of `a` with all of `b`, row-major: as `pairwise.cross_range`.

    `a` and `b` are those of `copula_scores`. Raises ValueError where their dimensions differ.
    """
    if _dimensions(a) != _dimensions(b):
        raise ValueError(
            f"scores of {_dimensions(a)} and of {_dimensions(b)} dimensions; both must come from the same model"
        )
    _check_rows(start, stop, a.number)
    return gaussian_information(products_between(a, b, start, stop, scratch_of_this_thread()), _dimensions(a))


def gaussian_information(r: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """Mutual information in bits of two Gaussian variables whose correlation over `samples` is `r`, less its bias.

    -1/2 log2(1 - r^2) + (psi((n - 2) / 2) - psi((n - 1) / 2)) / (2 ln 2), psi being the digamma function: the entropy
    of a Gaussian from a sample covariance is biased by a known amount for each variable (Misra et al. 2005; Ince et al.
    2017). Vectors of the same order would have infinite information; float64 tells 26 bits at most. NaN for fewer than
    three samples.
    """
    if samples < 3:
        return np.full_like(r, np.nan)
    rest = np.maximum(1 - r * r, np.finfo(np.float64).eps)
    bias = (_digamma((samples - 1) / 2) - _digamma((samples - 2) / 2)) / (2 * np.log(2))
    information: NDArray[np.float64] = -0.5 * np.log2(rest) - bias
    return information


def means_of_the_other_half(x: NDArray[np.float32], half: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Float64 [2, D]: row h is to be taken from the vectors of half h, and is the mean of those of the other.

    `half`, bool [N], says in which half of the passages each vector of `x`, float32 [N, D], stands. Raises ValueError
    where a half has none.
    """
    for h in (False, True):
        if not (half == h).any():
            raise ValueError(f"half {int(h)} of the passages has none of the {len(x)} marks; centring needs both")
    return np.stack([x[half != h].mean(axis=0, dtype=np.float64) for h in (False, True)])


def centred(
    x: NDArray[np.float32], half: NDArray[np.bool_], means: NDArray[np.float64], rounding: float = 0.0
) -> NDArray[np.float32]:
    """Float32 [N, D]: each vector of `x` less `means[its half]`.

    For pairs within a class, `means` are that class's `means_of_the_other_half`; between two classes, the average of
    both classes' means, so that the classes weigh the same whatever their sizes. A vector of which no more than the
    share `rounding` of its largest value is left becomes 0.
    """
    rest = np.empty_like(x)
    _centre(x, half, means, np.float32(rounding), rest)
    return rest


@compiled
def _centre(
    x: NDArray[np.float32],
    half: NDArray[np.bool_],
    means: NDArray[np.float64],
    rounding: np.float32,
    rest: NDArray[np.float32],
) -> None:
    for i in range(x.shape[0]):
        row, left, mean = x[i], rest[i], means[int(half[i])]
        largest, largest_left = np.float32(0), np.float32(0)
        for d in range(row.size):
            left[d] = np.float32(row[d] - mean[d])
            largest = max(largest, abs(row[d]))
            largest_left = max(largest_left, abs(left[d]))
        if largest_left <= rounding * largest:
            left[:] = np.float32(0)


@lru_cache(maxsize=8)
def _quantiles(dimensions: int) -> NDArray[np.float64]:
    """Normal quantiles of k / (D + 1) by 2 k, float64 [2 D + 1]: shared ranks are whole or half."""
    normal = NormalDist()
    found = np.array([np.nan, *(normal.inv_cdf(k / (2 * dimensions + 2)) for k in range(1, 2 * dimensions + 1))])
    found.flags.writeable = False
    return found


def _dimensions(scores: Panels) -> int:
    return int(scores.values.shape[1])


def _check_rows(start: int, stop: int, number: int) -> None:
    if not 0 <= start <= stop <= number:
        raise ValueError(f"rows {start} to {stop} are not a range within the {number} vectors")


def _of_length_one(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Takes each row's mean from it and divides by its length, in place; NaN for rows without one."""
    scores -= scores.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("nd,nd->n", scores, scores))[:, None]
    scores /= np.where(length > 1e-9, length, np.nan)
    return scores


def _digamma(x: float) -> float:
    """The digamma function for x > 0, to 1e-13 (Abramowitz and Stegun 6.3.5 and 6.3.18)."""
    below = 0.0
    while x < 20:
        below += 1 / x
        x += 1
    square = 1 / (x * x)
    return (
        float(np.log(x)) - 0.5 / x - square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240))) - below
    )
