"""Computes the pairs of a block on a worker, publishes them in parts, and adds up what was published."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.layer_measures import LayerMeasures, layer_measures
from analysis.pairing import MEASURES, BookVectors, PairOptions
from analysis.pairwise import PreparedVectors
from analysis.summaries import MeasureSummary, counts_by_group, merge, summarise, sums_by_group, sums_by_member
from jobs.config import StudyConfig
from jobs.stages.clustering import BlockClusters, ClusterKey
from jobs.stages.extract import Block
from jobs.stages.layout import Layout
from jobs.stages.partition import PairShape, PartSlice, plan_parts
from jobs.stages.prepare import RunContext
from jobs.stages.tables import (
    BookActivation,
    MarkRows,
    PairRows,
    PassageRows,
    clusters_table,
    hidden_states_table,
    mark_layers_table,
    pairs_table,
    passage_sums_table,
    transfer_sums_table,
)
from jobs.stages.transfers import TransferRows, transfers_of
from store.columns import CROSS_PAIRS, PAIRS, Table
from store.commits import FileReceipt
from store.errors import ChunkDamaged, ObjectIrregular, ObjectMissing
from store.keys import BlockKey, ChunkKey
from store.upkeep.contents import by_book
from store.writer import publish_chunk, read_leftover, settle_chunk

MARK_MEANS = ("mi", "corr")
"""The measures of which each mark has its mean, by class of the partners."""


@dataclass(frozen=True)
class BlockReceipt:
    """What computing a block gave: the files published, and the block's rows of `summaries` and `activations`.

    `summaries`: by class, other class and book, then by measure. `activations`: by class and book. `reused` counts
    pairs that a stopped attempt had published already. `clusters`: the labels of marks that form more than one.
    `layer`: measures of the states, by class and book.
    """

    key: BlockKey
    files: tuple[FileReceipt, ...]
    summaries: Mapping[tuple[str, str, str], Mapping[str, MeasureSummary]]
    activations: Mapping[tuple[str, str], BookActivation]
    pairs: int
    reused: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    clusters: Mapping[ClusterKey, NDArray[np.uint8]] = field(default_factory=dict)
    layer: Mapping[tuple[str, str], LayerMeasures] = field(default_factory=dict)


def compute_block(context: RunContext, block: Block, leftovers: Mapping[ChunkKey, str] | None = None) -> BlockReceipt:
    """Compute all pairs of each book of a block, publish them, and add up what was published.

    `leftovers`: the paths of a stopped run's files. Their rows are published again as this run's and summarised, not
    computed, unless a file has gone, is damaged or holds other pairs.
    Raises ValueError where a hidden state is not finite, naming layer, class and book.
    """
    return _Computation(context, block, leftovers or {}).run()


class _Computation:
    """One block under way: what has been published of it, and the sums of the pairs so far."""

    def __init__(self, context: RunContext, block: Block, leftovers: Mapping[ChunkKey, str]) -> None:
        self._context, self._block, self._leftovers = context, block, leftovers
        self._clock = _Clock()
        self._files: list[FileReceipt] = []
        self._summaries: dict[tuple[str, str, str], dict[str, MeasureSummary]] = {}
        self._sums = PairTotals(block.layout)
        self._clusters: BlockClusters | None = None
        self._pairs = self._reused = 0

    def run(self) -> BlockReceipt:
        config, block, layout = self._context.config, self._block, self._block.layout
        vectors = [self._vectors(book) for book in range(len(layout.books))]
        if config.clusters:
            self._clusters = BlockClusters(layout, vectors)
        for first, second in layout.combinations(between=config.computes_between):
            self._compute_pairs(vectors, first, second)
        self._publish("mark_layers", mark_layers_table(self._mark_rows(vectors)))
        self._publish("passage_sums", passage_sums_table(self._sums.by_passage()))
        if config.teaching_types:
            self._publish("transfer_sums", transfer_sums_table(self._transfers(vectors)))
        if self._clusters is not None:
            self._publish("clusters", clusters_table(self._clusters.rows()))
        if config.keep_hidden_states:
            self._publish_states()
        activations = {
            (name, book): _activation(prepared)
            for book, of_book in zip(layout.books, vectors, strict=True)
            for name, prepared in of_book.prepared.items()
            if len(prepared.x)
        }
        measured = {
            (name, book): layer_measures(prepared.x)
            for book, of_book in zip(layout.books, vectors, strict=True)
            for name, prepared in of_book.prepared.items()
            if len(prepared.x)
        }
        self._clock.lap("pairs")
        return BlockReceipt(
            block.key,
            tuple(self._files),
            self._summaries,
            activations,
            self._pairs,
            self._reused,
            self._clock.seconds,
            self._clusters.labels() if self._clusters is not None else {},
            measured,
        )

    def _transfers(self, vectors: Sequence[BookVectors]) -> Iterator[TransferRows]:
        for book, of_book in enumerate(vectors):
            states = {name: prepared.x for name, prepared in of_book.prepared.items()}
            yield from transfers_of(self._block.layout, book, states, self._context.config.teaching_types)

    def _vectors(self, book: int) -> BookVectors:
        layout = self._block.layout
        rows = {name: layout.rows(book, number) for number, name in enumerate(layout.classes)}
        return BookVectors(
            {name: self._block.states[of_class] for name, of_class in rows.items()},
            {name: layout.passages[of_class] for name, of_class in rows.items()},
            pair_options(self._context.config),
            where=f"{self._block.key} book {layout.books[book]}",
        )

    def _compute_pairs(self, vectors: Sequence[BookVectors], first: int, second: int) -> None:
        """Compute the pairs of two classes, or within one, in parts; publish them where the study stores them."""
        layout, config = self._block.layout, self._context.config
        shapes = layout.shapes(first, second)
        stored = config.stores_within if first == second else config.stores_between
        for part, slices in enumerate(plan_parts(shapes)):
            key = self._key(first, second, part)
            found = self._leftover(key, slices, shapes) if stored else None
            table = self._table(vectors, slices, first, second) if found is None else found
            self._reused += 0 if found is None else table.num_rows
            self._clock.lap("pairs")
            if stored:
                receipt, table = settle_chunk(self._context.location, key, table, self._context.run_id)
                self._files.append(receipt)
                self._clock.lap("write")
            self._pairs += table.num_rows
            self._add_up(table, slices, shapes, first, second)
            self._clock.lap("pairs")

    def _key(self, first: int, second: int, part: int) -> ChunkKey:
        classes, key = self._block.layout.classes, self._block.key
        if first == second:
            return ChunkKey("pairs", key.shard, key.layer, classes[first], part=part)
        return ChunkKey("cross_pairs", key.shard, key.layer, classes[first], classes[second], part)

    def _table(self, vectors: Sequence[BookVectors], slices: Sequence[PartSlice], first: int, second: int) -> pa.Table:
        layout = self._block.layout
        name, other = layout.classes[first], layout.classes[second]
        shapes = layout.shapes(first, second)
        rows = []
        for piece in slices:
            of_book = vectors[piece.book]
            if first == second:
                statistics, others = of_book.within(name, piece.start, piece.stop)
            else:
                statistics, others = of_book.between(name, other, piece.start, piece.stop)
            i, j = shapes[piece.book].ordinals(piece.start, piece.stop)
            rows.append(PairRows(piece.book, i, j, statistics, others))
        return pairs_table(_spec(first, second), layout.books, rows)

    def _leftover(self, key: ChunkKey, slices: Sequence[PartSlice], shapes: Sequence[PairShape]) -> pa.Table | None:
        """The rows that a stopped run left of this part; None where they are gone, damaged, or those of other pairs.

        That run may have been another version's, which took other marks: the study binds the settings, not the code.
        """
        path = self._leftovers.get(key)
        if path is None:
            return None
        try:
            table = read_leftover(self._context.location, key, path)
        except (ChunkDamaged, ObjectMissing, ObjectIrregular):
            return None
        expected, held = Counter[str](), Counter[str]()
        for piece in slices:
            expected[self._block.layout.books[piece.book]] += shapes[piece.book].pairs(piece.start, piece.stop)
        for book, rows in by_book(table):
            held[book] += rows.num_rows
        return table if held == expected else None

    def _add_up(
        self, table: pa.Table, slices: Sequence[PartSlice], shapes: Sequence[PairShape], first: int, second: int
    ) -> None:
        """Add a part to the summaries and sums, from its rows as they are stored."""
        layout = self._block.layout
        measures = MEASURES[self._context.config.measures]
        columns = {name: table[name].to_numpy() for name in (*measures, "i", "j")}
        start = 0
        for piece in slices:
            stop = start + shapes[piece.book].pairs(piece.start, piece.stop)
            values = {name: column[start:stop] for name, column in columns.items()}
            i, j = values.pop("i"), values.pop("j")
            key = (layout.classes[first], layout.classes[second], layout.books[piece.book])
            summary = summarise(values)
            self._summaries[key] = merge(self._summaries[key], summary) if key in self._summaries else summary
            self._sums.add(piece.book, first, second, i, j, values)
            if self._clusters is not None:
                self._clusters.add(piece.book, first, second, i, j, values)
            start = stop

    def _mark_rows(self, vectors: Sequence[BookVectors]) -> Iterator[MarkRows]:
        layout = self._block.layout
        for book, name in enumerate(layout.books):
            for number, mark_class in enumerate(layout.classes):
                prepared = vectors[book].prepared[mark_class]
                if not len(prepared.x):
                    continue
                means = self._sums.means(book, number)
                others = {layout.classes[other]: of for other, of in means.items() if other != number}
                own = means[number]
                yield MarkRows(
                    name,
                    mark_class,
                    np.linalg.norm(prepared.x.astype(np.float64), axis=1),
                    prepared.masked,
                    own["mi"],
                    own["corr"],
                    {other: of["mi"] for other, of in others.items()},
                    {other: of["corr"] for other, of in others.items()},
                )

    def _publish_states(self) -> None:
        layout = self._block.layout
        for number, name in enumerate(layout.classes):
            counts = [counts_of_book[number] for counts_of_book in layout.marks]
            if sum(counts):
                rows = [self._block.states[layout.rows(book, number)] for book in range(len(layout.books))]
                table = hidden_states_table(layout.books, counts, np.concatenate(rows))
                self._publish("hidden_states", table, name)

    def _publish(self, name: str, table: pa.Table, mark_class: str | None = None) -> None:
        self._clock.lap("pairs")
        key = ChunkKey(name, self._block.key.shard, self._block.key.layer, mark_class)
        self._files.append(publish_chunk(self._context.location, key, table, self._context.run_id))
        self._clock.lap("write")


class PairTotals:
    """Sums over the pairs of a block: by two passages of a book, and by a mark and another class."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._passage_pairs: dict[tuple[int, int, int], NDArray[np.int64]] = {}
        self._passage_sums: dict[tuple[int, int, int], dict[str, NDArray[np.float64]]] = defaultdict(dict)
        self._mark_sums: dict[tuple[int, int, int], dict[str, NDArray[np.float64]]] = defaultdict(dict)

    def add(
        self,
        book: int,
        first: int,
        second: int,
        i: NDArray[np.integer],
        j: NDArray[np.integer],
        values: Mapping[str, NDArray[np.floating]],
    ) -> None:
        """Take in some pairs (i, j) of a book's classes with their measures."""
        layout = self._layout
        one, other = (layout.passages[layout.rows(book, number)] for number in (first, second))
        passages = layout.passages[layout.book_rows(book)]
        shape = (int(passages.max()) + 1,) * 2
        key = (book, first, second)
        counts = counts_by_group(one[i], other[j], shape)
        self._passage_pairs[key] = self._passage_pairs[key] + counts if key in self._passage_pairs else counts
        sums = sums_by_group(np.stack(list(values.values())), one[i], other[j], shape)
        _add_to(self._passage_sums[key], dict(zip(values, sums, strict=True)))
        likeness = np.stack([values[name] for name in MARK_MEANS])
        for of, to, mark in ((first, second, i), (second, first, j)):
            sums = sums_by_member(likeness, mark, layout.marks[book][of])
            _add_to(self._mark_sums[book, of, to], dict(zip(MARK_MEANS, sums, strict=True)))

    def by_passage(self) -> Iterator[PassageRows]:
        """The sums by passages of every book and two classes that have pairs."""
        classes, books = self._layout.classes, self._layout.books
        for (book, first, second), sums in self._passage_sums.items():
            pairs = self._passage_pairs[book, first, second]
            yield PassageRows(books[book], classes[first], classes[second], pairs, sums)

    def means(self, book: int, of: int) -> dict[int, dict[str, NDArray[np.float64]]]:
        """Mean mi and corr of each mark of a book's class with the marks of each class; NaN where there are none."""
        marks = self._layout.marks[book]
        result = {}
        for to in range(len(marks)):
            partners = marks[to] - (to == of)
            sums = self._mark_sums.get((book, of, to), {})
            missing = np.full(marks[of], np.nan)
            if to == of or sums:
                result[to] = {n: sums[n] / partners if partners and n in sums else missing for n in MARK_MEANS}
        return result


def _add_to(totals: dict[str, NDArray[np.float64]], sums: Mapping[str, NDArray[np.float64]]) -> None:
    for name, of_part in sums.items():
        totals[name] = totals[name] + of_part if name in totals else of_part


def pair_options(config: StudyConfig) -> PairOptions:
    """How a study measures pairs."""
    return PairOptions(config.bins, config.outlier_z, config.measures)


def _spec(first: int, second: int) -> Table:
    return PAIRS if first == second else CROSS_PAIRS


def _activation(prepared: PreparedVectors) -> BookActivation:
    mean = prepared.x.mean(axis=0, dtype=np.float64)
    return BookActivation(len(prepared.x), mean, prepared.outlier_counts)


class _Clock:
    """Seconds by name, from one lap to the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now
