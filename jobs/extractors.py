"""The pool of model processes: started once, kept busy two shards deep, and replaced when they fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray

from jobs.errors import JobError
from jobs.prepare import RunContext
from jobs.ray_adapter import Cluster, start_extractor, understand
from jobs.schedule import Fault
from jobs.stages import Stages

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

    actor: Any
    loading: Any
    """The reference that is ready when the model is loaded; None after that."""
    host: str = ""
    shards: int = 0
    failed_loads: int = 0


def place(context: RunContext, cluster: Cluster) -> Placement:
    """One process a GPU; without GPUs, one that shares its machine's cores with the pair tasks.

    On a single machine such a process reserves no CPU. The model and the tasks take turns on the same cores: reserved
    for one of them, cores would idle while the other waits. On several, it reserves one CPU, which keeps it off a head
    that offers none, and all of them together leave one for the tasks.
    """
    run = context.run
    if (cluster.gpus and run.device != "cpu") or run.device == "cuda":
        return Placement(run.extractors or max(1, cluster.gpus), cpus=0, gpus=1, threads=None, device="cuda")
    threads = max(1, cluster.cpus // max(1, cluster.nodes))
    if cluster.nodes < 2:
        return Placement(run.extractors or 1, cpus=0, gpus=0, threads=threads, device="cpu")
    return Placement(min(run.extractors or 1, max(1, cluster.cpus - 1)), cpus=1, gpus=0, threads=threads, device="cpu")


class Extractors:
    """The pool. The driver's loop waits for `loading` references together with everything else."""

    def __init__(self, stages: Stages, context: RunContext, placement: Placement) -> None:
        self._stages = stages
        self._context = context
        self._placement = placement
        self.slots = [self._fill(None) for _ in range(placement.count)]

    @property
    def capacity(self) -> int:
        """How many shards may be with the models at once."""
        return SHARDS_DEEP * sum(slot.loading is None for slot in self.slots)

    def loading(self) -> dict[Any, Slot]:
        """References of models that are being loaded."""
        return {slot.loading: slot for slot in self.slots if slot.loading is not None}

    def loaded(self, slot: Slot) -> None:
        """A load has ended. Raises JobError where models fail to load again and again.

        A load that went away with its machine does not count: on spot instances that is no fault of the model.
        """
        try:
            slot.host = ray.get(slot.loading)
        except Exception as error:
            failure = understand(error)
            slot.failed_loads += failure.fault is not Fault.LOST
            if slot.failed_loads >= self._context.run.attempts:
                attempts = slot.failed_loads
                raise JobError(f"the model could not be loaded in {attempts} attempts: {failure.reason}") from error
            self.replace(slot)
        else:
            slot.loading, slot.failed_loads = None, 0

    def take(self) -> Slot:
        """The process with the least to do; only while `capacity` allows another shard."""
        slot = min((slot for slot in self.slots if slot.loading is None), key=lambda slot: slot.shards)
        slot.shards += 1
        return slot

    def replace(self, slot: Slot) -> None:
        """End a process that failed, and start another in its place."""
        ray.kill(slot.actor)
        self._fill(slot)

    def close(self) -> None:
        """End all processes."""
        for slot in self.slots:
            ray.kill(slot.actor)

    def _fill(self, slot: Slot | None) -> Slot:
        placement = self._placement
        actor = start_extractor(placement.cpus, placement.gpus)
        loading = actor.load.remote(self._stages, self._context.config, placement.device, placement.threads)
        if slot is None:
            return Slot(actor, loading)
        slot.actor, slot.loading, slot.host, slot.shards = actor, loading, "", 0
        return slot
