from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from store import lock, paths
from store.errors import StoreError, StoreLocked
from store.lock import MAINTENANCE, REPAIR, RUN, Owner, StoreLock, Term, current_term, this_process
from store.log import CommitLog
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.writer import StudyWriter
from tests.builders import publish_book, synthetic_study


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(lock, "STALE_S", 0.3)


def take(objects: ObjectStore, owner: Owner, purpose: str = RUN) -> int:
    """Begin a term for somebody, whoever holds the lock: what one does who takes its holder for dead."""
    term = CommitLog.read(objects).append(lambda _: Term(purpose, owner))
    sign(objects, owner, term.number, purpose)
    return term.number


def sign(objects: ObjectStore, owner: Owner, term: int, purpose: str = RUN) -> None:
    objects.put(paths.lock_path(purpose, term), json.dumps(vars(owner)).encode())


def elsewhere(**changes: object) -> Owner:
    """An owner on another machine, about whose process nothing can be known from here."""
    return replace(this_process(), host="elsewhere", machine="elsewhere", nonce="other", **changes)


def test_a_second_driver_is_refused_and_told_who_holds_it(location):
    objects = object_store(location)
    with (
        StoreLock(objects),
        pytest.raises(StoreLocked, match=rf"in use by process {os.getpid()} on .* run this again in \d+ s") as refused,
        StoreLock(objects),
    ):
        pass
    assert refused.value.exit_code == 3


def test_a_released_lock_is_free(location):
    objects = object_store(location)
    for term in (1, 2, 3):
        with StoreLock(objects):
            found = current_term(objects)
            assert found is not None
            assert found.number == term
            assert not found.owner.released
    assert current_term(objects).owner.released
    assert len(list(objects.walk(paths.LOCKS))) == 1, "earlier terms are removed"


def test_purposes_do_not_meet(tmp_path):
    objects = object_store(tmp_path)
    with StoreLock(objects, lock.RUN), StoreLock(objects, lock.MAINTENANCE):
        assert current_term(objects, lock.RUN).owner.pid == os.getpid()


def test_an_error_inside_releases(tmp_path):
    objects = object_store(tmp_path)
    with pytest.raises(ZeroDivisionError), StoreLock(objects):
        raise ZeroDivisionError
    assert current_term(objects).owner.released


def test_a_dead_process_of_this_machine_is_followed_at_once(location):
    code = (
        "import os, sys; from store.objects.locations import object_store; from store.lock import StoreLock\n"
        f"StoreLock(object_store({location!r})).__enter__(); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -9
    objects = object_store(location)
    assert not current_term(objects).owner.released
    started = time.monotonic()
    with StoreLock(objects):
        assert current_term(objects).number == 2
    assert time.monotonic() - started < 5


def test_a_reused_process_number_is_not_the_owner(tmp_path):
    objects = object_store(tmp_path)
    take(objects, replace(this_process(), started="1"))
    with StoreLock(objects):
        assert current_term(objects).number == 2


def test_a_fresh_heartbeat_elsewhere_is_respected(tmp_path):
    objects = object_store(tmp_path)
    take(objects, elsewhere())
    with pytest.raises(StoreLocked, match="on elsewhere"), StoreLock(objects):
        pass


def test_missed_heartbeats_elsewhere_are_watched_and_then_followed(tmp_path, quick):
    objects = object_store(tmp_path)
    take(objects, elsewhere(heartbeat=time.time() - 10))
    with StoreLock(objects):
        assert current_term(objects).number == 2


@pytest.mark.parametrize("clock_s", [-3600, 3600])
def test_a_wrong_clock_elsewhere_does_not_cost_a_living_owner_its_lock(tmp_path, quick, clock_s):
    objects = object_store(tmp_path)
    owner = elsewhere(heartbeat=time.time() + clock_s)
    term = take(objects, owner)
    leaving = threading.Event()

    def beat() -> None:
        while not leaving.wait(0.02):
            sign(objects, replace(owner, heartbeat=time.time() + clock_s), term)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(StoreLocked, match="on elsewhere"), StoreLock(objects):
            pass
    finally:
        leaving.set()
        thread.join()


def test_of_many_takers_of_a_stale_lock_one_wins(location, quick):
    objects = object_store(location)
    take(objects, elsewhere(heartbeat=time.time() - 10))
    barrier, inside, refused = threading.Barrier(6), [], []
    done = threading.Event()

    def contend() -> None:
        barrier.wait()
        try:
            with StoreLock(objects):
                inside.append(current_term(objects).number)
                done.wait(10)
        except StoreLocked as error:
            refused.append(str(error))
        if len(inside) + len(refused) >= 5:
            done.set()

    takers = [threading.Thread(target=contend) for _ in range(6)]
    for taker in takers:
        taker.start()
    deadline = time.monotonic() + 20
    while len(inside) + len(refused) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    done.set()
    for taker in takers:
        taker.join()
    assert (len(inside), len(refused)) == (1, 5)


def test_the_heartbeat_moves(tmp_path, quick):
    objects = object_store(tmp_path)
    with StoreLock(objects) as held:
        first = current_term(objects).owner.heartbeat
        deadline = time.monotonic() + 5
        while current_term(objects).owner.heartbeat == first and time.monotonic() < deadline:
            time.sleep(0.02)
        assert current_term(objects).owner.heartbeat > first
        held.check()


def test_a_driver_that_slept_too_long_finds_its_lock_gone_and_commits_nothing(tmp_path, quick):
    study = synthetic_study(layers=1)
    writer = StudyWriter.open(tmp_path, study)
    objects = object_store(tmp_path)
    record = publish_book(tmp_path, study, 0)
    with writer.lock():
        take(objects, elsewhere())
        time.sleep(0.5)
        with pytest.raises(StoreLocked, match="took over while this process was unresponsive"):
            writer.commit(record)
    assert writer.committed().shards == frozenset()
    assert not current_term(objects).owner.released, "the new owner's term is left alone"


def test_a_driver_whose_clock_stood_still_while_its_lock_was_taken_commits_nothing(location):
    """A machine that was suspended: to this process no time has passed since its last sign."""
    study = synthetic_study(layers=1)
    writer = StudyWriter.open(location, study)
    record = publish_book(location, study, 0)
    with writer.lock():
        take(object_store(location), elsewhere())
        with pytest.raises(StoreLocked, match=r"process .* on elsewhere took over"):
            writer.commit(record)
    assert writer.committed().shards == frozenset()


def test_a_driver_that_slept_and_kept_its_lock_gives_a_sign_before_it_commits(tmp_path, monkeypatch):
    objects = object_store(tmp_path)
    with StoreLock(objects) as held:
        sign(objects, replace(current_term(objects).owner, heartbeat=0.0), 1)
        held.check()
        assert current_term(objects).owner.heartbeat == 0.0, "the last sign is young by the holder's clock"
        asleep = lock._awake_or_asleep() + lock.STALE_S
        monkeypatch.setattr(lock, "_awake_or_asleep", lambda: asleep)
        held.check()
        assert current_term(objects).owner.heartbeat > 0.0


def test_a_commit_outside_the_lock_is_refused(tmp_path):
    study = synthetic_study(layers=1)
    writer = StudyWriter.open(tmp_path, study)
    record = publish_book(tmp_path, study, 0)
    with pytest.raises(StoreError, match="take the lock first"):
        writer.commit(record)
    with writer.lock():
        assert writer.commit(record)
    with pytest.raises(StoreError, match="lock is not held"):
        writer.commit(record)


def test_a_holder_knows_its_own_sign_half_written(tmp_path):
    """`verify --fix` would otherwise remove what its own heartbeat is writing."""
    writer = StudyWriter.open(tmp_path, synthetic_study(layers=1))
    with StoreLock(object_store(tmp_path), REPAIR) as held:
        (own,) = ("_lock/" + path.name for path in (tmp_path / "_lock").iterdir())
        before = own.replace("_lock/", "_lock/.")
        assert held.is_own_sign(own)
        assert held.is_own_sign(f"{before}.0123abcd.tmp")
        assert not held.is_own_sign(f"{before.replace('repair', 'run')}.0123abcd.tmp")
    with StoreLock(object_store(tmp_path), REPAIR) as later:
        assert not later.is_own_sign(f"{before}.0123abcd.tmp"), "left by a repair that is over"
    assert writer.committed().shards == frozenset()


@pytest.mark.parametrize("purpose", [RUN, MAINTENANCE])
def test_a_repair_keeps_out_all_and_is_kept_out_by_all(tmp_path, purpose):
    objects = object_store(tmp_path)
    with StoreLock(objects, REPAIR), pytest.raises(StoreLocked, match="repair, last sign"), StoreLock(objects, purpose):
        pass
    with StoreLock(objects, purpose), pytest.raises(StoreLocked, match=f"{purpose}, last"), StoreLock(objects, REPAIR):
        pass


def test_a_taker_that_another_forestalls_is_refused(tmp_path, monkeypatch):
    """The taker read the log before another term began."""
    objects = object_store(tmp_path)
    take(objects, replace(elsewhere(), released=True))
    put_new, forestalled = type(objects).put_new, []

    def late(self, path, data):
        if not forestalled:
            forestalled.append(path)
            take(objects, elsewhere())
        return put_new(self, path, data)

    monkeypatch.setattr(type(objects), "put_new", late)
    with pytest.raises(StoreLocked, match=r"was just taken by process \d+ on elsewhere"), StoreLock(objects):
        pass
    assert forestalled == [paths.entry_path(2)]
    assert current_term(objects).number == 2
    assert CommitLog.read(objects).state.last == 2, "the loser's term never began"


def test_a_holder_that_commits_while_it_is_taken_for_dead_keeps_its_lock(tmp_path, quick, monkeypatch):
    """Its signs did not get through and its commit did: that is a sign of life too."""
    study = synthetic_study(layers=1)
    objects, writer = object_store(tmp_path), StudyWriter.open(tmp_path, study)
    record = publish_book(tmp_path, study, 0)
    wait = StoreLock._wait_until_gone

    def commit_after(self, term):
        with monkeypatch.context() as patch:
            patch.setattr(lock, "_is_dead", lambda owner: True)
            wait(self, term)
        assert writer.commit(record)

    with writer.lock():
        monkeypatch.setattr(StoreLock, "_wait_until_gone", commit_after)
        with pytest.raises(StoreLocked, match="was just taken by"), StoreLock(objects):
            pass
    assert writer.committed().shards == {record.shard.name}


def test_a_lost_answer_to_a_taking_is_found_in_the_log(tmp_path, monkeypatch):
    objects = object_store(tmp_path)
    put_new = type(objects).put_new

    def unheard(self, path, data):
        put_new(self, path, data)
        return False

    monkeypatch.setattr(type(objects), "put_new", unheard)
    with StoreLock(objects) as held:
        assert held.log.state.terms[RUN].number == held.log.state.last == 1


@pytest.mark.parametrize("text", [b"{", b"", b"[" * 200_000, b'{"nonce": 5}'])
def test_a_damaged_sign_is_no_sign_of_life_and_a_living_owner_signs_anew(tmp_path, quick, text):
    objects = object_store(tmp_path)
    term = take(objects, elsewhere(heartbeat=time.time() - 10))
    objects.put(paths.lock_path(RUN, term), text)
    assert current_term(objects) is None
    with StoreLock(objects) as held:
        objects.put(paths.lock_path(RUN, 2), text)
        deadline = time.monotonic() + 5
        while current_term(objects) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert current_term(objects).number == 2
        held.check()
