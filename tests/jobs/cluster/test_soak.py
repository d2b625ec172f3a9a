"""Half an hour of random kills: workers, models and the driver itself. Slow; INTERPUNCT_SOAK_MINUTES sets how long."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.jobs import injection
from tests.jobs.injection import Calls
from tests.jobs.test_kill import start

MINUTES = float(os.environ.get("INTERPUNCT_SOAK_MINUTES", "30"))
BOOKS = 16
BLOCKS_BETWEEN_KILLS = (1, 30)
DRIVER_DIES = 0.1
"""Share of kills that hit the driver; the others hit a worker with a task, or a model."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 * (MINUTES + 15))]


def test_the_store_is_whole_whatever_dies(tmp_path, tiny_gpt2, sample_text):
    books = injection.write_books(tmp_path / "books", sample_text, BOOKS, characters=4_000)
    undisturbed = tmp_path / "undisturbed"
    stages = injection.stages(Calls(tmp_path / "undisturbed-calls"))
    assert injection.run(books, injection.study(tiny_gpt2), undisturbed, stages, serial=True) == 0
    expected = injection.rows(undisturbed)
    draw = random.Random(0)
    deadline = time.monotonic() + 60 * MINUTES
    stores, kills = 0, {"worker": 0, "driver": 0}
    while stores == 0 or time.monotonic() < deadline:
        store = tmp_path / f"store{stores}"
        torment(store, Calls(tmp_path / f"calls{stores}"), tiny_gpt2, books, draw, kills)
        assert injection.rows(store) == expected
        stores += 1
    print(f"{stores} stores, killed {kills['worker']} workers and {kills['driver']} drivers")
    assert kills["worker"] >= stores


def torment(
    store: Path, calls: Calls, model: Path, books: list[str], draw: random.Random, kills: dict[str, int]
) -> None:
    """Run the same command until it ends well, killing something again and again."""
    for _ in range(100):
        driver = start(model, store, calls, 0.1, books)
        if survive(driver, calls, draw, kills) == 0:
            return
    raise AssertionError("the run did not end well in 100 launches")


def survive(driver: subprocess.Popen[str], calls: Calls, draw: random.Random, kills: dict[str, int]) -> int:
    """Kill something each time some blocks were computed, so that there is progress however slow the machine."""
    patience, seen = draw.randint(*BLOCKS_BETWEEN_KILLS), calls.count("compute")
    while True:
        try:
            driver.communicate(timeout=0.2)
            return driver.returncode
        except subprocess.TimeoutExpired:
            computed = calls.count("compute")
        if computed < seen + patience:
            continue
        patience, seen = draw.randint(*BLOCKS_BETWEEN_KILLS), computed
        if draw.random() < DRIVER_DIES:
            os.kill(driver.pid, signal.SIGKILL)
            driver.communicate()
            kills["driver"] += 1
            return -1
        workers = busy_workers(driver.pid)
        if workers:
            draw.choice(workers).kill()
            kills["worker"] += 1


def busy_workers(driver: int) -> list[psutil.Process]:
    """The driver's own worker processes that hold a model or run a task."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        try:
            name = process.cmdline()[0] if process.cmdline() else ""
        except psutil.Error:
            continue
        if name.startswith("ray::") and not name.endswith(("IDLE", "Agent")):
            found.append(process)
    return found
