"""One report from one store: ask, compute, draw. What to do with it is for page.py, pdf.py and publish.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.exhibits import Report, Section
from reports.explorer import explorer_data
from reports.intervals import (
    TOKEN_BOOKS,
    draws_over_books,
    draws_over_books_then_tokens,
    draws_over_tokens,
    layer_differences,
    layer_means,
    observed_means,
)
from reports.notebook import notebook_section
from reports.overview import findings, headline_exhibit, numbers, study_section
from reports.queries import Answer, Store, ask
from reports.scope import MATRIX_MARKS, SEED, Scope, choose_scope
from reports.tables import extremes_section, failed_section, layer_table, outlier_section


@dataclass(frozen=True)
class Numbers:
    """What several sections share: pooled moments, means over books and differences between the classes."""

    moments: Answer
    means: pd.DataFrame
    differences: pd.DataFrame


def build_report(
    store: Store, layer: int | None = None, books: tuple[str, ...] = (), title: str | None = None
) -> Report:
    """The report of what is committed in the store, about one layer in detail and some books or all.

    Raises ReportUsageError for a layer or a book the store does not have.
    """
    scope = choose_scope(store, layer, books)
    study = _study(store)
    title = title or f"Punctuation in {study['settings'].get('model', 'a language model')}"
    if scope is None:
        return _empty_report(store, study, title)
    results = compute_numbers(store, scope)
    sections = (
        study_section(
            study["settings"],
            study["model"],
            study["versions"],
            headline_exhibit(scope, results.moments, results.means, results.differences),
        ),
        notebook_section(store, scope, results.moments, results.means),
        _layer_section(store, scope, results),
        outlier_section(store, scope),
        extremes_section(store, scope),
        failed_section(scope.book_rows),
    )
    return Report(
        title,
        _subtitle(scope),
        store.snapshot,
        findings(results.differences, scope),
        numbers(study["settings"], scope),
        sections,
        facts(store, scope, results),
    )


def compute_numbers(store: Store, scope: Scope) -> Numbers:
    """Moments by SQL, means over books and differences with bootstrap intervals."""
    moments = ask(store, "layer_moments", books=scope.books)
    by_book = observed_means(scope.book_means.frame, scope.layers)
    draws = _draws(store, scope, by_book)
    means = layer_means(by_book, draws, scope.layers)
    return Numbers(moments, means, layer_differences(means, draws, moments.frame))


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


def _draws(store: Store, scope: Scope, by_book: Any) -> Any:
    """Resampled means: books whole where there are many, books and then their tokens where there are few."""
    books = sorted({str(book) for book in scope.book_means.frame["book"]})
    if len(books) > TOKEN_BOOKS:
        return draws_over_books(by_book, SEED)
    over_tokens = {
        book: draws_over_tokens(
            ask(store, "book_pairs", book=book, marks=MATRIX_MARKS).frame, scope.layers, SEED + number
        )
        for number, book in enumerate(books)
    }
    return draws_over_books_then_tokens(over_tokens, SEED)


def _layer_section(store: Store, scope: Scope, results: Numbers) -> Section:
    explorer = explorer_data(store, scope, results.moments.frame)
    averaged = "" if explorer["block"] == 1 else f", {explorer['block']} by {explorer['block']} pairs to a pixel"
    return Section(
        "layers-section",
        "Every layer",
        f"Step through the layers with the slider or the arrow keys. The matrices show the first {explorer['marks']} "
        f"marks of {scope.example_book}{averaged}: internal pairs above the diagonal, terminal below. Each layer has "
        "its own colour scale; the curves below are distributions of the same values.",
        (layer_table(results.moments, results.differences),),
        explorer,
    )


def _study(store: Any) -> dict[str, dict[str, Any]]:
    return {
        "settings": dict(store.study.config),
        "model": dict(store.study.model),
        "versions": dict(store.study.written_with),
    }


def _subtitle(scope: Scope) -> str:
    titles = scope.book_rows.frame.set_index("book")["title"]
    books = sorted({str(book) for book in scope.book_means.frame["book"]})
    if len(books) > 3:
        return f"{len(books):,} books, {len(scope.layers)} layers"
    named = ", ".join(str(titles[book]) if pd.notna(titles.get(book)) else book for book in books)
    return f"{named}; {len(scope.layers)} layers"


def _empty_report(store: Store, study: dict[str, dict[str, Any]], title: str) -> Report:
    books = ask(store, "books")
    return Report(
        title,
        "No pairs are committed yet",
        store.snapshot,
        ("This store holds no pairs yet. The next report after a run has committed its first books shows them.",),
        {"model": str(study["settings"].get("model", "unknown")), "books": f"{len(books.frame):,}"},
        (failed_section(books),),
        {"snapshot": store.snapshot, "books": [], "pairs": 0, "mi_difference": {}},
    )
