"""Failures injected into a run on Ray: the store must end up as if nothing had happened, at a bounded cost."""

from __future__ import annotations

import functools
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jobs.cluster.extractors import Extractors, Slot
from jobs.errors import JobError, UsageError
from jobs.stages.extract import extract_blocks
from store.errors import StoreFull, StoreUnavailable
from store.query.reader import open_store
from tests.jobs import injection
from tests.jobs.injection import Calls, HashModel, Trouble

BOOKS = 3
BLOCKS = HashModel.hidden_layers
MARKS = sum(injection.MARKS.values())

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def config(tiny_gpt2):
    return injection.study(tiny_gpt2)


@pytest.fixture(scope="module")
def books(tmp_path_factory, sample_text) -> list[str]:
    return injection.write_books(tmp_path_factory.mktemp("books"), sample_text, BOOKS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, books, config) -> dict[str, list[str]]:
    """The rows that the plain loop gives."""
    folder = tmp_path_factory.mktemp("undisturbed")
    stages = injection.stages(Calls(folder / "calls"))
    assert injection.run(books, config, folder / "store", stages, serial=True) == 0
    rows = injection.rows(folder / "store")
    assert len(rows["pairs"]) == BOOKS * BLOCKS * injection.PAIRS
    assert len(rows["cross_pairs"]) == BOOKS * BLOCKS * injection.CROSS_PAIRS
    return rows


@pytest.fixture
def calls(tmp_path) -> Calls:
    return Calls(tmp_path / "calls")


def run_and_compare(tmp_path: Path, books, config, undisturbed, stages, **settings) -> None:
    assert injection.run(books, config, tmp_path / "store", stages, **settings) == 0
    assert injection.rows(tmp_path / "store") == undisturbed


def test_undisturbed_each_unit_is_done_once(tmp_path, books, config, undisturbed, calls):
    run_and_compare(tmp_path, books, config, undisturbed, injection.stages(calls))
    assert calls.count("prepare") == calls.count("extract") == calls.count("finish") == BOOKS
    assert calls.count("compute") == BOOKS * BLOCKS
    again = Calls(tmp_path / "again")
    run_and_compare(tmp_path, books, config, undisturbed, injection.stages(again))
    assert not any(again.count(stage) for stage in ("prepare", "extract", "compute", "finish"))


@pytest.mark.parametrize("action", [injection.crash, injection.disk_error])
@pytest.mark.parametrize("stage", ["prepare", "compute", "finish"])
@pytest.mark.whole
def test_a_task_that_fails_is_repeated_and_nothing_else_is(tmp_path, books, config, undisturbed, calls, stage, action):
    stages = injection.stages(calls, **{stage: Trouble(calls, action, times=2, where="book1")})
    run_and_compare(tmp_path, books, config, undisturbed, stages)
    expected = {"prepare": BOOKS, "extract": BOOKS, "compute": BOOKS * BLOCKS, "finish": BOOKS}
    expected[stage] += 2
    assert {name: calls.count(name) for name in expected} == expected


@pytest.mark.parametrize("action", [injection.crash, injection.gpu_error])
@pytest.mark.whole
def test_a_model_that_fails_in_mid_stream_is_replaced_and_yields_only_what_is_missing(
    tmp_path, books, config, undisturbed, calls, action
):
    stages = injection.stages(calls, extract=Trouble(calls, action, times=2, where="book1"))
    run_and_compare(tmp_path, books, config, undisturbed, stages)
    assert calls.count("finish") == BOOKS
    assert BOOKS <= calls.count("prepare") <= BOOKS + 1
    assert BOOKS * BLOCKS <= calls.count("compute") <= BOOKS * BLOCKS + 2
    assert BOOKS + 2 <= calls.count("extract") <= BOOKS + 4


@pytest.mark.whole
def test_a_lost_block_is_extracted_again(tmp_path, books, config, undisturbed, calls, monkeypatch):
    """`test_nodes` takes the machine itself away; this shows that only what was lost is done again."""
    from jobs.cluster.driver import _Loop

    original, lost = _Loop._compute, []

    def lose_one(loop, unit):
        if not lost:
            lost.append(unit)
            blocks = loop._shards[unit.shard].blocks
            blocks[unit.block] = (lost_object(), blocks[unit.block][1])
        original(loop, unit)

    monkeypatch.setattr(_Loop, "_compute", lose_one)
    run_and_compare(tmp_path, books, config, undisturbed, injection.stages(calls))
    assert lost
    assert calls.count("extract") == BOOKS + 1
    assert calls.count("compute") == BOOKS * BLOCKS


@dataclass(frozen=True)
class Forgetful:
    """Ends its first stream early, as if all had been yielded."""

    calls: Calls

    def __call__(self, model, prepared, wanted):
        forgets = self.calls.first(1, "forgetful")
        for block in extract_blocks(model, prepared, wanted):
            if not (forgets and block.key in wanted[-2:]):
                yield block


@pytest.mark.whole
def test_a_model_that_leaves_out_blocks_is_asked_for_them_again(tmp_path, books, config, undisturbed, calls, capsys):
    stages = replace(injection.stages(calls), extract=Forgetful(calls))
    run_and_compare(tmp_path, books, config, undisturbed, stages)
    assert "the model left out 2 blocks" in capsys.readouterr().err
    assert calls.count("compute") == BOOKS * BLOCKS


@pytest.mark.whole
def test_a_book_that_kills_its_workers_is_quarantined_by_name_and_takes_no_other_with_it(
    tmp_path, books, config, undisturbed, calls, capsys
):
    stages = injection.stages(calls, prepare=Trouble(calls, injection.crash, times=99, where="book1"))
    store = tmp_path / "store"
    assert injection.run(books, config, store, stages, books_per_shard=3) == 1
    assert calls.count("prepare", "book0+book1+book2") == 3
    assert calls.count("prepare", "book1") == 6
    printed = capsys.readouterr().err
    assert "quarantined: book1: prepare of shard" in printed
    assert "its process died" in printed
    with open_store(store) as opened:
        statuses = dict(opened.sql("SELECT book, status FROM books").fetchall())
        assert {book for (book,) in opened.sql("SELECT DISTINCT book FROM pairs").fetchall()} == {"book0", "book2"}
    assert statuses == {"book0": "used", "book1": "quarantined", "book2": "used"}

    (record,) = (json.loads(path.read_text()) for path in (store / "_runs").glob("*.json"))
    assert (record["books_used"], record["marks"]) == (2, 2 * MARKS)
    assert (record["shards"], record["shards_committed"]) == (3, 2)
    assert record["pairs"] == record["pairs_expected"]

    healed = Calls(tmp_path / "healed")
    run_and_compare(tmp_path, books, config, undisturbed, injection.stages(healed), books_per_shard=3)
    assert healed.count("prepare") == 1


@pytest.mark.whole
def test_a_block_that_kills_its_workers_costs_its_book_only(tmp_path, books, config, calls):
    stages = injection.stages(calls, compute=Trouble(calls, injection.crash, times=99, where="book2 3"))
    assert injection.run(books, config, tmp_path / "store", stages) == 1
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "store" / "_runs").glob("*.json"))
    assert (record["books_used"], record["marks"], record["shards_prepared"]) == (2, 2 * MARKS, 2)
    assert record["pairs"] == record["pairs_expected"]
    assert calls.count("compute", "book2 3") == 3
    with open_store(tmp_path / "store") as opened:
        found = opened.sql("SELECT book, status, reason FROM books ORDER BY book").fetchall()
    assert [(book, status) for book, status, _ in found] == [
        ("book0", "used"),
        ("book1", "used"),
        ("book2", "quarantined"),
    ]
    assert "layer 3" in found[2][2]


def store_is_away():
    raise StoreUnavailable("s3://bucket/study: SlowDown")


def store_is_full():
    raise StoreFull("no space is left in /data/study")


def wrong_use():
    raise UsageError("model 'tiny' is another one on this machine")


def wrong_use_once_loaded(calls):
    deadline = time.monotonic() + 60
    while not calls.count("load") and time.monotonic() < deadline:
        time.sleep(0.05)
    wrong_use()


@pytest.fixture
def short_pauses(monkeypatch):
    monkeypatch.setattr("jobs.cluster.outage.PAUSES", (0.01, 0.05, 0.1))


@pytest.mark.parametrize("stage", ["compute", "finish"])
@pytest.mark.whole
def test_a_store_that_comes_back_costs_no_book(tmp_path, books, config, undisturbed, calls, stage, monkeypatch, capsys):
    monkeypatch.setattr("jobs.cluster.outage.PAUSES", (0.1,) * 20)
    stages = injection.stages(calls, **{stage: Trouble(calls, store_is_away, times=6, where="book1")})
    run_and_compare(tmp_path, books, config, undisturbed, stages)
    expected = {"prepare": BOOKS, "extract": BOOKS, "compute": BOOKS * BLOCKS, "finish": BOOKS}
    expected[stage] += 6
    assert {name: calls.count(name) for name in expected} == expected
    assert "waiting seconds=0.1" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["compute", "finish"])
@pytest.mark.usefixtures("short_pauses")
@pytest.mark.whole
def test_a_store_that_stays_full_stops_the_run_and_gives_up_no_book(tmp_path, books, config, calls, stage, capsys):
    stages = injection.stages(calls, **{stage: Trouble(calls, store_is_full, times=10_000)})
    with pytest.raises(StoreFull, match="no space is left in /data/study"):
        injection.run(books, config, tmp_path / "store", stages)
    printed = capsys.readouterr().err
    assert " waiting seconds=0.1 " in printed
    assert " failed " not in printed
    assert calls.count("extract") <= BOOKS
    with open_store(tmp_path / "store") as opened:
        assert opened.sql("SELECT count(*) FROM books").fetchall() == [(0,)]


@pytest.mark.parametrize("stage", ["prepare", "extract"])
@pytest.mark.usefixtures("short_pauses")
@pytest.mark.whole
def test_wrong_use_that_only_workers_find_stops_the_run(tmp_path, books, config, calls, stage):
    # No sooner than the model is there: on a slow machine, the run would be over before its process is up.
    late = functools.partial(wrong_use_once_loaded, calls)
    stages = injection.stages(calls, **{stage: Trouble(calls, late, times=10_000)})
    with pytest.raises(UsageError, match="another one on this machine"):
        injection.run(books, config, tmp_path / "store", stages)
    assert calls.count("load") == 1
    assert calls.count(stage) < 3 * BOOKS * 3


@pytest.mark.whole
def test_a_shard_that_is_split_is_not_extracted_to_the_end(tmp_path, books, config, calls, undisturbed):
    """Pairs of the first layer fail at once; the model yields slowly, and has no need to yield the rest."""
    trouble = Trouble(calls, injection.disk_error, times=1, where="book0+book1+book2 0")
    stages = replace(injection.stages(calls, compute=trouble), extract=Slow(calls, 0.3))
    run_and_compare(tmp_path, books, config, undisturbed, stages, books_per_shard=3, attempts=1)
    assert 1 <= calls.count("yield", "3 books") < BLOCKS
    assert calls.count("load") == 1


@dataclass(frozen=True)
class Slow:
    """Yields a block every so many seconds, and notes each."""

    calls: Calls
    seconds: float

    def __call__(self, model, prepared, wanted):
        for block in extract_blocks(model, prepared, wanted):
            self.calls.note("yield", f"{len(block.layout.books)} books")
            time.sleep(self.seconds)
            yield block


@pytest.mark.whole
def test_a_model_that_never_loads_stops_the_run_with_its_reason(tmp_path, books, config, calls):
    stages = replace(injection.stages(calls), load=never_loads)
    with pytest.raises(JobError, match=r"could not be loaded in 3 attempts: ValueError: the weights are damaged"):
        injection.run(books, config, tmp_path / "store", stages)
    assert not (tmp_path / "store").exists()


@dataclass(frozen=True)
class OneGood:
    """Loads a sound model once; every other process gets one that fails, or none at all."""

    calls: Calls
    others: str

    def __call__(self, context, device):
        good = self.calls.first(1, "good")
        self.calls.note("load", "good" if good else "bad")
        if not good and self.others == "none":
            raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
        return HashModel() if good else BrokenModel()


class BrokenModel(HashModel):
    def start(self, sequences, places=None):
        injection.gpu_error()


@pytest.mark.whole
def test_a_place_where_no_model_loads_does_not_end_a_run_that_has_another(
    tmp_path, books, config, undisturbed, calls, capsys
):
    stages = replace(injection.stages(calls), load=OneGood(calls, "none"), extract=Slow(calls, 0.2))
    run_and_compare(tmp_path, books, config, undisturbed, stages, extractors=2, attempts=1)
    assert calls.count("load", "bad") == 1
    assert "going on with one model fewer reason=" in capsys.readouterr().err


@dataclass(frozen=True)
class UntilTheOtherIsBack:
    """The sound model's stream goes on when the broken one is loaded again, however slowly the machine starts it."""

    calls: Calls

    def __call__(self, model, prepared, wanted):
        deadline = time.monotonic() + 60
        while not isinstance(model, BrokenModel) and self.calls.count("load", "bad") < 2:
            assert time.monotonic() < deadline, "the broken model was not loaded again"
            time.sleep(0.05)
        yield from extract_blocks(model, prepared, wanted)


@pytest.mark.whole
def test_a_gpu_that_loads_and_fails_takes_no_book_with_it(tmp_path, books, config, undisturbed, calls):
    """It is idle whenever a book is to be tried again, and must not get the same book twice."""
    stages = replace(injection.stages(calls), load=OneGood(calls, "broken"), extract=UntilTheOtherIsBack(calls))
    run_and_compare(tmp_path, books, config, undisturbed, stages, extractors=2, attempts=2)
    assert calls.count("load", "bad") >= 2


def test_a_shard_goes_where_there_is_room_then_where_nothing_failed_and_never_back_where_it_failed():
    pool = Extractors.__new__(Extractors)
    sound, suspect, loading = Slot(1, None, None), Slot(2, None, None, failures=2), Slot(3, None, "loading")
    pool.slots = [suspect, sound, loading]
    assert [pool.take() for _ in range(5)] == [sound, sound, suspect, suspect, sound]
    assert pool.take(avoid=sound) is suspect
    suspect.failures = suspect.shards = sound.shards = 0
    assert pool.take(avoid=suspect) is sound
    pool.slots = [suspect]
    assert pool.take(avoid=suspect) is suspect


def lost_object():
    """What Ray hands to a task in the place of an object whose only copy went away with its machine."""
    import ray

    @ray.remote
    def lost():
        raise ray.exceptions.ObjectLostError("00" * 28, None, "")

    return lost.remote()


def never_loads(context, device):
    raise ValueError("the weights are damaged")
