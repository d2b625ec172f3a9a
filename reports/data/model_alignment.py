"""Two stores' layers side by side: how alike they lay out the very same marks of the same books.

The number is linear CKA, unbiased (see `analysis.layer_measures`), from the sketches that a run stores of each layer,
over the marks that stand in both sketches. Two stores hold the same mark where their tokenizers cut a text into as many
tokens and both took the same token of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.layer_measures import cross_alignments, sketched_marks
from reports.data.queries import StudyStore, ask
from reports.data.scope import SEED

FEWEST = 16
"""Of fewer marks in both sketches nothing is said: unrelated layers would scatter by more than 0.1."""

MOST_BOOKS = 16
"""Books that are read at most, evenly chosen: a sketch is 60 kB a book and class."""

SHUFFLES = 10
"""How often marks are matched at random, for the level of chance."""


@dataclass(frozen=True)
class _Sketched:
    """A book's class in one store: how many marks it has, and the sketch of each layer."""

    marks: int
    sketches: dict[int, NDArray[np.int8]]


@dataclass(frozen=True)
class _BookAlignment:
    """One book's: `cka` [layers, other layers], `shuffled` the same of marks matched at random [SHUFFLES, ...]."""

    layers: tuple[int, ...]
    other_layers: tuple[int, ...]
    cka: NDArray[np.float64]
    shuffled: NDArray[np.float64]
    marks: int


@dataclass(frozen=True)
class SharedMarks:
    """The marks that two stores have both taken of some books, which have as many tokens in both.

    `books`: name here to name there. `frame`: a row a mark: book (as here), class, i and other_i, its ordinals in
    either store. `same`: of the marks in either store, the share that both took; NaN where there is no such book.
    """

    books: Mapping[str, str]
    frame: pd.DataFrame
    same: float
    sql: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassAlignment:
    """The alignment of two stores' layers over the marks of one class, the mean over `books` books.

    `cka`: float64 [layers, other layers], NaN where a layer has none. `marks`: the fewest and the most marks of a book
    that took part. `chance`: what 95 % of the values stay below where marks are matched at random.
    """

    name: str
    layers: tuple[int, ...]
    other_layers: tuple[int, ...]
    cka: NDArray[np.float64]
    books: int
    marks: tuple[int, int]
    chance: float

    def at_depth(self) -> pd.DataFrame:
        """Each layer with the other store's layer of the nearest relative depth: layer, other_layer, depth, cka."""
        depths, others = (np.array(of) / max(1, max(of)) for of in (self.layers, self.other_layers))
        nearest = np.abs(depths[:, None] - others[None]).argmin(axis=1)
        return pd.DataFrame(
            {
                "class": self.name,
                "layer": self.layers,
                "other_layer": np.array(self.other_layers)[nearest],
                "depth": depths,
                "cka": self.cka[np.arange(len(depths)), nearest],
            }
        )

    def rows(self) -> pd.DataFrame:
        """Every two layers: class, layer, other_layer, cka."""
        here, there = np.meshgrid(self.layers, self.other_layers, indexing="ij")
        values = {"layer": here.ravel(), "other_layer": there.ravel(), "cka": self.cka.ravel()}
        return pd.DataFrame({"class": self.name} | values)


def shared_marks(
    store: StudyStore, other: StudyStore, same_tokens: Mapping[str, str], classes: Sequence[str]
) -> SharedMarks:
    """The marks of some classes that both stores took. `same_tokens`: books with as many tokens in both, as above."""
    columns = ["book", "class", "i", "position", "token"]
    if not same_tokens:
        return SharedMarks({}, pd.DataFrame(columns=["book", "class", "i", "other_i"]), float("nan"))
    here = ask(store, "mark_places", books=list(same_tokens), classes=list(classes))
    there = ask(other, "mark_places", books=list(same_tokens.values()), classes=list(classes))
    named = {theirs: ours for ours, theirs in same_tokens.items()}
    mine = here.frame[columns].astype({"book": str, "class": str, "token": str})
    theirs = there.frame[columns].astype({"book": str, "class": str, "token": str}).rename(columns={"i": "other_i"})
    theirs["book"] = theirs["book"].map(named)
    frame = mine.merge(theirs, on=["book", "class", "position", "token"])
    same = len(frame) / max(1, len(mine) + len(theirs) - len(frame))
    return SharedMarks(dict(same_tokens), frame.drop(columns=["position", "token"]), same, (here.sql, there.sql))


def align_models(
    store: StudyStore, other: StudyStore, shared: SharedMarks, classes: Sequence[str]
) -> tuple[ClassAlignment, ...]:
    """The alignment over the marks of each class of which some book has enough; empty where none has."""
    found: dict[str, list[_BookAlignment]] = {}
    books = list(shared.books)
    for place in np.unique(np.linspace(0, len(books) - 1, min(len(books), MOST_BOOKS)).round().astype(int)):
        book = books[place]
        here, there = _sketches(store, book, classes), _sketches(other, shared.books[book], classes)
        marks = shared.frame[shared.frame["book"] == book]
        for name in (name for name in classes if name in here and name in there):
            of_class = marks[marks["class"] == name]
            aligned = _aligned(here[name], there[name], of_class["i"].to_numpy(), of_class["other_i"].to_numpy())
            if aligned is not None:
                found.setdefault(name, []).append(aligned)
    return tuple(_over_books(name, found[name]) for name in classes if name in found)


def _aligned(
    here: _Sketched, there: _Sketched, i: NDArray[np.integer], other_i: NDArray[np.integer]
) -> _BookAlignment | None:
    """The alignment over marks i of one and other_i of the other store; None where few of them are in both sketches."""
    (held, places), (other_held, other_places) = (_places(of.marks, at) for of, at in ((here, i), (there, other_i)))
    both = held & other_held
    places, other_places = places[both], other_places[both]
    if len(places) < FEWEST:
        return None
    random = np.random.default_rng(SEED)
    orders = [other_places, *(random.permutation(other_places) for _ in range(SHUFFLES))]
    cka, *shuffled = (cross_alignments(here.sketches, there.sketches, places, order) for order in orders)
    return _BookAlignment(tuple(here.sketches), tuple(there.sketches), cka, np.stack(shuffled), len(places))


def _places(marks: int, ordinals: NDArray[np.integer]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each mark is in the sketch of so many marks, and where."""
    held = sketched_marks(marks)
    places = np.minimum(np.searchsorted(held, ordinals), len(held) - 1)
    return held[places] == ordinals, places


def _over_books(name: str, found: Sequence[_BookAlignment]) -> ClassAlignment:
    cka, shuffled = _mean([each.cka for each in found]), _mean([each.shuffled for each in found])
    known = shuffled[np.isfinite(shuffled)]
    marks = [each.marks for each in found]
    return ClassAlignment(
        name,
        found[0].layers,
        found[0].other_layers,
        cka,
        len(found),
        (min(marks), max(marks)),
        float(np.quantile(known, 0.95)) if len(known) else float("nan"),
    )


def _mean(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean over books of what is a number; NaN where nothing is."""
    stacked = np.stack(values)
    present = np.isfinite(stacked)
    counts = present.sum(axis=0)
    total: NDArray[np.float64] = np.where(present, stacked, 0.0).sum(axis=0)
    mean: NDArray[np.float64] = np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)
    return mean


def _sketches(store: StudyStore, book: str, classes: Sequence[str]) -> dict[str, _Sketched]:
    frame = ask(store, "layer_sketches", book=book, classes=list(classes)).frame
    found = {}
    for name, rows in frame.groupby(frame["class"].astype(str)):
        sketches = {
            int(layer): np.asarray(of, np.int8) for layer, of in zip(rows["layer"], rows["sketch"], strict=True)
        }
        found[str(name)] = _Sketched(int(rows["marks"].iloc[0]), sketches)
    return found
