"""Intervals against closed forms, a plain loop, and simulated studies whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.bootstrap import RESAMPLES, percentile_interval
from reports.data.intervals import draws_over_marks, layer_differences, layer_means, observed_means
from tests.reports.classes import TWO


def additive_pairs(marks: int, seed: int, layers: int = 1) -> pd.DataFrame:
    """Pairs whose mi is the sum of a value of each mark: their mean has a standard error in closed form."""
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(marks, 1)
    frames = []
    for layer in range(layers):
        for mark_class in ("internal", "terminal"):
            value = rng.normal(size=marks)
            mi = value[i] + value[j]
            frames.append(pd.DataFrame({"layer": layer, "class": mark_class, "i": i, "j": j, "mi": mi, "cov": 2 * mi}))
    return pd.concat(frames, ignore_index=True)


def test_one_draw_equals_a_plain_loop_over_pairs():
    pairs = additive_pairs(7, seed=0, layers=2)
    slabs = [pairs[pairs["layer"] == layer] for layer in (0, 1)]
    draws = draws_over_marks(slabs, means_of(pairs), TWO, seed=5)
    for column, mark_class in enumerate(("internal", "terminal")):
        rng = np.random.default_rng([5, column])
        weights = rng.multinomial(7, np.full(7, 1 / 7), size=RESAMPLES)
        rows = pairs[(pairs["class"] == mark_class) & (pairs["layer"] == 1)]
        for draw in (0, 17, 999):
            w = weights[draw][rows["i"]] * weights[draw][rows["j"]]
            assert draws[draw, 0, 1, column] == pytest.approx(np.sum(w * rows["mi"]) / np.sum(w), rel=1e-5)


def test_a_book_without_a_class_does_not_count_there():
    rows = [(0, "internal", "a", 1.0, 1.0), (0, "internal", "b", 3.0, 3.0), (0, "terminal", "a", 5.0, 5.0)]
    frame = pd.DataFrame(rows, columns=["layer", "class", "book", "mi_mean", "cov_mean"])
    observed = observed_means(frame, [0], TWO)
    means = layer_means(observed, None, [0], moments_of([0]), TWO)
    found = means.set_index(["quantity", "class"])["mean"]
    assert found["mi", "internal"] == 2
    assert found["mi", "terminal"] == 5
    assert means.set_index(["quantity", "class"])["books"]["mi", "terminal"] == 1


def test_differences_are_the_second_class_minus_the_first_and_cover_all_layers_at_once():
    """Without a true difference, the band over ten layers leaves zero out somewhere in about one study of twenty."""
    rng = np.random.default_rng(1)
    studies, misses = 120, 0
    moments = moments_of(range(10))
    for _ in range(studies):
        observed = rng.normal(size=(60, 2, 10, 2))
        means = layer_means(observed, None, range(10), moments, TWO)
        differences = layer_differences(means, observed, None, range(10), moments, TWO).query("quantity == 'mi'")
        np.testing.assert_allclose(
            differences["difference"], (observed[:, 0, :, 1] - observed[:, 0, :, 0]).mean(axis=0)
        )
        misses += bool(((differences["low"] > 0) | (differences["high"] < 0)).any())
    assert 0 < misses < 0.15 * studies


def test_the_standardised_difference_divides_by_the_spread_of_the_pairs():
    observed = np.zeros((3, 2, 1, 2))
    observed[:, :, :, 1] = 6.0
    moments = moments_of([0]).assign(mi_std=3.0, cov_std=0.0)
    frame = layer_differences(
        layer_means(observed, None, [0], moments, TWO), observed, None, [0], moments, TWO
    ).set_index("quantity")
    assert frame.loc["mi", "standardised"] == 2
    assert np.isnan(frame.loc["cov", "standardised"])
    assert np.isnan(frame.loc["mi", "low"])


def test_one_class_only_has_no_difference():
    pairs = additive_pairs(20, seed=0).query("`class` == 'internal'")
    draws = draws_over_marks([pairs], means_of(pairs), TWO)
    frame = pd.DataFrame({"layer": 0, "class": "internal", "book": "a", "mi_mean": [1.0], "cov_mean": [1.0]})
    moments = moments_of([0]).query("`class` == 'internal'")
    observed = observed_means(frame, [0], TWO)
    means = layer_means(observed, draws, [0], moments, TWO)
    assert layer_differences(means, observed, draws, [0], moments, TWO)["difference"].isna().all()


def test_layers_that_context_does_not_touch_have_no_interval():
    observed = np.random.default_rng(0).normal(size=(30, 2, 3, 2))
    moments = moments_of([0, 1, 2])
    moments.loc[moments["layer"] == 1, "mi_max"] = 0.0
    means = layer_means(observed, None, [0, 1, 2], moments, TWO)
    frame = layer_differences(means, observed, None, [0, 1, 2], moments, TWO).set_index(["quantity", "layer"])
    assert frame.loc["mi", "varies"].tolist() == [False, False, True]
    assert frame.loc["cov", "varies"].tolist() == [False, True, True]
    assert frame["low"].notna().tolist() == frame["varies"].tolist()


def test_draws_from_some_marks_lie_about_the_mean_over_all():
    pairs = additive_pairs(60, seed=3)
    means = means_of(pairs)
    some = pairs[(pairs["i"] < 20) & (pairs["j"] < 20)]
    assert abs(means_of(some) - means).max() > 0.1
    np.testing.assert_allclose(draws_over_marks([some], means, TWO).mean(axis=0), means, atol=0.1)
    low, high = percentile_interval(draws_over_marks([some], means, TWO))
    assert ((low < means) & (means < high)).all()


def test_a_book_with_one_class_only_has_its_share_in_that_class():
    """The interval of the difference is that of two means that share some of their books."""
    observed = np.random.default_rng(4).normal(size=(40, 2, 3, 2))
    observed[10:, :, :, 1] = np.nan
    moments = moments_of(range(3))
    found = layer_differences(
        layer_means(observed, None, range(3), moments, TWO), observed, None, range(3), moments, TWO
    )
    internal, terminal = observed[:, 0, 1, 0], observed[:10, 0, 1, 1]
    row = found[(found["quantity"] == "mi") & (found["layer"] == 1)].iloc[0]
    assert row["difference"] == pytest.approx(terminal.mean() - internal.mean())
    error = np.sqrt(terminal.var(ddof=1) / 10 + internal.var(ddof=1) / 40)
    assert 2 * error < row["high"] - row["difference"] < 3.4 * error


def means_of(pairs: pd.DataFrame) -> np.ndarray:
    """Means over the pairs, `[quantity, layer, class]`, NaN for a class without pairs."""
    layers = sorted(set(pairs["layer"]))
    wide = pairs.groupby(["layer", "class"])[["mi", "cov"]].mean()
    index = pd.MultiIndex.from_product([layers, ("internal", "terminal")])
    return wide.reindex(index).to_numpy().T.reshape(2, len(layers), 2)


def moments_of(layers) -> pd.DataFrame:
    """Moments of pairs that vary, with unit standard deviations."""
    index = pd.MultiIndex.from_product([layers, ("internal", "terminal")], names=["layer", "class"])
    columns = {"mi_std": 1.0, "cov_std": 1.0, "mi_min": 0.0, "mi_max": 1.0, "cov_min": 0.0, "cov_max": 1.0}
    return pd.DataFrame(columns, index=index).reset_index()
