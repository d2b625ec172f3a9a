"""What outlier sets explain, against pairs that are made by them and pairs that know nothing of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.effects import explained_share
from reports.data.outlier_sets import outlier_set_shares, pair_codes, shares_of_sets

MARKS = 80


def made_up(of_sets: float, noise: float) -> tuple[pd.Series, pd.DataFrame]:
    """Marks that leave out one of three sets of dimensions, and pairs whose covariance hangs on it as much as said."""
    random = np.random.default_rng(5)
    kinds = [[], [7], [7, 12]]
    chosen = random.integers(0, 3, MARKS)
    i, j = np.triu_indices(MARKS, 1)
    effects = random.normal(size=(3, 3))
    effects = effects + effects.T
    cov = of_sets * effects[chosen[i], chosen[j]] + noise * random.normal(size=len(i))
    pairs = pd.DataFrame({"i": i, "j": j, "cov": cov, "mi": random.normal(size=len(i))})
    return pd.Series([kinds[kind] for kind in chosen]), pairs


def test_what_hangs_on_the_sets_alone_is_explained_by_them():
    shares = shares_of_sets(*made_up(1, 0))
    assert shares["sets"] == 3
    assert shares["cov"] == pytest.approx(1)
    assert shares["cov_shuffled"] < 0.1
    assert shares["mi"] < 0.01


def test_what_hangs_on_nothing_is_explained_no_better_than_by_shuffled_sets():
    shares = shares_of_sets(*made_up(0, 1))
    assert shares["cov"] == pytest.approx(shares["cov_shuffled"], abs=0.003)
    assert shares["cov"] < 0.005


def test_half_the_variance_is_half():
    outliers, pairs = made_up(1, 0)
    noise = np.random.default_rng(6).normal(0, pairs["cov"].std(), len(pairs))
    assert shares_of_sets(outliers, pairs.assign(cov=pairs["cov"] + noise))["cov"] == pytest.approx(0.5, abs=0.03)


def test_the_share_is_eta_squared_and_unknown_where_nothing_varies():
    values, groups = np.array([1.0, 2.0, 6.0, 7.0]), np.array([0, 0, 1, 1])
    assert explained_share(values, groups) == pytest.approx(25 / 26)
    assert np.isnan(explained_share(np.ones(3), np.zeros(3, dtype=int)))
    assert np.isnan(explained_share(np.empty(0), np.empty(0, dtype=int)))


def test_a_pair_of_sets_has_no_order():
    codes = np.array([2, 0, 1])
    first, second = np.array([0, 1, 0, 2]), np.array([1, 0, 2, 0])
    found = pair_codes(codes, first, second)
    assert found[0] == found[1] != found[2] == found[3]


def test_a_store_s_sets_are_those_of_its_marks(store, scope):
    frame, sql = outlier_set_shares(store, scope)
    assert len(frame) == 8
    of_book = f"FROM mark_layers WHERE book = '{scope.example_book}'"
    counted = store.sql(f"SELECT layer, class, count(DISTINCT outliers) {of_book} GROUP BY ALL").fetchall()
    assert {(row.layer, row[1]): row.sets for row in frame.itertuples(index=False)} == {
        (layer, name): sets for layer, name, sets in counted
    }
    assert all(len(store.sql(query).df()) for query in sql)
