"""Ray, and nothing of the work itself: what a cluster offers, remote forms of the stages, and what failures mean.

All retries of a shard's work are the driver's (`jobs.cluster.unit_scheduler`) and none are Ray's: the driver counts
them by unit of work, bounds them, names them in the log, and makes again what was lost with a machine. Ray's own
retries would be silent, and without end for a task that is killed for memory.
"""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import ray
import ray.exceptions

from jobs.cluster.unit_scheduler import Fault
from jobs.config import RunConfig
from jobs.corpus.references import BookRef, Source
from jobs.errors import SourceError, UsageError
from jobs.stages.compute import BlockReceipt
from jobs.stages.extract import Block, ModelWork
from jobs.stages.partition import ShardWork
from jobs.stages.prepare import PreparedOutline, PreparedShard, RunContext
from jobs.stages.stages import Stages
from store.books import BookStatus
from store.commits import CommitRecord
from store.errors import StoreUnavailable
from store.keys import BlockKey, ChunkKey

BLOCKS_AHEAD = 4
"""Blocks that a model yields before it waits for the driver to take them: enough to hide the driver's latency."""

_NODE_DIED = re.compile(r"node (has )?died|node .{0,80}(dead|terminated|failed)", re.IGNORECASE | re.DOTALL)
"""How Ray says, in an error about a process, that its whole machine went away."""


@dataclass(frozen=True)
class Failure:
    """What an exception from Ray means for the unit of work that met it."""

    fault: Fault
    reason: str
    status: BookStatus = BookStatus.QUARANTINED
    """What the book is called where it is given up for this: `failed` where something outside of it is at fault."""
    error: Exception | None = None
    """For a fault of the whole run: what ends the run if it lasts."""


@dataclass(frozen=True)
class Cluster:
    """What the cluster offers when the run starts."""

    nodes: int
    cpus: int
    gpus: int
    object_store_bytes: int
    largest_memory: int


def describe_cluster() -> Cluster:
    """Nodes and resources as Ray reports them now."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    total = ray.cluster_resources()
    return Cluster(
        nodes=len(nodes),
        cpus=int(total.get("CPU", 0)),
        gpus=int(total.get("GPU", 0)),
        object_store_bytes=int(total.get("object_store_memory", 0)),
        largest_memory=int(max((node["Resources"].get("memory", 0) for node in nodes), default=0)),
    )


def failure_of(error: BaseException) -> Failure:
    """Sort an exception that `ray.get` raised into what the driver has to do about it."""
    cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
    cause = cause if isinstance(cause, BaseException) else error
    text = _first_line(cause)
    if isinstance(cause, ray.exceptions.OutOfMemoryError):
        return Failure(Fault.UNIT, "its process was stopped because the machine ran out of memory")
    lost = (ray.exceptions.ObjectLostError, ray.exceptions.NodeDiedError, ray.exceptions.ActorUnavailableError)
    if isinstance(cause, lost) or (isinstance(cause, ray.exceptions.RayError) and _NODE_DIED.search(str(cause))):
        return Failure(Fault.LOST, f"lost with its machine: {text}", BookStatus.FAILED)
    if isinstance(cause, ray.exceptions.WorkerCrashedError | ray.exceptions.ActorDiedError):
        return Failure(Fault.UNIT, "its process died")
    if isinstance(cause, StoreUnavailable | UsageError):
        return Failure(Fault.RUN, f"{type(cause).__name__}: {text}", BookStatus.FAILED, cause)
    outside = isinstance(cause, OSError | SourceError)
    return Failure(
        Fault.UNIT, f"{type(cause).__name__}: {text}", BookStatus.FAILED if outside else BookStatus.QUARANTINED
    )


@ray.remote(num_cpus=1, max_retries=1)
def survey_remotely(stages: Stages, sources: Sequence[Source], run: RunConfig) -> list[BookRef]:
    """`stages.survey` on a worker."""
    return stages.survey(sources, run)


class Job(NamedTuple):
    """What every task gets: one object, since each costs a worker and its machine a look-up for every task."""

    stages: Stages
    context: RunContext


@ray.remote(num_cpus=1, max_retries=0, num_returns=2)
def prepare_remotely(job: Job, work: ShardWork) -> tuple[PreparedOutline, PreparedShard]:
    """`stages.prepare` on a worker: the outline for the driver, and all of it for the model and the last stage."""
    prepared = job.stages.prepare(job.context, work)
    return prepared.outline, prepared


@ray.remote(num_cpus=1, max_retries=0)
def compute_remotely(job: Job, block: Block, leftovers: Mapping[ChunkKey, str]) -> BlockReceipt:
    """`stages.compute` on a worker."""
    return job.stages.compute(job.context, block, leftovers)


@ray.remote(num_cpus=1, max_retries=0)
def finish_remotely(job: Job, prepared: PreparedShard, receipts: Sequence[BlockReceipt]) -> CommitRecord:
    """`stages.finish` on a worker."""
    return job.stages.finish(job.context, prepared, receipts)


@functools.lru_cache(maxsize=256)
def with_memory(task: Any, memory: int) -> Any:
    """The task with a request for so many bytes; kept, since Ray takes a while to make it."""
    return task.options(memory=memory)


@dataclass(frozen=True)
class BlockHeader:
    """What the driver learns of a block without fetching it: its size, and what the model did for it."""

    key: BlockKey
    marks: int
    bytes: int
    work: ModelWork


class Extractor:
    """A model in a process of its own. It takes the model's name, not its weights: each process loads its own.

    The driver replaces one that fails, whatever the reason: a process whose GPU is in error must not be kept, and to
    start a new one is the same whether a function, a process or a machine has failed.
    """

    def load(self, job: Job, device: str, threads: int | None) -> str:
        """Load the model; returns the host's name."""
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        self._stages = job.stages
        self._model = job.stages.load(job.context, device)
        return socket.gethostname()

    def extract(self, prepared: PreparedShard, wanted: Sequence[BlockKey]) -> Iterator[BlockHeader | Block | ModelWork]:
        """For each block a header, which is small and travels to the driver, and then the block, which does not.

        Before the blocks, word of what the model has done.

        Ends early where the driver has given up the shard.
        """
        for block in self._stages.extract(self._model, prepared, wanted):
            if ray.get_runtime_context().is_canceled():
                return
            if isinstance(block, ModelWork):
                yield block
                continue
            yield BlockHeader(block.key, len(block.states), block.states.nbytes, block.work)
            yield block


def start_extractor(cpus: float, gpus: float) -> Any:
    """A process for one model, which has still to `load`."""
    return ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)(Extractor).remote()


def start_extraction(actor: Any, prepared: Any, wanted: Sequence[BlockKey]) -> Any:
    """The stream of headers and blocks of one shard. It waits when the driver is BLOCKS_AHEAD behind."""
    options = {"num_returns": "streaming", "_generator_backpressure_num_objects": 2 * BLOCKS_AHEAD}
    return actor.extract.options(**options).remote(prepared, wanted)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
