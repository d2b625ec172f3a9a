"""Loads the model on a worker and turns a prepared shard's windows into blocks of hidden states."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.model.batch_size import WITHOUT_GPU
from jobs.model.models import check_model
from jobs.stages.partition import block_keys
from jobs.stages.prepare import ClassWindows, PreparedShard, RunContext
from store.keys import BlockKey

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
    """Hidden states of one class of marks in one layer: `states` float32 [marks, D], book after book.

    Book number k has the rows `offsets[k]` to `offsets[k + 1]`. `work`: what the model did since the last block; it
    does a class of marks at once, so all but the first block of a class come for nothing.
    """

    key: BlockKey
    books: tuple[str, ...]
    offsets: tuple[int, ...]
    states: NDArray[np.float32]
    work: ModelWork = ModelWork()

    @property
    def marks(self) -> tuple[int, ...]:
        """Marks of each book."""
        return tuple(np.diff(self.offsets).tolist())


class StatesModel(Protocol):
    """What `extract_blocks` needs of a model; `jobs.model.hidden_states.HiddenStates` is one."""

    batch_size: int

    @property
    def hidden_layers(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def smallest_batch(self) -> int: ...

    def start(self, windows: NDArray[np.integer]) -> Callable[[], NDArray[np.float32]]: ...


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
    classes = wanted_by_class(model.hidden_layers, prepared, wanted)
    books_in_turn = (book for mark_class in classes for book in prepared.windows[mark_class])
    passes = _one_ahead(model, (windows for book in books_in_turn for windows in _bounded(model, book)))
    for mark_class, keys in classes.items():
        books = prepared.windows[mark_class]
        offsets = tuple(np.cumsum([0, *(len(book.windows) for book in books)]).tolist())
        started = time.perf_counter()
        states = _states_buffer((model.hidden_layers, offsets[-1], model.width))
        filled = 0
        while filled < offsets[-1]:
            found = next(passes)
            states[:, filled : filled + found.shape[1]] = found
            filled += found.shape[1]
        work = ModelWork(filled, time.perf_counter() - started, model.smallest_batch)
        names = tuple(book.book for book in books)
        for key in keys:
            yield Block(key, names, offsets, states[key.layer], work)
            work = ModelWork()


def wanted_by_class(
    hidden_layers: int, prepared: PreparedShard, wanted: Collection[BlockKey] | None
) -> dict[str, list[BlockKey]]:
    """The blocks to yield of each class that has any, in order."""
    keys = block_keys(prepared.outline.shard, prepared.outline.classes, hidden_layers)
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


def _bounded(model: StatesModel, book: ClassWindows) -> Iterator[NDArray[np.int32]]:
    """Yield a book's windows, int32 [n, before + 1], a bounded number n at a time."""
    step = model.batch_size * max(1, WINDOWS_AT_ONCE // model.batch_size)
    for start in range(0, len(book.windows), step):
        yield book.windows[start : start + step]


def _one_ahead(model: StatesModel, windows: Iterable[NDArray[np.int32]]) -> Iterator[NDArray[np.float32]]:
    """Yield the states of each array of windows, started one ahead: a GPU has work while the caller takes states."""
    pending: Callable[[], NDArray[np.float32]] | None = None
    for next_windows in windows:
        following = model.start(next_windows)
        if pending is not None:
            yield pending()
        pending = following
    if pending is not None:
        yield pending()
