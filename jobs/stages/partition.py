"""Pure planning: books to shards, blocks to parts, and what may be in flight at once. No clock, no disk, no Ray."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.pairwise import row_ranges
from jobs.corpus.references import NamedBook
from store.commits import Committed
from store.keys import BlockKey, ShardKey

SMALL_RUN = 32
"""Up to this many books, each is committed alone, so that little is lost and progress shows; beyond, by as many."""

SMALL_CLASS, SMALL_SHARDS = 100, 8
"""With at most so many marks a class, a book's pairs of a layer make files of 50 kB and less, whose footers weigh as
much as their rows: up to SMALL_RUN such books make at most so many shards."""

ROWS_PER_PART = 1 << 22
"""Pairs in one file: about 200 MB of float64 while they are computed and 30 MB on disk."""

_GIB = 1 << 30


@dataclass(frozen=True)
class ShardWork:
    """One shard to do: its key, and its books in the order they were named."""

    key: ShardKey
    books: tuple[NamedBook, ...]

    def split(self, fingerprint: str) -> tuple[ShardWork, ...]:
        """The same books, each in a shard of its own."""
        return tuple(shard_of(fingerprint, (book,)) for book in self.books)


class PairShape(NamedTuple):
    """The pairs of one book and two classes in a layer: `rows` marks with `columns` others, or, None, with each other.

    >>> PairShape(5).pairs(0, 5), PairShape(5).pairs(1, 2), PairShape(5, 3).pairs(1, 3)
    (10, 3, 6)
    """

    rows: int
    columns: int | None = None

    def pairs(self, start: int, stop: int) -> int:
        """How many pairs have their first mark among the rows from `start` to `stop`."""
        if stop <= start:
            return 0
        if self.columns is not None:
            return (stop - start) * self.columns
        return sum(self.rows - 1 - i for i in (start, stop - 1)) * (stop - start) // 2

    @property
    def total(self) -> int:
        """All pairs."""
        return self.pairs(0, self.rows)

    def ranges(self, limit: int) -> list[tuple[int, int]]:
        """Rows in ranges of at most `limit` pairs, or one row; a function of the shape alone."""
        if self.columns is None:
            return row_ranges(self.rows, limit)
        step = max(1, limit // self.columns) if self.columns else max(1, self.rows)
        return [(start, min(start + step, self.rows)) for start in range(0, self.rows, step)]

    def ordinals(self, start: int, stop: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """The ordinals i and j of the pairs of some rows, row by row."""
        rows = np.arange(start, stop)
        if self.columns is not None:
            first, second = np.repeat(rows, self.columns), np.tile(np.arange(self.columns), len(rows))
        else:
            lengths = self.rows - 1 - rows
            first = np.repeat(rows, lengths)
            second = first + 1 + np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return first.astype(np.uint16), second.astype(np.uint16)


@dataclass(frozen=True)
class PartSlice:
    """Rows of one book within a part: pairs (i, j) of book number `book` with start <= i < stop."""

    book: int
    start: int
    stop: int


@dataclass(frozen=True)
class Limits:
    """What may be in flight at once.

    `prepared`: shards prepared, or being prepared, that wait for a model. `extracting`: shards handed to models.
    `blocks`, `block_bytes`: blocks between a model and the end of their pairs.
    """

    prepared: int
    extracting: int
    blocks: int
    block_bytes: int


def books_per_shard(books: int, per_class: int | None = None, configured: int | None = None) -> int:
    """How many books share a shard: a function of the study and of how many are named, never of what is done already.

    >>> books_per_shard(5), books_per_shard(33), books_per_shard(20, per_class=20)
    (1, 32, 3)
    """
    if configured is not None:
        return configured
    if books > SMALL_RUN:
        return SMALL_RUN
    is_small = per_class is not None and per_class <= SMALL_CLASS
    return max(1, -(-books // SMALL_SHARDS)) if is_small else 1


def shard_of(fingerprint: str, books: Sequence[NamedBook]) -> ShardWork:
    """The shard that holds these books in the study with this fingerprint.

    The books' keys count too: rows carry them, and the same text under another key makes other files.
    """
    return ShardWork(ShardKey.of(fingerprint, [f"{_checksum(book)} {book.key}" for book in books]), tuple(books))


def plan_shards(
    books: Sequence[NamedBook],
    fingerprint: str,
    committed: Committed,
    per_class: int | None = None,
    configured: int | None = None,
) -> Iterator[ShardWork]:
    """Group the books, leave out what is committed, and name what remains.

    Books are grouped before the finished ones are taken out: the same command finds the same shards after a
    crash, and the chunks that a stopped run left behind still fit.
    """
    for group in _batched(books, books_per_shard(len(books), per_class, configured)):
        if shard_of(fingerprint, group).key.name in committed.shards:
            continue
        remaining = [book for book in group if not is_committed(book, committed)]
        if remaining:
            yield shard_of(fingerprint, remaining)


def is_committed(book: NamedBook, committed: Committed) -> bool:
    """Whether the store holds this very text under this key, used or rejected, or is to hold nothing of it."""
    known = committed.books.get(book.key)
    if known is None or is_left_out(book, committed):
        return known is not None
    return known.sha256 == book.ref.sha256 and known.status.analysed


def is_left_out(book: NamedBook, committed: Committed) -> bool:
    """Whether the book was removed from the store. One whose text could not be read then, or now, is that source."""
    known = committed.books.get(book.key)
    if known is None or not known.is_removed:
        return False
    return known.sha256 == book.ref.sha256 or known.sha256 is None or book.ref.sha256 is None


def plan_parts(shapes: Sequence[PairShape], limit: int = ROWS_PER_PART) -> list[tuple[PartSlice, ...]]:
    """Cut the pairs of two classes into parts of about `limit`: a function of the books' shapes alone.

    Parts hold whole books where they fit. A book with more pairs than that is cut by rows; a part exceeds the
    limit only where a single row does. Books without pairs are in none.
    """
    parts: list[tuple[PartSlice, ...]] = []
    current: list[PartSlice] = []
    room = limit
    for book, shape in enumerate(shapes):
        for start, stop in shape.ranges(limit) if shape.total else ():
            pairs = shape.pairs(start, stop)
            if current and pairs > room:
                parts.append(tuple(current))
                current, room = [], limit
            current.append(PartSlice(book, start, stop))
            room -= pairs
    return [*parts, tuple(current)] if current else parts


def pairs_of_classes(marks: Sequence[int], *, between: bool) -> int:
    """How many pairs a book with so many marks of each class has in one layer: within, and if asked between them."""
    within = sum(PairShape(count).total for count in marks)
    if not between:
        return within
    return within + sum(a * b for a, b in itertools.combinations(marks, 2))


def block_keys(shard: ShardKey, hidden_layers: int) -> tuple[BlockKey, ...]:
    """The blocks of a shard in the order in which the model yields them."""
    return tuple(BlockKey(shard, layer) for layer in range(hidden_layers))


def plan_limits(extractors: int, cpus: int, object_store_bytes: int, fraction: float) -> Limits:
    """Caps in flight: two shards for each model, so that none waits for the loop; blocks by CPUs and memory.

    Twice as many blocks as CPUs keep every CPU busy while results travel; more would only fill the object store.
    """
    return Limits(
        prepared=extractors + 1,
        extracting=2 * extractors,
        blocks=2 * cpus + 2,
        block_bytes=max(1, int(object_store_bytes * fraction)),
    )


def compute_memory(marks: int, width: int, bins: int) -> int:
    """Bytes that one pair task may need, for its resource request.

    The states with their centred forms and normal scores, their bit rows (one bit a bin and dimension, a handful of
    binnings) and one part's columns.
    """
    states = marks * width * 4
    bit_rows = 4 * marks * bins * width // 8
    rows = min(marks * (marks - 1) // 2, 2 * ROWS_PER_PART)
    return _GIB // 4 + 12 * states + 2 * bit_rows + rows * 150


def _checksum(book: NamedBook) -> str:
    if book.ref.sha256 is None:
        raise ValueError(f"book {book.key} has no checksum: its source could not be read, so it belongs to no shard")
    return book.ref.sha256


def _batched(books: Iterable[NamedBook], size: int) -> Iterator[tuple[NamedBook, ...]]:
    remaining = iter(books)
    while batch := tuple(islice(remaining, size)):
        yield batch
