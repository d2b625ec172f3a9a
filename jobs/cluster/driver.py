"""The job on a Ray cluster: a thin loop that carries out what `jobs.cluster.unit_scheduler` decides.

One `ray.wait` over everything under way: tasks, loading models, and the streams of blocks that models yield. A block
goes from a model's process to a pair task through Ray's object store; the driver sees its header and its receipt. The
driver is the only one that commits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import ray
import ray.exceptions

from jobs.account.display import Listener
from jobs.account.run_store import Results
from jobs.account.tally import Tally
from jobs.cluster.extractors import Extractors, Slot, place
from jobs.cluster.metrics import Metrics
from jobs.cluster.nodes import Newcomers
from jobs.cluster.outage import Outage
from jobs.cluster.ray_adapter import (
    Cluster,
    Failure,
    Job,
    compute_remotely,
    describe_cluster,
    failure_of,
    finish_remotely,
    prepare_remotely,
    start_extraction,
    with_memory,
)
from jobs.cluster.under_way import ShardUnderWay, Stream
from jobs.cluster.unit_scheduler import Fault, GivenUp, Launch, Schedule, Stage, Unit
from jobs.cluster.watchdog import Watchdog
from jobs.errors import JobError
from jobs.stages.extract import ModelWork
from jobs.stages.partition import Limits, ShardWork, compute_memory, plan_limits
from jobs.stages.prepare import PreparedOutline, RunContext
from jobs.stages.stages import Stages
from store.errors import StoreUnavailable
from store.keys import BlockKey, ShardKey

TICK_SECONDS = 1.0
"""The loop looks up at least this often, for the display, the watchdog and a stop."""

REPORT_SECONDS = 0.25
LOOK_SECONDS = 5.0
"""How often the loop asks which machines there are."""


def run_on_ray(
    context: RunContext,
    shards: Iterable[ShardWork],
    results: Results,
    tally: Tally,
    listener: Listener,
    stages: Stages,
    cluster: Cluster,
) -> list[GivenUp]:
    """Do every shard and commit each; returns the books that were given up after bounded attempts.

    Raises JobError where no model can be loaded, StoreError where the store refuses or stays away, UsageError where
    workers go on saying that what the user named does not fit.
    """
    loop = _Loop(context, shards, results, tally, listener, stages, cluster)
    try:
        return loop.run()
    finally:
        loop.close()


class _Loop:
    def __init__(
        self,
        context: RunContext,
        shards: Iterable[ShardWork],
        results: Results,
        tally: Tally,
        listener: Listener,
        stages: Stages,
        cluster: Cluster,
    ) -> None:
        self._placement = place(context, cluster)
        self._context, self._results, self._cluster = context, results, cluster
        self._schedule = Schedule(
            shards,
            self._limits(),
            hidden_layers=tally.hidden_layers,
            fingerprint=context.fingerprint,
            attempts=context.run.attempts,
            hold_unusable=not results.is_open,
        )
        job = Job(stages, context)
        self._extractors = Extractors(job, self._placement)
        self._tally, self._planned, self._listener = tally, tally.shards, listener
        tally.side_by_side = True
        self._job = ray.put(job)
        self._metrics = Metrics()
        self._newcomers = Newcomers(context.location)
        self._watchdog = Watchdog()
        self._outage = Outage(context.run.attempts)
        self._tasks: dict[Any, Unit] = {}
        self._streams: dict[Any, Stream] = {}
        self._shards: dict[ShardKey, ShardUnderWay] = {}
        self._looked = self._reported = time.monotonic()

    def run(self) -> list[GivenUp]:
        while not self._schedule.done:
            self._launch_all()
            for reference in self._wait():
                self._receive(reference)
            self._report()
        return self._schedule.given_up

    def close(self) -> None:
        self._extractors.close()
        self._newcomers.close()

    # What the cluster offers

    def _limits(self) -> Limits:
        cluster, fraction = self._cluster, self._context.run.memory_fraction
        return plan_limits(self._placement.count, cluster.cpus, cluster.object_store_bytes, fraction)

    def _read_cluster(self) -> None:
        """Let the caps follow a cluster that grows and shrinks: tasks that wait for CPUs are what makes it grow."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for problem in self._newcomers.differences():
            self._listener.line("a machine that joined differs", reason=problem)
        cluster = describe_cluster()
        if cluster == self._cluster:
            return
        if cluster.nodes == 0:
            raise JobError("Ray has lost its last machine; what is committed is safe, run the same command again")
        self._cluster = cluster
        self._schedule.limits = self._limits()
        self._extractors.refill()
        self._listener.line("cluster", nodes=cluster.nodes, cpus=cluster.cpus, gpus=cluster.gpus)

    # What is launched

    def _launch_all(self) -> None:
        self._read_cluster()
        if self._outage.paused(time.monotonic()):
            return
        self._schedule.limits = replace(self._schedule.limits, extracting=self._extractors.capacity)
        for launch in self._schedule.launches():
            self._launch(launch)

    def _launch(self, launch: Launch) -> None:
        unit = launch.unit
        self._watchdog.started(unit, time.monotonic())
        if unit.stage is Stage.PREPARE:
            work = ShardWork(unit.shard, launch.books)
            outline, prepared = _pair(prepare_remotely.remote(self._job, work))
            self._shards.setdefault(unit.shard, ShardUnderWay()).prepared = prepared
            self._tasks[outline] = unit
        elif unit.stage is Stage.EXTRACT:
            self._extract(unit.shard, launch.blocks)
        elif unit.stage is Stage.COMPUTE:
            self._compute(unit)
        else:
            self._results.open()
            shard = self._shards[unit.shard]
            task = finish_remotely.remote(self._job, shard.prepared, list(shard.receipts.values()))
            self._tasks[task] = unit

    def _extract(self, shard: ShardKey, wanted: tuple[BlockKey, ...]) -> None:
        under_way = self._shards[shard]
        if under_way.leftovers is None:
            try:
                leftovers = self._results.leftovers(shard)
            except StoreUnavailable as error:
                self._fail(Unit(Stage.EXTRACT, shard), failure_of(error))
                return
            under_way.leftovers = ray.put(leftovers) if leftovers else {}
            if leftovers:
                self._listener.line("found files of a stopped run", shard=shard, files=len(leftovers))
        slot = self._extractors.take(avoid=under_way.failed_on)
        stream = start_extraction(slot.actor, under_way.prepared, wanted)
        self._streams[stream] = Stream(shard, slot, slot.actor, len(wanted))

    def _compute(self, unit: Unit) -> None:
        assert unit.block is not None
        self._results.open()  # not earlier: a model that gives no states is no reason to create a store
        shard = self._shards[unit.shard]
        block, header = shard.blocks[unit.block]
        width = header.bytes // (4 * max(1, header.marks))
        memory = compute_memory(header.marks, width, self._context.config.bins)
        compute = with_memory(compute_remotely, min(memory, int(self._cluster.largest_memory * 0.9)))
        task = compute.remote(self._job, block, shard.leftovers)
        self._tasks[task] = unit

    # What comes back

    def _wait(self) -> list[Any]:
        """References that have something to say. Streams are heard only while their blocks can be worked on."""
        waiting = [*self._tasks, *self._extractors.loading()]
        if self._has_room():
            waiting += self._streams
        if not waiting:
            time.sleep(TICK_SECONDS)
            return []
        ready, _ = ray.wait(waiting, num_returns=1, timeout=TICK_SECONDS, fetch_local=False)
        if ready and len(waiting) > 1:
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=False)
        return ready

    def _has_room(self) -> bool:
        """Whether pairs of another block may start now."""
        if self._outage.paused(time.monotonic()):
            return False
        limits = self._schedule.limits
        headers = [header for shard in self._shards.values() for _, header in shard.blocks.values()]
        return len(headers) < limits.blocks and sum(header.bytes for header in headers) < limits.block_bytes

    def _receive(self, reference: Any) -> None:
        if reference in self._streams:
            self._receive_block(reference, self._streams[reference])
        elif reference in self._tasks:
            self._receive_result(reference, self._tasks.pop(reference))
        else:
            loading = self._extractors.loading()
            if reference in loading:
                slot = loading[reference]
                self._note_loaded(slot, self._extractors.loaded(slot))

    def _note_loaded(self, slot: Slot, failure: str | None) -> None:
        if failure is None:
            self._listener.line("model ready", host=slot.host)
            return
        again = slot in self._extractors.slots
        self._listener.line("model failed to load" if again else "going on with one model fewer", reason=failure)

    def _receive_block(self, generator: Any, stream: Stream) -> None:
        """Take the next block of a stream, note its end, or its failure."""
        if not self._has_room():
            return
        try:
            header = ray.get(next(generator))
            if isinstance(header, ModelWork):
                self._tally.extracted(stream.shard, header)
                self._note_progress(stream)
                return
            block = next(generator)
        except StopIteration:
            self._stream_ended(generator, stream)
        except ray.exceptions.TaskCancelledError:
            self._end_stream(generator, stream)
            self._watchdog.ended(Unit(Stage.EXTRACT, stream.shard))
        except Exception as error:
            self._stream_failed(generator, stream, error)
        else:
            self._take_block(stream, header, block)

    def _take_block(self, stream: Stream, header: Any, block: Any) -> None:
        """Launch the pairs of a block, unless its shard has been given up."""
        stream.outstanding -= 1
        self._tally.extracted(stream.shard, header.work)
        self._note_progress(stream)
        launch = self._schedule.extracted(header.key)
        if launch is not None:
            self._shards[stream.shard].blocks[header.key] = (block, header)
            self._launch(launch)

    def _stream_ended(self, generator: Any, stream: Stream) -> None:
        """A model has said all that it has to say of a shard: every block that it was asked for, or it has failed."""
        unit = Unit(Stage.EXTRACT, stream.shard)
        self._note_progress(stream)
        self._end_stream(generator, stream)
        self._watchdog.ended(unit)
        if stream.outstanding and self._schedule.under_way(stream.shard):
            self._fail(unit, Failure(Fault.UNIT, f"the model left out {stream.outstanding} blocks"))
        else:
            stream.slot.failures = 0
            self._end(unit)

    def _stream_failed(self, generator: Any, stream: Stream, error: Exception) -> None:
        """Blame the shard, the model or the run, and replace a model that may be at fault."""
        failure = self._blame(stream, failure_of(error))
        self._end_stream(generator, stream)
        if stream.shard in self._shards:
            self._shards[stream.shard].failed_on = stream.slot
        stream.slot.failures += failure.fault is Fault.UNIT
        if failure.fault is not Fault.RUN and stream.slot.actor is stream.actor:
            self._extractors.replace(stream.slot)
        self._fail(Unit(Stage.EXTRACT, stream.shard), failure)

    def _note_progress(self, stream: Stream) -> None:
        """A model has moved: none of the shards that it was given stands still, those that wait for it neither."""
        for other in self._streams.values():
            if other.actor is stream.actor:
                self._watchdog.moved(Unit(Stage.EXTRACT, other.shard), time.monotonic())

    def _receive_result(self, reference: Any, unit: Unit) -> None:
        try:
            result = ray.get(reference)
        except ray.exceptions.ActorDiedError as error:
            # A task runs in no actor: it was given a block whose model died between announcing and yielding it.
            self._fail(unit, replace(failure_of(error), fault=Fault.LOST))
            return
        except Exception as error:
            self._fail(unit, failure_of(error))
            return
        self._watchdog.moved(unit, time.monotonic())
        self._watchdog.ended(unit)
        if not self._schedule.under_way(unit.shard):
            return
        if unit.stage is Stage.PREPARE:
            self._note_prepared(unit, result)
        elif unit.stage is Stage.COMPUTE:
            shard = self._shards[unit.shard]
            del shard.blocks[result.key]
            shard.receipts[result.key] = result
            self._tally.computed(result)
            self._end(unit)
        else:
            self._commit(unit, result)

    def _end(self, unit: Unit) -> None:
        self._outage.succeeded(unit.stage)
        self._schedule.ended(unit)

    def _note_prepared(self, unit: Unit, outline: PreparedOutline) -> None:
        self._outage.succeeded(unit.stage)
        if self._schedule.prepared(unit.shard, outline.used > 0):
            self._tally.prepared(outline)
            for book, reason in outline.rejected.items():
                self._listener.line("rejected", book=book, reason=reason)

    def _commit(self, unit: Unit, record: Any) -> None:
        started = time.perf_counter()
        try:
            self._results.commit(record)
        except StoreUnavailable as error:
            self._fail(unit, failure_of(error))
            return
        self._end(unit)
        self._forget(unit.shard)
        self._tally.committed(unit.shard, time.perf_counter() - started)
        self._listener.line("committed", shard=unit.shard, books=len(record.books), files=len(record.files))

    # What goes wrong

    def _fail(self, unit: Unit, failure: Failure) -> None:
        self._watchdog.ended(unit)
        if failure.error is not None and self._schedule.under_way(unit.shard):
            seconds = self._outage.failed(unit.stage, failure.error, time.monotonic())
            if seconds is not None:
                self._listener.line("waiting", seconds=seconds, unit=unit, reason=failure.reason)
        again = self._schedule.failed(unit, failure.fault, failure.reason, failure.status)
        self._listener.line("trying again" if again else "failed", unit=unit, reason=failure.reason)
        if unit.stage is Stage.COMPUTE and unit.block is not None and self._schedule.wants(unit.block):
            self._shards[unit.shard].blocks.pop(unit.block, None)
        if not self._schedule.under_way(unit.shard):
            self._tally.given_up(unit.shard)
            self._forget(unit.shard)

    def _blame(self, stream: Stream, failure: Failure) -> Failure:
        """A process takes all of its shards with it: the one it was working on is to blame, the others are lost."""
        working_on = next(other for other in self._streams.values() if other.actor is stream.actor)
        if stream is working_on and stream.slot.actor is stream.actor:
            return failure
        return replace(failure, fault=Fault.LOST, reason=f"lost with its process: {failure.reason}")

    def _end_stream(self, generator: Any, stream: Stream) -> None:
        del self._streams[generator]
        if stream.slot.actor is stream.actor:
            stream.slot.shards -= 1

    def _forget(self, shard: ShardKey) -> None:
        """Let go of everything a shard holds in the object store, and of the models that still work for it."""
        self._shards.pop(shard, None)
        for generator in [generator for generator, stream in self._streams.items() if stream.shard == shard]:
            ray.cancel(generator)

    # What is told

    def _report(self) -> None:
        """Tell how far the run is; now and then only, since blocks may come by the thousand a second."""
        if time.monotonic() - self._reported < REPORT_SECONDS and not self._schedule.done:
            return
        self._reported = time.monotonic()
        self._tally.queues = {**self._schedule.counts(), "loading": len(self._extractors.loading())}
        self._tally.models, self._tally.pair_tasks = len(self._extractors.slots), max(1, self._cluster.cpus)
        self._tally.retries = self._schedule.retries
        self._tally.shards = self._planned + self._schedule.added
        self._listener.update(self._tally)
        self._metrics.update(self._tally)
        now = time.monotonic()
        self._watchdog.loading(self._extractors.loading().values(), now)
        if not self._has_room():  # models are not heard
            for stream in self._streams.values():
                self._watchdog.started(Unit(Stage.EXTRACT, stream.shard), now)
        for unit, seconds in self._watchdog.overdue(now):
            self._listener.line("no progress", unit=unit, seconds=round(seconds))


def _pair(references: Any) -> tuple[Any, Any]:
    """The two references of a task with two results, which Ray's types take for one."""
    first, second = references
    return first, second
