"""Stages that take hidden states from a store that kept them, in place of books and a model.

What is prepared and extracted is read from the store; pairs are computed, and shards finished, as in any run.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.stages.extract import Block, ModelWork, wanted_keys
from jobs.stages.layout import Layout, layout_of
from jobs.stages.partition import ShardWork
from jobs.stages.prepare import PreparedShard, RunContext, outline_of
from jobs.stages.stages import Stages
from jobs.stages.tables import books_table, marks_table, passages_table
from store.errors import StoreError
from store.keys import BlockKey
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
    """Read what preparing the shard gave when its states were made, without what only a model reads.

    Books that were rejected then keep their rows; they are not failures of this run. Raises StoreError where the store
    cannot be read.
    """
    started = time.perf_counter()
    keys = [book.key for book in work.books]
    chosen = f"WHERE book IN ({', '.join(map(quoted, keys))})"
    with open_books(location, context.run_id, keys) as stored:
        books = stored.sql(f"SELECT * FROM books {chosen}").to_arrow_table().to_pylist()
        marks = stored.sql(f"SELECT * FROM marks {chosen} ORDER BY book, class, i").to_arrow_table().to_pylist()
        passages = stored.sql(f"SELECT * FROM passages {chosen} ORDER BY book, passage").to_arrow_table().to_pylist()
    layout = _layout(marks, context.config.class_names)
    outline = outline_of(work.key, layout, context.config, books, time.perf_counter() - started)
    outline = replace(outline, sequences=layout.total, rejected={})
    return PreparedShard(outline, (), layout, marks_table(marks), passages_table(passages), books_table(books))


def _layout(marks: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Layout:
    """How the marks of these rows, by book and class, lie in a block."""
    passages: dict[tuple[str, str], list[int]] = defaultdict(list)
    types: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in marks:
        passages[row["book"], row["class"]].append(row["passage"])
        types[row["book"], row["class"]].append(row["mark"])
    books = sorted({book for book, _ in passages})
    by_book = [[np.array(passages.get((book, name), ()), dtype=np.int32) for name in classes] for book in books]
    typed = [[np.array(types.get((book, name), ()), dtype=np.str_) for name in classes] for book in books]
    return layout_of(classes, books, by_book, typed)


def extract_stored(
    states: StoredStates, prepared: PreparedShard, wanted: Collection[BlockKey] | None = None
) -> Iterator[Block]:
    """Yield a shard's blocks as a model would have given them, layer by layer.

    Raises StoreError where a block has not as many hidden states as marks.
    """
    layout = prepared.layout
    with open_books(states.location, states.run_id, layout.books) as stored:
        for number, key in enumerate(wanted_keys(states.hidden_layers, prepared, wanted)):
            started = time.perf_counter()
            found = _states(stored, key, layout)
            work = ModelWork(0 if number else layout.total, time.perf_counter() - started)
            yield Block(key, layout, found, work)


def open_books(location: str, run_id: str, books: Collection[str]) -> Store:
    """Open the commits that hold these books, and no others, however large the store is."""
    whole = _whole(location, run_id)
    records = [record for record in whole.records if any(book.key in books for book in record.books)]
    return Store(object_store(location), whole.study, records, Partitions(), amendments=whole.amendments)


@functools.lru_cache(maxsize=1)
def _whole(location: str, run_id: str) -> Store:
    """Read a store's study and commit records, once a run and process. It is never queried, so nothing stays open."""
    return open_store(location)


def _states(stored: Store, key: BlockKey, layout: Layout) -> NDArray[np.float32]:
    """float32 [marks, D], laid out as a model's states would be."""
    by_class = [_of_class(stored, key, layout, number) for number in range(len(layout.classes))]
    width = max(states.shape[1] for states in by_class)
    result = np.empty((layout.total, width), dtype=np.float32)
    for number, states in enumerate(by_class):
        start = 0
        for book in range(len(layout.books)):
            rows = layout.rows(book, number)
            result[rows] = states[start : start + rows.stop - rows.start]
            start += rows.stop - rows.start
    return result


def _of_class(stored: Store, key: BlockKey, layout: Layout, number: int) -> NDArray[np.float32]:
    """float32 [marks of one class, D], book after book."""
    marks = sum(counts[number] for counts in layout.marks)
    if not marks:
        return np.empty((0, 0), dtype=np.float32)
    rows = stored.sql(
        f"SELECT state FROM hidden_states WHERE layer = {key.layer} AND class = {quoted(layout.classes[number])} "
        f"AND book IN ({', '.join(map(quoted, layout.books))}) ORDER BY book, i"
    ).to_arrow_table()
    if rows.num_rows != marks:
        raise StoreError(
            f"{stored.location}: {key} class {layout.classes[number]} has {rows.num_rows} hidden states for {marks} "
            "marks; `interpunct verify` names what is damaged"
        )
    states = rows.column("state").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(states, dtype=np.float32).reshape(marks, -1)
