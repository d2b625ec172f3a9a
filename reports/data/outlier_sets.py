"""How much of covariance and of mutual information hangs on which dimensions the two marks leave out.

A mark leaves out the dimensions in which its state is an outlier. Two pairs of one class may so be measured over
different dimensions, and where a dimension that dwarfs the others is in for some pairs and out for others, their
covariances differ by that alone: an artefact of the threshold, not of the text.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.effects import explained_share
from reports.data.queries import Store, ask
from reports.data.scope import GRID_MARKS, SEED, Scope

SHUFFLES = 10
"""The share that sets without meaning take is a mean over so many shuffles of the sets over the marks."""
MEASURES = ("cov", "mi")


def outlier_set_shares(store: Store, scope: Scope) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The share of the pairs' variance that the pair of outlier sets takes, by layer and class, and the queries.

    Columns: layer, class, sets (different ones), and for cov and mi the share and `<measure>_shuffled`, the same after
    the sets were shuffled over the marks. Pairs of the first marks of one book.
    """
    sets = ask(store, "outlier_sets", book=scope.example_book, marks=GRID_MARKS)
    rows, sql = [], [sets.sql]
    for layer, marks in sets.frame.groupby("layer"):
        pairs = ask(store, "book_pairs", layer=int(layer), book=scope.example_book, marks=GRID_MARKS)
        sql[1:] = [pairs.sql]
        for name in scope.classes.names:
            of_class = marks[marks["class"] == name].sort_values("i")
            shares = shares_of_sets(of_class["outliers"], pairs.frame[pairs.frame["class"] == name])
            rows.append({"layer": int(layer), "class": name, **shares})
    columns = ["layer", "class", "sets", *(f"{name}{end}" for name in MEASURES for end in ("", "_shuffled"))]
    return pd.DataFrame(rows, columns=columns), tuple(sql)


def shares_of_sets(outliers: pd.Series, pairs: pd.DataFrame) -> dict[str, float]:
    """Shares for one class: `outliers` has each mark's dimensions, in the order of the marks; `pairs` i, j, cov, mi."""
    codes, kinds = pd.factorize(outliers.map(lambda dimensions: tuple(int(one) for one in dimensions)))
    shares: dict[str, float] = {"sets": len(kinds)}
    generator = np.random.default_rng(SEED)
    shuffled = [generator.permutation(codes) for _ in range(SHUFFLES)]
    for measure in MEASURES:
        known = pairs[np.isfinite(pairs[measure])]
        i, j = known["i"].to_numpy(dtype=np.intp), known["j"].to_numpy(dtype=np.intp)
        values = known[measure].to_numpy(dtype=np.float64)
        shares[measure] = explained_share(values, pair_codes(codes, i, j))
        shares[f"{measure}_shuffled"] = float(
            np.mean([explained_share(values, pair_codes(each, i, j)) for each in shuffled])
        )
    return shares


def pair_codes(codes: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """A number for the unordered pair of the two marks' codes, int64 `[pairs]`.

    >>> pair_codes(np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([1, 2, 2])).tolist()
    [2, 0, 2]
    """
    count = int(codes.max(initial=0)) + 1
    low, high = np.minimum(codes[i], codes[j]), np.maximum(codes[i], codes[j])
    numbers: np.ndarray = high * count + low
    return numbers
