"""What the files of one record hold, counted: what `store.upkeep.completeness` judges."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.books import BookStatus
from store.columns import MEASURES
from store.commits import CommitRecord
from store.keys import ChunkKey
from store.study import Study

_COUNTED = ("activations", "layer_measures", "layer_sketches")
"""Tables whose rows say of how many marks they are."""


@dataclass(frozen=True)
class Expected:
    """What a study's settings promise: its hidden layers, its classes in order, and which pairs have a row."""

    layers: frozenset[int]
    classes: tuple[str, ...]
    within: bool = True
    between: bool = True
    summarised_between: bool = True
    clusters: bool = True
    teaching: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study, layers: Iterable[int]) -> Expected:
        """The promise of a study."""
        between = study.config.get("between", "rows")
        return cls(
            frozenset(layers),
            study.class_names,
            study.config.get("within", "rows") == "rows",
            between == "rows",
            between != "none",
            bool(study.config.get("clusters", True)),
            study.teaching_types if len(study.teaching_types) > 1 else {},
        )

    def combinations(self) -> Iterator[tuple[str, str]]:
        """Classes with summaries: each with itself, and with those that come after it."""
        for place, name in enumerate(self.classes):
            yield name, name
            if self.summarised_between:
                yield from ((name, other) for other in self.classes[place + 1 :])


class BookBlock(NamedTuple):
    """The pairs of one book's marks of two classes, or within one, in one layer."""

    layer: int
    mark_class: str
    other: str
    book: str


class TriedText(NamedTuple):
    """One specification of one book, and the form of the states that it looks at."""

    book: str
    specification: str
    states: str


@dataclass
class PairTotals:
    """Of one block: the rows, the largest ordinals, and the sums and extremes of what the summaries repeat."""

    rows: int = 0
    last: tuple[int, int] = (-1, -1)
    counted: dict[str, int] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    lows: dict[str, float] = field(default_factory=dict)
    highs: dict[str, float] = field(default_factory=dict)

    def add(self, rows: pa.Table) -> None:
        """Count in the rows of one block (or a part of it)."""
        self.rows += rows.num_rows
        i, j = (int(rows.column(name).to_numpy().max()) for name in ("i", "j"))
        self.last = (max(self.last[0], i), max(self.last[1], j))
        mi = rows.column("mi").to_numpy()
        for name in MEASURES:
            column = rows.column(name)
            if column.null_count == len(column):
                continue
            values = column.to_numpy().astype(np.float64)
            finite = values[np.isfinite(values) & np.isfinite(mi)]
            self.counted[name] = self.counted.get(name, 0) + finite.size
            if finite.size:
                self.sums[name] = self.sums.get(name, 0.0) + float(finite.sum())
                self.lows[name] = min(self.lows.get(name, math.inf), float(finite.min()))
                self.highs[name] = max(self.highs.get(name, -math.inf), float(finite.max()))


@dataclass
class PassageTotals:
    """Of one block: its pairs, the passages of their first and second marks added up, and the sums of its measures."""

    pairs: int = 0
    passages: tuple[int, int] = (0, 0)
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count in the sums of some rows of one block; a measure without a sum is not in the study."""
        self.pairs += row["pairs"]
        self.passages = (self.passages[0] + row["first"], self.passages[1] + row["second"])
        for name in MEASURES:
            if row[name] is not None:
                self.sums[name] = self.sums.get(name, 0.0) + row[name]


@dataclass
class MarkTotals:
    """Of one book's class: its marks, their passages added up, and these times the marks' ordinals; the last passage.

    What `PassageTotals` must be follows from them, without looking at a pair.
    """

    marks: int = 0
    passages: int = 0
    weighted: int = 0
    last_passage: int = -1

    def add(self, row: Mapping[str, Any]) -> None:
        """Count in some marks."""
        self.marks += row["marks"]
        self.passages += row["passages"]
        self.weighted += row["weighted"]
        self.last_passage = max(self.last_passage, row["last_passage"])


@dataclass
class TransferTotals:
    """Of one block and labels: its pairs of test marks and its wins."""

    pairs: int = 0
    wins: float = 0.0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count in some rows."""
        self.pairs += row["pairs"]
        self.wins += row["wins"]


class Contents:
    """What the files of one record hold, gathered file by file so that no two need be in memory at once.

    A compaction may cut a table anywhere: the rows of a book may be in several files.
    """

    def __init__(self, record: CommitRecord, expected: Expected) -> None:
        self.record = record
        self.expected = expected
        self.paths: dict[str, str] = {}
        self.used: dict[str, dict[str, int]] = {}
        self.pairs: dict[BookBlock, PairTotals] = {}
        self.pair_paths: dict[tuple[int, str, str], str] = {}
        self.marks: dict[tuple[str, str], MarkTotals] = {}
        self.passages: Counter[str] = Counter()
        self.counted: dict[str, Counter[tuple[int, str, str]]] = {
            name: Counter() for name in (*_COUNTED, "mark_layers")
        }
        self.summaries: dict[BookBlock, dict[str, dict[str, Any]]] = {}
        self.passage_sums: dict[BookBlock, PassageTotals] = {}
        self.typed: Counter[tuple[str, str, bool, int]] = Counter()
        self.transfers: dict[tuple[BookBlock, str], TransferTotals] = {}
        self.clustered: Counter[tuple[int, str, str, str]] = Counter()
        self.tried: dict[TriedText, Counter[tuple[str, int]]] = {}
        self.states: dict[tuple[int, str, str], int] = {}

    def add(self, key: ChunkKey, path: str, table: pa.Table) -> None:
        """Take in one sound file."""
        self.paths.setdefault(key.table, path)
        if key.table == "books":
            self.used |= {
                row["book"]: dict(row["used"]) for row in table.to_pylist() if row["status"] == BookStatus.USED
            }
        elif key.table == "marks":
            for row in _mark_totals(table):
                self.marks.setdefault((row["class"], row["book"]), MarkTotals()).add(row)
            for row in _typed_marks(table, self.expected.teaching):
                self.typed[row["class"], row["book"], row["taught"], row["half"]] += row["rows"]
        elif key.table == "passages":
            self.passages.update(table.column("book").to_pylist())
        elif key.table in _COUNTED:
            for row in table.select(["layer", "class", "book", "marks"]).to_pylist():
                self.counted[key.table][row["layer"], row["class"], row["book"]] += row["marks"]
        elif key.table == "sensitivity":
            for row in _tried_rows(table):
                estimated = self.tried.setdefault(
                    TriedText(row["book"], row["specification"], row["states"]), Counter()
                )
                estimated[row["quantity"], row["layer"]] += row["rows"]
        elif key.table == "summaries":
            for row in table.drop_columns(["histogram"]).to_pylist():
                block = BookBlock(row["layer"], row["class"], row["other"], row["book"])
                self.summaries.setdefault(block, {})[row["measure"]] = row
        elif key.layer is not None:
            self._add_layer(key, key.layer, path, table)

    def _add_layer(self, key: ChunkKey, layer: int, path: str, table: pa.Table) -> None:
        if key.table == "mark_layers":
            for row in _counted(table, ["class", "book"]):
                self.counted["mark_layers"][layer, row["class"], row["book"]] += row["rows"]
        elif key.table == "clusters":
            for row in _counted(table, ["among", "class", "book"]):
                self.clustered[layer, row["among"], row["class"], row["book"]] += row["rows"]
        elif key.table == "transfer_sums":
            for row in _transfer_totals(table):
                block = BookBlock(layer, row["class"], row["other"], row["book"])
                self.transfers.setdefault((block, row["labels"]), TransferTotals()).add(row)
        elif key.table == "passage_sums":
            for row in _passage_totals(table):
                block = BookBlock(layer, row["class"], row["other"], row["book"])
                self.passage_sums.setdefault(block, PassageTotals()).add(row)
        elif key.mark_class is not None:
            other = key.other or key.mark_class
            for book, rows in by_book(table):
                if key.table == "hidden_states":
                    place = (layer, key.mark_class, book)
                    self.states[place] = self.states.get(place, 0) + rows.num_rows
                else:
                    block = BookBlock(layer, key.mark_class, other, book)
                    self.pairs.setdefault(block, PairTotals()).add(rows)
                    self.pair_paths[layer, key.mark_class, other] = path

    def path_of(self, table: str) -> str:
        """A file of a table that something is wrong with, or the record where it has none."""
        return self.paths.get(table, self.record.path)


def by_book(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The runs of one book each, in the order of the rows, as slices that share the table's memory."""
    if table.num_rows == 0:
        return
    books = table.column("book").combine_chunks()
    codes = books.indices.to_numpy()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]])
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        yield books.dictionary[int(codes[start])].as_py(), table.slice(start, stop - start)


def _counted(table: pa.Table, keys: list[str]) -> list[dict[str, Any]]:
    plain = pa.table({key: table.column(key).cast(pa.string()) for key in keys})
    counts = plain.group_by(keys).aggregate([([], "count_all")]).rename_columns([*keys, "rows"])
    return list(counts.to_pylist())


def _tried_rows(table: pa.Table) -> list[dict[str, Any]]:
    """How many rows each specification, book, quantity and layer has."""
    keys = ["book", "specification", "states", "quantity"]
    plain = pa.table({key: table.column(key).cast(pa.string()) for key in keys} | {"layer": table.column("layer")})
    counts = plain.group_by([*keys, "layer"]).aggregate([([], "count_all")])
    return list(counts.rename_columns([*keys, "layer", "rows"]).to_pylist())


def _mark_totals(table: pa.Table) -> list[dict[str, Any]]:
    """What `MarkTotals` adds up, by class and book."""
    passages = table.column("passage").cast(pa.int64())
    columns = {
        "passages": passages,
        "weighted": pc.multiply(passages, table.column("i").cast(pa.int64())),
        "last_passage": passages,
    }
    aggregates = [("passages", "sum"), ("weighted", "sum"), ("last_passage", "max"), ([], "count_all")]
    return _grouped(table, ["class", "book"], columns, aggregates, [*columns, "marks"])


def _typed_marks(table: pa.Table, teaching: Mapping[str, str]) -> list[dict[str, Any]]:
    """Marks by class, book, whether they are of the type that teaches, and half of the passages."""
    if not teaching:
        return []
    names, types = (table.column(name).cast(pa.string()).to_pylist() for name in ("class", "mark"))
    taught = [teaching.get(name) == of for name, of in zip(names, types, strict=True)]
    half = pc.bit_wise_and(table.column("passage"), 1)
    plain = pa.table({"class": names, "book": table.column("book").cast(pa.string()), "taught": taught, "half": half})
    keys = ["class", "book", "taught", "half"]
    return list(plain.group_by(keys).aggregate([([], "count_all")]).rename_columns([*keys, "rows"]).to_pylist())


def _transfer_totals(table: pa.Table) -> list[dict[str, Any]]:
    """What `TransferTotals` adds up, by classes, book and labels."""
    columns = {name: table.column(name) for name in ("pairs", "wins")}
    return _grouped(table, ["class", "other", "book", "labels"], columns, [(n, "sum") for n in columns], [*columns])


def _passage_totals(table: pa.Table) -> list[dict[str, Any]]:
    """What `PassageTotals` adds up, by classes and book."""
    pairs = table.column("pairs")
    columns = {
        "pairs": pairs,
        "first": pc.multiply(pairs, table.column("passage").cast(pa.int64())),
        "second": pc.multiply(pairs, table.column("other_passage").cast(pa.int64())),
        **{name: table.column(name) for name in MEASURES},
    }
    return _grouped(table, ["class", "other", "book"], columns, [(name, "sum") for name in columns], [*columns])


def _grouped(
    table: pa.Table, keys: list[str], columns: Mapping[str, pa.ChunkedArray], aggregates: list[Any], names: list[str]
) -> list[dict[str, Any]]:
    plain = pa.table({key: table.column(key).cast(pa.string()) for key in keys} | dict(columns))
    rows: list[dict[str, Any]] = plain.group_by(keys).aggregate(aggregates).rename_columns([*keys, *names]).to_pylist()
    return rows
