"""Trials of a study that keeps its hidden states: a sample of the very marks whose states are in the store.

What reads a book as the study did, and takes no other marks, then needs neither its text nor the model. What reads
otherwise takes the same marks.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jobs.config import StudyConfig
from jobs.marks.passages import evenly, evenly_spaced, thin
from jobs.sensitivity.grid import MOST_PASSAGES, WINDOWS, Trial, study_condition
from jobs.stages.extract import Block, ModelWork, wanted_keys
from jobs.stages.prepare import PreparedShard, RunContext
from jobs.stages.stored import open_books
from store.errors import StoreError
from store.keys import BlockKey
from store.query.reader import Store
from store.query.sandbox import quoted

Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OwnMarks:
    """The marks of two classes of a book that a study's own rules sample.

    `positions`: int64 [marks] of either class, ascending: which token of the text. `tokens`: those of the text;
    `length`: those read of a passage. `ordinals`: int64 [marks], which marks of their classes they are in the store.
    """

    selection: str
    positions: tuple[Positions, Positions]
    tokens: int
    length: int
    ordinals: tuple[Positions, ...] = ()


def from_store(trials: Sequence[Trial], config: StudyConfig) -> list[Trial]:
    """The trials, where what needs no states but those that the study keeps is a trial by itself, and comes first."""
    found = []
    for trial in trials:
        if trial.condition != study_condition(config):
            found.append(trial)
            continue
        own = tuple(s for s in trial.specifications if s.selection == config.selection)
        found.append(replace(trial, specifications=own, kept=True))
        if others := tuple(s for s in trial.specifications if s not in own):
            found.append(replace(trial, name="selection", specifications=others))
    return sorted(found, key=lambda trial: not trial.kept)


def kept_marks(context: RunContext, book: str) -> OwnMarks:
    """The sample of a book: of evenly spaced passages that hold enough marks, as many as are asked for, evenly."""
    names = context.config.named_classes[:2]
    with open_books(context.location, context.run_id, [book]) as store:
        columns, of_book = "i, position, passage", f"book = {quoted(book)}"
        rows = [
            store.sql(f"SELECT {columns} FROM marks WHERE {of_book} AND class = {quoted(name)} ORDER BY i").fetchall()
            for name in names
        ]
        ((tokens,),) = store.sql(f"SELECT tokens FROM books WHERE {of_book} AND status = 'used'").fetchall()
        ((length,),) = store.sql(f"SELECT max(tokens) FROM passages WHERE {of_book}").fetchall()
    marks = [np.array(of_class, dtype=np.int64).reshape(-1, 3) for of_class in rows]
    first, second = _chosen([of_class[of_class[:, 1] >= max(WINDOWS)] for of_class in marks], context.config.per_class)
    positions, ordinals = (first[:, 1], second[:, 1]), (first[:, 0], second[:, 0])
    return OwnMarks(context.config.selection, positions, int(tokens), int(length), ordinals)


def _chosen(marks: Sequence[Positions], wanted: int | None) -> list[Positions]:
    """Some of the marks of each class, int64 [marks, 3]: ordinal, position, passage."""
    passages = 1 + max((int(of_class[:, 2].max()) for of_class in marks if len(of_class)), default=0)
    counts = np.array([np.bincount(of_class[:, 2], minlength=passages) for of_class in marks])
    enough = wanted is not None and (counts.sum(axis=1) >= wanted).all()
    chosen = evenly_spaced(counts, wanted or 0) if enough else np.arange(passages)
    if len(chosen) > MOST_PASSAGES:
        chosen = chosen[evenly(MOST_PASSAGES, len(chosen))]
    inside = [of_class[np.isin(of_class[:, 2], chosen)] for of_class in marks]
    return [of_class[thin(np.arange(len(of_class)), wanted, "spread", b"")] for of_class in inside]


def extract_kept(
    location: str,
    run_id: str,
    prepared: PreparedShard,
    ordinals: Sequence[Positions],
    wanted: Collection[BlockKey] | None = None,
) -> Iterator[Block]:
    """Yield the blocks of a trial from the kept states of its book.

    Raises StoreError where a mark's state is missing.
    """
    layout = prepared.layout
    with open_books(location, run_id, layout.books) as store:
        for key in wanted_keys(store.study.model["hidden_layers"], prepared, wanted):
            started = time.perf_counter()
            states = [
                _states(store, key, layout.books[0], name, of_class)
                for name, of_class in zip(layout.classes, ordinals, strict=True)
            ]
            yield Block(key, layout, np.concatenate(states), ModelWork(0, time.perf_counter() - started))


def _states(store: Store, key: BlockKey, book: str, name: str, ordinals: Positions) -> NDArray[np.float32]:
    """float32 [marks, D]: the kept states of some marks of a class."""
    rows = store.sql(
        f"SELECT state FROM hidden_states WHERE layer = {key.layer} AND class = {quoted(name)} "
        f"AND book = {quoted(book)} AND i IN ({', '.join(map(str, ordinals.tolist()))}) ORDER BY i"
    ).to_arrow_table()
    if rows.num_rows != len(ordinals):
        raise StoreError(
            f"{store.location}: book {book} layer {key.layer} class {name} has {rows.num_rows} kept states of "
            f"{len(ordinals)} marks; `interpunct verify` names what is damaged"
        )
    states = rows.column("state").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(states, dtype=np.float32).reshape(len(ordinals), -1)
