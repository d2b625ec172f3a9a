"""The answer: are two classes of marks kept apart, which is more alike, and how sure is that.

Made from `passage_sums`, `summaries` and `transfer_sums`: no pair is read, so it costs the same whether a book has ten
thousand pairs or a hundred million. `reports.data.estimates` has what is estimated of each book; what the numbers mean
is told in docs/statistics.md and `analysis.contrasts`; how sure they are in `analysis.inference`. Books are read a few
at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.contrasts import Floats
from analysis.inference import BOOKS_TO_SPEAK_OF_OTHERS, NO_INTERVAL, Evidence, infer
from reports.data.classes import Classes
from reports.data.estimates import (
    CENTRED,
    DIRECTION,
    MEASURES,
    OF_PAIRS,
    Estimate,
    Key,
    estimates_of_book,
    mi_histograms,
    pair_sums,
    touching_passages,
    transfer_wins,
)
from reports.data.queries import Store, ask
from reports.data.scope import SEED

UNITS = {
    "mi": "bits",
    "cov": "activation²",
    "mi_copula": "bits",
    "mi_copula_centred": "bits",
    "mi_centred": "bits",
}
"""Units of the measures that have one."""

NO_UNIT = "none"
WITHOUT_UNIT = ("auc", "r2", "dispersion", "transfer", "transfer_control", "transfer_gain")
"""Quantities that are shares or chances, whatever their measure."""

SHARES = ("auc", "r2", "transfer", "transfer_control")
"""Quantities between 0 and 1, whose intervals end there."""

_LEAST_SPREAD = 1e-9
"""An interval narrower than this is none: where all observations say the same, how sure they are is not known."""

CHANCE = {"auc": 0.5, "transfer": 0.5, "transfer_control": 0.5}
"""What a quantity is where there is nothing to find, if that is not 0."""

WITHOUT_P = ("likeness", "dispersion", "r2")
"""Quantities that cannot be 0, or are not asked whether they are: p would say nothing."""

BOOKS_AT_ONCE = 25
FOREST_BOOKS = 40
"""So many books at most are shown one by one."""

EMBEDDINGS = "no interval: layer 0 holds the embeddings, where marks of one token are equal"

COLUMNS = (
    "first",
    "second",
    "layer",
    "measure",
    "quantity",
    "unit",
    "estimate",
    "low",
    "high",
    "p",
    "skewness",
    "estimator",
    "observations",
    "books",
    "seed",
)
"""Columns of `Answers.results`."""

BOOK_COLUMNS = ("quantity", "measure", "book", "layer", "estimate", "low", "high", "passages")
"""Columns of `Answers.by_book`."""


@dataclass(frozen=True)
class Answers:
    """What was found of a study's classes.

    `results`: a row a layer, measure and quantity, see `COLUMNS`. `low` and `high` hold in all layers at once but for
    layer 0, which stands apart; those of a quantity of two classes hold for all pairs of classes as well. Where a
    quantity is of one class, `first` and `second` are that class. `first` and `second` are the two that the study
    names first, whose books are `books`; `by_book`: see `BOOK_COLUMNS`: up to 40 of these, each layer's interval by
    itself and from the book's own passages.
    """

    first: str
    second: str
    books: tuple[str, ...]
    passages: int
    results: pd.DataFrame
    by_book: pd.DataFrame
    sql: tuple[str, ...]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs of classes with a difference, in the study's order."""
        rows = self.results[self.results["quantity"] == "difference"]
        return tuple(dict.fromkeys(zip(rows["first"], rows["second"], strict=True)))

    @property
    def estimator(self) -> str:
        """How the intervals of the first two classes' difference were made, or where one is named of its likeness."""
        rows = self.of("difference" if self.first != self.second else "likeness", "mi")
        rows = rows[rows["estimate"].notna() & ((rows["layer"] > 0) | (rows["layer"].nunique() == 1))]
        return str(rows["estimator"].iloc[0]) if len(rows) else NO_INTERVAL

    @property
    def centring_measure(self) -> str:
        """The measure in which raw and centred differences are held against each other: the first that is stored.

        Correlations come last: their means over pairs within a class are the squared lengths of the classes' means, so
        that centring takes all of their difference, whatever the marks.
        """
        for raw in ("mi", "mi_copula"):
            if not self._centred(raw).empty and self._centred(raw)["estimate"].notna().any():
                return raw
        return "corr"

    def _centred(self, raw: str) -> pd.DataFrame:
        return self.of("difference", CENTRED[raw])

    @property
    def apart(self) -> bool:
        """Whether pairs lie between the first two classes, so that it can be said whether they are kept apart."""
        return not self.of("separation", "mi").empty

    def of(self, quantity: str, measure: str, pair: tuple[str, str] | None = None) -> pd.DataFrame:
        """Rows of two classes, the first two by default: layer, estimate, low, high, ... in the order of the layers."""
        return self._rows(quantity, measure, *(pair or (self.first, self.second)))

    def of_class(self, quantity: str, measure: str, name: str) -> pd.DataFrame:
        """Rows of one class; `quantity` such as `likeness`, `dispersion` or `halves_difference`, its placebo."""
        return self._rows(quantity, measure, name, name)

    def _rows(self, quantity: str, measure: str, first: str, second: str) -> pd.DataFrame:
        rows = self.results
        chosen = (rows["quantity"] == quantity) & (rows["measure"] == measure)
        chosen &= (rows["first"] == first) & (rows["second"] == second)
        return rows[chosen].reset_index(drop=True)


def find_answers(store: Store, classes: Classes, books: Sequence[str] | None = None) -> Answers:
    """The estimates of a study's classes over some books, or all."""
    return read_books(store, classes, books).answers()


def read_books(store: Store, classes: Classes, books: Sequence[str] | None = None) -> BookByBook:
    """What is estimated of each book, of some or of all."""
    chosen = ask(store, "answer_books", classes=classes.names, books=books)
    names = [str(name) for name in chosen.frame["book"]]
    found = BookByBook(classes, [chosen.sql])
    for start in range(0, len(names), BOOKS_AT_ONCE):
        part = names[start : start + BOOKS_AT_ONCE]
        sums = ask(store, "answer_sums", classes=classes.names, books=part)
        histograms = ask(store, "answer_histograms", classes=classes.named, books=part)
        passages = ask(store, "answer_passages", books=part)
        wins = ask(store, "transfer_sums", classes=classes.named, books=part)
        if not start:
            found.sql += [sums.sql, histograms.sql, passages.sql, *([] if wins.frame.empty else [wins.sql])]
        found.take(sums.frame, histograms.frame, passages.frame, wins.frame)
    return found


@dataclass
class BookByBook:
    """Estimates of the books read so far: by key and place in the list of `books`."""

    classes: Classes
    sql: list[str] = field(default_factory=list)
    books: list[str] = field(default_factory=list)
    passages: list[int] = field(default_factory=list)
    layers: tuple[int, ...] = ()
    estimates: dict[Key, dict[int, Estimate]] = field(default_factory=dict)

    def take(self, sums: pd.DataFrame, histograms: pd.DataFrame, passages: pd.DataFrame, wins: pd.DataFrame) -> None:
        """Take in some books."""
        self.layers = self.layers or tuple(sorted({int(layer) for layer in sums["layer"]}))
        spread = _by_book(histograms)
        places, won = _by_book(passages), _by_book(wins)
        for book, rows in sums.groupby("book", sort=True, observed=True):
            number = len(self.books)
            parts = dict(pair_sums(rows, self.layers))
            count = len(next(iter(parts.values())).pairs)
            found = estimates_of_book(
                parts,
                touching_passages(places[str(book)], count),
                mi_histograms(spread[str(book)], self.layers) if str(book) in spread else {},
                self.classes.named,
                len(self.layers),
                SEED + number,
                wins=transfer_wins(won[str(book)], self.layers) if str(book) in won else {},
                with_error=number < FOREST_BOOKS,
            )
            self.books.append(str(book))
            self.passages.append(count)
            for key, estimate in found.items():
                self.estimates.setdefault(key, {})[number] = estimate

    def of(self, key: Key) -> dict[str, Estimate]:
        """The books' estimates of a key, by book."""
        return {self.books[number]: estimate for number, estimate in self.estimates.get(key, {}).items()}

    def answers(self) -> Answers:
        """The results over all books taken in."""
        first, second = self.classes.compared or (self.classes.named[0],) * 2
        key = Key("difference" if first != second else "likeness", "mi", first, second)
        here = sorted(self.estimates.get(key, {}))
        return Answers(
            first,
            second,
            tuple(self.books[number] for number in here),
            sum(self.passages[number] for number in here),
            frame_of([part for family in self._families() for part in self._over_books(family)], COLUMNS),
            frame_of(self._by_book(first, second), BOOK_COLUMNS),
            tuple(self.sql),
        )

    def _families(self) -> Iterator[list[Key]]:
        """Keys whose intervals hold together: of a quantity of two classes all pairs of them, else each by itself."""
        order = sorted(self.estimates, key=self._place)
        for _, keys in itertools.groupby(order, key=lambda key: self._place(key)[:2]):
            whole = list(keys)
            yield from [whole] if whole[0].quantity in OF_PAIRS else [[key] for key in whole]

    def _place(self, key: Key) -> tuple[Any, ...]:
        """Where a key stands among the results: quantities in the order that they were found, measures in theirs."""
        quantities = list(dict.fromkeys(each.quantity for each in self.estimates))
        names = self.classes.names
        place = quantities.index(key.quantity), (*MEASURES, DIRECTION).index(key.measure)
        return *place, names.index(key.first), names.index(key.second)

    def _over_books(self, family: Sequence[Key]) -> Iterator[dict[str, Any]]:
        """The mean over books of each key, and intervals that hold in all layers and for all keys of the family."""
        layers = np.array(self.layers)
        deep = layers > 0 if (layers > 0).any() else np.ones(len(layers), dtype=np.bool_)
        stacked = np.stack([self._stacked(key) for key in family], axis=1)
        here = [number for number in range(len(stacked)) if np.isfinite(stacked[number]).any()]
        few = here if len(here) < BOOKS_TO_SPEAK_OF_OTHERS else []
        by_passage = [self._pseudo_values(family, number)[:, :, deep] for number in few]
        flat = stacked[here][:, :, deep].reshape(len(here), -1)
        chance = CHANCE.get(family[0].quantity, 0.0)
        found = infer(flat - chance, [values.reshape(len(values), -1) - chance for values in by_passage], SEED)
        shape = (len(family), int(deep.sum()))
        values = {name: getattr(found, name).reshape(shape) for name in _VALUES}
        for name in ("estimate", "low", "high"):
            values[name] = values[name] + chance
        no_spread = values["high"] - values["low"] < _LEAST_SPREAD
        for name in ("low", "high"):
            bounded = np.clip(values[name], 0, 1) if family[0].quantity in SHARES else values[name]
            values[name] = np.where(no_spread, np.nan, bounded)
        if family[0].quantity in WITHOUT_P:
            values["p"] = np.full(shape, np.nan)
        for place, key in enumerate(family):
            part: dict[str, Any] = {
                **key._asdict(),
                "layer": layers,
                "unit": NO_UNIT if key.quantity in WITHOUT_UNIT else UNITS.get(key.measure, NO_UNIT),
                "estimator": np.where(deep, found.estimator, EMBEDDINGS),
                "observations": self._observations(key) if few else len(self.estimates[key]),
                "books": len(self.estimates[key]),
                "seed": SEED,
            }
            for name in _VALUES:
                part[name] = np.full(len(layers), np.nan)
                part[name][deep] = values[name][place]
            part["estimate"][~deep] = _mean_over_books(stacked[:, place, ~deep])
            yield part

    def _observations(self, key: Key) -> int:
        """How many passages the estimates of a key come from."""
        known = [each.pseudo for each in self.estimates[key].values()]
        return sum(len(values) for values in known if values is not None)

    def _stacked(self, key: Key) -> Floats:
        """The books' estimates of a key: [books, layers], NaN where a book has none."""
        by_book = np.full((len(self.books), len(self.layers)), np.nan)
        for number, estimate in self.estimates[key].items():
            by_book[number] = estimate.whole
        return by_book

    def _pseudo_values(self, family: Sequence[Key], number: int) -> Floats:
        """One book's pseudo-values of some keys, [passages, keys, layers]; NaN for a key that it does not have."""
        found = [self.estimates[key].get(number) for key in family]
        there = [each.pseudo for each in found if each is not None and each.pseudo is not None]
        missing = np.full((len(there[0]) if there else 1, len(self.layers)), np.nan)
        return np.stack([missing if each is None or each.pseudo is None else each.pseudo for each in found], axis=1)

    def _by_book(self, first: str, second: str) -> Iterator[dict[str, Any]]:
        """Difference and separation of up to 40 books, each with the interval of its own passages."""
        for key, by_book in self.estimates.items():
            if key.quantity not in ("difference", "separation") or (key.first, key.second) != (first, second):
                continue
            for number, estimate in sorted(by_book.items()):
                if estimate.pseudo is None:
                    continue
                found: Evidence = infer(estimate.whole[None], [estimate.pseudo], SEED, together=False)
                yield {
                    "quantity": key.quantity,
                    "measure": key.measure,
                    "book": self.books[number],
                    "layer": np.array(self.layers),
                    "estimate": estimate.whole,
                    "low": found.low,
                    "high": found.high,
                    "passages": len(estimate.pseudo),
                }


_VALUES = ("estimate", "low", "high", "p", "skewness")


def frame_of(
    parts: Iterator[Mapping[str, Any]] | Sequence[Mapping[str, Any]], columns: tuple[str, ...]
) -> pd.DataFrame:
    """One frame of many parts: a part's arrays have one length, and its other values hold for all of its rows."""
    parts = list(parts)
    sizes = [len(part["layer"]) for part in parts]
    values = {
        name: np.concatenate([np.broadcast_to(part[name], size) for part, size in zip(parts, sizes, strict=True)])
        for name in columns
        if parts
    }
    return pd.DataFrame(values, columns=list(columns))


def _by_book(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(book): rows for book, rows in frame.groupby("book", observed=True)}


def _mean_over_books(estimates: Floats) -> Floats:
    count = np.isfinite(estimates).sum(axis=0)
    mean: Floats = np.full(count.shape, np.nan)
    np.divide(np.nansum(estimates, axis=0), count, out=mean, where=count > 0)
    return mean
