"""The words at the top of a report: the finding with its interval, how it was made, and what few books cannot say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reports.build import build_report, compute_numbers
from reports.data.queries import Answer
from reports.data.scope import choose_scope
from reports.sections.overview import findings, interval_note
from store.query.reader import open_store
from store.writer import StudyWriter
from tests.builders import publish_book, synthetic_study

MOMENTS = pd.DataFrame(columns=["layer", "class", "pairs", "mi_min", "mi_max"])
"""Asked for only where there is nothing to compare."""


def with_books(scope, count: int, marks: int = 12):
    """The scope as it would be with so many books, each with so many marks of each class."""
    names = [f"book{number}" for number in range(count)]
    rows = pd.DataFrame({"book": names, "marks: internal": marks, "marks: terminal": marks})
    return replace(scope, book_rows=Answer(rows, ""), book_means=Answer(pd.DataFrame({"book": names}), ""))


def differences(layers: list[tuple[float, float, float]], by_chance: float = 0.0) -> pd.DataFrame:
    """Rows of (difference, low, high), a layer each."""
    frame = pd.DataFrame(layers, columns=["difference", "low", "high"])
    return frame.assign(quantity="mi", layer=range(1, len(layers) + 1), varies=True, by_chance=by_chance)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            (0.15, 0.1, 0.2),
            "two marks of “terminal” share 0.15 bits more than two of “internal” (95 % interval 0.1 to 0.2)",
        ),
        (
            (-0.15, -0.2, -0.1),
            "two marks of “internal” share 0.15 bits more than two of “terminal” (95 % interval 0.1 to 0.2)",
        ),
        ((-0.15, -0.4, 0.1), "(95 % interval -0.1 to 0.4, not distinguishable from zero)"),
        ((0.15, -0.1, 0.4), "(95 % interval -0.1 to 0.4, not distinguishable from zero)"),
        ((-0.15, np.nan, np.nan), "two marks of “internal” share 0.15 bits more than two of “terminal”."),
    ],
)
def test_the_interval_is_of_the_size_that_the_sentence_names(scope, row, says):
    assert says in findings(differences([row]), MOMENTS, with_books(scope, 20))[0]


def test_layers_are_counted_with_and_without_what_independent_vectors_would_show(scope):
    rows = [(0.3, 0.2, 0.4), (0.15, 0.1, 0.2), (-0.3, -0.4, -0.2), (0.0, -0.1, 0.1)]
    _, counted = findings(differences(rows, by_chance=0.15), MOMENTS, with_books(scope, 8))
    assert counted.startswith("Marks of “terminal” share more in 2 of 4 layers and marks of “internal” in 1,")
    assert counted.endswith("which is more than the bias of dependent ones, leaves 1 and 2.")


@pytest.mark.parametrize("books", [2, 4, 5, 7])
def test_few_books_count_no_layers(scope, books):
    first, second = findings(differences([(0.3, 0.2, 0.4)] * 5), MOMENTS, with_books(scope, books))
    assert ("for these books" in first) == (books <= 4)
    assert second.startswith(f"{books} books are too few")
    assert "of 5 layers" not in second
    assert "no claim about others" in interval_note(with_books(scope, books))


def test_one_book_counts_layers_in_its_own_name(scope):
    _, counted = findings(differences([(0.3, 0.2, 0.4)]), MOMENTS, with_books(scope, 1))
    assert counted.startswith("In this one book, marks of “terminal” share more in 1 of 1 layers")


@pytest.mark.parametrize(
    ("books", "says"),
    [
        (1, "over the marks of the one book"),
        (3, "over the 3 books and then over the marks within each"),
        (5, "wild bootstrap over the 5 books, each taken whole"),
        (40, "wild bootstrap over the 40 books, each taken whole"),
    ],
)
def test_the_caption_names_the_bootstrap_that_was_made(scope, books, says):
    assert says in interval_note(with_books(scope, books))


def test_the_caption_says_when_tokens_are_drawn_from_some_marks_only(scope):
    assert "first 2,000 marks" in interval_note(with_books(scope, 2, marks=2_001))
    assert "first 2,000 marks" not in interval_note(with_books(scope, 2, marks=2_000))
    assert "first 2,000 marks" not in interval_note(with_books(scope, 5, marks=2_001))


def test_intervals_draw_from_all_marks_and_lie_about_the_mean_over_all(three_books, monkeypatch):
    """Twelve marks, of which a limit leaves six: the means do not move, and neither do the intervals' middles."""
    with open_store(three_books) as store:
        scope = choose_scope(store, books=("book1",))
        whole = compute_numbers(store, scope)
        monkeypatch.setattr("reports.build.TOKEN_MARKS", 6)
        half = compute_numbers(store, scope)
    pd.testing.assert_series_equal(whole.means["mean"], half.means["mean"])
    for found in (whole.means, half.means):
        assert (found["low"] < found["mean"]).all()
        assert (found["mean"] < found["high"]).all()
    width = [(found["high"] - found["low"]).mean() for found in (whole.means, half.means)]
    assert width[1] > 1.15 * width[0]


def test_the_columns_of_the_layer_table_are_of_the_same_means(tmp_path):
    """Books with unequal marks: means over books are not means over pairs; the difference is that of the columns."""
    store_of_unequal_books(tmp_path)
    with open_store(tmp_path) as store:
        report = build_report(store)
        pooled = store.sql(
            "SELECT layer, avg(mi) AS mi FROM pairs WHERE class = 'internal' GROUP BY ALL ORDER BY ALL"
        ).df()
        by_book = store.sql(
            """SELECT layer, avg(mi) AS mi FROM (SELECT layer, book, avg(mi) AS mi FROM pairs
               WHERE class = 'internal' GROUP BY ALL) GROUP BY ALL ORDER BY ALL"""
        ).df()
    (table,) = [part for section in report.sections for part in section.parts if part.key == "layers"]
    frame = table.frame
    np.testing.assert_allclose(frame["difference"], frame["mi_mean_terminal"] - frame["mi_mean_internal"])
    np.testing.assert_allclose(frame["mi_mean_internal"], by_book["mi"], rtol=1e-6)
    assert (abs(frame["mi_mean_internal"] - pooled["mi"]) > 1e-3).any()
    assert table.headings["r_internal"] == "pooled r: internal"


def store_of_unequal_books(location) -> None:
    """Two books, one with pairs of twelve marks of each class, one with pairs of four."""
    study = synthetic_study(3, 12, 16, baseline=None, between="none", measures="notebook")
    writer = StudyWriter.open(location, study)
    with writer.lock():
        writer.commit(publish_book(location, study, 0))
        writer.commit(publish_book(location, study, 1, marks={"internal": 4, "terminal": 4}))
