"""The work itself, as plain functions that know nothing of Ray: prepare, extract, compute, finish.

Each is a function of its arguments, the texts and the store's published files. Run twice, it finds what the first
time has published and gives the same result; so any of them may be repeated after any failure.
"""

from __future__ import annotations

import functools
import math
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.moments import PairSummary, merge, summarise
from analysis.pairwise import PairStatistics, PreparedVectors, prepare, row_range
from jobs.config import RunConfig
from jobs.corpus.references import BookRef, NamedBook, Source
from jobs.corpus.survey import survey
from jobs.model.batch_size import WITHOUT_GPU
from jobs.model.models import check_model
from jobs.stages.partition import PartSlice, block_keys, pairs_in_rows, pairs_of, plan_parts
from jobs.stages.prepare import ClassWindows, PreparedShard, RunContext
from jobs.stages.tables import (
    BookActivation,
    activations_table,
    book_row,
    books_table,
    hidden_states_table,
    pairs_table,
    summaries_table,
)
from store.commits import CommitRecord, CommittedBook, FileReceipt
from store.keys import BlockKey, ChunkKey, ShardKey
from store.upkeep.completeness import by_book
from store.writer import publish_chunk, read_settled_chunk, settle_chunk

IN_MEMORY_BYTES = 2 << 30
"""States of one class of one shard beyond this are kept in a temporary file while the model works on them."""

WINDOWS_AT_ONCE = 1024
"""About as many windows are handed to the model at once; a multiple of the batch size, so that batches are the same."""


@dataclass(frozen=True)
class ModelWork:
    """What a model did: windows run, seconds waited for it, and the fewest windows that it had to run at once.

    The last is the study's batch size unless the device's memory did not hold such a batch; None for no work.
    """

    windows: int = 0
    seconds: float = 0.0
    smallest_batch: int | None = None


@dataclass(frozen=True)
class Block:
    """Hidden states of one class of marks in one layer: `states` float32 [tokens, D], book after book.

    Book number k has the rows `offsets[k]` to `offsets[k + 1]`. `work`: what the model did since the last block; it
    does a class of marks at once, so all but the first block of a class come for nothing.
    """

    key: BlockKey
    books: tuple[str, ...]
    offsets: tuple[int, ...]
    states: NDArray[np.float32]
    work: ModelWork = ModelWork()

    @property
    def tokens(self) -> tuple[int, ...]:
        """Marks of each book."""
        return tuple(np.diff(self.offsets).tolist())


@dataclass(frozen=True)
class BlockReceipt:
    """What computing a block gave: the files published, and the block's rows of `summaries` and `activations`.

    `reused` counts pairs that a stopped attempt had published already.
    """

    key: BlockKey
    files: tuple[FileReceipt, ...]
    summaries: Mapping[str, PairSummary]
    activations: Mapping[str, BookActivation]
    pairs: int
    reused: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)


class StatesModel(Protocol):
    """What `extract_blocks` needs of a model; `jobs.model.hidden_states.HiddenStates` is one."""

    batch_size: int

    @property
    def layers(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def smallest_batch(self) -> int: ...

    def start(self, windows: NDArray[np.integer]) -> Callable[[], NDArray[np.float32]]: ...


def survey_sources(sources: Sequence[Source], run: RunConfig) -> list[BookRef]:
    """Read, count and hash the texts of some sources: one reference a text, in order."""
    return [ref for source in sources for ref in survey(source, run)]


def load_model(context: RunContext, device: str) -> StatesModel:
    """The study's model, ready to give hidden states. Raises UsageError where this machine has another one."""
    from jobs.model.hidden_states import HiddenStates

    config, model = context.config, context.model
    check_model(model)
    size = config.batch_size or WITHOUT_GPU
    return HiddenStates(model.name, revision=model.revision, dtype=config.dtype, device=device, batch_size=size)


def extract_blocks(
    model: StatesModel, prepared: PreparedShard, wanted: Collection[BlockKey] | None = None
) -> Iterator[Block]:
    """Run the model over a shard's windows and yield its blocks, class by class and layer by layer.

    `wanted` leaves out blocks that are done already; None yields all.
    """
    classes = _wanted_by_class(model.layers + 1, prepared, wanted)
    parts = (part for mark_class in classes for book in prepared.windows[mark_class] for part in _parts(model, book))
    passes = _one_ahead(model, parts)
    for mark_class, keys in classes.items():
        books = prepared.windows[mark_class]
        offsets = tuple(np.cumsum([0, *(len(book.windows) for book in books)]).tolist())
        started = time.perf_counter()
        states = _states_buffer((model.layers + 1, offsets[-1], model.width))
        filled = 0
        while filled < offsets[-1]:
            some = next(passes)
            states[:, filled : filled + some.shape[1]] = some
            filled += some.shape[1]
        work = ModelWork(filled, time.perf_counter() - started, model.smallest_batch)
        names = tuple(book.book for book in books)
        for key in keys:
            yield Block(key, names, offsets, states[key.layer], work)
            work = ModelWork()


def compute_block(
    context: RunContext, block: Block, leftovers: Mapping[ChunkKey, FileReceipt] | None = None
) -> BlockReceipt:
    """Compute all pairs within each book of a block, publish them, and summarise what was published.

    `leftovers`: sound files of a stopped attempt; those parts are read and summarised, not computed again, unless they
    hold other pairs.
    Raises ValueError where a hidden state is not finite, naming layer, class and book.
    """
    clock = _Clock()
    config = context.config
    vectors = {
        book: prepare(_states_of(block, index), config.bins, config.outlier_z, where=f"{block.key} book {book}")
        for index, book in enumerate(block.books)
    }
    summaries: dict[str, PairSummary] = {}
    files, reused = [], 0
    for part, slices in enumerate(plan_parts(block.tokens)):
        key = ChunkKey.of_block("pairs", block.key, part)
        found = _leftover(context, key, block, slices) if key in (leftovers or {}) else None
        table = _pairs_part(block, slices, vectors) if found is None else found[1]
        clock.lap("pairs")
        receipt, table = settle_chunk(context.location, key, table) if found is None else found
        reused += 0 if found is None else table.num_rows
        clock.lap("write")
        files.append(receipt)
        _add_summaries(summaries, block, slices, table)
        clock.lap("pairs")
    if config.keep_hidden_states:
        key = ChunkKey.of_block("hidden_states", block.key)
        files.append(publish_chunk(context.location, key, hidden_states_table(block.books, block.tokens, block.states)))
        clock.lap("write")
    pairs = sum(map(pairs_of, block.tokens))
    activations = {book: _activation(prepared) for book, prepared in vectors.items()}
    return BlockReceipt(block.key, tuple(files), summaries, activations, pairs, reused, clock.seconds)


def finish_shard(context: RunContext, prepared: PreparedShard, receipts: Sequence[BlockReceipt]) -> CommitRecord:
    """Publish the shard's tokens, books, activations and summaries; the record that commits all of its files."""
    summaries = {(r.key, book): summary for r in receipts for book, summary in r.summaries.items()}
    activations = {(r.key, book): activation for r in receipts for book, activation in r.activations.items()}
    tables = {"books": prepared.books}
    if receipts:
        tables |= {
            "tokens": prepared.tokens,
            "activations": activations_table(activations),
            "summaries": summaries_table(summaries),
        }
    shard = prepared.outline.shard
    files = [file for receipt in sorted(receipts, key=lambda r: r.key) for file in receipt.files]
    files += [publish_chunk(context.location, ChunkKey(name, shard), table) for name, table in tables.items()]
    return CommitRecord(shard, tuple(files), _committed_books(prepared.books), context.run_id)


def record_books(context: RunContext, books: Mapping[NamedBook, tuple[str, str]]) -> CommitRecord:
    """Publish a `books` table of its own for books without results: book -> (status, reason).

    The record's name is the run's too, so that the next run's word on the same books stands beside this one's.
    """
    table = books_table(book_row(book, status, reason) for book, (status, reason) in books.items())
    names = [f"{context.run_id} {book.key} {status}" for book, (status, _) in books.items()]
    shard = ShardKey.of(context.fingerprint, names)
    receipt = publish_chunk(context.location, ChunkKey("books", shard), table)
    return CommitRecord(shard, (receipt,), _committed_books(table), context.run_id)


def _committed_books(table: pa.Table) -> tuple[CommittedBook, ...]:
    """The books of a `books` table as a commit record names them."""
    columns = table.select(["book", "sha256", "source", "status", "reason"]).to_pylist()
    return tuple(CommittedBook(row.pop("book"), **row) for row in columns)


def _wanted_by_class(
    layers: int, prepared: PreparedShard, wanted: Collection[BlockKey] | None
) -> dict[str, list[BlockKey]]:
    """The blocks to yield of each class that has any, in order."""
    keys = block_keys(prepared.outline.shard, prepared.outline.classes, layers)
    by_class: dict[str, list[BlockKey]] = {}
    for key in keys:
        if wanted is None or key in wanted:
            by_class.setdefault(key.mark_class, []).append(key)
    return by_class


def _states_buffer(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Room for the states of one class: in memory, or in a temporary file that vanishes with the process.

    The file's blocks are taken at once: a disk that fills up later would kill the process where it writes to the map.
    """
    size = 4 * math.prod(shape)
    if size <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype=np.float32)
    with tempfile.TemporaryFile(prefix="interpunct-states-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise OSError(
                f"the temporary folder {tempfile.gettempdir()} does not hold {size:,} bytes of hidden states "
                f"({error.strerror}); set TMPDIR to a folder with more room, or choose fewer --books-per-shard"
            ) from error
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def _parts(model: StatesModel, book: ClassWindows) -> Iterator[NDArray[np.int32]]:
    """A book's windows, a bounded number at a time."""
    step = model.batch_size * max(1, WINDOWS_AT_ONCE // model.batch_size)
    for start in range(0, len(book.windows), step):
        yield book.windows[start : start + step]


def _one_ahead(model: StatesModel, parts: Iterable[NDArray[np.int32]]) -> Iterator[NDArray[np.float32]]:
    """The states of each part. The next part is started first, so that a GPU has it while these are taken away."""
    pending: Callable[[], NDArray[np.float32]] | None = None
    for part in parts:
        following = model.start(part)
        if pending is not None:
            yield pending()
        pending = following
    if pending is not None:
        yield pending()


def _states_of(block: Block, index: int) -> NDArray[np.float32]:
    return block.states[block.offsets[index] : block.offsets[index + 1]]


def _leftover(
    context: RunContext, key: ChunkKey, block: Block, slices: Sequence[PartSlice]
) -> tuple[FileReceipt, pa.Table] | None:
    """A stopped attempt's file of this part as it stands now; None where it holds other pairs.

    Its attempt may have been another version's, which took other marks: the study binds the settings, not the code.
    """
    receipt, table = read_settled_chunk(context.location, key)
    expected, held = Counter[str](), Counter[str]()
    for piece in slices:
        expected[block.books[piece.book]] += pairs_in_rows(block.tokens[piece.book], piece.start, piece.stop)
    for book, rows in by_book(table):
        held[book] += rows.num_rows
    return (receipt, table) if held == expected else None


def _pairs_part(block: Block, slices: Sequence[PartSlice], vectors: Mapping[str, PreparedVectors]) -> pa.Table:
    rows: list[tuple[int, NDArray[np.uint16], NDArray[np.uint16], PairStatistics]] = []
    for piece in slices:
        statistics = row_range(vectors[block.books[piece.book]], piece.start, piece.stop)
        i, j = _ordinals(block.tokens[piece.book], piece.start, piece.stop)
        rows.append((piece.book, i, j, statistics))
    return pairs_table(block.books, rows)


@functools.lru_cache(maxsize=2)
def _ordinals(tokens: int, start: int, stop: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The ordinals i and j of the pairs of some rows of the triangle, row by row; the same in every layer."""
    i = np.arange(start, stop)
    lengths = tokens - 1 - i
    firsts = np.repeat(i, lengths)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    seconds = firsts + 1 + np.arange(lengths.sum()) - starts
    return firsts.astype(np.uint16), seconds.astype(np.uint16)


def _add_summaries(
    summaries: dict[str, PairSummary], block: Block, slices: Sequence[PartSlice], table: pa.Table
) -> None:
    """Summarise a part from its rows as stored, and merge with the parts before."""
    mi, cov = table["mi"].to_numpy(), table["cov"].to_numpy()
    start = 0
    for piece in slices:
        stop = start + pairs_in_rows(block.tokens[piece.book], piece.start, piece.stop)
        summary = summarise(mi[start:stop], cov[start:stop])
        book = block.books[piece.book]
        summaries[book] = merge(summaries[book], summary) if book in summaries else summary
        start = stop


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
