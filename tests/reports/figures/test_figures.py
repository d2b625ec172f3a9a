"""What each figure draws is what its query returned: artists are read back and compared with the frames."""

from __future__ import annotations

import base64
import io
import math
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from reports.data.model_alignment import ClassAlignment
from reports.data.queries import ask
from reports.data.statistics import by_class, densities, gaussian_reference, spread_over_books
from reports.figures.activations import mean_activations
from reports.figures.books import means_by_book
from reports.figures.class_pairs import separation_of_pairs
from reports.figures.comparison import align_layers, compare_depths, differences_by_store
from reports.figures.headline import headline
from reports.figures.layers import distributions_by_layer
from reports.figures.matrices import pair_matrices
from reports.figures.scatter import (
    mi_against_correlation,
    mi_against_covariance,
    mi_against_covariance_by_layer,
    type_pairs,
)
from reports.figures.style import class_style, report_style, to_pdf, to_png, to_svg
from tests.reports.classes import TWO


def line_of(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


@pytest.fixture
def activations(store):
    return by_class(ask(store, "activation_means", layer=2, books=None).frame, TWO.names)


@pytest.fixture
def moments(store):
    return ask(store, "layer_moments", books=None).frame


def test_mean_activations_are_drawn_one_point_a_dimension(activations):
    by_dimension, against = mean_activations(activations, 2, TWO).axes
    for mark_class, colour in (("internal", "#0072b2"), ("terminal", "#d55e00")):
        line = line_of(by_dimension, mark_class)
        np.testing.assert_array_equal(line.get_ydata(), activations[f"mean_{mark_class}"])
        assert to_hex(line.get_color()) == colour == class_style(TWO, mark_class).colour
    means = activations[["mean_internal", "mean_terminal"]]
    np.testing.assert_array_equal(against.collections[0].get_offsets(), means)
    assert against.get_title() == f"r = {means.corr().iloc[0, 1]:.3f}"


def test_a_dimension_that_dwarfs_the_others_turns_the_axes_logarithmic(activations):
    assert (
        mean_activations(activations.assign(mean_internal=1.0, mean_terminal=1.0), 0, TWO).axes[0].get_yscale()
        == "linear"
    )
    activations.loc[3, "mean_internal"] = 1e4
    assert [axes.get_yscale() for axes in mean_activations(activations, 0, TWO).axes] == ["symlog", "symlog"]


@pytest.mark.parametrize("quantity", ["mi", "cov"])
def test_one_square_holds_every_pair_within_and_between_on_both_sides_of_an_empty_diagonal(store, quantity):
    pairs = ask(store, "pair_matrix", layer=2, book="book0", marks=500).frame
    figure = pair_matrices(pairs, quantity, 2, "book0", TWO)
    (image,) = [axes.images[0] for axes in figure.axes if axes.images]
    matrix = np.ma.filled(image.get_array().astype(float), np.nan)
    assert matrix.shape == (24, 24)
    start = {"internal": 0, "terminal": 12}
    rows, columns = pairs["i"] + pairs["class"].map(start), pairs["j"] + pairs["other"].map(start)
    np.testing.assert_array_equal(matrix[rows, columns], pairs[quantity])
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.isnan(np.diag(matrix)).all()
    assert np.isfinite(matrix).sum() == 24 * 23
    between = store.sql(
        f"SELECT avg({quantity}::DOUBLE) FROM cross_pairs WHERE layer = 2 AND book = 'book0'"
    ).fetchall()[0]
    assert matrix[:12, 12:].mean() == pytest.approx(between[0])


def test_the_distributions_below_the_square_integrate_to_the_share_inside_the_limits(store):
    pairs = ask(store, "pair_matrix", layer=2, book="book0", marks=500).frame
    figure = pair_matrices(pairs, "mi", 2, "book0", TWO)
    (axes,) = [axes for axes in figure.axes if axes.get_ylabel() == "density of pairs"]
    for number, (name, other) in enumerate((("internal",) * 2, ("terminal",) * 2, TWO.names)):
        heights, edges, _ = axes.patches[2 * number].get_data()
        values = pairs.loc[(pairs["class"] == name) & (pairs["other"] == other), "mi"]
        inside = values.between(edges[0], edges[-1]).mean()
        assert np.sum(heights * np.diff(edges)) == pytest.approx(inside)
        label = name if name == other else "between them"
        assert line_of(axes, f"{label}: mean {values.mean():.3f}").get_xdata()[0] == pytest.approx(values.mean())


def test_scatter_titles_give_r_over_all_pairs_and_the_points_are_the_sample(store, moments):
    sample = ask(store, "pair_sample", layer=2, books=None, marks=500, seed=0, per_million=500_000).frame
    figure = mi_against_covariance(sample, gaussian_reference(sample), moments, 2, TWO)
    exact = store.sql(
        "SELECT class, corr(mi::DOUBLE, cov::DOUBLE) FROM pairs WHERE layer = 2 GROUP BY class"
    ).fetchall()
    for axes, (_, r) in zip(figure.axes, sorted(exact), strict=False):
        assert axes.get_title().endswith(f"r = {r:.2f}")
        assert axes.collections[0].get_array().sum() > 0
    drawn = np.asarray(figure.axes[2].collections[0].get_offsets())
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], _sorted(sample[["cov", "mi"]]))


def test_the_curve_beside_the_correlations_is_that_of_gaussian_vectors(store):
    sample = ask(store, "pair_sample", layer=2, books=None, marks=500, seed=0, per_million=1_000_000).frame
    figure = mi_against_correlation(sample, 2, TWO)
    for axes in figure.axes[:2]:
        (curve,) = axes.lines
        correlation = np.asarray(curve.get_xdata())
        np.testing.assert_allclose(curve.get_ydata(), -0.5 * np.log2(1 - correlation**2))
        assert correlation.min() < sample["corr"].quantile(0.01) < sample["corr"].quantile(0.99) < correlation.max()
    drawn = np.asarray(figure.axes[2].collections[0].get_offsets())
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], _sorted(sample[["corr", "mi"]]))


def test_pairs_of_a_class_of_several_types_have_the_colour_of_their_two_types():
    points = pd.DataFrame(
        {"class": "internal", "corr": [0.1, 0.2, 0.3, 0.4], "mi": [1.0, 2.0, 3.0, 4.0]}
        | {"mark": [",", ",", ",", ","], "other_mark": [",", ",", ";", ";"]}
    )
    axes = mi_against_correlation(points, 2, TWO).axes[0]
    colours = {tuple(point): to_hex(colour[:3]) for point, colour in _coloured_points(axes)}
    assert colours[0.1, 1.0] == colours[0.2, 2.0] != colours[0.3, 3.0] == colours[0.4, 4.0]
    entries = {text.get_text(): to_hex(handle.get_color()) for text, handle in _legend_entries(axes)}
    assert entries == {", and ,": colours[0.1, 1.0], ", and ;": colours[0.3, 3.0]}


def test_types_without_number_have_no_colour_of_their_own():
    random_words = pd.DataFrame({"mark": [f"word{n}" for n in range(40)], "other_mark": "zz"})
    assert set(type_pairs(random_words)) == {"any types"}
    few = pd.DataFrame({"mark": [","] * 30 + [f"x{n}" for n in range(10)], "other_mark": ","})
    kinds = type_pairs(few)
    assert kinds.value_counts().to_dict() == {", and ,": 30, "other types": 5} | {f"x{n} and ,": 1 for n in range(5)}


def _coloured_points(axes):
    (dots,) = axes.collections
    return zip(np.asarray(dots.get_offsets()).round(6), dots.get_facecolors(), strict=True)


def _legend_entries(axes):
    return zip(axes.get_legend().get_texts(), axes.get_legend().legend_handles, strict=True)


def test_the_grid_has_a_panel_for_every_layer_with_the_points_of_that_layer(store, moments):
    samples = ask(store, "layer_samples", books=None, marks=250, seed=0, per_million=1_000_000).frame
    figure = mi_against_covariance_by_layer(samples, moments, TWO)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["layer 0", "layer 1", "layer 2", "layer 3"]
    for layer, axes in enumerate(shown):
        points = np.asarray(axes.collections[0].get_offsets())
        np.testing.assert_allclose(
            points[np.lexsort(points.T)], _sorted(samples[samples["layer"] == layer][["cov", "mi"]])
        )
        assert len(axes.texts) == (3 if layer == 0 else 2)


@pytest.mark.parametrize("layers", [1, 2, 13, 97])
def test_the_grid_takes_any_number_of_layers(layers):
    rows = [(layer, name, 0.5) for layer in range(layers) for name in TWO.names]
    moments = pd.DataFrame(rows, columns=["layer", "class", "r"])
    samples = pd.DataFrame(rows, columns=["layer", "class", "mi"]).assign(cov=1.0)
    figure = mi_against_covariance_by_layer(samples, moments, TWO)
    assert sum(axes.get_visible() for axes in figure.axes) == layers


def test_lines_over_layers_are_the_shares_and_the_means(store, moments):
    frame = densities(ask(store, "layer_histograms", books=None).frame)
    means = pd.concat(
        [
            moments.rename(columns={f"{quantity}_mean": "mean"})[["layer", "class", "mean"]].assign(
                quantity=quantity, low=np.nan, high=np.nan, varies=True
            )
            for quantity in ("mi", "cov")
        ]
    )
    figure = distributions_by_layer(frame, means, TWO)
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert len(panels) == 6
    chosen = frame[frame["quantity"] == "mi"]
    for axes, mark_class in zip(panels[1:4:2], TWO.names, strict=True):
        assert len(axes.lines) == 4
        for layer, line in enumerate(axes.lines):
            rows = chosen[(chosen["layer"] == layer) & (chosen["class"] == mark_class)]
            np.testing.assert_array_equal(line.get_ydata(), rows["density"])
    for axes, quantity in ((panels[4], "cov"), (panels[5], "mi")):
        for mark_class in TWO.names:
            expected = moments.loc[moments["class"] == mark_class, f"{quantity}_mean"]
            np.testing.assert_array_equal(line_of(axes, mark_class).get_ydata(), expected)
    assert [axes.get_xlabel() for axes in figure.axes if axes.get_label() == "<colorbar>"] == ["layer"]


def test_the_headline_draws_means_and_differences():
    means = pd.DataFrame(
        [
            ("mi", layer, name, layer + (name == "terminal"), layer, layer + 2)
            for layer in range(3)
            for name in TWO.names
        ],
        columns=["quantity", "layer", "class", "mean", "low", "high"],
    ).assign(varies=True)
    values = {"quantity": "mi", "difference": 1.0, "low": 0.5, "high": 1.5, "varies": True, "by_chance": 0.25}
    differences = pd.DataFrame({"layer": range(3), **values})
    chance = pd.DataFrame({"layer": [0, 1, 2] * 2, "class": ["internal"] * 3 + ["terminal"] * 3, "chance": 0.1})
    left, right = headline(means, differences, chance, TWO).axes
    assert [list(line.get_ydata()) for line in left.lines if line.get_linestyle() == ":"] == [[0.1] * 3] * 2
    assert list(line_of(right, "less that of independent vectors").get_ydata()) == [0.75] * 3
    assert list(line_of(left, "terminal").get_ydata()) == [1, 2, 3]
    assert list(right.lines[1].get_ydata()) == [1, 1, 1]
    band = right.collections[0].get_paths()[0].vertices[:, 1]
    assert {band.min(), band.max()} == {0.5, 1.5}


@pytest.mark.parametrize("books", [3, 40])
def test_books_are_lines_where_few_and_bands_where_many(books):
    rows = [(layer, name, f"b{book}", book, -book) for layer in (1, 2) for name in TWO.names for book in range(books)]
    means = pd.DataFrame(rows, columns=["layer", "class", "book", "mi_mean", "cov_mean"])
    spread = spread_over_books(means)
    axes = means_by_book(means, spread, TWO).axes[0]
    assert len(axes.lines) == (2 * books if books == 3 else 2)
    if books == 40:
        assert list(line_of(axes, "internal").get_ydata()) == [19.5, 19.5]
        assert len(axes.collections) == 4


def test_two_studies_are_solid_and_dashed_and_their_difference_has_a_band():
    rows = pd.DataFrame({"depth": [0.5, 1.0], "here": [0.3, 0.4], "there": [0.1, 0.1]})
    rows = rows.assign(difference=[0.2, 0.3], low=[0.1, 0.2], high=[0.3, 0.4])
    left, right = compare_depths(rows, "separation", "one study", "another").axes
    assert (right.get_title(), left.get_legend().texts[1].get_text()) == ("one study less another", "another")
    assert [line.get_linestyle() for line in left.lines] == ["-", "--"]
    np.testing.assert_array_equal(left.lines[1].get_ydata(), rows["there"])
    np.testing.assert_array_equal(right.lines[-1].get_ydata(), rows["difference"])
    assert len(right.collections) == 1
    empty = compare_depths(rows.iloc[:0], "separation", "one study", "another")
    assert empty.axes[0].texts[0].get_text() == "not measured in both"


def test_differences_from_several_studies_have_a_line_and_a_band_each():
    rows = pd.DataFrame({"depth": [0.5, 1.0], "difference": [0.2, 0.3], "low": [0.1, 0.2], "high": [0.3, 0.4]})
    (axes,) = differences_by_store({"b": rows, "c": rows.iloc[:0], "d": -rows}, "separation", "a").axes
    assert [line.get_label() for line in axes.lines[1:]] == ["less b", "less d"]
    np.testing.assert_array_equal(axes.lines[2].get_ydata(), [-0.2, -0.3])
    assert len({line.get_color() for line in axes.lines}) == len(axes.collections) + 1 == 3


def test_the_alignment_of_layers_is_a_matrix_and_a_line_a_class():
    one, other = (
        ClassAlignment(name, (0, 1, 2), (0, 1), np.array([[1, 0.2], [0.5, np.nan], [-0.1, level]]), 2, (24, 64), 0.1)
        for name, level in (("internal", 0.9), ("terminal", 0.7))
    )
    matrix, lines, _ = align_layers([one, other], TWO, "one study", "another").axes
    np.testing.assert_allclose(matrix.images[0].get_array()[2], [0, 0.9])
    assert matrix.images[0].get_extent() == [-0.5, 1.5, -0.5, 2.5]
    assert (matrix.get_xlabel(), matrix.get_ylabel()) == ("layer of another", "layer of one study")
    np.testing.assert_allclose(line_of(lines, "terminal").get_ydata(), [1, 0.5, 0.7])
    assert lines.lines[-1].get_ydata()[0] == 0.1


def test_one_class_without_pairs_is_said_and_not_drawn(store, activations, moments):
    pairs = ask(store, "pair_matrix", layer=2, book="book0", marks=500).frame
    square = pair_matrices(pairs[pairs["other"] == "internal"], "mi", 2, "book0", TWO).axes[0]
    assert [label.get_text() for label in square.get_xticklabels()] == ["internal (,)"]
    texts = [text.get_text() for axes in pair_matrices(pairs[:0], "mi", 2, "book0", TWO).axes for text in axes.texts]
    assert texts == ["no pairs", "no pairs"]
    figure = mean_activations(activations.assign(mean_terminal=np.nan), 2, TWO)
    assert [text.get_text() for text in figure.axes[1].texts] == ["no terminal marks"]
    sample = ask(store, "pair_sample", layer=2, books=None, marks=500, seed=0, per_million=1_000_000).frame
    only = sample[sample["class"] == "internal"]
    figure = mi_against_covariance(only, gaussian_reference(only), moments.query("`class` == 'internal'"), 2, TWO)
    assert figure.axes[1].get_title().endswith("no pairs")


def test_a_figure_becomes_svg_that_follows_the_page_and_a_bitmap_on_white(activations):
    with report_style():
        figure = mean_activations(activations, 2, TWO)
    svg = to_svg(figure, "one")
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "var(--class-1, #0072b2)" in svg
    assert 'id="one-' in svg
    assert ">layer 2</text>" in svg
    assert to_png(figure).startswith(b"\x89PNG")
    assert to_pdf(figure).startswith(b"%PDF")


def test_bitmaps_in_an_svg_have_few_colours_that_are_close_to_the_many(store):
    pairs = ask(store, "pair_matrix", layer=2, book="book0", marks=500).frame
    figure = pair_matrices(pairs, "mi", 2, "book0", TWO)
    sources = re.findall(r'data:image/png;base64,([^"]+)', to_svg(figure, "one"))
    few = [_bitmap(source) for source in sources]
    assert "P" in {image.mode for image in few}
    buffer = io.BytesIO()
    with report_style():
        figure.savefig(buffer, format="svg", dpi=130)
    sources = re.findall(r'data:image/png;base64,\s*([^"]+)', buffer.getvalue().decode())
    for one, exact in zip(few, map(_bitmap, sources), strict=True):
        colours, true = (np.asarray(image.convert("RGBA"), dtype=int) for image in (one, exact))
        assert np.abs(colours - true).max() <= 16


def _bitmap(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source)))


def test_text_in_a_figure_is_escaped(store):
    pairs = ask(store, "pair_matrix", layer=2, book="book0", marks=500).frame
    svg = to_svg(pair_matrices(pairs, "mi", 2, "<script>alert(1)</script> $x$", TWO), "one")
    assert "<script" not in svg
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $x$" in svg


def test_the_embeddings_are_named_and_hide_no_other_layer(moments, store):
    frame = densities(ask(store, "layer_histograms", books=None).frame)
    means = pd.concat(
        moments.assign(quantity=quantity, mean=moments[f"{quantity}_mean"], low=np.nan, high=np.nan)
        for quantity in ("mi", "cov")
    )
    means = means.assign(varies=means["layer"] > 0)
    figure = distributions_by_layer(frame, means, TWO)
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert [len(axes.lines) for axes in panels[1:4:2]] == [3, 3]
    assert list(line_of(panels[5], "internal").get_xdata()) == [1, 2, 3]
    assert panels[5].texts[0].get_text() == "layer 0 not drawn: embeddings"
    samples = ask(store, "layer_samples", books=None, marks=250, seed=0, per_million=1_000_000).frame
    samples.loc[samples["layer"] == 0, "mi"] = np.float32(99)
    grid = mi_against_covariance_by_layer(samples, moments, TWO)
    assert grid.axes[0].get_ylim()[1] < 10
    assert grid.axes[0].texts[0].get_text() == "embeddings alone:\nmean 99 and 99 bits"


def test_a_correlation_that_is_not_defined_is_said(moments, store):
    samples = ask(store, "layer_samples", books=None, marks=250, seed=0, per_million=1_000_000).frame
    figure = mi_against_covariance_by_layer(samples, moments.assign(r=math.nan), TWO)
    assert figure.axes[1].texts[0].get_text() == "r undefined"


def _sorted(frame):
    points = frame.to_numpy(dtype=float)
    return points[np.lexsort(points.T)]


@pytest.mark.parametrize("layers", [1, 2, 3, 6])
def test_layers_are_whole_numbers_on_every_axis(layers):
    rows = [
        (quantity, layer, name, 1.0 + layer, np.nan, np.nan, True)
        for quantity in ("mi", "cov")
        for layer in range(1, 1 + layers)
        for name in TWO.names
    ]
    means = pd.DataFrame(rows, columns=["quantity", "layer", "class", "mean", "low", "high", "varies"])
    differences = means[means["class"] == "internal"].rename(columns={"mean": "difference"}).assign(by_chance=0.0)
    nothing = pd.DataFrame(columns=["quantity", "layer", "class", "left", "right", "share", "density"])
    by_book = pd.DataFrame({"layer": range(1, 1 + layers), "class": "internal", "book": "b"}).assign(
        mi_mean=1.0, cov_mean=2.0
    )
    figures = [
        headline(means, differences, pd.DataFrame({"layer": [], "class": [], "chance": []}), TWO),
        distributions_by_layer(nothing, means, TWO),
        means_by_book(by_book, spread_over_books(by_book), TWO),
    ]
    axes_of_layers = 0
    for figure in figures:
        figure.canvas.draw()
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                if axis.get_label_text() == "layer":
                    axes_of_layers += 1
                    low, high = sorted(axis.get_view_interval())
                    ticks = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
                    assert ticks
                    assert all(tick == round(tick) for tick in ticks)
    assert axes_of_layers == 6


@pytest.mark.parametrize("pairs", [3, 16])
def test_few_pairs_of_classes_have_names_and_bands_and_many_only_lines(pairs):
    rows = pd.DataFrame({"layer": [1, 2] * pairs, "first": "a", "second": [f"c{n // 2}" for n in range(2 * pairs)]})
    rows = rows.assign(separation=0.2, separation_low=0.1, separation_high=0.3)
    (axes,) = separation_of_pairs(rows).axes
    assert len(axes.lines) == pairs + 1
    assert (len(axes.collections), axes.get_legend() is not None) == ((3, True) if pairs == 3 else (0, False))


@pytest.mark.parametrize(("layers", "dense"), [(4, False), (150, True)])
def test_very_many_curves_are_a_bitmap(layers, dense):
    where = [(quantity, layer, name) for quantity in ("mi", "cov") for layer in range(layers) for name in TWO.names]
    frame = pd.DataFrame(where, columns=["quantity", "layer", "class"])
    shares = pd.concat([frame.assign(left=n, right=n + 1, share=0.5, density=0.5) for n in range(2)])
    figure = distributions_by_layer(shares, frame.assign(mean=1.0, varies=True), TWO)
    assert {bool(line.get_rasterized()) for axes in figure.axes[:4] for line in axes.lines} == {dense}
