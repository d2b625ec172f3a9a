"""Why something is not shown, told from what is there: each cause has its own sentence, in words and in figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.build import build_report
from reports.data.absence import why_no_difference, why_no_pairs_at_all, why_not_drawn
from reports.data.queries import Answer
from reports.figures.headline import headline
from reports.figures.layers import distributions_by_layer
from reports.page.page import render_parts
from store.query.reader import open_store
from tests import builders
from tests.reports.classes import TWO

EQUAL = (
    "in every layer all pairs of a class have the same value, as where each mark is read without the words before it "
    "(--before 0)"
)


def moments(rows: list[tuple[int, str, int, float]]) -> pd.DataFrame:
    """Rows of (layer, class, pairs, range of MI)."""
    frame = pd.DataFrame(rows, columns=["layer", "class", "pairs", "mi_max"])
    return frame.assign(mi_min=0.0)


def with_marks(scope, internal: int, terminal: int, summarised: tuple[str, ...] = ("internal", "terminal")):
    """The scope as it would be with one book of so many marks."""
    books = pd.DataFrame({"book": ["b"], "status": "used", "marks: internal": internal, "marks: terminal": terminal})
    layer_rows = pd.DataFrame({"layer": 0, "class": list(summarised)})
    return replace(scope, book_rows=Answer(books, ""), layer_rows=Answer(layer_rows, ""))


@pytest.mark.parametrize(
    ("internal", "terminal", "summarised", "says"),
    [
        (5, 0, ("internal",), "no mark of “terminal” was used"),
        (5, 1, ("internal",), "no book has more than one mark of “terminal”, and a pair takes two"),
        (5, 9, ("internal",), "no pairs within “terminal” are stored, though 9 marks were used"),
        (
            5,
            9,
            ("internal", "terminal"),
            "no pair within “terminal” has a value: fewer than two dimensions are left in each",
        ),
    ],
)
def test_a_class_without_pairs_has_its_own_cause(scope, internal, terminal, summarised, says):
    rows = moments([(layer, "internal", 3, 1.0) for layer in (0, 1)])
    assert why_no_difference(rows, with_marks(scope, internal, terminal, summarised)) == says


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([(0, "internal", 3, 0.0), (0, "terminal", 3, 0.0)], EQUAL),
        ([(n, name, 3, 0.0) for n in (0, 1) for name in ("internal", "terminal")], EQUAL),
        ([(n, name, 1, 0.0) for n in (0, 1) for name in ("internal", "terminal")], "each class has a single pair"),
        ([(1, "internal", 3, 1.0), (2, "terminal", 3, 1.0)], "no layer has pairs of both classes"),
        (
            [(0, "internal", 3, 0.0), (0, "terminal", 3, 0.0), (1, "internal", 3, 1.0)],
            "only the embeddings have pairs of both classes",
        ),
    ],
)
def test_classes_that_cannot_be_compared_have_their_own_cause(scope, rows, says):
    assert why_no_difference(moments(rows), scope) == says


@pytest.mark.parametrize(
    ("books", "says"),
    [
        ([], "no book is committed yet"),
        ([("failed", 0), ("failed", 0), ("rejected", 0)], "none of its 3 books was used (2 failed, 1 rejected)"),
        ([("used", 0)], "no mark of “internal” was used; no mark of “terminal” was used"),
    ],
)
def test_a_store_without_pairs_has_its_own_cause(books, says):
    frame = pd.DataFrame(books, columns=["status", "marks: internal"])
    frame["marks: terminal"] = frame["marks: internal"]
    assert why_no_pairs_at_all(frame, pd.DataFrame({"layer": [], "class": []}), TWO) == says


@pytest.mark.parametrize(
    ("rows", "mark_class", "says"),
    [
        ([(1, "internal", True)], "terminal", "no terminal pairs"),
        ([(1, "internal", True)], None, "no terminal pairs"),
        ([], None, "no internal and no terminal pairs"),
        ([(1, "internal", False), (1, "terminal", False)], None, "all pairs of a layer are equal"),
        ([(0, "internal", False), (0, "terminal", False)], "internal", "only embeddings have pairs"),
        ([(1, "internal", True), (2, "terminal", True)], None, "no layer has pairs of both classes"),
    ],
)
def test_an_empty_chart_says_why(rows, mark_class, says):
    assert (
        why_not_drawn(
            pd.DataFrame(rows, columns=["layer", "class", "varies"]), [mark_class] if mark_class else TWO.names
        )
        == says
    )


@pytest.fixture
def equal_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store as `--before 0` makes it: all states of a class are one vector, in every layer."""
    made = builders.hidden_states
    monkeypatch.setattr(
        builders, "hidden_states", lambda *arguments: np.repeat((states := made(*arguments))[:1], len(states), axis=0)
    )
    builders.build_store(tmp_path / "store", books=1, layers=3, marks=5, width=16, baseline=None)
    return tmp_path / "store"


def test_a_study_in_which_all_states_of_a_class_are_equal_says_so_everywhere(equal_states):
    with open_store(equal_states) as store:
        report = build_report(store)
    assert report.failures == ()
    assert render_parts(report).failures == {}
    assert report.findings == (f"There is nothing to compare: {EQUAL}.",)
    drawn = {part.key: part.figure for section in report.sections for part in section.parts if hasattr(part, "figure")}
    said = [text.get_text() for axes in drawn["headline"].axes for text in axes.texts]
    assert said.count("all pairs of a layer are equal") == 2
    said = [text.get_text() for axes in drawn["distributions-by-layer"].axes for text in axes.texts]
    assert said.count("all pairs of a layer are equal") == 6
    assert not [text for text in said if text.startswith("no ")]


def test_one_class_alone_is_named_as_missing_and_the_other_is_drawn():
    rows = [("mi", layer, "internal", 1.0 + layer, 0.5, 3.5, True) for layer in (1, 2)]
    columns = ["quantity", "layer", "class", "mean", "low", "high", "varies"]
    means = pd.DataFrame(rows, columns=columns)
    nothing = pd.DataFrame(columns=["quantity", "layer", "difference", "low", "high", "varies", "by_chance"])
    left, right = headline(means, nothing, pd.DataFrame({"layer": [], "class": [], "chance": []}), TWO).axes
    assert list(left.lines[0].get_ydata()) == [2.0, 3.0]
    assert [text.get_text() for text in right.texts] == ["no terminal pairs"]
    densities = pd.DataFrame(columns=["quantity", "layer", "class", "left", "right", "share", "density"])
    figure = distributions_by_layer(densities, means, TWO)
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert [[text.get_text() for text in axes.texts] for axes in panels[1:4:2]] == [
        ["no value lies in the range drawn"],
        ["no terminal pairs"],
    ]
