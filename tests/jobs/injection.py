"""Stages that fail on purpose, a model that costs nothing, and a log of every call, kept in files.

Workers are processes that may die at any moment, so what they did is told by files in a folder: one a call.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jobs.config import RunConfig, StudyConfig
from jobs.run import execute
from jobs.stages.compute import compute_block
from jobs.stages.extract import Block, ModelWork, extract_in_steps
from jobs.stages.finish import finish_shard
from jobs.stages.prepare import PreparedShard, RunContext, prepare_shard
from jobs.stages.stages import Stages
from store import columns
from store.query.reader import open_store

TABLES = tuple(name for name in columns.TABLES if name != "hidden_states")

MARKS = {"internal": 12, "terminal": 12, "baseline": 6}
"""Marks of each class of a book in the study of these tests."""

PAIRS = sum(count * (count - 1) // 2 for count in MARKS.values())
CROSS_PAIRS = sum(a * b for a, b in itertools.combinations(MARKS.values(), 2))
"""Pairs of a book in a layer, within the classes and between them."""


class HashModel:
    """Hidden states that are a function of the tokens up to a place alone, in the shape of the small GPT-2's."""

    batch_size = smallest_batch = 8
    hidden_layers = 4
    width = 24

    def start(self, sequences: np.ndarray, places: np.ndarray | None = None) -> Callable[[], np.ndarray]:
        count, length = sequences.shape
        chosen = np.arange(1, count + 1) * length - 1 if places is None else places
        assert (np.diff(chosen) > 0).all(), "places ascend"
        return functools.partial(self._states, sequences, chosen)

    def _states(self, sequences: np.ndarray, places: np.ndarray) -> np.ndarray:
        read = [sequences[place // sequences.shape[1], : place % sequences.shape[1] + 1] for place in places]
        states = [
            np.random.default_rng(tokens.astype(np.uint32)).normal(size=(self.hidden_layers, self.width))
            for tokens in read
        ]
        return np.asarray(states, dtype=np.float32).reshape(-1, self.hidden_layers, self.width).transpose(1, 0, 2)


@dataclass(frozen=True)
class Calls:
    """What was called, for which unit, how often."""

    folder: Path

    def note(self, stage: str, unit: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{stage}~{unit}~{uuid.uuid4().hex}").touch()

    def count(self, stage: str, unit: str = "") -> int:
        """Calls of a stage for units whose name contains `unit`."""
        calls = [path.name.split("~") for path in self.folder.glob(f"{stage}~*")]
        return sum(unit in called for _, called, _ in calls)

    def units(self, stage: str) -> list[str]:
        """The units of a stage's calls, in the order in which they were made."""
        paths = sorted(self.folder.glob(f"{stage}~*"), key=lambda path: path.stat().st_mtime_ns)
        return [path.name.split("~")[1] for path in paths]

    def first(self, times: int, name: str) -> bool:
        """True for the first `times` callers with this name, over all processes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in range(times):
            try:
                os.close(os.open(self.folder / f"once-{name}-{number}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return True
        return False


def crash() -> None:
    """Die as a segmentation fault or the kernel's memory killer makes a process die."""
    os.kill(os.getpid(), signal.SIGKILL)


def take_all_memory() -> None:
    """Allocate until the machine's memory monitor steps in."""
    taken = []
    for _ in range(200):
        taken.append(np.ones(8 << 20))
        time.sleep(0.05)


def disk_error() -> None:
    raise OSError("injected: the disk stuttered")


def gpu_error() -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


@dataclass(frozen=True)
class Trouble:
    """Do `action` at the first `times` calls whose unit's name contains `where`; `seconds` slows every call down."""

    calls: Calls
    action: Callable[[], None] | None = None
    times: int = 1
    where: str = ""
    seconds: float = 0.0

    def meet(self, stage: str, unit: str) -> None:
        self.calls.note(stage, unit)
        time.sleep(self.seconds)
        if self.action is not None and self.where in unit and self.calls.first(self.times, f"{stage}-{self.where}"):
            self.action()


@dataclass(frozen=True)
class Load:
    """The model that costs nothing; notes on which node it runs."""

    calls: Calls

    def __call__(self, context: RunContext, device: str) -> HashModel:
        import ray

        self.calls.note("load", ray.get_runtime_context().get_node_id() if ray.is_initialized() else "here")
        return HashModel()


@dataclass(frozen=True)
class Prepare:
    trouble: Trouble

    def __call__(self, context: RunContext, work: Any) -> PreparedShard:
        self.trouble.meet("prepare", "+".join(book.key for book in work.books))
        return prepare_shard(context, work)


@dataclass(frozen=True)
class Extract:
    """Meets its trouble in mid-stream, after `blocks` blocks."""

    trouble: Trouble
    blocks: int = 3

    def __call__(
        self, model: Any, prepared: PreparedShard, wanted: Sequence[Any] | None
    ) -> Iterator[Block | ModelWork]:
        books, number = "+".join(prepared.books["book"].to_pylist()), 0
        for step in extract_in_steps(model, prepared, wanted):
            if isinstance(step, Block):
                if number == min(self.blocks, len(wanted or ()) - 1):
                    self.trouble.meet("extract", books)
                number += 1
            yield step


@dataclass(frozen=True)
class Compute:
    trouble: Trouble

    def __call__(self, context: RunContext, block: Block, leftovers: Any = None) -> Any:
        self.trouble.meet("compute", f"{'+'.join(block.layout.books)} {block.key.layer}")
        return compute_block(context, block, leftovers)


@dataclass(frozen=True)
class Finish:
    trouble: Trouble

    def __call__(self, context: RunContext, prepared: PreparedShard, receipts: Any) -> Any:
        self.trouble.meet("finish", "+".join(prepared.books["book"].to_pylist()))
        return finish_shard(context, prepared, receipts)


def stages(calls: Calls, **troubles: Trouble) -> Stages:
    """All stages with their calls noted, on the model that costs nothing; some of them with trouble."""
    wrappers = {"prepare": Prepare, "extract": Extract, "compute": Compute, "finish": Finish}
    wrapped = {name: wrapper(troubles.get(name, Trouble(calls))) for name, wrapper in wrappers.items()}
    return Stages(load=Load(calls), **wrapped)


def write_books(folder: Path, text: str, number: int, characters: int = 5_000) -> list[str]:
    """Books cut from a text; each has enough marks of every class for `study`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(number):
        path = folder / f"book{index}.txt"
        path.write_text(text[index * characters : (index + 1) * characters], encoding="utf-8")
        paths.append(str(path))
    return paths


def study(model: Path, **changes: Any) -> StudyConfig:
    """A small study, with passages that a model of 64 tokens reads."""
    settings = {"per_class": MARKS["internal"], "baseline": MARKS["baseline"], "before": 8, "after": 2, "text": "raw"}
    return StudyConfig(**{"model": str(model), "passage_tokens": 48, "warmup_tokens": 16} | settings | changes)


def run(books: Sequence[str], config: StudyConfig, store: Path, with_stages: Stages, **settings: Any) -> int:
    return execute(books, config, RunConfig(**settings), str(store), with_stages)


def rows(store: Path) -> dict[str, list[str]]:
    """Every row of every table, as text, in a fixed order."""
    with open_store(store) as opened:
        return {
            table: [repr(row) for row in opened.sql(f"SELECT * FROM {table} ORDER BY ALL").fetchall()]
            for table in TABLES
        }
