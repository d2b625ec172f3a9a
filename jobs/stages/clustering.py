"""The clusters of a block's marks, beside its pairs, and at the end of a shard what sets them apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analysis.clouds import CloudVariance
from analysis.clusters import Clusters, clusters_of, standardised
from analysis.explanation import FeatureTests, Term, corrected
from analysis.pairing import BookVectors
from jobs.stages.layout import Layout
from store.columns import ALL_CLASSES
from store.keys import BASELINE

Labels = NDArray[np.int64]

FEATURES = (
    "mark",
    "token",
    "previous_word",
    "next_word",
    "place",
    "sentence_tokens",
    "in_quotation",
    "line_end",
    "abbreviation",
    "first_in_context",
    "passage",
)
"""Columns of `marks` that clusters are explained by."""

MEASURES = ("mi", "corr")
"""Measures of pairs, of whose variance clusters may take a share."""


class ClusterKey(NamedTuple):
    """Which marks were clustered: those of a class or of all classes, of one book."""

    among: str
    book: str


@dataclass(frozen=True, eq=False)
class ClusterRows:
    """The clusters of some marks in one layer: by class in order the ordinals of the marks, and what was found."""

    key: ClusterKey
    marks: Mapping[str, int]
    clusters: Clusters
    mi_share: float
    corr_share: float


@dataclass(frozen=True, eq=False)
class _Found:
    """Clusters, the place of their first mark in the block, and how much of the variance of `MEASURES` they take."""

    clusters: Clusters
    start: int
    variance: CloudVariance


class BlockClusters:
    """The clusters of each book's marks in one layer, by class and of all classes, and the pairs' variance by them.

    The baseline is no class and is not clustered.
    """

    def __init__(self, layout: Layout, vectors: Sequence[BookVectors]) -> None:
        self._layout, self._classes = layout, _clustered(layout)
        self._found: dict[tuple[int, int | None], _Found] = {}
        for book, of_book in enumerate(vectors):
            prepared = [of_book.prepared[name] for name in self._classes]
            z = [standardised(of_class.x, of_class.valid) for of_class in prepared]
            for number in range(len(z)):
                self._find(book, number, z[number], layout.rows(book, number))
            if len(z) > 1:
                start = layout.book_rows(book).start
                self._find(book, None, np.concatenate(z), slice(start, start + sum(map(len, z))))

    def _find(self, book: int, number: int | None, z: NDArray[np.float32], rows: slice) -> None:
        if len(z):
            found = clusters_of(z, self._layout.passages[rows])
            self._found[book, number] = _Found(found, rows.start, CloudVariance(found.number, len(MEASURES)))

    def add(
        self,
        book: int,
        first: int,
        second: int,
        i: NDArray[np.integer],
        j: NDArray[np.integer],
        values: Mapping[str, NDArray[np.floating]],
    ) -> None:
        """Take in some pairs (i, j) of a book's classes with their mi and corr."""
        layout = self._layout
        if max(first, second) >= len(self._classes):
            return
        for number in (None, first) if first == second else (None,):
            found = self._found.get((book, number))
            if found is None or found.clusters.number == 1:
                continue
            one, other = (found.clusters.labels[layout.rows(book, n).start - found.start :] for n in (first, second))
            found.variance.add(one, other, i, j, [values[name] for name in MEASURES])

    def rows(self) -> Iterator[ClusterRows]:
        """What was found, by book and class."""
        classes, layout = self._classes, self._layout
        for (book, number), found in self._found.items():
            counts = dict(zip(classes, layout.marks[book], strict=False))
            among = ALL_CLASSES if number is None else classes[number]
            marks = counts if number is None else {among: counts[among]}
            key = ClusterKey(among, layout.books[book])
            yield ClusterRows(key, marks, found.clusters, *found.variance.shares)

    def labels(self) -> dict[ClusterKey, NDArray[np.uint8]]:
        """The labels where there is more than one cluster: what is explained when the shard is finished."""
        return {rows.key: rows.clusters.labels.astype(np.uint8) for rows in self.rows() if rows.clusters.number > 1}


def explained(
    marks: pa.Table, layout: Layout, labels: Mapping[tuple[int, ClusterKey], NDArray[np.integer]]
) -> dict[tuple[int, ClusterKey], list[Term]]:
    """The terms of the clusters of each layer and key; p values are corrected within each book, over all of its terms.

    `marks`: the rows of the shard's `marks`, by book, class and i.
    """
    result: dict[tuple[int, ClusterKey], list[Term]] = {}
    for book in layout.books:
        of_book = marks.filter(pc.equal(marks["book"].cast(pa.string()), book))
        tests = {
            among: FeatureTests(_features(of_book, names))
            for among, names in _scopes(layout).items()
            if any(key.among == among and key.book == book for _, key in labels)
        }
        places = sorted(place for place in labels if place[1].book == book)
        terms = corrected([tests[key.among].terms(labels[layer, key].astype(np.int64)) for layer, key in places])
        result |= dict(zip(places, terms, strict=True))
    return result


def _scopes(layout: Layout) -> dict[str, tuple[str, ...]]:
    """The classes whose marks are clustered together, in the order of their marks."""
    classes = _clustered(layout)
    scopes: dict[str, tuple[str, ...]] = {name: (name,) for name in classes}
    return scopes | {ALL_CLASSES: classes} if len(classes) > 1 else scopes


def _clustered(layout: Layout) -> tuple[str, ...]:
    """The study's classes without the baseline, which is the last where there is one."""
    return tuple(name for name in layout.classes if name != BASELINE)


def _features(marks: pa.Table, classes: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The features of a book's marks of some classes, class after class."""
    names = marks["class"].cast(pa.string())
    rows = pa.concat_tables([marks.filter(pc.equal(names, name)) for name in classes])
    chosen = (*FEATURES, "class") if len(classes) > 1 else FEATURES
    return {name: _plain(rows[name]) for name in chosen}


def _plain(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
        return np.array(column.cast(pa.string()).to_pylist(), dtype=np.str_)
    plain: NDArray[Any] = column.to_numpy()
    return plain
