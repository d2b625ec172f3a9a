"""Loads the model on a worker and turns what it reads of a shard into blocks of hidden states."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.model.batch_size import WITHOUT_GPU
from jobs.model.models import check_model
from jobs.stages.layout import Layout
from jobs.stages.partition import block_keys
from jobs.stages.prepare import PreparedShard, Reading, RunContext
from store.keys import BlockKey

IN_MEMORY_BYTES = 2 << 30
"""States of one shard beyond this are kept in a temporary file while the model works on them."""

TOKENS_AT_ONCE = 1 << 10
"""About as many tokens are handed to the model at once: a whole number of batches, so that batches are the same. A run
tells of progress as often, so that it is no more than a few seconds' work of a CPU."""


@dataclass(frozen=True)
class ModelWork:
    """What a model did: sequences run, seconds waited for it, and the fewest sequences that it had to run at once.

    The last is the study's batch size unless the device's memory did not hold such a batch; None for no work.
    """

    sequences: int = 0
    seconds: float = 0.0
    smallest_batch: int | None = None

    def __add__(self, more: ModelWork) -> ModelWork:
        """Both together."""
        batches = [size for size in (self.smallest_batch, more.smallest_batch) if size is not None]
        return ModelWork(
            self.sequences + more.sequences, self.seconds + more.seconds, min(batches) if batches else None
        )


@dataclass(frozen=True, eq=False)
class Block:
    """Hidden states of all marks of a shard in one layer: `states` float32 [marks, D], laid out as `layout` says.

    `work`: what the model did since the last block, where that was not told before.
    """

    key: BlockKey
    layout: Layout
    states: NDArray[np.float32]
    work: ModelWork = ModelWork()


class StatesModel(Protocol):
    """What `extract_blocks` needs of a model; `jobs.model.hidden_states.HiddenStates` is one."""

    batch_size: int

    @property
    def hidden_layers(self) -> int:
        """The decoder blocks and the embedding."""

    @property
    def width(self) -> int:
        """Dimensions of a hidden state."""

    @property
    def smallest_batch(self) -> int:
        """The batch size to which the model went down where memory ran short."""

    def start(
        self, windows: NDArray[np.integer], places: NDArray[np.integer] | None = None
    ) -> Callable[[], NDArray[np.float32]]:
        """Begin the forward pass; what is returned waits for the states, as `HiddenStates.start` says."""


def load_model(context: RunContext, device: str) -> StatesModel:
    """The study's model, ready to give hidden states. Raises UsageError where this machine has another one."""
    from jobs.model.hidden_states import HiddenStates

    config, model = context.config, context.model
    check_model(model)
    size = config.batch_size or WITHOUT_GPU[config.context]
    return HiddenStates(model.name, revision=model.revision, dtype=config.dtype, device=device, batch_size=size)


def extract_blocks(
    model: StatesModel, prepared: PreparedShard, wanted: Collection[BlockKey] | None = None
) -> Iterator[Block]:
    """Run the model over what it reads of a shard and yield the shard's blocks, layer by layer.

    `wanted` leaves out blocks that are done already; None yields all. The model makes all layers at once, so the first
    block carries all its work.
    """
    work = ModelWork()
    for step in extract_in_steps(model, prepared, wanted):
        if isinstance(step, ModelWork):
            work += step
        else:
            yield replace(step, work=work)
            work = ModelWork()


def extract_in_steps(
    model: StatesModel, prepared: PreparedShard, wanted: Collection[BlockKey] | None = None
) -> Iterator[Block | ModelWork]:
    """`extract_blocks`, with word of what the model has done in between, before the first block."""
    keys = wanted_keys(model.hidden_layers, prepared, wanted)
    if not keys:
        return
    started = time.perf_counter()
    states = _states_buffer((model.hidden_layers, prepared.layout.total, model.width))
    for piece, found in _passes(model, prepared):
        states[:, piece.rows] = found
        now = time.perf_counter()
        yield ModelWork(len(piece.sequences), now - started, model.smallest_batch)
        started = time.perf_counter()
    for key in keys:
        yield Block(key, prepared.layout, states[key.layer])


def wanted_keys(
    hidden_layers: int, prepared: PreparedShard, wanted: Collection[BlockKey] | None
) -> tuple[BlockKey, ...]:
    """The blocks to yield, in order; those of `wanted`, or all."""
    keys = block_keys(prepared.outline.shard, hidden_layers)
    return tuple(key for key in keys if wanted is None or key in wanted)


def _states_buffer(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Room for the states of a shard: in memory, or in a temporary file that vanishes with the process.

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


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some of a book's sequences, the places of marks in them, and these marks' rows in the shard's states."""

    sequences: NDArray[np.int32]
    places: NDArray[np.int64]
    rows: NDArray[np.int64]


def _passes(model: StatesModel, prepared: PreparedShard) -> Iterator[tuple[_Piece, NDArray[np.float32]]]:
    """Yield pieces of what is read and the states of their marks, started one ahead: a GPU has work meanwhile."""
    pending: tuple[_Piece, Callable[[], NDArray[np.float32]]] | None = None
    for book, reading in enumerate(prepared.readings):
        for piece in _pieces(model, reading, prepared.layout.book_rows(book).start):
            following = piece, model.start(piece.sequences, piece.places)
            if pending is not None:
                yield pending[0], pending[1]()
            pending = following
    if pending is not None:
        yield pending[0], pending[1]()


def _pieces(model: StatesModel, reading: Reading, first_row: int) -> Iterator[_Piece]:
    """Cut what is read of a book into pieces of a bounded number of tokens. A function of book and study alone."""
    count, length = reading.sequences.shape
    step = model.batch_size * max(1, TOKENS_AT_ONCE // (model.batch_size * length))
    order = np.argsort(reading.places, kind="stable")
    places = reading.places[order]
    for start in range(0, count, step):
        first, last = np.searchsorted(places, [start * length, (start + step) * length])
        sequences = reading.sequences[start : start + step]
        yield _Piece(sequences, places[first:last] - start * length, first_row + order[first:last])
