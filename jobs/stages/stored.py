"""Stages that take hidden states from a store that kept them, in place of books and a model.

What is prepared and extracted is read from the store; pairs are computed, and shards finished, as in any run.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.stages.extract import Block, ModelWork, wanted_by_class
from jobs.stages.partition import ShardWork, pairs_of
from jobs.stages.prepare import PreparedOutline, PreparedShard, RunContext
from jobs.stages.stages import Stages
from jobs.stages.tables import books_table, tokens_table
from store.books import BookStatus
from store.errors import StoreError
from store.keys import MARK_CLASSES, BlockKey
from store.objects.locations import object_store
from store.query.reader import Store, open_store
from store.query.sandbox import quoted
from store.query.sql_views import Partitions


@dataclass(frozen=True)
class StoredStates:
    """The store at `location`, in the place of a model."""

    location: str
    hidden_layers: int
    run_id: str


def stored_stages(location: str, hidden_layers: int) -> Stages:
    """The stages of a run whose hidden states are those of the store at `location`."""
    return Stages(
        prepare=functools.partial(prepare_stored, location),
        load=functools.partial(load_stored, location, hidden_layers),
        extract=extract_stored,
    )


def load_stored(location: str, hidden_layers: int, context: RunContext, device: str) -> StoredStates:
    """Stand in for a model; nothing is loaded, and no device is used."""
    return StoredStates(location, hidden_layers, context.run_id)


def prepare_stored(location: str, context: RunContext, work: ShardWork) -> PreparedShard:
    """Read what preparing the shard gave when its states were made, without the windows, which only a model needs.

    Books that were rejected then keep their rows; they are no failures of this run. Raises StoreError where the store
    cannot be read.
    """
    started = time.perf_counter()
    keys = [book.key for book in work.books]
    chosen = f"WHERE book IN ({', '.join(map(quoted, keys))})"
    with _open(location, context.run_id, keys) as stored:
        books = stored.sql(f"SELECT * FROM books {chosen}").to_arrow_table().to_pylist()
        marks = stored.sql(f"SELECT * FROM tokens {chosen} ORDER BY book, class, i").to_arrow_table().to_pylist()
    counts = Counter((row["book"], row["class"]) for row in marks)
    outline = PreparedOutline(
        shard=work.key,
        marks={name: sum(n for (_, c), n in counts.items() if c == name) for name in MARK_CLASSES},
        pairs=sum(map(pairs_of, counts.values())),
        used=sum(row["status"] == BookStatus.USED for row in books),
        rejected={},
        seconds=time.perf_counter() - started,
    )
    return PreparedShard(outline, {}, tokens_table(marks), books_table(books))


def extract_stored(
    states: StoredStates, prepared: PreparedShard, wanted: Collection[BlockKey] | None = None
) -> Iterator[Block]:
    """Yield a shard's blocks as a model would have given them, class by class and layer by layer.

    Raises StoreError where a block has not as many hidden states as marks.
    """
    rows = prepared.tokens.select(["book", "class"]).to_pylist()
    with _open(states.location, states.run_id, {row["book"] for row in rows}) as stored:
        for mark_class, keys in wanted_by_class(states.hidden_layers, prepared, wanted).items():
            counts = Counter(row["book"] for row in rows if row["class"] == mark_class)
            books = tuple(sorted(counts))
            offsets = tuple(np.cumsum([0, *(counts[book] for book in books)]).tolist())
            for number, key in enumerate(keys):
                started = time.perf_counter()
                found = _states(stored, key, books, offsets[-1])
                work = ModelWork(0 if number else offsets[-1], time.perf_counter() - started)
                yield Block(key, books, offsets, found, work)


def _open(location: str, run_id: str, books: Collection[str]) -> Store:
    """Open the commits that hold these books, and no others, however large the store is."""
    whole = _whole(location, run_id)
    records = [record for record in whole.records if any(book.key in books for book in record.books)]
    return Store(object_store(location), whole.study, records, Partitions())


@functools.lru_cache(maxsize=1)
def _whole(location: str, run_id: str) -> Store:
    """Read a store's study and commit records, once a run and process. It is never queried, so nothing stays open."""
    return open_store(location)


def _states(stored: Store, key: BlockKey, books: tuple[str, ...], marks: int) -> NDArray[np.float32]:
    """float32 [marks, D], book after book and mark after mark."""
    rows = stored.sql(
        f"SELECT state FROM hidden_states WHERE layer = {key.layer} AND class = {quoted(key.mark_class)} "
        f"AND book IN ({', '.join(map(quoted, books))}) ORDER BY book, i"
    ).to_arrow_table()
    if rows.num_rows != marks:
        raise StoreError(
            f"{stored.location}: {key} has {rows.num_rows} hidden states for {marks} marks; "
            "`interpunct verify` names what is damaged"
        )
    states = rows.column("state").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(states, dtype=np.float32).reshape(marks, -1)
