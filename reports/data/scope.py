"""What a report is about: which layer is shown in detail, which books count, and which are sampled.

Aggregates are read from `summaries`, whatever the number of books. Matrices and scatters need pairs: they are
read for a few books, and for the first marks of each, so that their cost does not grow with the store.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd

from reports.data.classes import Classes
from reports.data.queries import Answer, StudyStore, ask
from reports.errors import ReportUsageError
from store.errors import did_you_mean

MATRIX_MARKS = 500
"""Matrices and one layer's scatter show pairs among the first so many marks of a class in a book."""
GRID_MARKS = 250
"""The grid over all layers samples pairs among the first so many marks."""
SCATTER_PAIRS = 20_000
GRID_PAIRS = 1_200
SCATTER_BOOKS = 8
GRID_BOOKS = 4
SPREAD_BOOKS = 2_000
"""Histograms and mean activations are summed over at most so many books, chosen by the seed."""
SEED = 0
_BOOKS_NAMED = 5
"""An error that lists books names so many."""


@dataclass(frozen=True)
class Scope:
    """The choices of one report, and the small answers they were made from.

    `rows_kept`: whether pairs within a class have rows, and not summaries alone; `between_measured`: whether pairs
    between classes were measured. `books` is None where all books count. `book_rows` has a column of marks used by
    class (see `used_column`). `example_book` is the one whose matrices are shown: its mean MI in `layer` is nearest the
    median of the books.
    """

    classes: Classes
    rows_kept: bool
    between_measured: bool
    layer: int
    layers: tuple[int, ...]
    books: tuple[str, ...] | None
    example_book: str
    scatter_books: tuple[str, ...]
    grid_books: tuple[str, ...]
    spread_books: tuple[str, ...] | None
    book_rows: Answer
    book_means: Answer
    layer_rows: Answer

    @property
    def books_with_pairs(self) -> int:
        """How many books the aggregates are over."""
        return int(self.book_means.frame["book"].nunique())

    @property
    def marks_used(self) -> pd.DataFrame:
        """How many marks of each class (a column each, by its name) the books with pairs gave."""
        rows = self.book_rows.frame
        return self._used(rows[rows["book"].isin(self.book_means.frame["book"])])

    @property
    def example_marks(self) -> pd.Series:
        """How many marks of each class the example book gave, by class."""
        rows = self.book_rows.frame
        return self._used(rows[rows["book"] == self.example_book]).iloc[0]

    @property
    def example_title(self) -> str:
        """The title of the example book, its key where it has none."""
        return self.title_of(self.example_book)

    def title_of(self, book: str) -> str:
        """The title of a book as its header states it; its key where that is unknown."""
        rows = self.book_rows.frame
        titles = rows.loc[rows["book"] == book, "title"].dropna()
        return str(titles.iloc[0]) if len(titles) else book

    def per_million(self, books: tuple[str, ...], marks: int, wanted: int) -> int:
        """How many pairs in a million to keep so that about `wanted` of each class remain."""
        rows = self.book_rows.frame
        used = self._used(rows[rows["book"].isin(books)]).clip(upper=marks).to_numpy(dtype=float)
        available = float((used * (used - 1) / 2).sum(axis=0).max())
        return 1_000_000 if available <= wanted else math.ceil(1e6 * wanted / available)

    def _used(self, rows: pd.DataFrame) -> pd.DataFrame:
        columns = {used_column(name): name for name in self.classes.names}
        return rows[list(columns)].rename(columns=columns)


def used_column(name: str) -> str:
    """The column of `book_rows` with the marks of a class that were used."""
    return f"marks: {name}"


def ask_books(store: StudyStore) -> Answer:
    """Every book of the store, with a column of marks used for each class of the study."""
    answer = ask(store, "books")
    frame = answer.frame.drop(columns=["found", "used"])
    for name in store.study.class_names:
        frame[used_column(name)] = [int((used or {}).get(name, 0)) for used in answer.frame["used"]]
    return Answer(frame, answer.sql)


def choose_scope(store: StudyStore, layer: int | None = None, books: tuple[str, ...] = ()) -> Scope | None:
    """Resolve the user's choices against what is committed; None where no pair is.

    Raises ReportUsageError for a layer or a book that the store does not have.
    """
    check_layer(layer)
    layer_rows = ask(store, "layers")
    book_rows = ask_books(store)
    layers = tuple(sorted({int(row) for row in layer_rows.frame.loc[layer_rows.frame["pairs"] > 0, "layer"]}))
    _check_books(books, book_rows.frame)
    if not layers:
        return None
    chosen_layer = layers[len(layers) // 2] if layer is None else layer
    if chosen_layer not in layers:
        raise ReportUsageError(f"layer {layer} is not in the store; it has layers {layers[0]} to {layers[-1]}")
    restricted = tuple(sorted(set(books))) or None
    book_means = ask(store, "book_means", books=restricted)
    with_pairs = _by_typicality(book_means.frame, chosen_layer)
    if not with_pairs:
        rows = book_rows.frame[book_rows.frame["book"].isin(books)]
        states = ", ".join(f"{row.book} ({row.status})" for row in rows.itertuples())
        raise ReportUsageError(f"no pairs of {states}; leave out --books for all books")
    return Scope(
        classes=Classes.of(store.study),
        rows_kept=store.study.config.get("within", "rows") == "rows",
        between_measured=store.study.config.get("between", "rows") != "none",
        layer=chosen_layer,
        layers=layers,
        books=restricted,
        example_book=with_pairs[0],
        scatter_books=_sample(with_pairs, SCATTER_BOOKS),
        grid_books=_sample(with_pairs, GRID_BOOKS),
        spread_books=restricted if len(with_pairs) <= SPREAD_BOOKS else _sample(with_pairs, SPREAD_BOOKS),
        book_rows=book_rows,
        book_means=book_means,
        layer_rows=layer_rows,
    )


def check_layer(layer: object) -> None:
    """Raise ReportUsageError for a layer that is no whole number, such as "15"; None, for the middle one, will do."""
    if layer is not None and (isinstance(layer, bool) or not isinstance(layer, Integral)):
        raise ReportUsageError(f"layer is {layer!r}; pass a whole number, such as layer=15")


def _check_books(books: tuple[str, ...], known: pd.DataFrame) -> None:
    unknown = sorted(set(books) - set(known["book"]))
    if unknown:
        shown = ", ".join(list(known["book"])[:_BOOKS_NAMED]) or "none yet"
        more = ", ..." if len(known) > _BOOKS_NAMED else ""
        like = did_you_mean(unknown[0], known["book"])
        raise ReportUsageError(f"book {unknown[0]!r} is not in the store{like}; its books are: {shown}{more}")


def _by_typicality(book_means: pd.DataFrame, layer: int) -> list[str]:
    """Books with pairs in a layer, the most typical first.

    Those with most classes lead; then counts how far a book's mean MI is from the median of the books; then its name.
    """
    rows = book_means[book_means["layer"] == layer]
    if rows.empty:
        rows = book_means
    books = rows.groupby("book", observed=True).agg(classes=("class", "nunique"), mi=("mi_mean", "mean"))
    books["distance"] = (books["mi"] - books["mi"].median()).abs()
    books["name"] = books.index.astype(str)
    ordered = books.sort_values(["classes", "distance", "name"], ascending=[False, True, True])
    return [str(name) for name in ordered["name"]]


def _sample(books: list[str], wanted: int) -> tuple[str, ...]:
    """The most typical book and a seeded choice of the others."""
    if len(books) <= wanted:
        return tuple(sorted(books))
    chosen = np.random.default_rng(SEED).choice(np.array(sorted(books[1:])), wanted - 1, replace=False)
    return tuple(sorted([books[0], *map(str, chosen)]))
