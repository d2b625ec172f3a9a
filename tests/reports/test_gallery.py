"""One figure by its name: every figure of a report, from a store or from live results, and errors that list them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pikepdf
import pytest
from matplotlib.figure import Figure

import interpunct
from analysis.pairwise import pair_statistics
from reports.data.measured import measure
from reports.data.queries import ask
from reports.data.statistics import by_class, densities
from reports.errors import ReportUsageError
from reports.figures.activations import mean_activations
from reports.figures.layers import distributions_by_layer
from reports.gallery import figure, names_of
from tests.builders import build_store, hidden_states, synthetic_study
from tests.reports.classes import TWO

ROOT = Path(__file__).resolve().parents[2]
LAYER = 2
LIVE = (
    "mean-activations",
    "mutual-information",
    "covariance",
    "mi-against-correlation",
    "mi-against-covariance",
    "mi-against-covariance-by-layer",
    "distributions-by-layer",
)


def drawn(of: Figure) -> list[np.ndarray]:
    """All that a figure draws, as numbers: lines, images, points and stairs."""
    numbers = []
    for axes in of.axes:
        numbers += [np.asarray(line.get_xydata(), dtype=float) for line in axes.lines]
        numbers += [np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan) for image in axes.images]
        numbers += [np.asarray(points.get_offsets(), dtype=float) for points in axes.collections]
    return numbers


@pytest.mark.whole
def test_every_figure_of_the_report_has_its_name(store, report):
    for name in names_of(report):
        by_name = figure(store, name, layer=LAYER)
        (part,) = (part for section in report.sections for part in section.parts if part.key == name)
        for mine, of_report in zip(drawn(by_name), drawn(part.figure), strict=True):
            np.testing.assert_array_equal(mine, of_report)


def test_the_six_of_the_notebook_are_among_them(report):
    assert set(LIVE) <= set(names_of(report))


def test_it_shows_itself_on_white_paper(three_books):
    shown = figure(three_books, "mutual-information", layer=LAYER)
    assert shown._repr_png_().startswith(b"\x89PNG")
    assert shown.get_facecolor() == (1, 1, 1, 1)


def test_a_book_by_its_key(store):
    books = store.sql("SELECT book FROM books ORDER BY book").df()["book"]
    first, second = (drawn(figure(store, "mutual-information", layer=LAYER, book=book)) for book in books[:2])
    (one,), (other,) = ([of for of in each if of.ndim == 2 and len(of) == 24] for each in (first, second))
    assert not np.array_equal(one, other, equal_nan=True)


def test_a_name_that_is_not_there_lists_those_that_are(store):
    with pytest.raises(ReportUsageError, match=r"no figure 'mutual information'(?s:.*)  mutual-information: All pairs"):
        figure(store, "mutual information", layer=LAYER)
    with pytest.raises(ReportUsageError, match="layer 9 is not in the store"):
        figure(store, "mutual-information", layer=9)
    for layer in ("2", 2.0, True):
        with pytest.raises(ReportUsageError, match=rf"layer is {layer!r}; pass a whole number"):
            figure(store, "mutual-information", layer=layer)


def test_the_command_of_the_page_makes_a_figure_for_a_column_of_a_paper(three_books, tmp_path, capsys):
    (words,) = re.findall(r"^interpunct (figure .*)$", (ROOT / "docs" / "reports.md").read_text(), re.MULTILINE)
    out = tmp_path / "means.pdf"
    command = words.replace("--store study", f"--store {three_books}").replace("means.pdf", str(out))
    assert interpunct.main(command.split()) == 0
    assert capsys.readouterr().out == f"figure: {out}\n"
    with pikepdf.open(out) as paper:
        assert float(paper.pages[0].mediabox[2]) / 72 * 25.4 == pytest.approx(89, abs=0.1)


def test_the_command_lists_the_names_and_refuses_what_is_no_figure(three_books, report, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("reports.gallery._report", lambda *arguments: report)
    assert interpunct.main(["figure", "--store", str(three_books)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(names_of(report))
    for wrong, says in (
        (["forest", "-o", str(tmp_path / "forest.jpg")], "ends with .svg, .pdf or .png"),
        (["forrest"], "there is no figure 'forrest'"),
        (["forest", "-o", str(tmp_path / "no" / "forest.svg")], "cannot be written"),
    ):
        assert interpunct.main(["figure", *wrong, "--store", str(three_books)]) == 2
        assert says in capsys.readouterr().err


def test_a_width_that_no_paper_has(capsys):
    for width in ("20", "wide"):
        with pytest.raises(SystemExit, match="2"):
            interpunct.main(["figure", "forest", "--store", "s", "--width-mm", width])
        assert f"'{width}' is not a width in millimetres from 40 to 400" in capsys.readouterr().err


@pytest.fixture(scope="module")
def states() -> dict[str, np.ndarray]:
    """The states of the first made-up book, by class."""
    study = synthetic_study(layers=4, marks=12, width=16, seed=1, baseline=None)
    return {name: np.stack([hidden_states(study, layer, name, 0) for layer in range(4)]) for name in TWO.names}


@pytest.fixture(scope="module")
def one_book(tmp_path_factory) -> Path:
    """A store of the same book."""
    location = tmp_path_factory.mktemp("stores") / "one-book"
    build_store(location, books=1, layers=4, marks=12, width=16, seed=1, baseline=None)
    return location


@pytest.fixture(scope="module")
def measured(states):
    return measure(states)


@pytest.mark.parametrize("name", LIVE)
def test_live_results_draw_what_a_store_of_the_same_vectors_does(measured, one_book, name):
    """A store keeps float32.

    Means over the layers, the last row of `distributions-by-layer`, are not the same: a store's are the answer's, over
    pairs of passages that do not touch, and vectors measured here have no passages.
    """
    figures = [figure(measured, name, layer=LAYER), figure(one_book, name, layer=LAYER)]
    if name == "distributions-by-layer":
        for of in figures:
            for axes in [axes for axes in of.axes if axes.get_title() == "means"]:
                axes.remove()
    live, stored = map(drawn, figures)
    assert len(live) == len(stored) > 0
    for mine, of_store in zip(live, stored, strict=True):
        if mine.ndim == 2 and mine.shape[1] == 2:
            mine, of_store = (of[np.lexsort(of.round(4).T)] for of in (mine, of_store))
        np.testing.assert_allclose(mine, of_store, rtol=2e-4, atol=1e-5)


def test_the_frame_of_pairs_is_the_engine_s(measured, states):
    rows = measured.pairs
    assert len(rows) == 4 * 2 * 66
    chosen = rows[(rows["layer"] == 3) & (rows["class"] == "terminal")]
    expected = pair_statistics(states["terminal"][3])
    np.testing.assert_array_equal(chosen["mi"], expected.mi)
    np.testing.assert_array_equal(chosen["cov"], expected.cov)
    between = measured.between(3, "internal", "terminal")
    joined = pair_statistics(np.concatenate([states["internal"][3], states["terminal"][3]]))
    i, j = np.triu_indices(24, 1)
    np.testing.assert_array_equal(between["mi"], joined.mi[(i < 12) & (j >= 12)])


def test_one_layer_alone_will_do(states):
    one = measure({name: of[1] for name, of in states.items()})
    assert one.layers == [0]
    assert drawn(figure(one, "mutual-information"))


def test_live_results_say_what_they_cannot_draw(measured, states):
    with pytest.raises(ReportUsageError, match=r"no figure 'forest'; the figures of what was measured here"):
        figure(measured, "forest")
    with pytest.raises(ReportUsageError, match="layer 4 was not measured; there are layers 0 to 3"):
        figure(measured, "mutual-information", layer=4)
    with pytest.raises(ReportUsageError, match="layer is '2'; pass a whole number, such as layer=15"):
        figure(measured, "mutual-information", layer="2")
    with pytest.raises(ReportUsageError, match="book is 'x', and the marks measured are of no book; leave it out"):
        figure(measured, "mutual-information", book="x")
    with pytest.raises(ReportUsageError, match=r"no figure 'covarance' \(did you mean covariance\?\)"):
        figure(measured, "covarance")
    assert figure(measured, "covariance", layer=np.int64(2))
    with pytest.raises(ReportUsageError, match=r"states are internal \[4, 12, 16\], terminal \[3, 12, 16\]"):
        measure({"internal": states["internal"], "terminal": states["terminal"][1:]})


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (np.zeros((4, 12, 16), np.float32), r"an array \[4, 12, 16\]"),
        ([1, 2], "a list"),
        ({"internal": [[1.0]]}, "internal: list"),
    ],
)
def test_what_is_no_states_by_class_is_told_what_to_pass(wrong, found):
    with pytest.raises(ReportUsageError, match=rf"states are {found}; pass a dict with a float32 array"):
        measure(wrong)


def test_rows_of_queries_fit_the_figures(store):
    long = ask(store, "activation_means", layer=LAYER, books=None).frame
    of_long, of_wide = (drawn(mean_activations(frame, LAYER, TWO)) for frame in (long, by_class(long, TWO.names)))
    for mine, other in zip(of_long, of_wide, strict=True):
        np.testing.assert_array_equal(mine, other)
    bins = ask(store, "layer_histograms", books=None).frame
    means = pd.DataFrame(
        [("mi", layer, name, 1.0, np.nan, np.nan, True) for layer in range(4) for name in TWO.names],
        columns=["quantity", "layer", "class", "mean", "low", "high", "varies"],
    )
    of_bins, of_shares = (drawn(distributions_by_layer(frame, means, TWO)) for frame in (bins, densities(bins)))
    for mine, other in zip(of_bins, of_shares, strict=True):
        np.testing.assert_array_equal(mine, other)
