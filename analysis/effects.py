"""How much two classes of pairs differ, with intervals that know that pairs are not independent.

The n (n - 1) / 2 pairs of n tokens carry the information of n tokens. So tokens are resampled, and a pair counts as
often as both of its tokens were drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Effect:
    """A difference between two classes and the bounds of its bootstrap interval."""

    value: float
    low: float
    high: float


def cliffs_delta(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    weights_a: NDArray[np.float64] | None = None,
    weights_b: NDArray[np.float64] | None = None,
) -> float:
    """P(a > b) - P(a < b) for values drawn from either class: -1 to 1, 0 where neither tends to be larger.

    Flat arrays, optionally weighted; NaN where a class has no weight. Cliff (1993, doi:10.1037/0033-2909.114.3.494).
    """
    weights_a = np.ones(len(a)) if weights_a is None else weights_a
    weights_b = np.ones(len(b)) if weights_b is None else weights_b
    if weights_a.sum() == 0 or weights_b.sum() == 0:
        return float("nan")
    order = np.argsort(b, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weights_b[order])])
    smaller = below[np.searchsorted(b[order], a, side="left")]
    not_larger = below[np.searchsorted(b[order], a, side="right")]
    return float(weights_a @ (smaller + not_larger - below[-1]) / (weights_a.sum() * below[-1]))


def mean_difference(
    a: NDArray[np.float64], b: NDArray[np.float64], weights_a: NDArray[np.float64], weights_b: NDArray[np.float64]
) -> float:
    """Weighted mean of `a` less that of `b`; NaN where a class has no weight."""
    if weights_a.sum() == 0 or weights_b.sum() == 0:
        return float("nan")
    return float(np.average(a, weights=weights_a) - np.average(b, weights=weights_b))


def compare(
    a: NDArray[np.float64], b: NDArray[np.float64], statistic: str = "cliffs_delta", *, resamples: int = 500, seed: int,
    confidence: float = 0.95,
) -> Effect:  # fmt: skip
    """Difference between two classes of pairs with a percentile interval from a bootstrap over tokens.

    `a` and `b` are values of all pairs of a class, in `numpy.triu_indices(tokens, 1)` order, without NaN. `statistic`
    is "cliffs_delta" or "mean_difference". A draw in which a class has no pair of two different tokens is left out.
    """
    statistics = {"cliffs_delta": cliffs_delta, "mean_difference": mean_difference}
    if statistic not in statistics:
        raise ValueError(f"statistic is {statistic}; choose one of {', '.join(statistics)}")
    rng = np.random.default_rng(seed)
    pairs_a, pairs_b = _pairs(len(a)), _pairs(len(b))
    function = statistics[statistic]
    draws = [function(a, b, _draw(pairs_a, rng), _draw(pairs_b, rng)) for _ in range(resamples)]
    low, high = np.nanquantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Effect(function(a, b, np.ones(len(a)), np.ones(len(b))), float(low), float(high))


def _pairs(count: int) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Tokens behind `count` pairs of a whole triangle, and the two tokens of each pair."""
    tokens = round((1 + np.sqrt(1 + 8 * count)) / 2)
    if tokens < 2 or tokens * (tokens - 1) // 2 != count:
        raise ValueError(f"{count} values are not all pairs of any number of tokens; pass a whole class")
    i, j = np.triu_indices(tokens, 1)
    return tokens, i, j


def _draw(pairs: tuple[int, NDArray[np.int64], NDArray[np.int64]], rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each pair occurs when as many tokens are drawn with replacement."""
    tokens, i, j = pairs
    drawn = np.bincount(rng.integers(0, tokens, tokens), minlength=tokens).astype(np.float64)
    return drawn[i] * drawn[j]
