"""At most one of two drivers makes a book visible, whatever freezes: every order of steps, and two real cases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from store import lock, paths
from store.commits import CommitRecord
from store.errors import StoreLocked
from store.keys import ShardKey
from store.objects.local_folder import LocalFolder
from store.query.reader import open_store
from store.upkeep.verify import fix, verify
from store.writer import StudyWriter, publish_chunk
from tests.builders import book_chunks, publish_book, record_of, synthetic_study
from tests.store.protocol_model import SCENARIOS, Rules, search
from tests.store.s3_faults import Fault

ROOT = Path(__file__).resolve().parents[2]
STUDY = synthetic_study(layers=1, marks=4, width=8)
FAST, SLOW = list(SCENARIOS)[:6], list(SCENARIOS)[6:]
WORLDS = dict(zip(SCENARIOS, (12_250, 6_498, 6_796, 4_107, 7_426, 19_683, 191_605, 1_550_571, 53_725), strict=True))


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
@pytest.mark.timeout(900)
def test_no_order_of_steps_shows_a_book_twice_or_loses_a_file(name):
    outcome = search(SCENARIOS[name])
    assert (outcome.found, outcome.way) == (None, ())
    assert outcome.worlds == WORLDS[name], "docs/store.md tells these counts"


@pytest.mark.parametrize(
    ("rule", "scenario", "found"),
    [
        ("fence", 0, "a book's rows are visible twice"),
        ("own_names", 1, "the committed file one+two-any is missing"),
        ("sweep", 0, "the committed file one+two-first is missing"),
        ("condemn", 3, "the committed file one+two-first is missing"),
        ("carry", 4, "the removed book one is visible again"),
        ("honour", 5, "the removed book one is visible again"),
    ],
)
def test_each_rule_is_needed(rule, scenario, found):
    """The search can fail: it finds what goes wrong as soon as one rule is taken out."""
    assert search(SCENARIOS[FAST[scenario]], Rules(**{rule: False})).found == found


def publish_grouped(location: str | Path) -> CommitRecord:
    """Book 0 in a shard of another name, as a driver makes it that groups its books differently."""
    shard, run = ShardKey("f" * 16), "the-first-run"
    chunks = [(replace(key, shard=shard), table) for key, table in book_chunks(STUDY, 0)]
    files = [publish_chunk(location, key, table, run) for key, table in chunks]
    return replace(record_of(STUDY, 0, files, run), shard=shard)


def commit_grouped(location: str | Path) -> None:
    """What the first driver does."""
    writer = StudyWriter.open(location, STUDY)
    with writer.lock():
        writer.commit(publish_grouped(location))


def take_over(location: str | Path) -> None:
    """What the second driver does: wait until the first one's lock is stale, and commit both books by themselves."""
    writer = StudyWriter.open(location, STUDY)
    deadline = time.monotonic() + 30
    while True:
        try:
            with writer.lock():
                for number in (0, 1):
                    assert writer.commit(publish_book(location, STUDY, number, "the-second-run"))
                return
        except StoreLocked:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def check_one_commit_is_visible(location: str | Path) -> None:
    findings = verify(location)
    assert findings.damages == []
    with open_store(location) as store:
        assert store.sql("SELECT book, count(*) FROM pairs GROUP BY ALL ORDER BY ALL").fetchall() == [
            ("book0", 13),
            ("book1", 13),
        ]
    assert len(findings.uncommitted) == len(book_chunks(STUDY, 0)), "the loser's files, which no entry names"
    assert len(fix(location).removed) == len(findings.uncommitted)
    assert verify(location).damages == []


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(lock, "STALE_S", 0.3)


def freeze_before_the_commit(location: str) -> int:
    """A driver that stops itself (SIGSTOP) between looking at its lock and publishing; its exit code."""
    lock.HEARTBEAT_S, lock.STALE_S = 0.05, 0.3
    put_new = LocalFolder.put_new

    def frozen(self: LocalFolder, path: str, data: bytes) -> bool:
        if path == paths.entry_path(2):
            os.kill(os.getpid(), signal.SIGSTOP)
        return put_new(self, path, data)

    LocalFolder.put_new = frozen  # type: ignore[method-assign]
    try:
        commit_grouped(location)
    except StoreLocked as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def test_a_driver_that_was_frozen_before_it_published_publishes_nothing(tmp_path, quick):
    code = "import sys; from tests.store import test_protocol as t; sys.exit(t.freeze_before_the_commit(sys.argv[1]))"
    place = str(tmp_path / "store")
    driver = subprocess.Popen([sys.executable, "-c", code, place], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    _, status = os.waitpid(driver.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    take_over(place)
    os.kill(driver.pid, signal.SIGCONT)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 3
    assert "took over while this process was unresponsive; let it finish" in said.strip().splitlines()[-1]
    check_one_commit_is_visible(place)


def test_an_s3_put_that_is_held_until_another_took_over_publishes_nothing(s3, s3_location, quick):
    """The request is under way when the lock is taken; the driver's signs do not get through either."""
    arrives, refused = threading.Event(), []
    held = Fault("PUT", paths.entry_path(2), held_until=arrives)
    s3.inject(held)

    def drive() -> None:
        try:
            commit_grouped(s3_location)
        except StoreLocked as error:
            refused.append(error)

    driver = threading.Thread(target=drive)
    driver.start()
    deadline = time.monotonic() + 30
    while not held.seen:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    s3.inject(Fault("PUT", paths.lock_path("run", 1), held_until=arrives, times=100))
    take_over(s3_location)
    arrives.set()
    driver.join()
    (error,) = refused
    assert error.exit_code == 3
    assert "took over while this process was unresponsive; let it finish" in str(error)
    s3.faults.clear()
    check_one_commit_is_visible(s3_location)
