"""The pool of model processes: started once, kept busy two shards deep, and replaced when they fail."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import ray

from jobs.cluster.ray_adapter import Cluster, Failure, Job, failure_of, start_extractor
from jobs.cluster.unit_scheduler import Fault
from jobs.errors import JobError, UsageError
from jobs.stages.prepare import RunContext

SHARDS_DEEP = 2
"""Shards handed to a model at once: the next one waits in its queue, so that it never waits for the driver."""


@dataclass(frozen=True)
class Placement:
    """What each model process asks of the cluster."""

    count: int
    cpus: float
    gpus: float
    threads: int | None
    device: str


@dataclass(eq=False)
class Slot:
    """One place in the pool, and the process that fills it now."""

    number: int
    actor: Any
    loading: Any
    """The reference that is ready when the model is loaded; None after that."""
    host: str = ""
    shards: int = 0
    failed_loads: int = 0
    failures: int = 0
    """Shards that failed here since one went well. A new process may meet the same GPU, so they outlive the old one."""

    def __str__(self) -> str:
        return f"loading of model {self.number}"


def place(context: RunContext, cluster: Cluster) -> Placement:
    """One process a GPU; without GPUs, one that shares its machine's cores with the pair tasks.

    On a single machine such a process reserves no CPU. The model and the tasks take turns on the same cores: reserved
    for one of them, cores would idle while the other waits. On several, it reserves one CPU, which keeps it off a head
    that offers none, and all of them together leave one for the tasks.

    Raises UsageError where a GPU is asked for on this machine, and it has none: only a cluster may get one later.
    """
    run = context.run
    if run.device == "cuda" and run.address is None and not cluster.gpus:
        raise UsageError("device is 'cuda', but Ray finds no GPU on this machine; use --device cpu, or --address")
    if (cluster.gpus and run.device != "cpu") or run.device == "cuda":
        return Placement(run.extractors or max(1, cluster.gpus), cpus=0, gpus=1, threads=None, device="cuda")
    threads = max(1, cluster.cpus // max(1, cluster.nodes))
    if cluster.nodes < 2:
        return Placement(run.extractors or 1, cpus=0, gpus=0, threads=threads, device="cpu")
    return Placement(min(run.extractors or 1, max(1, cluster.cpus - 1)), cpus=1, gpus=0, threads=threads, device="cpu")


class Extractors:
    """The pool. The driver's loop waits for `loading` references together with everything else."""

    def __init__(self, job: Job, placement: Placement) -> None:
        self._job = job
        self._attempts = job.context.run.attempts
        self._placement = placement
        self._numbers = itertools.count(1)
        self.slots = [self._fill(None) for _ in range(placement.count)]

    @property
    def capacity(self) -> int:
        """How many shards may be with the models at once."""
        return SHARDS_DEEP * sum(slot.loading is None for slot in self.slots)

    def loading(self) -> dict[Any, Slot]:
        """References of models that are being loaded."""
        return {slot.loading: slot for slot in self.slots if slot.loading is not None}

    def loaded(self, slot: Slot) -> str | None:
        """A load has ended; why it failed, None where it went well. After `attempts` failures the place is given up.

        Raises JobError (UsageError where that is what the last failure was) where no place is left. A load that went
        away with its machine does not count: on spot instances that is no fault of the model.
        """
        try:
            slot.host = ray.get(slot.loading)
        except Exception as error:
            failure = failure_of(error)
            slot.failed_loads += failure.fault is not Fault.LOST
            if slot.failed_loads < self._attempts:
                self.replace(slot)
            else:
                self._drop(slot, failure, error)
            return failure.reason
        slot.loading, slot.failed_loads = None, 0
        return None

    def take(self, avoid: Slot | None = None) -> Slot:
        """The process to hand a shard to; only while `capacity` allows another shard.

        The first of: a slot with room; of these, the one with the fewest failures; of these, the one with the least to
        do. A shard that has failed on the slot `avoid` goes to another wherever one is loaded: a GPU in error fails at
        once, would otherwise be the idlest, and would draw every attempt at a sound book.
        """
        ready = [slot for slot in self.slots if slot.loading is None]
        others = [slot for slot in ready if slot is not avoid]
        slot = min(others or ready, key=lambda slot: (slot.shards >= SHARDS_DEEP, slot.failures, slot.shards))
        slot.shards += 1
        return slot

    def replace(self, slot: Slot) -> None:
        """End a process that failed, and start another in its place."""
        ray.kill(slot.actor)
        self._fill(slot)

    def refill(self) -> None:
        """Try again what was given up: machines have come or gone."""
        self.slots += [self._fill(None) for _ in range(self._placement.count - len(self.slots))]

    def close(self) -> None:
        """End all processes."""
        for slot in self.slots:
            ray.kill(slot.actor)

    def _drop(self, slot: Slot, failure: Failure, error: Exception) -> None:
        """Go on without a place where no model loads, unless it is the last."""
        if len(self.slots) == 1:
            kind = UsageError if isinstance(failure.error, UsageError) else JobError
            raise kind(f"the model could not be loaded in {slot.failed_loads} attempts: {failure.reason}") from error
        ray.kill(slot.actor)
        self.slots.remove(slot)

    def _fill(self, slot: Slot | None) -> Slot:
        placement = self._placement
        actor = start_extractor(placement.cpus, placement.gpus)
        loading = actor.load.remote(self._job, placement.device, placement.threads)
        if slot is None:
            return Slot(next(self._numbers), actor, loading)
        slot.actor, slot.loading, slot.host, slot.shards = actor, loading, "", 0
        return slot
