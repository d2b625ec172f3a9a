"""Statistics of the report against closed forms and against the pairs themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reports.data.queries import ask
from reports.data.scope import GRID_MARKS
from reports.data.statistics import (
    by_class,
    cliffs_delta_by_layer,
    densities,
    gaussian_reference,
    outlier_shares,
    pair_square,
    spread_over_books,
)


def test_the_gaussian_reference_is_the_closed_form():
    sample = pd.DataFrame({"class": "internal", "cov": np.arange(100.0), "corr": 0.6})
    reference = gaussian_reference(sample)
    np.testing.assert_allclose(reference["gaussian_mi"], -0.5 * np.log2(1 - 0.36))
    assert reference["cov"].is_monotonic_increasing


def test_the_gaussian_reference_leaves_constant_vectors_out_and_survives_perfect_ones():
    sample = pd.DataFrame({"class": "terminal", "cov": [1.0, 2.0, 3.0], "corr": [np.nan, 1.0, -1.0]})
    reference = gaussian_reference(sample)
    assert np.isfinite(reference["gaussian_mi"]).all()
    assert gaussian_reference(sample.iloc[:1]).empty


def test_cliffs_delta_of_each_layer_compares_every_pair_with_every_pair(store, scope):
    found = cliffs_delta_by_layer(
        ask(store, "mi_values", book=scope.example_book, marks=GRID_MARKS).frame, "internal", "terminal"
    )
    assert tuple(found.index) == scope.layers
    for layer in scope.layers:
        rows = ask(store, "book_pairs", layer=layer, book=scope.example_book, marks=GRID_MARKS).frame
        mi = {name: chosen["mi"].to_numpy() for name, chosen in rows.groupby("class")}
        assert found[layer] == pytest.approx(np.sign(mi["terminal"][:, None] - mi["internal"]).mean())


def test_one_class_alone_has_no_cliffs_delta():
    values = pd.DataFrame({"layer": [0, 1], "class": "internal", "mi": [np.ones(3), np.empty(0)]})
    assert cliffs_delta_by_layer(values, "internal", "terminal").isna().tolist() == [True, True]


def test_densities_of_each_layer_sum_to_one(store):
    histograms = ask(store, "layer_histograms", books=None).frame
    frame = densities(histograms)
    totals = frame.groupby(["quantity", "layer", "class"])["share"].sum()
    np.testing.assert_allclose(totals, 1.0)
    np.testing.assert_allclose(frame["density"] * (frame["right"] - frame["left"]), frame["share"])


def test_densities_agree_with_the_pairs(store):
    frame = densities(ask(store, "layer_histograms", books=None).frame)
    values = store.sql("SELECT mi FROM pairs WHERE layer = 1 AND class = 'terminal'").df()["mi"]
    rows = frame.query("quantity == 'mi' and layer == 1 and `class` == 'terminal'")
    for row in rows.itertuples():
        assert row.pairs == ((values >= row.left) & (values < row.right)).sum()


def test_open_ended_bins_are_left_out_and_counted_in_the_whole():
    edges = {"cov": np.array([-np.inf, 0.0, 1.0, np.inf])}
    rows = [("cov", 0, "internal", 0, 5), ("cov", 0, "internal", 1, 15)]
    frame = densities(pd.DataFrame(rows, columns=["quantity", "layer", "class", "bin", "pairs"]), edges)
    assert frame["share"].tolist() == [0.75]


def test_no_histogram_gives_an_empty_frame():
    nothing = pd.DataFrame(columns=["quantity", "layer", "class", "bin", "pairs"])
    assert densities(nothing, {}).empty


def test_a_class_without_marks_is_nan():
    means = pd.DataFrame({"dimension": [0, 1], "class": "internal", "mean": [1.0, 2.0]})
    assert by_class(means, ("internal", "terminal"))["mean_terminal"].isna().all()


def test_the_square_of_no_pairs_is_empty():
    nothing = pd.DataFrame({"class": [], "other": [], "i": [], "j": [], "mi": []})
    assert pair_square(nothing, "mi", ["a", "b"]).values.shape == (0, 0)


def test_a_class_without_pairs_takes_no_room_in_the_square():
    pairs = pd.DataFrame({"class": "c", "other": "c", "i": [0], "j": [1], "mi": [0.5]})
    square = pair_square(pairs, "mi", ["a", "c"])
    assert square.marks == {"c": 2}
    assert square.values[0, 1] == square.values[1, 0] == np.float32(0.5)


def test_spread_is_the_quantiles_over_books():
    means = pd.DataFrame({"layer": 0, "class": "internal", "book": list("abcde"), "mi_mean": range(5), "cov_mean": 7.0})
    spread = spread_over_books(means).set_index("quantity")
    assert spread.loc["mi", ["q25", "q50", "q75"]].tolist() == pytest.approx([1, 2, 3])
    assert spread.loc["cov", "q95"] == 7


def test_the_outlier_dimensions_that_most_marks_leave_out_come_first():
    rows = [(1, 7, "and", 3, 4, 4), (1, 7, "but", 1, 2, 4), (1, 5, "and", 4, 4, 4), (1, 9, "but", 1, 2, 1)]
    frame = pd.DataFrame(rows, columns=["layer", "dimension", "class", "left_out", "marks", "marks_without"])
    shares = outlier_shares(frame, ("and", "but"), most=2)
    assert shares["dimension"].tolist() == [5, 7]
    assert shares["share_and"].tolist() == [1.0, 0.75]
    assert shares["share_but"].tolist()[1] == 0.5
    assert np.isnan(shares["share_but"].tolist()[0])
    assert shares["dimensions_in_layer"].tolist() == [3, 3]
