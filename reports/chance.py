"""How much mutual information the plug-in estimator finds where there is none, layer by layer.

The estimator is biased upwards by an amount that depends on the margins: two classes whose values are spread in
different ways differ by chance alone. The level is measured where the store keeps its hidden states: one vector of a
pair is shuffled over the dimensions left, which breaks every dependence and keeps both margins. Elsewhere the margins
are not known, but their entropies are; the level is then that of heavy-tailed margins (Student's t, 3 degrees of
freedom) of that entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from analysis.reference import entropy, joint_histogram, kept_dimensions
from reports.queries import Store, ask
from reports.scope import GRID_MARKS, SEED, Scope

MARKS = 16
SHUFFLES = 4
SCALES = np.geomspace(0.05, 12, 120)
"""Scales of the margins that are tried, in bin widths: from nearly one bin to nearly level."""


@dataclass(frozen=True)
class Chance:
    """The chance level: `frame` has layer, class, chance (bits); `measured` says whether states were shuffled."""

    frame: pd.DataFrame
    sql: str
    measured: bool


def chance_level(store: Store, scope: Scope, bins: int, outlier_z: float) -> Chance:
    """Measured from the kept hidden states of one book, or else computed from the stored entropies."""
    if "hidden_states" in store.tables():
        states = ask(store, "example_states", book=scope.example_book, marks=MARKS)
        if len(states.frame):
            return Chance(_measured(states.frame, bins, outlier_z), states.sql, measured=True)
    entropies = ask(store, "marginal_entropies", books=scope.grid_books, marks=GRID_MARKS)
    return Chance(matched_chance(entropies.frame, bins), entropies.sql, measured=False)


def shuffled_mi(vectors: np.ndarray, bins: int, outlier_z: float) -> float:
    """Mean plug-in MI in bits of neighbouring vectors, float32 `[N, D]`, one of each pair shuffled; NaN for N < 2."""
    rng = np.random.default_rng(SEED)
    kept = [kept_dimensions(vector, outlier_z) for vector in vectors]
    found = []
    for first in range(0, len(vectors) - 1, 2):
        left = kept[first] & kept[first + 1]
        x, y = vectors[first][left], vectors[first + 1][left]
        if not left.any():
            continue
        for _ in range(SHUFFLES):
            joint = joint_histogram(x, rng.permutation(y), bins)
            found.append(entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0)) - entropy(joint))
    return float(np.mean(found)) if found else float("nan")


def matched_chance(entropies: pd.DataFrame, bins: int) -> pd.DataFrame:
    """The chance level for heavy-tailed margins with the given entropies (bits) and numbers of dimensions.

    `entropies` has layer, class, entropy, dimensions. On SmolLM2's states the level comes out a tenth off the measured
    one on average and a third at worst, the difference between the classes 0.005 bits (root mean square over layers).
    """
    levels = []
    for row in entropies.itertuples():
        margins = margins_by_entropy(bins, round(float(row.dimensions)))
        nearest = margins[min(margins, key=lambda known: abs(known - row.entropy))]
        levels.append(expected_mi(nearest, nearest))
    return entropies[["layer", "class"]].assign(chance=levels)


@cache
def margins_by_entropy(bins: int, size: int) -> dict[float, np.ndarray]:
    """Margins of many scales, by their entropy in bits."""
    margins = [margin_counts(scale, bins, size) for scale in SCALES]
    return {entropy(counts): counts for counts in margins}


def margin_counts(scale: float, bins: int, size: int) -> np.ndarray:
    """Counts, int64 `[bins]` with sum `size`, of Student's t (3 degrees of freedom) with that scale in bin widths."""
    edges = (np.arange(bins + 1) - bins / 2) / scale / np.sqrt(3)
    shares = np.diff(np.arctan(edges) + edges / (1 + edges**2))
    wanted = size * shares / shares.sum()
    counts = np.floor(wanted).astype(np.int64)
    counts[np.argsort(counts - wanted, kind="stable")[: size - counts.sum()]] += 1
    return counts


def expected_mi(a: np.ndarray, b: np.ndarray) -> float:
    """Mean plug-in MI in bits over all ways to pair `n` values with margins `a` and `b`, int64 counts of one sum n.

    Each cell's count is hypergeometric (Vinh, Epps and Bailey 2010, Journal of Machine Learning Research 11:2837): the
    exact mean over shuffles.
    """
    n = int(a.sum())
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    total = 0.0
    for x in a[a > 0]:
        for y in b[b > 0]:
            k = np.arange(max(1, x + y - n), min(x, y) + 1)
            ways = log_factorial[[x, n - x, y, n - y]].sum() - log_factorial[n]
            others = log_factorial[k] + log_factorial[x - k] + log_factorial[y - k] + log_factorial[n - x - y + k]
            total += float(np.sum(np.exp(ways - others) * k * np.log2(n * k / (x * y))))
    return total / n if n else float("nan")


def _measured(states: pd.DataFrame, bins: int, outlier_z: float) -> pd.DataFrame:
    rows = []
    for (layer, mark_class), group in states.groupby(["layer", "class"], observed=True):
        vectors = np.stack(group["state"].to_list()).astype(np.float32)
        rows.append((int(layer), str(mark_class), shuffled_mi(vectors, bins, outlier_z)))
    return pd.DataFrame(rows, columns=["layer", "class", "chance"])
