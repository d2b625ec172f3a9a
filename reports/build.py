"""One report from one store: ask, compute, draw. What to do with it is for page.py, pdf.py and publish.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from analysis.bootstrap import draws_over_books_then_tokens
from reports.data.chance import Chance, chance_level
from reports.data.intervals import (
    TOKEN_BOOKS,
    draws_over_tokens,
    layer_differences,
    layer_means,
    less_chance,
    observed_means,
)
from reports.data.queries import Answer, Store, ask
from reports.data.scope import SEED, TOKEN_MARKS, Scope, choose_scope
from reports.errors import ReportUsageError
from reports.page.exhibits import Report, Section
from reports.sections.books import books_section
from reports.sections.changes import changes_section
from reports.sections.comparison import comparison_section
from reports.sections.explorer import explorer_data
from reports.sections.notebook import notebook_section
from reports.sections.overview import findings, headline_exhibit, numbers, study_section
from reports.sections.tables import extremes_section, failed_section, layer_table, outlier_section
from store.study import Study


class StudyStore(Store, Protocol):
    """A store that also knows what it is a study of."""

    @property
    def study(self) -> Study:
        """The configuration and the model."""


@dataclass(frozen=True)
class Numbers:
    """What several sections share: pooled moments, means over books, differences between the classes, chance level."""

    moments: Answer
    means: pd.DataFrame
    differences: pd.DataFrame
    chance: Chance


def build_report(
    store: StudyStore,
    layer: int | None = None,
    books: tuple[str, ...] = (),
    title: str | None = None,
    other: StudyStore | None = None,
    before: Mapping[str, Any] | None = None,
) -> Report:
    """The report of what is committed in the store, about one layer in detail and some books or all.

    `other` is a store to compare with, `before` the facts of the report that this one follows.
    Raises ReportUsageError for a layer or a book the store does not have.
    """
    scope = choose_scope(store, layer, books)
    title = title or f"Punctuation in {store.study.config.get('model', 'a language model')}"
    if scope is None:
        return _empty_report(store, title)
    results = compute_numbers(store, scope)
    now = facts(store, scope, results)
    sections = [
        _overview(store, scope, results),
        changes_section(before, now),
        *([] if other is None else [_comparison_section(store, other, scope, results)]),
        notebook_section(store, scope, results.moments, results.means),
        _layer_section(store, scope, results),
        books_section(scope),
        outlier_section(store, scope),
        extremes_section(store, scope),
        failed_section(scope.book_rows),
    ]
    return Report(
        title,
        _subtitle(scope),
        store.snapshot,
        findings(results.differences, scope),
        numbers(store.study.config, scope),
        tuple(sections),
        now,
    )


def compute_numbers(store: StudyStore, scope: Scope) -> Numbers:
    """Moments by SQL, means over books and differences with bootstrap intervals."""
    moments = ask(store, "layer_moments", books=scope.books)
    by_book = observed_means(scope.book_means.frame, scope.layers)
    draws = _draws(store, scope, by_book)
    means = layer_means(by_book, draws, scope.layers, moments.frame)
    settings = store.study.config
    chance = chance_level(store, scope, settings["bins"], settings["outlier_z"])
    differences = less_chance(layer_differences(means, by_book, draws, moments.frame), chance.frame)
    return Numbers(moments, means, differences, chance)


def facts(store: Store, scope: Scope, results: Numbers) -> dict[str, Any]:
    """What the next report compares itself with."""
    used = scope.book_means.frame["book"].astype(str)
    chosen = results.differences[results.differences["quantity"] == "mi"].dropna(subset=["difference"])
    return {
        "snapshot": store.snapshot,
        "books": sorted(set(used)),
        "pairs": int(scope.book_means.frame["pairs"].sum()),
        "mi_difference": {str(int(row.layer)): float(row.difference) for row in chosen.itertuples()},
    }


def _draws(store: Store, scope: Scope, by_book: np.ndarray) -> np.ndarray | None:
    """Means over resampled books and then their tokens, where books are few; None where books are enough."""
    books = sorted({str(book) for book in scope.book_means.frame["book"]})
    if len(books) > TOKEN_BOOKS:
        return None
    over_tokens = []
    for number, book in enumerate(books):
        pairs = (ask(store, "book_pairs", layer=layer, book=book, marks=TOKEN_MARKS).frame for layer in scope.layers)
        over_tokens.append(draws_over_tokens(pairs, by_book[number], SEED + number))
    return draws_over_books_then_tokens(np.stack(over_tokens), SEED)


def _overview(store: StudyStore, scope: Scope, results: Numbers) -> Section:
    picture = headline_exhibit(scope, results.moments, results.means, results.differences, results.chance)
    return study_section(store.study.config, store.study.model, store.study.written_with, picture)


def _layer_section(store: Store, scope: Scope, results: Numbers) -> Section:
    explorer = explorer_data(store, scope, results.moments.frame)
    averaged = "" if explorer["block"] == 1 else f", {explorer['block']} by {explorer['block']} pairs to a pixel"
    return Section(
        "layers-section",
        "Every layer",
        f"Step through the layers with the slider or the arrow keys. The matrices show the first {explorer['marks']} "
        f"marks of {scope.example_book}{averaged}: internal pairs above the diagonal, terminal below. Each layer has "
        "its own colour scale, and the curves below are the distributions of the same values; means and standard "
        "deviations (SD) are over the pairs of all books.",
        (layer_table(store, scope, results.moments, results.means, results.differences, results.chance),),
        explorer,
    )


def _comparison_section(store: StudyStore, other: StudyStore, scope: Scope, results: Numbers) -> Section:
    other_scope = choose_scope(other)
    if other_scope is None:
        raise ReportUsageError("the store named by --compare has no pairs yet; run it first, or leave out --compare")
    theirs = compute_numbers(other, other_scope)
    note = f"{scope.books_with_pairs:,} books here, {other_scope.books_with_pairs:,} there."
    return comparison_section(
        (results.means, results.differences, results.chance.frame),
        (theirs.means, theirs.differences, theirs.chance.frame),
        store.study.differences(other.study),
        (scope.book_means.sql, results.moments.sql, results.chance.sql),
        note,
    )


def _subtitle(scope: Scope) -> str:
    titles = scope.book_rows.frame.set_index("book")["title"]
    books = sorted({str(book) for book in scope.book_means.frame["book"]})
    if len(books) > 3:
        return f"{len(books):,} books, {len(scope.layers)} layers"
    named = ", ".join(str(titles[book]) if pd.notna(titles.get(book)) else book for book in books)
    return f"{named}; {len(scope.layers)} layers"


def _empty_report(store: StudyStore, title: str) -> Report:
    books = ask(store, "books")
    return Report(
        title,
        "No pairs are committed yet",
        store.snapshot,
        ("This store holds no pairs yet. The next report after a run has committed its first books shows them.",),
        {"model": str(store.study.config.get("model", "unknown")), "books": f"{len(books.frame):,}"},
        (failed_section(books),),
        {"snapshot": store.snapshot, "books": [], "pairs": 0, "mi_difference": {}},
    )
