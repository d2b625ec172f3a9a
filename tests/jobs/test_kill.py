"""The driver itself is killed or interrupted: what it committed stays, and the same command does the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from store.commits import load_records
from store.objects.locations import object_store
from store.query.reader import open_store
from tests.jobs import injection
from tests.jobs.injection import Calls, HashModel

# Some 20 s each, and minutes where a machine has much else to do: each starts a Ray and a run, kills it in the middle,
# runs again, and runs undisturbed. No smaller unit dies as a whole run does.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).resolve().parent.parent.parent
BOOKS = 3
LAYERS = HashModel.hidden_layers
PAIR_FILES = LAYERS * len(injection.MARKS)
BY_HAND = """
import sys
from pathlib import Path
from tests.jobs import injection
from tests.jobs.injection import Calls, Trouble
calls = Calls(Path(sys.argv[3]))
stages = injection.stages(calls, compute=Trouble(calls, seconds=float(sys.argv[4])))
sys.exit(injection.run(sys.argv[5:], injection.study(sys.argv[1]), Path(sys.argv[2]), stages))
"""


@pytest.fixture
def books(tmp_path, sample_text) -> list[str]:
    return injection.write_books(tmp_path / "books", sample_text, BOOKS)


def start(model: Path, store: Path, calls: Calls, seconds: float, books: list[str]) -> subprocess.Popen[str]:
    arguments = [str(model), str(store), str(calls.folder), str(seconds), *books]
    return subprocess.Popen(
        [sys.executable, "-c", BY_HAND, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(condition, driver: subprocess.Popen[str], seconds: float = 400.0) -> float:
    """Seconds until the condition holds. A machine that is busy may take 20 times as long as one that is not."""
    started = time.monotonic()
    while not condition():
        assert driver.poll() is None, "the run ended before it was to be killed"
        assert time.monotonic() - started < seconds, "it did not happen in time"
        time.sleep(0.05)
    return time.monotonic() - started


def commits(store: Path) -> int:
    """How many shards are committed."""
    return len(load_records(object_store(store)))


def in_the_second_book(store: Path) -> bool:
    """A book is committed, and some files of the next one stand."""
    return commits(store) >= 1 and len(list(store.glob("pairs/*/*/*.parquet"))) >= PAIR_FILES + 2


def check_relaunch(tmp_path: Path, tiny_gpt2: Path, books: list[str], store: Path, committed: int) -> None:
    """The same command again: committed books are not touched, the rows are those of a run that was never killed."""
    again = Calls(tmp_path / "again")
    assert injection.run(books, injection.study(tiny_gpt2), store, injection.stages(again), serial=True) == 0
    assert again.count("prepare") == BOOKS - committed
    undisturbed = tmp_path / "undisturbed"
    calls = Calls(tmp_path / "undisturbed-calls")
    assert injection.run(books, injection.study(tiny_gpt2), undisturbed, injection.stages(calls), serial=True) == 0
    assert injection.rows(store) == injection.rows(undisturbed)


@pytest.mark.whole
def test_a_driver_killed_with_9_loses_nothing_that_was_published(tmp_path, tiny_gpt2, books):
    store, calls = tmp_path / "store", Calls(tmp_path / "calls")
    driver = start(tiny_gpt2, store, calls, 0.6, books)
    wait_for(lambda: in_the_second_book(store), driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.stderr.close()  # and not read to its end: Ray's processes may hold the other end for a while
    committed = commits(store)
    assert 1 <= committed < BOOKS
    with open_store(store) as opened:
        (found,) = opened.sql("SELECT count(DISTINCT book), count(*) FROM pairs").fetchall()
    assert found == (committed, committed * LAYERS * injection.PAIRS)
    check_relaunch(tmp_path, tiny_gpt2, books, store, committed)
    with open_store(store) as opened:
        assert opened.sql("SELECT count(*) FROM books").fetchall() == [(BOOKS,)]
    record = max(store.glob("_runs/*.json"), key=lambda path: path.stat().st_mtime).read_text()
    assert '"pairs_reused": 0' not in record


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGHUP))]
)
@pytest.mark.whole
def test_an_interrupted_run_stops_within_ten_seconds_and_says_how_to_go_on(tmp_path, tiny_gpt2, books, number):
    store, calls = tmp_path / "store", Calls(tmp_path / "calls")
    driver = start(tiny_gpt2, store, calls, 0.6, books)
    so_far = wait_for(lambda: in_the_second_book(store), driver)
    started = time.monotonic()
    os.killpg(driver.pid, number) if number == signal.SIGINT else os.kill(driver.pid, number)
    _, said = driver.communicate(timeout=300)
    # Ten seconds on a quiet machine; a busy one slows the stop as it has slowed the start.
    assert time.monotonic() - started < max(10, so_far)
    assert driver.returncode == 130
    assert "To go on: interpunct" in said
    assert "Traceback" not in said
    record = max(store.glob("_runs/*.json"), key=lambda path: path.stat().st_mtime).read_text()
    assert '"state": "stopped"' in record
    check_relaunch(tmp_path, tiny_gpt2, books, store, commits(store))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("storage", ["folder", "s3"])
def test_fifty_kills_at_random_moments_lose_and_repeat_nothing(tmp_path, tiny_gpt2, books, storage, s3_server):
    location = str(tmp_path) if storage == "folder" else f"s3://{s3_server}/kills"
    command = [sys.executable, "-m", "tests.jobs.kill_loop", location, str(tiny_gpt2), "50", "7", *books]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1400)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) == 50


@pytest.fixture
def s3_server(monkeypatch):
    """The name of a bucket on an S3 server of this test's own, which the environment points to."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    boto3.client("s3").create_bucket(Bucket="kill-tests")
    yield "kill-tests"
    server.stop()
