"""From results to Arrow tables with the stored schemas. Values in, tables out; nothing is written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.clusters import RULE
from analysis.explanation import Term
from analysis.layer_measures import LayerMeasures, alignments, coarse
from analysis.pairwise import PairStatistics
from analysis.summaries import MeasureSummary
from jobs.corpus.references import NamedBook
from jobs.stages.clustering import ClusterKey, ClusterRows
from jobs.stages.transfers import TransferRows
from store.books import BookStatus
from store.columns import (
    ACTIVATIONS,
    BOOKS,
    CLUSTER_TERMS,
    CLUSTERS,
    HIDDEN_STATES,
    LAYER_MEASURES,
    LAYER_SKETCHES,
    MARK_LAYERS,
    MARKS,
    MEASURES,
    PASSAGE_SUMS,
    PASSAGES,
    SUMMARIES,
    TRANSFER_SUMS,
    Table,
)


@dataclass(frozen=True)
class BookActivation:
    """One book's mean state in one layer and class (float64 [D]), and outlier counts per dimension (int64 [D])."""

    marks: int
    mean: NDArray[np.float64]
    outliers: NDArray[np.int64]


class PairRows(NamedTuple):
    """Some pairs of one book: the book's place in a list, the ordinals of their marks, and their measures."""

    book: int
    i: NDArray[np.uint16]
    j: NDArray[np.uint16]
    statistics: PairStatistics
    others: Mapping[str, NDArray[np.floating]]


def pairs_table(spec: Table, books: Sequence[str], rows: Sequence[PairRows]) -> pa.Table:
    """Rows of `pairs` or `cross_pairs`; measures that the rows do not have are null."""
    columns: dict[str, Any] = {
        "book": _repeated(books, [(part.book, len(part.i)) for part in rows]),
        "i": np.concatenate([part.i for part in rows]),
        "j": np.concatenate([part.j for part in rows]),
        "n": np.concatenate([part.statistics.n for part in rows], dtype=np.uint16, casting="unsafe"),
    }
    for name in ("mi", "cov", "corr", "hx", "hy"):
        columns[name] = _floats([getattr(part.statistics, name) for part in rows])
    for name in MEASURES:
        if name in columns:
            continue
        present = name in rows[0].others
        columns[name] = _floats([part.others[name] for part in rows]) if present else _nulls(len(columns["i"]))
    return _table(spec, columns)


def hidden_states_table(books: Sequence[str], marks: Sequence[int], states: NDArray[np.float32]) -> pa.Table:
    """Rows of `hidden_states`: `states` float32 [sum of marks, D], book after book."""
    ordinals = np.concatenate([np.arange(count, dtype=np.uint16) for count in marks])
    offsets = np.arange(len(states) + 1, dtype=np.int32) * states.shape[1]
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(states.reshape(-1)))
    return _table(HIDDEN_STATES, {"book": _repeated(books, enumerate(marks)), "i": ordinals, "state": lists})


def marks_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of `marks`, one mapping a mark."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=MARKS.schema)


def passages_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of `passages`, one mapping a passage."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=PASSAGES.schema)


@dataclass(frozen=True)
class MarkRows:
    """The marks of one class and book in one layer; arrays [marks], `outliers` the dimensions that each leaves out.

    `mi`, `corr`: mean of its pairs within the class; `mi_to`, `corr_to`: with each other class.
    """

    book: str
    mark_class: str
    norm: NDArray[np.floating]
    outliers: Sequence[NDArray[np.integer]]
    mi: NDArray[np.floating]
    corr: NDArray[np.floating]
    mi_to: Mapping[str, NDArray[np.floating]]
    corr_to: Mapping[str, NDArray[np.floating]]


def mark_layers_table(rows: Iterable[MarkRows]) -> pa.Table:
    """Rows of `mark_layers` of one layer, by book and class."""
    parts = sorted((part for part in rows if len(part.norm)), key=lambda part: (part.book, part.mark_class))
    counts = [len(part.norm) for part in parts]
    outliers = [dims for part in parts for dims in part.outliers]
    columns = {
        "book": _repeated([part.book for part in parts], enumerate(counts)),
        "class": _repeated([part.mark_class for part in parts], enumerate(counts)),
        "i": np.concatenate([np.arange(count, dtype=np.uint16) for count in counts]),
        "norm": _floats([part.norm for part in parts]),
        "outliers": _lists(outliers),
        "mi": _floats([part.mi for part in parts]),
        "corr": _floats([part.corr for part in parts]),
        "mi_to": _maps([part.mi_to for part in parts], counts),
        "corr_to": _maps([part.corr_to for part in parts], counts),
    }
    return _table(MARK_LAYERS, columns)


@dataclass(frozen=True)
class PassageRows:
    """Pairs between the passages of two classes of one book in one layer: counts [P, P], sums by measure [P, P]."""

    book: str
    mark_class: str
    other: str
    pairs: NDArray[np.int64]
    sums: Mapping[str, NDArray[np.float64]]


def passage_sums_table(rows: Iterable[PassageRows]) -> pa.Table:
    """Rows of `passage_sums` of one layer: passages that share no pair are left out."""
    parts = sorted(rows, key=lambda part: (part.book, part.mark_class, part.other))
    held = [np.nonzero(part.pairs) for part in parts]
    counts = [len(first) for first, _ in held]
    columns: dict[str, Any] = {
        name: _repeated([getattr(part, attribute) for part in parts], enumerate(counts))
        for name, attribute in (("book", "book"), ("class", "mark_class"), ("other", "other"))
    }
    columns["passage"] = np.concatenate([first for first, _ in held]).astype(np.int32)
    columns["other_passage"] = np.concatenate([second for _, second in held]).astype(np.int32)
    columns["pairs"] = np.concatenate([part.pairs[cells] for part, cells in zip(parts, held, strict=True)])
    for name in MEASURES:
        if name in parts[0].sums:
            columns[name] = np.concatenate([part.sums[name][cells] for part, cells in zip(parts, held, strict=True)])
        else:
            columns[name] = _nulls(sum(counts), pa.float64())
    return _table(PASSAGE_SUMS, columns)


def transfer_sums_table(rows: Iterable[TransferRows]) -> pa.Table:
    """Rows of `transfer_sums` of one layer: passages that share no pair are left out."""
    parts = sorted(rows, key=lambda part: part[:4])
    held = [np.nonzero(part.wins.pairs) for part in parts]
    counts = [len(first) for first, _ in held]
    columns: dict[str, Any] = {
        name: _repeated([getattr(part, attribute) for part in parts], enumerate(counts))
        for name, attribute in (("book", "book"), ("class", "mark_class"), ("other", "other"), ("labels", "labels"))
    }
    nothing = np.zeros(0, np.int64)
    columns["passage"] = np.concatenate([*(first for first, _ in held), nothing]).astype(np.int32)
    columns["other_passage"] = np.concatenate([*(second for _, second in held), nothing]).astype(np.int32)
    pairs = [part.wins.pairs[cells] for part, cells in zip(parts, held, strict=True)]
    columns["pairs"] = np.concatenate([*pairs, nothing]).astype(np.int64)
    wins = [part.wins.wins[cells] for part, cells in zip(parts, held, strict=True)]
    columns["wins"] = np.concatenate([*wins, nothing.astype(np.float64)])
    return _table(TRANSFER_SUMS, columns)


def clusters_table(rows: Iterable[ClusterRows]) -> pa.Table:
    """Rows of `clusters` of one layer, by book, whose marks they are, class and mark."""
    parts = sorted(rows, key=lambda part: (part.key.book, part.key.among))
    columns: dict[str, list[Any]] = {column.name: [] for column in CLUSTERS.file_columns}
    for part in parts:
        found, order = part.clusters, _by_class(part.marks)
        labels = found.labels[order]
        count, classes = len(labels), [name for name in sorted(part.marks) for _ in range(part.marks[name])]
        columns["book"] += [part.key.book] * count
        columns["among"] += [part.key.among] * count
        columns["class"] += classes
        columns["i"] += [i for name in sorted(part.marks) for i in range(part.marks[name])]
        columns["cluster"] += labels.tolist()
        columns["marks"] += found.sizes[labels].tolist()
        columns["clusters"] += [found.number] * count
        columns["silhouette"] += found.silhouette[order].tolist()
        columns["stability"] += found.stability[labels].tolist()
        columns["mi_share"] += [part.mi_share] * count
        columns["corr_share"] += [part.corr_share] * count
        columns["rule"] += [RULE] * count
        columns["exact"] += [found.exact] * count
    return pa.table(columns, schema=CLUSTERS.schema)


def _by_class(marks: Mapping[str, int]) -> NDArray[np.int64]:
    """Where the marks of the classes in alphabetical order lie among those of the classes as they come."""
    starts = dict(zip(marks, np.cumsum([0, *marks.values()]).tolist(), strict=False))
    ranges = [np.arange(starts[name], starts[name] + marks[name]) for name in sorted(marks)]
    return np.concatenate([*ranges, np.zeros(0, np.int64)]).astype(np.int64)


def cluster_terms_table(terms: Mapping[tuple[int, ClusterKey], Sequence[Term]]) -> pa.Table:
    """Rows of `cluster_terms`, by layer, book, whose marks they are, cluster and feature."""
    rows = [
        {"layer": layer, "book": key.book, "among": key.among, **term._asdict()}
        for (layer, key), found in terms.items()
        for term in found
    ]
    rows.sort(key=lambda row: tuple(row[name] for name in CLUSTER_TERMS.sorted_by))
    return pa.Table.from_pylist(rows, schema=CLUSTER_TERMS.schema)


def books_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows of `books`, sorted by key; counts that a row leaves out are 0, other columns null."""
    empty: dict[str, Any] = {column.name: 0 for column in BOOKS.columns if pa.types.is_integer(column.type)}
    empty |= {column.name: [] for column in BOOKS.columns if pa.types.is_map(column.type)}
    complete = [empty | dict(row) for row in rows]
    return pa.Table.from_pylist(sorted(complete, key=lambda row: row["book"]), schema=BOOKS.schema)


def book_row(book: NamedBook, status: BookStatus, reason: str | None = None) -> dict[str, Any]:
    """What is known of a book without reading it."""
    ref = book.ref
    known = {"title": ref.title, "author": ref.author, "source": ref.source, "sha256": ref.sha256}
    return {"book": book.key, "status": status, "reason": reason, **known}


def activations_table(values: Mapping[tuple[int, str, str], BookActivation]) -> pa.Table:
    """Rows of `activations`, by layer, class and book."""
    rows = [
        {"layer": layer, "class": name, "book": book, "marks": v.marks, "mean": v.mean, "outliers": v.outliers}
        for (layer, name, book), v in sorted(values.items(), key=lambda item: item[0])
    ]
    return pa.Table.from_pylist(rows, schema=ACTIVATIONS.schema)


def layer_measures_table(measures: Mapping[int, Mapping[tuple[str, str], LayerMeasures]]) -> pa.Table:
    """Rows of `layer_measures`, by layer, class and book: of each layer the measures by class and book."""
    places = {place for of_layer in measures.values() for place in of_layer}
    aligned = {
        place: alignments({layer: of[place].sketch for layer, of in measures.items() if place in of})
        for place in places
    }
    rows = [
        {
            "layer": layer,
            "class": name,
            "book": book,
            "marks": of.marks,
            "anisotropy": of.anisotropy,
            "intrinsic_dimension": of.intrinsic_dimension,
            "norm": of.norm,
            "massive": of.massive,
            "massive_dimension": of.massive_dimension,
            "cka": aligned[name, book][layer],
        }
        for layer, by_place in sorted(measures.items())
        for (name, book), of in sorted(by_place.items(), key=lambda item: item[0])
    ]
    return pa.Table.from_pylist(rows, schema=LAYER_MEASURES.schema)


def layer_sketches_table(measures: Mapping[int, Mapping[tuple[str, str], LayerMeasures]]) -> pa.Table:
    """Rows of `layer_sketches`, by layer, class and book."""
    rows = [
        {"layer": layer, "class": name, "book": book, "marks": of.marks, "sketch": coarse(of.sketch)}
        for layer, by_place in sorted(measures.items())
        for (name, book), of in sorted(by_place.items(), key=lambda item: item[0])
    ]
    return pa.Table.from_pylist(rows, schema=LAYER_SKETCHES.schema)


def summaries_table(values: Mapping[tuple[int, str, str, str], Mapping[str, MeasureSummary]]) -> pa.Table:
    """Rows of `summaries`, by layer, class, other and book, one a measure. Values of no pairs are NaN."""
    rows = [
        {"layer": layer, "class": name, "other": other, "book": book, "measure": measure, **asdict(summary)}
        for (layer, name, other, book), measures in sorted(values.items(), key=lambda item: item[0])
        for measure, summary in sorted(measures.items())
    ]
    return pa.Table.from_pylist(rows, schema=SUMMARIES.schema)


def _floats(values: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
    return np.concatenate(values, dtype=np.float32, casting="same_kind")


def _nulls(count: int, kind: pa.DataType | None = None) -> pa.Array:
    return pa.nulls(count, kind or pa.float32())


def _lists(values: Sequence[NDArray[np.integer]]) -> pa.ListArray:
    offsets = np.cumsum([0, *map(len, values)]).astype(np.int32)
    items = np.concatenate([*values, np.zeros(0, np.int32)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(items))


def _maps(values: Sequence[Mapping[str, NDArray[np.floating]]], counts: Sequence[int]) -> pa.MapArray:
    """One map a row, from a mapping of columns for each run of rows."""
    keys, items, sizes = [], [], []
    for columns, count in zip(values, counts, strict=True):
        names = sorted(columns)
        keys += names * count
        sizes += [len(names)] * count
        if names:
            items.append(np.stack([columns[name] for name in names], axis=1).ravel())
    offsets = np.cumsum([0, *sizes]).astype(np.int32)
    flat = np.concatenate([*items, np.zeros(0, np.float32)]).astype(np.float32)
    return pa.MapArray.from_arrays(pa.array(offsets), pa.array(keys, pa.string()), pa.array(flat))


def _repeated(names: Sequence[str], counts: Iterable[tuple[int, int]]) -> pa.DictionaryArray:
    """Each name as often as it counts. A name that stands twice in the list is one entry of the dictionary."""
    distinct = list(dict.fromkeys(names))
    place = {name: index for index, name in enumerate(distinct)}
    indices = [np.full(count, place[names[index]], dtype=np.int32) for index, count in counts]
    return pa.DictionaryArray.from_arrays(
        pa.array(np.concatenate([*indices, np.zeros(0, np.int32)])), pa.array(distinct, type=pa.string())
    )


def _table(spec: Table, columns: Mapping[str, Any]) -> pa.Table:
    arrays = [
        pa.array(columns[c.name]) if isinstance(columns[c.name], np.ndarray) else columns[c.name]
        for c in spec.file_columns
    ]
    return pa.table(arrays, schema=spec.schema)
