"""How much mutual information the plug-in estimator finds where there is none, layer by layer.

The estimator is biased upwards. Where a store keeps its hidden states, the bias is measured: one vector of a pair is
shuffled over the dimensions left, which breaks every dependence and keeps both margins, and the estimate taken again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.reference import entropy, joint_histogram, kept_dimensions
from reports.queries import Answer, Store, ask
from reports.scope import SEED

MARKS = 16
SHUFFLES = 4
COLUMNS = ["layer", "class", "chance"]


def measured_chance(store: Store, book: str, bins: int, outlier_z: float) -> Answer | None:
    """Mean plug-in MI (bits) of shuffled pairs of one book by layer and class; None where no states are kept."""
    if "hidden_states" not in store.tables():
        return None
    states = ask(store, "example_states", book=book, marks=MARKS)
    rows = []
    for (layer, mark_class), group in states.frame.groupby(["layer", "class"], observed=True):
        vectors = np.stack(group["state"].to_list()).astype(np.float32)
        rows.append((int(layer), str(mark_class), shuffled_mi(vectors, bins, outlier_z)))
    return Answer(pd.DataFrame(rows, columns=COLUMNS), states.sql)


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
