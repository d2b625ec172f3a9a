"""A run that fails between any two steps of publishing loses nothing, shows nothing half, and completes on relaunch.

The run is the serial shape of a real one: publish every chunk of every book, commit each shard. It is interrupted at
each of its steps in turn; a step is a call to the operating system (on a folder) or a request (on S3).
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from store import paths
from store.errors import StoreFull, StoreLocked, StoreUnavailable
from store.objects import local_folder
from store.objects.locations import object_store
from store.objects.s3 import S3Prefix
from store.query.reader import open_store
from store.study import study_of
from store.upkeep.verify import verify
from store.writer import StudyWriter, publish_chunk, read_leftover
from tests.builders import book_chunks, record_of, shard_of, synthetic_study
from tests.store.s3_faults import Fault
from tests.store.upkeep.test_verify import digest

BOOKS, STUDY = 2, synthetic_study(layers=1, marks=4, width=8)
CHUNKS = {number: book_chunks(STUDY, number) for number in range(BOOKS)}
PAIRS_OF_A_BOOK = sum(table.num_rows for key, table in CHUNKS[0] if key.table == "pairs")


def run(location: str | Path) -> None:
    """What a driver does, copying what stopped runs left."""
    writer, name = StudyWriter.open(location, STUDY), f"run-{uuid.uuid4().hex}"
    with writer.lock():
        done = writer.committed().shards
        for number in range(BOOKS):
            shard = shard_of(STUDY, number)
            if shard.name in done:
                continue
            left = writer.uncommitted_chunks(shard)
            for key, path in left.items():
                assert read_leftover(location, key, path).num_rows == dict(CHUNKS[number])[key].num_rows
            files = [publish_chunk(location, key, table, name) for key, table in CHUNKS[number]]
            assert writer.commit(record_of(STUDY, number, files, name))


def check_whole(location: str | Path) -> None:
    """Whatever is visible is whole and undamaged, at any moment."""
    if study_of(location) is None:
        return
    findings = verify(location)
    assert findings.damages == []
    with open_store(location) as store:
        counts = dict(store.sql("SELECT book, count(*) FROM pairs GROUP BY ALL").fetchall())
        committed = {name for record in store.records for name in record.holds}
        assert set(counts.values()) <= {PAIRS_OF_A_BOOK}
        assert {shard_of(STUDY, int(book[4:])).name for book in counts} == committed


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    place = tmp_path_factory.mktemp("reference") / "store"
    run(place)
    return digest(place)


class Failpoint:
    """Counts steps and raises at one of them, before or after the step takes place."""

    def __init__(self, at: int | None, after: bool, error: Callable[[], BaseException]) -> None:
        self.at, self.after, self.error, self.steps = at, after, error, 0

    def around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            self.steps += 1
            hit = self.at == self.steps
            if hit and not self.after:
                raise self.error()
            result = step(*arguments, **named)
            if hit:
                raise self.error()
            return result

        return stepped


class Stopped(BaseException):
    """Stands for a kill: nothing in the store catches it."""


def input_output_error() -> BaseException:
    return OSError(errno.EIO, os.strerror(errno.EIO))


SYSTEM_CALLS = ("link", "mkdir", "fsync", "replace", "unlink")


@contextmanager
def system_calls_fail(failpoint: Failpoint) -> Iterator[None]:
    """Count and fail the calls that change a folder, as the store's folder module makes them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SYSTEM_CALLS:
            patch.setattr(local_folder.os, name, failpoint.around(getattr(os, name)))
        patch.setattr(local_folder, "open", failpoint.around(open), raising=False)
        yield


@contextmanager
def requests_fail(failpoint: Failpoint) -> Iterator[None]:
    """Count and fail every request to S3, as the store's S3 module makes them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("put_new", "put", "read", "delete"):
            patch.setattr(S3Prefix, name, failpoint.around(getattr(S3Prefix, name)))
        yield


def steps_of_a_run(place: str | Path, failing: Callable[[Failpoint], Any]) -> int:
    counter = Failpoint(None, False, Stopped)
    with failing(counter):
        run(place)
    return counter.steps


PLACES = ("/pairs/", "/marks/", "/books/", "/_commits/", "/_lock/", "/study.json")

STRIDES = [23, pytest.param(7, marks=pytest.mark.whole), pytest.param(1, marks=[pytest.mark.whole, pytest.mark.slow])]
"""Every so manieth step: a few in `make test`, more in `test-whole`, all of them in `test-slow`."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a close that fails leaves a file open
@pytest.mark.parametrize("stride", STRIDES)
def test_a_folder_survives_a_failure_at_every_step(tmp_path, expected, stride):
    """Before and after each system call, by an error that is handled and by one that is not."""
    steps = steps_of_a_run(tmp_path / "count", system_calls_fail)
    assert steps > 60, "links, flushes, folders, temporary files: every one is a failpoint"
    kinds = list(itertools.product((False, True), (Stopped, input_output_error)))
    raised, tried = 0, range(1, steps + 1, stride)
    for at in tried:
        for after, error in kinds if stride == 1 else [kinds[at // stride % len(kinds)]]:
            place = tmp_path / "store"
            failpoint = Failpoint(at, after, error)
            with system_calls_fail(failpoint):
                try:
                    run(place)
                except (Stopped, StoreUnavailable):
                    raised += 1
            assert failpoint.steps >= at, "the failpoint was reached"
            check_whole(place)
            run(place)
            assert digest(place) == expected, f"step {at}"
            shutil.rmtree(place)
    assert raised > len(tried) / 2


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_s3_survives_a_failure_at_every_request(s3_location, expected, after, stride):
    steps = steps_of_a_run(f"{s3_location}-count", requests_fail)
    assert steps > 15
    for at in range(1, steps + 1, stride):
        place = f"{s3_location}-{after}-{at}"
        with requests_fail(Failpoint(at, after, Stopped)), pytest.raises(Stopped):
            run(place)
        check_whole(place)
        run(place)
        assert digest(place) == expected, f"request {at}"


TROUBLE = [
    Fault("PUT", status=503, code="SlowDown", times=2),
    Fault("PUT", status=500, times=2, applied=True),
    Fault("GET", status=503, code="ServiceUnavailable", times=3),
    Fault("GET", status=500, times=2),
]


def test_s3_in_trouble_costs_time_and_nothing_else(s3, s3_location, expected, quick_retries):
    """Refused, failed and lost answers all along a run: it completes without a relaunch."""
    faults = [dataclasses.replace(fault, path=place) for fault in TROUBLE for place in PLACES]
    s3.inject(*faults)
    run(s3_location)
    assert sum(fault.seen for fault in faults) > 20
    s3.faults.clear()
    check_whole(s3_location)
    assert digest(s3_location) == expected


@pytest.mark.parametrize("place", ["pairs/", "summaries/", "_commits/", "_lock/", "study.json"])
def test_an_s3_that_fails_for_good_is_said_in_one_line_and_the_relaunch_completes(
    s3, s3_location, expected, quick_retries, place
):
    s3.inject(Fault("PUT", f"{s3_location.rpartition('/')[2]}/{place}", 503, "SlowDown", times=10_000))
    with pytest.raises(StoreUnavailable, match=r"S3 answered SlowDown 8 times; run the same command again") as said:
        run(s3_location)
    assert "\n" not in str(said.value)
    s3.faults.clear()
    check_whole(s3_location)
    run(s3_location)
    assert digest(s3_location) == expected


def test_the_folder_is_left_without_rubbish_after_an_error(tmp_path):
    """After an error (not a kill) no temporary file stays."""
    for at in range(1, 40):
        with system_calls_fail(Failpoint(at, False, input_output_error)), contextlib.suppress(StoreUnavailable):
            publish_chunk(tmp_path / "store", *CHUNKS[0][0], "run")
        left = [entry.path for entry in object_store(tmp_path / "store").walk() if entry.path.endswith(".tmp")]
        assert len(left) <= 1, "the unlink itself may be what failed"
        shutil.rmtree(tmp_path / "store", ignore_errors=True)


def test_relaunching_again_and_again_changes_nothing(location, expected):
    run(location)

    def standing() -> set[tuple[str, int]]:
        return {(entry.path, entry.bytes) for entry in object_store(location).walk() if "_lock" not in entry.path}

    before = standing()
    for _ in range(3):
        run(location)
    assert {path for path, _ in standing() - before} == {paths.entry_path(4), paths.entry_path(5), paths.entry_path(6)}
    assert before <= standing()
    assert digest(location) == expected


def test_a_full_disk_is_said_in_one_line_and_the_run_completes_with_more(tmp_path, expected):
    """On a real file system of 10 pages: the run stops, says what to do, and goes on where there is space."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small tmpfs here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(StoreFull, match=r"no space left for .*; free some and run the same command again"):
            run(disk / "store")
        check_whole(disk / "store")
        assert not list(disk.rglob("*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        run(disk / "store")
        assert digest(disk / "store") == expected
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_drivers_at_once_give_one_result(location, expected):
    """Four drivers start together; those that are refused say so, and the store holds each row once."""
    barrier, refused = threading.Barrier(4), []

    def drive() -> None:
        barrier.wait()
        try:
            run(location)
        except StoreLocked as error:
            refused.append(str(error))

    drivers = [threading.Thread(target=drive) for _ in range(4)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert all("is in use by process" in text or "was just taken by process" in text for text in refused)
    check_whole(location)
    assert digest(location) == expected
