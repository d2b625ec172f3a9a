"""The driver's decisions, without Ray: what starts when, what is repeated after a failure, and what is given up."""

from __future__ import annotations

import random

import pytest

from jobs.cluster.unit_scheduler import PATIENCE_FACTOR, Fault, Launch, Schedule, Stage, Unit
from jobs.corpus.references import BookRef, NamedBook
from jobs.stages.partition import Limits, shard_of

LAYERS = 3
LIMITS = Limits(prepared=2, extracting=2, blocks=4, block_bytes=1 << 20)


def book(name: str) -> NamedBook:
    return NamedBook(name, BookRef(name, f"/{name}", sha256=f"sha-{name}"))


def shards(number: int, per_shard: int = 1):
    return [shard_of("f", [book(f"{s}-{b}") for b in range(per_shard)]) for s in range(number)]


def schedule(works, **changes) -> Schedule:
    return Schedule(works, LIMITS, **{"hidden_layers": LAYERS, "fingerprint": "f", "attempts": 3} | changes)


class Simulation:
    """Carries out launches in an order drawn from a seed, with failures drawn from the same."""

    def __init__(self, subject: Schedule, seed: int = 0, fail=lambda unit, attempt: None) -> None:
        self.subject, self.random, self.fail = subject, random.Random(seed), fail
        self.under_way: list[Launch] = []
        self.attempts: dict[Unit, int] = {}
        self.ended: list[Unit] = []
        self.most: dict[Stage, int] = {}

    def run(self, steps: int = 100_000) -> None:
        for _ in range(steps):
            self.under_way += self.subject.launches()
            for stage in Stage:
                self.most[stage] = max(self.most.get(stage, 0), sum(u.unit.stage is stage for u in self.under_way))
            if self.subject.done:
                return
            assert self.under_way, "nothing is under way, and the schedule is not done"
            self.step(self.under_way.pop(self.random.randrange(len(self.under_way))))
        raise AssertionError("no end")

    def step(self, launch: Launch) -> None:
        unit = launch.unit
        self.attempts[unit] = self.attempts.get(unit, 0) + 1
        fault = self.fail(unit, self.attempts[unit])
        if unit.stage is Stage.EXTRACT:
            yielded = launch.blocks if fault is None else launch.blocks[: self.random.randrange(len(launch.blocks))]
            for block in yielded:
                compute = self.subject.extracted(block)
                if compute is not None:
                    self.under_way.append(compute)
        if fault is not None:
            self.subject.failed(unit, fault, "injected")
        elif unit.stage is Stage.PREPARE:
            if self.subject.under_way(unit.shard):
                self.subject.prepared(unit.shard, usable=True)
        else:
            self.ended.append(unit)
            self.subject.ended(unit)

    def finished(self) -> list:
        return [unit.shard for unit in self.ended if unit.stage is Stage.FINISH]


@pytest.mark.parametrize("seed", range(5))
def test_every_shard_is_finished_once_after_all_its_blocks(seed):
    works = shards(20)
    simulation = Simulation(schedule(works), seed)
    simulation.run()
    assert sorted(simulation.finished()) == sorted(work.key for work in works)
    for work in works:
        last = simulation.ended.index(Unit(Stage.FINISH, work.key))
        blocks = [i for i, u in enumerate(simulation.ended) if u.stage is Stage.COMPUTE and u.shard == work.key]
        assert len(blocks) == LAYERS
        assert max(blocks) < last


def test_no_more_is_under_way_than_the_limits_allow():
    simulation = Simulation(schedule(shards(30)), seed=1)
    simulation.run()
    assert simulation.most[Stage.PREPARE] <= LIMITS.prepared
    assert simulation.most[Stage.EXTRACT] == LIMITS.extracting


def test_the_next_shard_is_extracted_while_pairs_of_the_last_are_computed():
    subject = schedule(shards(3))
    first, second = (launch.unit.shard for launch in subject.launches())
    for key in (first, second):
        subject.prepared(key, usable=True)
    extractions = [launch for launch in subject.launches() if launch.unit.stage is Stage.EXTRACT]
    assert [launch.unit.shard for launch in extractions] == [first, second]
    for block in extractions[0].blocks:
        assert subject.extracted(block) == Launch(Unit(Stage.COMPUTE, first, block))
    subject.ended(extractions[0].unit)
    assert subject.counts()["pairs"] == LAYERS
    assert subject.counts()["extract"] == 1


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("seed", range(8))
def test_random_failures_are_repeated_until_all_is_done(seed, fault):
    draw = random.Random(seed)
    works = shards(12, per_shard=2)

    def fail(unit, attempt):
        return fault if attempt < 3 and draw.random() < 0.3 else None

    simulation = Simulation(schedule(works), seed, fail)
    simulation.run()
    assert sorted(simulation.finished()) == sorted(work.key for work in works)
    assert simulation.subject.retries > 10
    assert not simulation.subject.given_up


def test_a_failed_extraction_is_asked_only_for_what_is_missing():
    subject = schedule(shards(1))
    (prepare,) = subject.launches()
    subject.prepared(prepare.unit.shard, usable=True)
    (extract,) = subject.launches()
    for block in extract.blocks[:2]:
        subject.extracted(block)
    assert subject.failed(extract.unit, Fault.UNIT, "the process died")
    (again,) = subject.launches()
    assert again.blocks == extract.blocks[2:]


def test_failed_pairs_are_repeated_from_the_block_that_still_stands():
    subject = schedule(shards(1))
    (prepare,) = subject.launches()
    subject.prepared(prepare.unit.shard, usable=True)
    (extract,) = subject.launches()
    compute = subject.extracted(extract.blocks[0])
    assert subject.failed(compute.unit, Fault.UNIT, "the disk stuttered")
    assert list(subject.launches()) == [compute]


def test_a_lost_block_is_extracted_again_from_a_shard_prepared_anew_where_that_is_lost_too():
    subject = schedule(shards(1))
    (prepare,) = subject.launches()
    shard = prepare.unit.shard
    subject.prepared(shard, usable=True)
    (extract,) = subject.launches()
    computes = [subject.extracted(block) for block in extract.blocks]
    subject.ended(extract.unit)
    for compute in computes[1:]:
        subject.ended(compute.unit)
    assert subject.failed(computes[0].unit, Fault.LOST, "the node died")
    assert subject.wants(extract.blocks[0])
    (again,) = subject.launches()
    assert again.blocks == (extract.blocks[0],)
    assert subject.failed(again.unit, Fault.LOST, "the next node died")
    (again,) = subject.launches()
    assert again.blocks == (extract.blocks[0],)
    assert subject.failed(again.unit, Fault.LOST, "what was prepared is gone")
    assert [launch.unit for launch in subject.launches()] == [prepare.unit]
    subject.prepared(shard, usable=True)
    assert [launch.blocks for launch in subject.launches()] == [(extract.blocks[0],)]


def poison(name: str, stage: Stage, works):
    """Fails whenever the shard holds the book."""
    bad = {work.key for work in works if any(b.key == name for b in work.books)}
    bad |= {shard_of("f", [book(name)]).key}
    return lambda unit, attempt: Fault.UNIT if unit.stage is stage and unit.shard in bad else None


@pytest.mark.parametrize("stage", list(Stage))
def test_a_book_that_always_fails_is_given_up_alone_after_bounded_attempts(stage):
    works = shards(4, per_shard=3)
    simulation = Simulation(schedule(works), 3, poison("1-2", stage, works))
    simulation.run()
    (given_up,) = simulation.subject.given_up
    assert given_up.book == book("1-2")
    assert given_up.status == "quarantined"
    assert stage.value in given_up.reason
    alone = {shard_of("f", [b]).key for b in works[1].books[:2]}
    assert set(simulation.finished()) == {works[0].key, works[2].key, works[3].key} | alone
    units = LAYERS if stage is Stage.COMPUTE else 1
    assert max(simulation.attempts.values()) <= 3
    assert simulation.subject.retries <= 2 * 2 * units


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.RUN])
def test_a_failure_that_is_not_the_units_own_counts_less(fault):
    subject = schedule(shards(1))
    (prepare,) = subject.launches()
    for _ in range(3 * PATIENCE_FACTOR - 1):
        assert subject.failed(prepare.unit, fault, "spot instance gone, or store away")
        assert [launch.unit for launch in subject.launches()] == [prepare.unit]
    assert not subject.failed(prepare.unit, fault, "spot instance gone, or store away")


def test_a_store_that_is_away_costs_neither_the_block_nor_what_was_prepared():
    subject = schedule(shards(1))
    (prepare,) = subject.launches()
    subject.prepared(prepare.unit.shard, usable=True)
    (extract,) = subject.launches()
    compute = subject.extracted(extract.blocks[0])
    for _ in range(4):
        assert subject.failed(compute.unit, Fault.RUN, "503")
        assert list(subject.launches()) == [compute]
    assert not subject.wants(extract.blocks[0])


def test_late_results_of_a_shard_that_was_given_up_are_ignored():
    subject = schedule(shards(1), attempts=1)
    (prepare,) = subject.launches()
    subject.prepared(prepare.unit.shard, usable=True)
    (extract,) = subject.launches()
    compute, late = subject.extracted(extract.blocks[0]), extract.blocks[1]
    assert not subject.failed(compute.unit, Fault.UNIT, "died")
    assert subject.extracted(late) is None
    assert not subject.failed(extract.unit, Fault.UNIT, "died too")
    subject.ended(extract.unit)
    assert list(subject.launches()) == []
    assert subject.done


def test_shards_without_a_usable_book_wait_until_there_is_a_reason_to_create_a_store():
    subject = schedule(shards(3), hold_unusable=True)
    first, second = (launch.unit.shard for launch in subject.launches())
    subject.prepared(first, usable=False)
    (third,) = (launch.unit.shard for launch in subject.launches())
    subject.prepared(second, usable=True)
    (extract,) = subject.launches()
    assert extract.unit == Unit(Stage.EXTRACT, second)
    subject.extracted(extract.blocks[0])
    assert [launch.unit for launch in subject.launches()] == [Unit(Stage.FINISH, first)]
    assert subject.under_way(third)


def test_a_run_of_unusable_books_ends_without_finishing_any():
    simulation = Simulation(schedule(shards(5), hold_unusable=True))
    simulation.subject.prepared, original = None, simulation.subject.prepared
    simulation.subject.prepared = lambda shard, usable: original(shard, usable=False)
    simulation.run()
    assert simulation.finished() == []


def test_memory_stays_flat_over_ten_thousand_shards():
    """What the schedule keeps is bounded by what is under way, however long the run."""
    subject = Schedule(iter(shards(10_000)), LIMITS, hidden_layers=25, fingerprint="f", attempts=3)
    simulation = Simulation(subject, seed=2)
    simulation.ended = _Forgetful()
    simulation.attempts = _NoMemory()
    largest = 0
    while not subject.done:
        simulation.under_way += subject.launches()
        if simulation.under_way:
            simulation.step(simulation.under_way.pop(0))
        largest = max(largest, subject.active + len(subject._failures) + len(subject._again))
    assert largest <= 3 * (LIMITS.prepared + LIMITS.extracting)


class _Forgetful(list):
    def append(self, item) -> None:
        pass


class _NoMemory(dict):
    def __setitem__(self, key, value) -> None:
        pass

    def __getitem__(self, key) -> int:
        return 1
