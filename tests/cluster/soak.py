"""Kills processes of a run at random: its workers, its models, Ray's own, and now and then the driver.

Only processes below the driver are touched, each by its id.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

WEIGHTS = {"worker": 12, "model": 4, "raylet": 1, "driver": 2}
"""How often each kind of process is chosen, where there is one of it."""

QUIET = (1.0, 8.0)
"""Shortest and longest time between two kills, in seconds, while the run makes progress."""

PATIENCE = 30.0
"""Seconds that a run without progress is left alone: kills that come faster than processes start prove nothing."""

DYING = 60.0
"""Seconds that what a killed driver leaves behind may take to end by itself."""


class Soak:
    """Relaunches one command until it ends by itself, killing its processes at random until `deadline`."""

    def __init__(
        self, command: Sequence[str], cwd: Path, log: Path, progress: Callable[[], int], seed: int, deadline: float
    ) -> None:
        self._command, self._cwd, self._log = command, cwd, log
        self._progress = progress
        self._random = random.Random(seed)
        self._deadline = deadline
        self.killed: Counter[str] = Counter()
        self.exit_codes: Counter[int] = Counter()
        self.launches = 0
        self.lingered = 0
        """Processes that outlived their driver by more than DYING and had to be ended here."""

    def run_to_the_end(self, between: Callable[[], None]) -> None:
        """Relaunch until the command ends with 0. `between` is called before each launch.

        Raises AssertionError where it does not end with 0 even when it is left in peace.
        """
        in_peace = 0
        while in_peace < 3:
            between()
            in_peace += time.monotonic() > self._deadline
            if self._launch() == 0:
                return
        raise AssertionError(f"left in peace, the command fails all the same:\n{self._log.read_text(encoding='utf-8')}")

    def _launch(self) -> int:
        self.launches += 1
        with self._log.open("ab") as log:
            driver = psutil.Popen(self._command, cwd=self._cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        family: set[psutil.Process] = set()
        last, reached, pause = time.monotonic(), self._progress(), self._random.uniform(*QUIET)
        while driver.poll() is None:
            family |= _below(driver)
            quiet = time.monotonic() - last
            if quiet > (pause if self._progress() > reached else PATIENCE) and time.monotonic() < self._deadline:
                self._kill_one(driver)
                last, reached, pause = time.monotonic(), self._progress(), self._random.uniform(*QUIET)
            time.sleep(0.2)
        self._wait_for_the_end_of(family)
        self.exit_codes[driver.returncode] += 1
        return driver.returncode

    def _kill_one(self, driver: psutil.Process) -> None:
        candidates = {process: kind for process in {driver, *_below(driver)} if (kind := _kind(process, driver))}
        kinds = sorted(set(candidates.values()))
        if "worker" not in kinds and "model" not in kinds:
            return  # still starting: there would be nothing but drivers to kill
        kind = self._random.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
        victim = self._random.choice(sorted((p for p, k in candidates.items() if k == kind), key=lambda p: p.pid))
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            return
        self.killed[kind] += 1

    def _wait_for_the_end_of(self, family: set[psutil.Process]) -> None:
        _, alive = psutil.wait_procs(family, timeout=DYING)
        self.lingered += len(alive)
        for process in alive:
            process.kill()


def _below(process: psutil.Process) -> set[psutil.Process]:
    try:
        return set(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def _kind(process: psutil.Process, driver: psutil.Process) -> str | None:
    """What a process is to the run; None for those that are left alone."""
    if process == driver:
        return "driver"
    try:
        title = " ".join(process.cmdline()[:1])
        name = process.name()
    except psutil.Error:
        return None
    if title.startswith("ray::Extractor"):
        return "model"
    if title.startswith("ray::") and not title.endswith("Agent"):
        return "worker"
    return "raylet" if name == "raylet" else None
