"""The answer: are two classes of marks kept apart, which is more alike, and how sure is that.

Made from `passage_sums`, `summaries` and `activations`: no pair is read, so it costs the same whether a book has ten
thousand pairs or a hundred million. What the numbers mean is told in docs/statistics.md and `analysis.contrasts`; how
sure they are in `analysis.inference`. Books are read a few at a time.

Likeness, difference, separation and dispersion are over pairs of marks of **different passages**; AUC and R^2 over all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis import contrasts
from analysis.contrasts import Floats, PairSums
from analysis.inference import BOOKS_TO_SPEAK_OF_OTHERS, Evidence, infer
from reports.data.queries import Store, ask
from reports.data.scope import SEED

MEASURES = ("mi", "corr", "mi_copula", "corr_centred", "mi_copula_centred", "mi_centred")
"""The measures that may be there, in the order of the results."""

UNITS = {"mi": "bits", "mi_copula": "bits", "mi_copula_centred": "bits", "mi_centred": "bits"}
"""Units of the measures that have one."""

NO_UNIT = "none"

CENTRED = {"mi": "mi_centred", "corr": "corr_centred", "mi_copula": "mi_copula_centred"}
"""Each raw measure's counterpart for centred vectors."""

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

PLACEBOS = ("halves", "random")
"""First half of a class's passages against the second, and random halves."""


@dataclass(frozen=True)
class Answers:
    """What was found of two classes.

    `results`: a row a layer, measure and quantity, see `COLUMNS`; `low` and `high` hold in all layers at once but for
    layer 0, which stands apart. For a placebo `first` and `second` are the same class. `by_book`: see
    `BOOK_COLUMNS`: up to 40 books, each layer's interval by itself and from the book's own passages.
    """

    first: str
    second: str
    books: tuple[str, ...]
    passages: int
    results: pd.DataFrame
    by_book: pd.DataFrame
    sql: tuple[str, ...]

    def of(self, quantity: str, measure: str) -> pd.DataFrame:
        """Rows of the two classes: layer, estimate, low, high, ... in the order of the layers."""
        return self._rows(quantity, measure, self.first, self.second)

    def placebo(self, quantity: str, measure: str, mark_class: str) -> pd.DataFrame:
        """Rows of a class against itself; `quantity` such as `halves_difference`."""
        return self._rows(quantity, measure, mark_class, mark_class)

    def _rows(self, quantity: str, measure: str, first: str, second: str) -> pd.DataFrame:
        rows = self.results
        chosen = (rows["quantity"] == quantity) & (rows["measure"] == measure)
        chosen &= (rows["first"] == first) & (rows["second"] == second)
        return rows[chosen].reset_index(drop=True)


def find_answers(
    store: Store, first: str, second: str, baseline: str | None = None, books: Sequence[str] | None = None
) -> Answers | None:
    """The contrast of two classes over some books, or all; None where no book has pairs of both and between them."""
    classes = [name for name in (first, second, baseline) if name]
    chosen = ask(store, "answer_books", classes=[first, second], books=books)
    names = [str(name) for name in chosen.frame["book"]]
    found = _Found(first, second, baseline)
    queries = [chosen.sql]
    for start in range(0, len(names), BOOKS_AT_ONCE):
        part = names[start : start + BOOKS_AT_ONCE]
        sums = ask(store, "answer_sums", classes=classes, books=part)
        histograms = ask(store, "answer_histograms", classes=classes[:2], books=part)
        marks = ask(store, "answer_marks", classes=classes[:2], books=part)
        queries += [each.sql for each in (sums, histograms, marks)] if not start else []
        found.take(sums.frame, histograms.frame, marks.frame)
    return found.answers(tuple(queries)) if found.books else None


@dataclass
class _Found:
    """Estimates of the books read so far: by quantity, a list of arrays [layers, measures] in the order of books."""

    first: str
    second: str
    baseline: str | None
    books: list[str] = field(default_factory=list)
    layers: tuple[int, ...] = ()
    passages: int = 0
    estimates: dict[tuple[str, str, str], list[Floats]] = field(default_factory=dict)
    pseudo: dict[tuple[str, str, str], list[Floats]] = field(default_factory=dict)

    def take(self, sums: pd.DataFrame, histograms: pd.DataFrame, marks: pd.DataFrame) -> None:
        """Take in some books."""
        self.layers = self.layers or tuple(sorted({int(layer) for layer in sums["layer"]}))
        counts = {(str(row.book), str(row.mark_class)): int(row.marks) for row in _plain(marks).itertuples()}
        spreads = dict(_spreads(histograms, self.layers))
        for book, rows in _plain(sums).groupby("book", sort=True):
            parts = dict(_pair_sums(rows, self.layers))
            keys = ((self.first, self.first), (self.second, self.second), (self.first, self.second))
            if not all(key in parts for key in keys):
                continue
            self.books.append(str(book))
            number = len(self.books) - 1
            within = [parts[key] for key in keys]
            self.passages += len(within[0].pairs)
            self._contrast(*(part.across() for part in within))
            self._effects(
                within, spreads.get(str(book), {}), [counts.get((str(book), name), 0) for name, _ in keys[:2]]
            )
            for name in (self.first, self.second):
                self._placebos(name, parts[name, name].across(), number)
            if self.baseline:
                self._baseline(parts)

    def _contrast(self, first: PairSums, second: PairSums, between: PairSums) -> None:
        whole, pseudo = contrasts.contrast(first, second, between), contrasts.pseudo_values(first, second, between)
        names = {"likeness_first": "first", "likeness_second": "second", "likeness_between": "between"}
        for quantity, attribute in (names | {"difference": "difference"}).items():
            self._note(quantity, getattr(whole, attribute), getattr(pseudo, attribute))
        self._note("separation", _only_raw(whole.separation), _only_raw(pseudo.separation))
        self._note("difference_of_means", _less_centred(whole.difference), _less_centred(pseudo.difference))
        for quantity, attribute in (("dispersion_first", "first"), ("dispersion_second", "second")):
            self._note(quantity, _only_corr(1 - getattr(whole, attribute)), _only_corr(1 - getattr(pseudo, attribute)))

    def _effects(self, within: list[PairSums], spread: dict[tuple[str, str], np.ndarray], marks: list[int]) -> None:
        """AUC of mi and R^2 of corr, in their measure's column."""
        auc = np.full((len(self.layers), len(MEASURES)), np.nan)
        keys = ((self.first, self.first), (self.second, self.second), (self.first, self.second))
        if all(key in spread for key in keys):
            first, second, between = (spread[key] for key in keys)
            auc[:, MEASURES.index("mi")] = [
                (contrasts.auc_of_histograms(low, one) + contrasts.auc_of_histograms(low, other)) / 2
                for one, other, low in zip(first, second, between, strict=True)
            ]
        self._note("auc", auc.reshape(-1))
        explained = np.full((len(self.layers), len(MEASURES)), np.nan)
        if all(marks):
            shares = contrasts.explained_share(within[0], within[1], within[2], (marks[0], marks[1]))
            column = MEASURES.index("corr")
            explained[:, column] = shares.reshape(explained.shape)[:, column]
        self._note("r2", explained.reshape(-1))

    def _placebos(self, name: str, within: PairSums, number: int) -> None:
        here = np.flatnonzero((within.pairs + within.pairs.T).sum(axis=1))
        for kind in PLACEBOS:
            one, other = contrasts.halves(len(here), None if kind == "halves" else SEED + number)
            whole, pseudo = contrasts.placebo(within, here[one], here[other])
            for attribute in ("difference", "separation"):
                keep = _only_raw if attribute == "separation" else np.asarray
                values = keep(getattr(whole, attribute)), keep(getattr(pseudo, attribute))
                self._note(f"{kind}_{attribute}", *values, (name, name))

    def _baseline(self, parts: dict[tuple[str, str], PairSums]) -> None:
        name = str(self.baseline)
        for quantity, key in (
            ("likeness_baseline", (name, name)),
            ("first_to_baseline", (self.first, name)),
            ("second_to_baseline", (self.second, name)),
        ):
            size = len(self.layers) * len(MEASURES)
            if key not in parts:
                self._note(quantity, np.full(size, np.nan), np.full((1, size), np.nan))
                continue
            part = parts[key].across()
            self._note(quantity, part.mean(), part.pseudo_values())

    def _note(
        self, quantity: str, whole: Floats, pseudo: Floats | None = None, classes: tuple[str, str] | None = None
    ) -> None:
        key = (quantity, *(classes or (self.first, self.second)))
        shape = (len(self.layers), len(MEASURES))
        self.estimates.setdefault(key, []).append(whole.reshape(shape))
        kept = self.pseudo.setdefault(key, [])
        if pseudo is not None and len(kept) < FOREST_BOOKS:
            kept.append(pseudo.reshape(-1, *shape))

    def answers(self, sql: tuple[str, ...]) -> Answers:
        """The results over all books taken in."""
        parts = []
        for key, by_book in self.estimates.items():
            stacked = np.stack(by_book)
            few = self.pseudo[key] if len(by_book) < BOOKS_TO_SPEAK_OF_OTHERS else []
            for column, measure in enumerate(MEASURES):
                if np.isfinite(stacked[:, :, column]).any():
                    parts.append(self._over_books(key, measure, stacked[:, :, column], [p[:, :, column] for p in few]))
        return Answers(
            self.first,
            self.second,
            tuple(self.books),
            self.passages,
            _frame(parts, COLUMNS),
            _frame(self._by_book(), BOOK_COLUMNS),
            sql,
        )

    def _over_books(
        self, key: tuple[str, str, str], measure: str, estimates: Floats, pseudo: list[Floats]
    ) -> dict[str, Any]:
        quantity, first, second = key
        layers = np.array(self.layers)
        deep = layers > 0
        if not deep.any():
            deep[:] = True
        found = infer(estimates[:, deep], [values[:, deep] for values in pseudo], SEED)
        part: dict[str, Any] = {
            "first": first,
            "second": second,
            "layer": layers,
            "measure": measure,
            "quantity": quantity,
            "unit": UNITS.get(measure, NO_UNIT) if quantity not in ("auc", "r2") else NO_UNIT,
            "estimator": np.where(deep, found.estimator, EMBEDDINGS),
            "observations": found.n,
            "books": found.books,
            "seed": SEED,
        }
        for name in ("estimate", "low", "high", "p", "skewness"):
            part[name] = np.full(len(deep), np.nan)
            part[name][deep] = getattr(found, name)
        part["estimate"][~deep] = _mean_over_books(estimates[:, ~deep])
        return part

    def _by_book(self) -> list[dict[str, Any]]:
        """Difference and separation of up to 40 books, each with the interval of its own passages."""
        parts = []
        for quantity in ("difference", "separation"):
            key = (quantity, self.first, self.second)
            for number, pseudo in enumerate(self.pseudo[key]):
                for column, measure in enumerate(MEASURES):
                    whole = self.estimates[key][number][:, column]
                    if np.isfinite(whole).any():
                        parts.append(self._one_book(quantity, measure, number, whole, pseudo[:, :, column]))
        return parts

    def _one_book(self, quantity: str, measure: str, number: int, whole: Floats, pseudo: Floats) -> dict[str, Any]:
        found: Evidence = infer(whole[None], [pseudo], SEED, together=False)
        return {
            "quantity": quantity,
            "measure": measure,
            "book": self.books[number],
            "layer": np.array(self.layers),
            "estimate": whole,
            "low": found.low,
            "high": found.high,
            "passages": len(pseudo),
        }


def _frame(parts: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    """One frame of many parts: a part's arrays have one length, and its other values hold for all of its rows."""
    sizes = [len(part["layer"]) for part in parts]
    values = {
        name: np.concatenate([np.broadcast_to(part[name], size) for part, size in zip(parts, sizes, strict=True)])
        for name in columns
        if parts
    }
    return pd.DataFrame(values, columns=list(columns))


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Keys as strings, and `class` under a name that rows of tuples can have."""
    keys = {name: frame[name].astype(str) for name in ("book", "class", "other") if name in frame}
    return frame.assign(**keys).rename(columns={"class": "mark_class"})


def _pair_sums(rows: pd.DataFrame, layers: tuple[int, ...]) -> Iterator[tuple[tuple[str, str], PairSums]]:
    """One book's sums by two classes; their first axis is layers and then measures, [layers * measures, P, P]."""
    passages = 1 + int(rows[["passage", "other_passage"]].to_numpy().max())
    index = {layer: number for number, layer in enumerate(layers)}
    for (first, second), of_classes in rows.groupby(["mark_class", "other"], sort=True):
        at = of_classes["layer"].map(index).to_numpy(dtype=np.int64)
        row = of_classes["passage"].to_numpy(dtype=np.int64)
        column = of_classes["other_passage"].to_numpy(dtype=np.int64)
        sums = np.zeros((len(layers), len(MEASURES), passages, passages))
        pairs = np.zeros((passages, passages), dtype=np.int64)
        pairs[row, column] = of_classes["pairs"].to_numpy(dtype=np.int64)
        sums[at, :, row, column] = of_classes[list(MEASURES)].to_numpy(dtype=np.float64)
        yield (str(first), str(second)), PairSums(pairs, sums.reshape(-1, passages, passages))


def _spreads(
    histograms: pd.DataFrame, layers: tuple[int, ...]
) -> Iterator[tuple[str, dict[tuple[str, str], np.ndarray]]]:
    """Each book's histograms by two classes, [layers, bins]."""
    index = {layer: number for number, layer in enumerate(layers)}
    for book, rows in _plain(histograms).groupby("book", sort=True):
        found = {}
        for (first, second), of_classes in rows.groupby(["mark_class", "other"], sort=True):
            counts = np.stack(list(of_classes["histogram"]))
            spread = np.zeros((len(layers), counts.shape[1]), dtype=np.int64)
            spread[[index[int(layer)] for layer in of_classes["layer"]]] = counts
            found[str(first), str(second)] = spread
        yield str(book), found


def _less_centred(values: Floats) -> Floats:
    """What centring takes from each raw measure: its value less that of its centred counterpart; NaN for the others."""
    by_measure = values.reshape(*values.shape[:-1], -1, len(MEASURES))
    taken = np.full_like(by_measure, np.nan)
    for raw, centred in CENTRED.items():
        taken[..., MEASURES.index(raw)] = (
            by_measure[..., MEASURES.index(raw)] - by_measure[..., MEASURES.index(centred)]
        )
    return taken.reshape(values.shape)


def _only_corr(values: Floats) -> Floats:
    """The values of correlations; NaN for other measures, whose complement to 1 is not a squared distance."""
    return _only(values, ("corr", "corr_centred"))


def _only_raw(values: Floats) -> Floats:
    """The values of raw measures; NaN for the centred ones.

    Pairs within a class are centred on the class and pairs between two on the middle of both: their contrast is no
    separation.
    """
    return _only(values, tuple(CENTRED))


def _only(values: Floats, names: tuple[str, ...]) -> Floats:
    kept = np.full(values.shape, np.nan).reshape(*values.shape[:-1], -1, len(MEASURES))
    columns = [MEASURES.index(name) for name in names]
    kept[..., columns] = values.reshape(kept.shape)[..., columns]
    return kept.reshape(values.shape)


def _mean_over_books(estimates: Floats) -> Floats:
    count = np.isfinite(estimates).sum(axis=0)
    mean: Floats = np.full(count.shape, np.nan)
    np.divide(np.nansum(estimates, axis=0), count, out=mean, where=count > 0)
    return mean
