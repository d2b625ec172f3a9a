"""Does a record hold what its books promise? Counting suffices: keys are unique and in range, so enough is all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from store.books import BookStatus
from store.commits import CommitRecord
from store.keys import MARK_CLASSES, ChunkKey

_RELATIVE_TOLERANCE = 1e-9
"""Summation in another order moves the last digits of a mean of 64-bit floats, and not more."""


class BookBlock(NamedTuple):
    """One book's marks of one class in one layer."""

    layer: int
    mark_class: str
    book: str


@dataclass
class PairTotals:
    """Of one block: the rows, the largest ordinal, and the sums and extremes of what the summaries repeat."""

    rows: int = 0
    last: int = -1
    counted: int = 0
    sums: dict[str, float] = field(default_factory=lambda: {"mi": 0.0, "cov": 0.0})
    lows: dict[str, float] = field(default_factory=lambda: {"mi": math.inf, "cov": math.inf})
    highs: dict[str, float] = field(default_factory=lambda: {"mi": -math.inf, "cov": -math.inf})

    def add(self, rows: pa.Table) -> None:
        """Count in the rows of one block (or a part of it)."""
        values = {name: rows.column(name).to_numpy().astype(np.float64) for name in ("mi", "cov")}
        numbers = np.isfinite(values["mi"]) & np.isfinite(values["cov"])
        self.rows += rows.num_rows
        self.last = max(self.last, int(rows.column("j").to_numpy().max()))
        self.counted += int(numbers.sum())
        if not numbers.any():
            return
        for name, column in values.items():
            finite = column[numbers]
            self.sums[name] += float(finite.sum())
            self.lows[name] = min(self.lows[name], float(finite.min()))
            self.highs[name] = max(self.highs[name], float(finite.max()))


class Contents:
    """What the files of one record hold, gathered file by file so that no two need be in memory at once."""

    def __init__(self, record: CommitRecord, layers: set[int]) -> None:
        self.record = record
        self.layers = layers
        self.paths: dict[str, str] = {}
        self.used: dict[tuple[str, str], int] = {}
        self.pairs: dict[BookBlock, PairTotals] = {}
        self.pair_paths: dict[tuple[int, str], str] = {}
        self.mark_rows: dict[tuple[str, str], int] = {}
        self.activations: dict[BookBlock, int] = {}
        self.summaries: dict[BookBlock, dict[str, Any]] = {}
        self.states: dict[BookBlock, int] = {}
        self.state_path = ""

    def add(self, key: ChunkKey, path: str, table: pa.Table) -> None:
        """Take in one sound file."""
        self.paths.setdefault(key.table, path)
        if key.table == "books":
            self._add_books(table)
        elif key.table == "tokens":
            for row in _counted(table, ["class", "book"]):
                self.mark_rows[row["class"], row["book"]] = row["rows"]
        elif key.table == "activations":
            for row in table.select(["layer", "class", "book", "marks"]).to_pylist():
                self.activations[BookBlock(row["layer"], row["class"], row["book"])] = row["marks"]
        elif key.table == "summaries":
            for row in table.drop_columns(["mi_histogram", "cov_histogram"]).to_pylist():
                self.summaries[BookBlock(row["layer"], row["class"], row["book"])] = row
        elif key.layer is not None and key.mark_class is not None:
            self._add_partition(key.table, key.layer, key.mark_class, path, table)

    def _add_books(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            if row["status"] == BookStatus.USED:
                for mark_class in MARK_CLASSES:
                    self.used[mark_class, row["book"]] = row[f"{mark_class}_used"]

    def _add_partition(self, name: str, layer: int, mark_class: str, path: str, table: pa.Table) -> None:
        for book, rows in by_book(table):
            block = BookBlock(layer, mark_class, book)
            if name == "pairs":
                self.pairs.setdefault(block, PairTotals()).add(rows)
                self.pair_paths[layer, mark_class] = path
            else:
                self.states[block] = self.states.get(block, 0) + rows.num_rows
                self.state_path = path


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
    books_path = contents.paths.get("books", contents.record.path)
    recorded = {book.key for book in contents.record.books if book.status is BookStatus.USED}
    for book in sorted(recorded ^ {book for _, book in contents.used}):
        yield books_path, f"book {book} is in the commit record or among the books, and not in both"
    for (mark_class, book), marks in contents.used.items():
        if contents.mark_rows.get((mark_class, book), 0) != marks:
            found = contents.mark_rows.get((mark_class, book), 0)
            path = contents.paths.get("tokens", contents.record.path)
            yield path, f"book {book} has {found} {mark_class} marks; its books row says {marks}"
        for layer in sorted(contents.layers):
            yield from _incomplete_block(contents, BookBlock(layer, mark_class, book), marks)
    for block in contents.pairs.keys() | contents.summaries.keys() | contents.activations.keys():
        if (block.mark_class, block.book) not in contents.used:
            yield books_path, f"book {block.book} has results and no row of its own"
            break


def _incomplete_block(contents: Contents, block: BookBlock, marks: int) -> Iterator[tuple[str, str]]:
    of = f"book {block.book} layer {block.layer} class {block.mark_class}"
    wanted = marks * (marks - 1) // 2
    totals = contents.pairs.get(block, PairTotals())
    if totals.rows != wanted or totals.last >= marks:
        path = contents.pair_paths.get((block.layer, block.mark_class), contents.record.path)
        yield path, f"{of} has {totals.rows} pairs; {marks} marks make {wanted}"
        return
    if contents.states and contents.states.get(block, 0) != marks:
        yield contents.state_path, f"{of} has {contents.states.get(block, 0)} hidden states; it has {marks} marks"
    if marks and contents.activations.get(block) != marks:
        path = contents.paths.get("activations", contents.record.path)
        yield path, f"{of} averages {contents.activations.get(block)} marks; it has {marks}"
    if wanted:
        yield from _wrong_summary(contents, block, totals, of)


def _wrong_summary(contents: Contents, block: BookBlock, totals: PairTotals, of: str) -> Iterator[tuple[str, str]]:
    path = contents.paths.get("summaries", contents.record.path)
    summary = contents.summaries.get(block)
    if summary is None:
        yield path, f"{of} has no summary"
        return
    expected: dict[str, float] = {"pairs": totals.counted}
    if totals.counted:
        for name in ("mi", "cov"):
            expected[f"{name}_mean"] = totals.sums[name] / totals.counted
            expected[f"{name}_min"], expected[f"{name}_max"] = totals.lows[name], totals.highs[name]
    for name, value in expected.items():
        scale = max(abs(totals.lows["mi"]), abs(totals.highs["mi"]))
        if name.startswith("cov"):
            scale = max(abs(totals.lows["cov"]), abs(totals.highs["cov"]))
        if not abs(summary[name] - value) <= _RELATIVE_TOLERANCE * (scale if totals.counted else 0):
            yield path, f"{of} has {name} {summary[name]}; its pairs give {value}"


def _counted(table: pa.Table, keys: list[str]) -> list[dict[str, Any]]:
    plain = pa.table({key: table.column(key).cast(pa.string()) for key in keys})
    counts = plain.group_by(keys).aggregate([([], "count_all")]).rename_columns([*keys, "rows"])
    return counts.to_pylist()
