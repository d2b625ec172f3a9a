"""How much mutual information the plug-in estimator finds where there is none, layer by layer.

That is the estimator's bias for independent vectors of the same margins; the bias of dependent ones is smaller. Where
the store keeps its hidden states, the margins are known. Elsewhere only their entropies are; the level is then that of
heavy-tailed margins of that entropy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.nulls import chance_mi, expected_mi_of_entropy
from reports.data.queries import Store, ask
from reports.data.scope import GRID_MARKS, SEED, Scope

PAIRS = 60
MARKS = 2 * PAIRS
"""About so many marks of each class, evenly over the book, make the pairs that the level is measured on."""


@dataclass(frozen=True)
class Chance:
    """The chance level: `frame` has layer, class, chance (bits); `measured` says whether margins are of states."""

    frame: pd.DataFrame
    sql: str
    measured: bool


def chance_level(store: Store, scope: Scope, bins: int, outlier_z: float | None) -> Chance:
    """Measured from the kept hidden states of one book, or else computed from the stored entropies."""
    if "hidden_states" in store.tables():
        states = ask(store, "example_states", book=scope.example_book, marks=MARKS)
        if len(states.frame):
            return Chance(_measured(states.frame, bins, outlier_z), states.sql, measured=True)
    entropies = ask(store, "marginal_entropies", books=scope.grid_books, marks=GRID_MARKS)
    return Chance(_computed(entropies.frame, bins), entropies.sql, measured=False)


def unknown_chance() -> Chance:
    """No level for any layer, where it cannot be computed."""
    return Chance(pd.DataFrame({"layer": [], "class": [], "chance": []}), "", measured=False)


def _measured(states: pd.DataFrame, bins: int, outlier_z: float | None) -> pd.DataFrame:
    """`states` has layer, class, state; pairs of a layer and class are drawn with the report's seed."""
    rows = []
    for (layer, mark_class), group in states.groupby(["layer", "class"], observed=True):
        vectors = np.stack(group["state"].to_list()).astype(np.float32)
        level = chance_mi(vectors, bins, outlier_z, pairs=PAIRS, rng=np.random.default_rng(SEED))
        rows.append((int(layer), str(mark_class), level))
    return pd.DataFrame(rows, columns=["layer", "class", "chance"])


def _computed(entropies: pd.DataFrame, bins: int) -> pd.DataFrame:
    """`entropies` has layer, class, entropy (bits), dimensions: means over pairs."""
    levels = [expected_mi_of_entropy(row.entropy, bins, round(float(row.dimensions))) for row in entropies.itertuples()]
    return entropies[["layer", "class"]].assign(chance=levels)
