"""A run under random kills, relaunched as an operator would: the store ends up as if nothing had happened.

`make test-slow` soaks for two minutes. INTERPUNCT_SOAK_MINUTES=30 makes it the soak that a release has to stand.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from store.reader import open_store
from tests.cluster.artefacts import ROOT
from tests.cluster.soak import Soak

MINUTES = float(os.environ.get("INTERPUNCT_SOAK_MINUTES", "2"))
BOOKS = 24

pytestmark = [pytest.mark.slow, pytest.mark.timeout(MINUTES * 60 + 1200)]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory, sample_text: str) -> Path:
    folder = tmp_path_factory.mktemp("books")
    paragraphs = sample_text.split("\n\n")
    for number in range(BOOKS):
        shuffled = random.Random(number).sample(paragraphs, len(paragraphs))
        (folder / f"book{number:02d}.txt").write_text("\n\n".join(shuffled), encoding="utf-8")
    return folder


def command(books: Path, model: Path, store: Path) -> list[str]:
    settings = ["--model", str(model), "--per-class", "60"]
    return [sys.executable, "-m", "interpunct", "run", str(books), "--store", str(store), *settings]


def rows(store: Path) -> dict[str, list[tuple]]:
    with open_store(store) as study:
        return {view: study.sql(f"SELECT * FROM {view} ORDER BY ALL").fetchall() for view in study.tables()}


class Committed:
    """Remembers the files of committed shards, and that they stay the very same files."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._seen: dict[Path, tuple[int, int]] = {}

    def check(self) -> None:
        for path, identity in self._seen.items():
            assert _identity(path) == identity, f"{path} was committed, and has been written again"
        for commit in self._store.glob("_commits/*.json"):
            for path in (commit, *self._store.glob(f"*/**/{commit.stem}*.parquet")):
                self._seen.setdefault(path, _identity(path))


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def test_random_kills_change_nothing(books, tiny_gpt2, tmp_path):
    undisturbed = tmp_path / "undisturbed"
    subprocess.run([*command(books, tiny_gpt2, undisturbed), "--serial"], cwd=ROOT, check=True, capture_output=True)
    expected = rows(undisturbed)

    deadline = time.monotonic() + MINUTES * 60
    rounds = 0
    while rounds == 0 or time.monotonic() < deadline:
        store, log = tmp_path / f"store{rounds}", tmp_path / f"run{rounds}.log"

        def published(store: Path = store) -> int:
            return sum(1 for _ in store.glob("**/*.parquet"))

        soak = Soak(command(books, tiny_gpt2, store), ROOT, log, published, seed=rounds, deadline=deadline)
        committed = Committed(store)
        soak.run_to_the_end(between=committed.check)
        committed.check()
        print(
            f"round {rounds}: {soak.launches} launches {dict(soak.exit_codes)}, killed {dict(soak.killed)}", flush=True
        )
        assert soak.lingered == 0, f"{soak.lingered} processes outlived their driver"
        assert rows(store) == expected, log.read_text(encoding="utf-8")
        rounds += 1
