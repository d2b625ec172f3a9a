"""The words at the top of a report: the finding with its interval, how it was made, and what few books cannot say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reports.build import build_report, compute_numbers
from reports.data.answer import find_answers
from reports.data.queries import Answer
from reports.sections.overview import findings, interval_note
from store.query.reader import open_store
from store.writer import StudyWriter
from tests.builders import publish_book, synthetic_study
from tests.reports.classes import TWO

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


@pytest.mark.parametrize(
    ("books", "says"),
    [
        (1, "In this one book, marks of “terminal” share more in 1 of 1 layers"),
        (4, "In these 4 books, marks of “terminal” share more in 1 of 1 layers"),
        (5, "Marks of “terminal” share more in 1 of 1 layers"),
    ],
)
def test_few_books_count_layers_in_their_own_name(scope, books, says):
    first, counted = findings(differences([(0.3, 0.2, 0.4)]), MOMENTS, with_books(scope, books))
    assert counted.startswith(says)
    assert ("for these books" in first) == (books == 4)


@pytest.mark.parametrize(
    ("books", "says"),
    [
        (("book1",), "from the 4 passages of this one book (jackknife"),
        (None, "from the 12 passages of these 3 books (jackknife"),
    ],
)
def test_the_caption_names_how_the_intervals_were_made(store, books, says):
    assert says in interval_note(find_answers(store, TWO, books))


def test_means_and_differences_are_the_answers_own(store, scope):
    """One inference: bands, table and answer show the same numbers."""
    found = compute_numbers(store, scope)
    for name in ("internal", "terminal"):
        shown = found.means[(found.means["quantity"] == "mi") & (found.means["class"] == name)]
        of_answer = found.answers.of_class("likeness", "mi", name)
        np.testing.assert_array_equal(shown[["mean", "low", "high"]], of_answer[["estimate", "low", "high"]])
    shown = found.differences[found.differences["quantity"] == "cov"]
    of_answer = found.answers.of("difference", "cov")
    np.testing.assert_array_equal(shown["difference"], of_answer["estimate"])
    np.testing.assert_array_equal(shown["low"], of_answer["low"])
    assert shown["varies"].tolist() == [False, True, True, True]


def test_the_columns_of_the_layer_table_are_of_the_same_means(tmp_path):
    """Books with unequal marks: means over books are not means over pairs; the difference is that of the columns."""
    store_of_unequal_books(tmp_path)
    with open_store(tmp_path) as store:
        report = build_report(store)
        by_book = store.sql(
            """SELECT layer, avg(mi) AS mi FROM (
                 SELECT layer, book, sum(mi) / sum(pairs) AS mi FROM passage_sums
                 WHERE class = 'internal' AND other = 'internal' AND passage <> other_passage GROUP BY ALL)
               GROUP BY ALL ORDER BY ALL"""
        ).df()
    (table,) = [part for section in report.sections for part in section.parts if part.key == "layers"]
    frame = table.frame
    np.testing.assert_allclose(frame["difference"], frame["mi_mean_terminal"] - frame["mi_mean_internal"])
    np.testing.assert_allclose(frame["mi_mean_internal"], by_book["mi"], rtol=1e-6)
    assert table.headings["r_internal"] == "pooled r: internal"


def store_of_unequal_books(location) -> None:
    """Two books, one with pairs of twelve marks of each class, one with pairs of four."""
    study = synthetic_study(3, 12, 16, baseline=None, between="none", measures="notebook")
    writer = StudyWriter.open(location, study)
    with writer.lock():
        writer.commit(publish_book(location, study, 0))
        writer.commit(publish_book(location, study, 1, marks={"internal": 4, "terminal": 4}))
