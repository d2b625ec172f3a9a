"""What the Ray driver costs and what it gives, each as a ratio of one run.

python -m benchmarks.driver serial      8 books: Ray against the plain loop over the same functions
python -m benchmarks.driver scaling     1, 2, 4, 8 logical nodes, with sleep in the place of work
python -m benchmarks.driver loop        empty tasks: time for each block, and the driver's memory over the run
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from benchmarks import machine
from jobs.account.display import Lines
from jobs.account.run_store import Results
from jobs.account.tally import Tally
from jobs.cluster.driver import run_on_ray
from jobs.cluster.ray_adapter import describe_cluster
from jobs.cluster.ray_start import LOCAL_ENVIRONMENT, set_environment, start_local
from jobs.config import RunConfig, StudyConfig
from jobs.corpus.references import BookRef, NamedBook
from jobs.model.models import RecordedModel
from jobs.run import bundled
from jobs.stages.compute import BlockReceipt
from jobs.stages.extract import Block, ModelWork
from jobs.stages.partition import ShardWork, shard_of
from jobs.stages.prepare import PreparedOutline, PreparedShard, RunContext
from jobs.stages.stages import Stages
from store.commits import CommitRecord
from store.study import Study

FINGERPRINT = "f" * 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["serial", "scaling", "loop"])
    parser.add_argument("--books", type=int, default=8, help="serial: books, cut from the bundled story")
    parser.add_argument("--rounds", type=int, default=3, help="serial: how often the two take turns")
    parser.add_argument("--shards", type=int, default=200, help="loop: shards of --blocks blocks each")
    parser.add_argument("--blocks", type=int, default=50)
    options = parser.parse_args()
    # Ray runs its workers at a low priority; the plain loop has the usual one, and other work would favour it.
    os.environ.setdefault("RAY_worker_niceness", "0")
    print(f"machine: {machine.describe()}")
    if options.what == "serial":
        compare_with_serial(options.books, options.rounds)
    elif options.what == "scaling":
        measure_scaling([1, 2, 4, 8])
    else:
        measure_loop(options.shards, options.blocks)


def compare_with_serial(number: int, rounds: int) -> None:
    """The same books through the plain loop and through Ray, imports, start of Ray and loading of the model included.

    Each in a process of its own, in turn, so that neither finds what the other has loaded, and a machine that drifts
    does so for both.
    """
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        books = _cut_books(Path(folder), number)
        for turn in range(rounds):
            seconds = {}
            for name, option in {"plain loop": "--serial", "Ray": "--no-serial"}.items():
                store = f"{folder}/{name} {turn}"
                command = [sys.executable, "-m", "interpunct", "run", *books, "--store", store, option]
                started = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                seconds[name] = time.perf_counter() - started
                print(f"{name}: {seconds[name]:.1f} s for {number} books", flush=True)
            ratios.append(seconds["Ray"] / seconds["plain loop"])
    print(f"Ray / plain loop = {statistics.median(ratios):.2f}, the median of {rounds} rounds")


def measure_scaling(nodes: Sequence[int]) -> None:
    """Throughput of sleeping stages on logical nodes of two CPUs and one extractor each, against one node's.

    They sleep for about as long as a GPU and a core work on a block of 32 books. Blocks are as large as one book's, so
    that they travel through the object store: that, and where a task may run, is what Ray has to decide for each.
    """
    from ray.cluster_utils import Cluster

    set_environment(LOCAL_ENVIRONMENT)
    rates = {}
    for number in nodes:
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1, "include_dashboard": False}
        )
        for _ in range(number - 1):
            cluster.add_node(num_cpus=2, num_gpus=1)
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
        shards, blocks, steady = 12 * number, 16, _SteadyRate(number)
        _run(shards, blocks, Sleeping(0.25, 0.5, (250, 576)), steady, device="cuda", extractors=number)
        rates[number] = steady.rate()
        share = rates[number] / (number * rates[nodes[0]])
        print(f"{number} nodes: {rates[number]:.1f} blocks/s, {share:.0%} of {number} times one node")
        ray.shutdown()
        cluster.shutdown()


def measure_loop(shards: int, blocks: int) -> None:
    """End-to-end time of a block with empty tasks, and the driver's memory from the first tenth of the run on."""
    start_local()
    _run(2, blocks, Sleeping(0.0, 0.0))
    processor = time.process_time()
    seconds, tally = _run(shards, blocks, Sleeping(0.0, 0.0), _MemoryWatch())
    processor = time.process_time() - processor
    each, own = 1000 * seconds / tally.blocks, 1000 * processor / tally.blocks
    print(f"{tally.blocks} blocks in {seconds:.1f} s: {each:.2f} ms a block, {own:.2f} ms of it the driver's processor")
    ray.shutdown()


@dataclass(frozen=True)
class Sleeping:
    """Stages that sleep for so many seconds a block instead of working, and blocks of the given shape."""

    model: float
    pairs: float
    block: tuple[int, int] = (2, 16)

    def stages(self) -> Stages:
        return Stages(prepare=_prepare, load=self.load, extract=self.extract, compute=self.compute, finish=_finish)

    def load(self, context: RunContext, device: str) -> Any:
        return None

    def extract(self, model: Any, prepared: PreparedShard, wanted: Sequence[Any] | None) -> Iterator[Block]:
        for key in wanted or ():
            time.sleep(self.model)
            marks = self.block[0]
            yield Block(
                key, ("book",), (0, marks), np.zeros(self.block, dtype=np.float32), ModelWork(marks, self.model)
            )

    def compute(self, context: RunContext, block: Block, leftovers: Any) -> BlockReceipt:
        time.sleep(self.pairs)
        return BlockReceipt(block.key, (), {}, {}, 1)


def _prepare(context: RunContext, work: ShardWork) -> PreparedShard:
    outline = PreparedOutline(work.key, {"internal": 2, "terminal": 2}, 2, 1, {}, 0.0)
    return PreparedShard(outline, {}, pa.table({}), pa.table({}))


def _finish(context: RunContext, prepared: PreparedShard, receipts: Sequence[BlockReceipt]) -> CommitRecord:
    return CommitRecord(prepared.outline.shard, (), ())


class _NoStore(Results):
    """A store that takes commits and forgets them."""

    def __init__(self) -> None:
        super().__init__("/nowhere", Study({}, {}))

    @property
    def is_open(self) -> bool:
        return True

    def open(self) -> Any:
        return None

    def commit(self, record: CommitRecord) -> bool:
        return True


class _SteadyRate(Lines):
    """Blocks a second from the moment when the last model is ready: starting processes is no matter of scaling."""

    def __init__(self, models: int) -> None:
        super().__init__(io.StringIO())
        self._missing = models
        self._first: tuple[float, int] | None = None
        self._last_seen = (0.0, 0)

    def line(self, event: str, **keys: object) -> None:
        self._missing -= event == "model ready"

    def update(self, tally: Tally) -> None:
        self._last_seen = (time.perf_counter(), tally.blocks)
        if self._missing == 0 and self._first is None:
            self._first = self._last_seen

    def rate(self) -> float:
        assert self._first is not None
        return (self._last_seen[1] - self._first[1]) / (self._last_seen[0] - self._first[0])


class _MemoryWatch(Lines):
    """Prints the driver's largest memory so far after each tenth of the shards."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self._next = 0.1

    def update(self, tally: Tally) -> None:
        if tally.shards_committed >= self._next * tally.shards:
            largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{tally.shards_committed} shards: driver's largest memory {largest:.0f} MiB")
            self._next += 0.1


def _run(
    shards: int, blocks: int, stages: Sleeping, listener: Lines | None = None, **settings: Any
) -> tuple[float, Tally]:
    model = RecordedModel("none", "none")
    context = RunContext("/nowhere", StudyConfig(), RunConfig(**settings), FINGERPRINT, "benchmark", model)
    tally = Tally(hidden_layers=blocks // 2, shards=shards)
    works = (shard_of(FINGERPRINT, [_book(number)]) for number in range(shards))
    listener = listener or Lines(io.StringIO())
    started = time.perf_counter()
    given_up = run_on_ray(context, works, _NoStore(), tally, listener, stages.stages(), describe_cluster())
    assert not given_up
    assert tally.blocks == shards * blocks
    return time.perf_counter() - started, tally


def _book(number: int) -> NamedBook:
    return NamedBook(f"b{number}", BookRef(f"b{number}", f"/b{number}", sha256=f"{number}"))


def _cut_books(folder: Path, number: int) -> list[str]:
    """Books that differ: the bundled story, started at another paragraph each time."""
    paragraphs = Path(bundled("sample")).read_text(encoding="utf-8").split("\n\n")
    paths = []
    for index in range(number):
        path = folder / f"book{index}.txt"
        path.write_text("\n\n".join(paragraphs[index:] + paragraphs[:index]), encoding="utf-8")
        paths.append(str(path))
    return paths


if __name__ == "__main__":
    main()
