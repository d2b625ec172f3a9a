"""Does a record hold what its books promise? Counting suffices: keys are unique and in range, so enough is all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.books import BookStatus
from store.columns import ALL_CLASSES, MEASURES
from store.commits import CommitRecord
from store.keys import BASELINE, ChunkKey
from store.study import Study

_RELATIVE_TOLERANCE = 1e-9
"""Summation in another order moves the last digits of a mean of 64-bit floats, and not more."""


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
            name: Counter() for name in ("activations", "layer_measures", "mark_layers")
        }
        self.summaries: dict[BookBlock, dict[str, dict[str, Any]]] = {}
        self.passage_sums: dict[BookBlock, PassageTotals] = {}
        self.typed: Counter[tuple[str, str, bool, int]] = Counter()
        self.transfers: dict[tuple[BookBlock, str], TransferTotals] = {}
        self.clustered: Counter[tuple[int, str, str, str]] = Counter()
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
        elif key.table in ("activations", "layer_measures"):
            for row in table.select(["layer", "class", "book", "marks"]).to_pylist():
                self.counted[key.table][row["layer"], row["class"], row["book"]] += row["marks"]
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


def completeness(contents: Contents) -> Iterator[tuple[str, str]]:
    """What is missing or too much: (path, in words what)."""
    books_path = contents.path_of("books")
    recorded = {book.key for book in contents.record.books if book.status is BookStatus.USED}
    for book in sorted(recorded ^ set(contents.used)):
        yield books_path, f"book {book} is in the commit record or among the books, and not in both"
    for book, used in contents.used.items():
        yield from _incomplete_book(contents, book, used)
    if contents.used and contents.expected.clusters and "cluster_terms" not in contents.paths:
        yield contents.record.path, "has no file of cluster_terms, which every shard with marks has"
    known = contents.pairs.keys() | contents.summaries.keys() | contents.passage_sums.keys()
    for book in {block.book for block in known} | {book for _, book in contents.marks} | contents.passages.keys():
        if book not in contents.used:
            yield books_path, f"book {book} has results and no row of its own"
            break


def _incomplete_book(contents: Contents, book: str, used: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    expected = contents.expected
    for name, marks in used.items():
        found = contents.marks.get((name, book), MarkTotals()).marks
        if found != marks:
            yield contents.path_of("marks"), f"book {book} has {found} {name} marks; its books row says {marks}"
    last = max((contents.marks[name, book].last_passage for name in used if (name, book) in contents.marks), default=-1)
    if contents.passages[book] < last + 1:
        found = contents.passages[book]
        yield contents.path_of("passages"), f"book {book} has {found} passages; its marks lie in {last + 1}"
    for layer in sorted(expected.layers):
        for name, marks in used.items():
            yield from _incomplete_marks(contents, layer, name, book, marks)
        for name, other in expected.combinations():
            yield from _incomplete_pairs(contents, BookBlock(layer, name, other, book), used)
        for name, other in combinations(expected.teaching, 2):
            yield from _incomplete_transfer(contents, BookBlock(layer, name, other, book))


def _incomplete_marks(contents: Contents, layer: int, name: str, book: str, marks: int) -> Iterator[tuple[str, str]]:
    of = f"book {book} layer {layer} class {name}"
    if contents.states and contents.states.get((layer, name, book), 0) != marks:
        found = contents.states.get((layer, name, book), 0)
        yield contents.path_of("hidden_states"), f"{of} has {found} hidden states; it has {marks} marks"
    if contents.expected.clusters and name != BASELINE:
        several = len([of_class for of_class in contents.expected.classes if of_class != BASELINE]) > 1
        among = (name, ALL_CLASSES) if several else (name,)
        for whose in among:
            found = contents.clustered.get((layer, whose, name, book), 0)
            if found != marks:
                yield contents.path_of("clusters"), f"{of} has {found} marks in clusters of {whose}; it has {marks}"
    for table, counted in contents.counted.items():
        if table == "layer_measures" and table not in contents.paths:  # a shard from before there was one
            continue
        found = counted.get((layer, name, book), 0)
        if found != marks:
            yield contents.path_of(table), f"{of} has {found} marks in {table}; it has {marks}"


def _incomplete_pairs(contents: Contents, block: BookBlock, used: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    one, two = used.get(block.mark_class, 0), used.get(block.other, 0)
    same = block.mark_class == block.other
    wanted = one * (one - 1) // 2 if same else one * two
    of = f"book {block.book} layer {block.layer} class {block.mark_class}" + ("" if same else f" other {block.other}")
    expected = contents.expected
    stored = expected.within if same else expected.between
    totals = contents.pairs.get(block, PairTotals())
    limits = (one - 1, one) if same else (one, two)
    if (
        stored
        and (totals.rows != wanted or totals.last[0] >= max(limits[0], 0) or totals.last[1] >= limits[1])
        and (wanted or totals.rows)
    ):
        path = contents.pair_paths.get((block.layer, block.mark_class, block.other), contents.record.path)
        yield path, f"{of} has {totals.rows} pairs; {one} marks" + ("" if same else f" and {two}") + f" make {wanted}"
        return
    sums = contents.passage_sums.get(block, PassageTotals())
    if sums.pairs != wanted:
        yield contents.path_of("passage_sums"), f"{of} has sums of {sums.pairs} pairs by passages; there are {wanted}"
        return
    marks = [contents.marks.get((name, block.book), MarkTotals()).marks for name in (block.mark_class, block.other)]
    if marks == [one, two] and sums.passages != _passages_of_pairs(contents, block):
        yield contents.path_of("passage_sums"), f"{of} has sums of pairs of other passages than its marks lie in"
    if not wanted:
        return
    if block not in contents.summaries:
        yield contents.path_of("summaries"), f"{of} has no summary"
        return
    if stored:
        yield from _wrong_summaries(contents, block, totals, of)
    yield from _wrong_sums(contents, block, sums, of)


def _incomplete_transfer(contents: Contents, block: BookBlock) -> Iterator[tuple[str, str]]:
    """Where the pairs of test marks are not those that the marks make, or more are won than there are.

    A half of the passages is asked where the other half has marks of either class that teach.
    """
    wanted = 0
    for half in (0, 1):
        taught, asked = (
            [contents.typed[name, block.book, teaches, of_half] for name in (block.mark_class, block.other)]
            for teaches, of_half in ((True, 1 - half), (False, half))
        )
        wanted += asked[0] * asked[1] if all(taught) else 0
    of = f"book {block.book} layer {block.layer} class {block.mark_class} other {block.other}"
    path = contents.path_of("transfer_sums")
    found = contents.transfers.get((block, "classes"), TransferTotals()).pairs
    if found != wanted:
        yield path, f"{of} has {found} pairs in transfer_sums; its marks make {wanted}"
    for labels in ("classes", "control"):
        totals = contents.transfers.get((block, labels), TransferTotals())
        if not 0 <= totals.wins <= totals.pairs:
            yield path, f"{of} has {totals.wins} wins of {labels} in {totals.pairs} pairs"


def _passages_of_pairs(contents: Contents, block: BookBlock) -> tuple[int, int]:
    """The passages of the first and of the second marks of all pairs of a block, added up.

    Within a class, mark i of n is the first of n - 1 - i pairs, and the second of i.
    """
    one, two = (contents.marks.get((name, block.book), MarkTotals()) for name in (block.mark_class, block.other))
    if block.mark_class != block.other:
        return one.passages * two.marks, two.passages * one.marks
    return (one.marks - 1) * one.passages - one.weighted, one.weighted


def _wrong_sums(contents: Contents, block: BookBlock, sums: PassageTotals, of: str) -> Iterator[tuple[str, str]]:
    """Where summaries and sums by passages say different things of the same pairs."""
    path, summaries = contents.path_of("summaries"), contents.summaries[block]
    for name in sorted(sums.sums.keys() ^ summaries.keys()):
        yield path, f"{of} has {name} in its sums by passages or its summaries, and not in both"
    for name in sorted(sums.sums.keys() & summaries.keys()):
        summary, total = summaries[name], sums.sums[name]
        if math.isnan(total) or math.isnan(sums.sums.get("mi", math.nan)):
            continue  # some pairs have no such number, and are not in the summary
        if summary["pairs"] != sums.pairs:
            yield path, f"{of} summarises {name} of {summary['pairs']} pairs; there are {sums.pairs}"
            continue
        scale = sums.pairs * max(abs(summary["minimum"]), abs(summary["maximum"]))
        if not abs(total - summary["mean"] * sums.pairs) <= _RELATIVE_TOLERANCE * scale:
            yield path, f"{of} has a mean {name} of {summary['mean']}; its sums by passages give {total / sums.pairs}"


def _wrong_summaries(contents: Contents, block: BookBlock, totals: PairTotals, of: str) -> Iterator[tuple[str, str]]:
    """Where summaries say something else than the rows that they summarise."""
    path, summaries = contents.path_of("summaries"), contents.summaries[block]
    for name in sorted(totals.counted.keys() ^ summaries.keys()):
        yield path, f"{of} has {name} in its pairs or its summaries, and not in both"
    for name in totals.counted.keys() & summaries.keys():
        yield from _wrong_summary(path, summaries[name], totals, name, of)


def _wrong_summary(
    path: str, summary: Mapping[str, Any], totals: PairTotals, name: str, of: str
) -> Iterator[tuple[str, str]]:
    counted = totals.counted[name]
    expected: dict[str, float] = {"pairs": counted}
    scale = 0.0
    if counted:
        expected["mean"] = totals.sums[name] / counted
        expected["minimum"], expected["maximum"] = totals.lows[name], totals.highs[name]
        scale = max(abs(totals.lows[name]), abs(totals.highs[name]))
    for field_name, value in expected.items():
        if not abs(summary[field_name] - value) <= _RELATIVE_TOLERANCE * scale:
            yield path, f"{of} has {name} {field_name} {summary[field_name]}; its pairs give {value}"


def _counted(table: pa.Table, keys: list[str]) -> list[dict[str, Any]]:
    plain = pa.table({key: table.column(key).cast(pa.string()) for key in keys})
    counts = plain.group_by(keys).aggregate([([], "count_all")]).rename_columns([*keys, "rows"])
    return list(counts.to_pylist())


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
