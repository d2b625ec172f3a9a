"""`pairs` makes from stored hidden states exactly what a run with the same settings makes from the books."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import recompute, run
from jobs.account.display import Lines
from jobs.config import RunConfig, StudyConfig
from jobs.errors import UsageError
from jobs.stages.compute import compute_block
from jobs.stages.stages import Stages
from jobs.stages.stored import stored_stages
from store.errors import NoStore, StudyMismatch
from store.keys import ChunkKey
from store.paths import parse_chunk_path
from store.query.reader import open_store
from store.study import study_of
from store.writer import StudyWriter
from tests.jobs.injection import CROSS_PAIRS, PAIRS, TABLES, Calls, disk_error, study

SETTINGS = {"bins": 9, "outlier_z": 2.5}
SERIAL = RunConfig(serial=True)
LAYERS = 4


@pytest.fixture(scope="module")
def books(tmp_path_factory, sample_text) -> list[str]:
    """Two usable texts, a copy of one of them, and a text without marks."""
    folder = tmp_path_factory.mktemp("books")
    half = len(sample_text) // 2
    texts = {"one": sample_text[:half], "two": sample_text[half:], "copy": sample_text[:half], "none": "no marks " * 50}
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return [str(folder / f"{name}.txt") for name in texts]


@pytest.fixture(scope="module")
def config(tiny_gpt2) -> StudyConfig:
    return study(tiny_gpt2, keep_hidden_states=True)


@pytest.fixture(scope="module")
def kept(tmp_path_factory, books, config) -> str:
    """A store with hidden states."""
    location = str(tmp_path_factory.mktemp("kept") / "store")
    assert run.execute(books, config, SERIAL, location) == 1, "the text without marks is told"
    return location


def rows(location: str, table: str) -> list[tuple]:
    with open_store(location) as store:
        return store.sql(f"SELECT * FROM {table} ORDER BY ALL").fetchall()


def files(location: str) -> dict[ChunkKey, bytes]:
    paths = (path for path in Path(location).rglob("*.parquet"))
    return {parse_chunk_path(str(path.relative_to(location))): path.read_bytes() for path in paths}


def test_recomputed_pairs_are_those_of_a_direct_run(kept, books, config, tmp_path):
    again, direct = str(tmp_path / "again"), str(tmp_path / "direct")
    settings = {**config.to_dict(), **SETTINGS, "keep_hidden_states": False}
    assert recompute.execute(kept, again, SETTINGS, SERIAL) == 0
    assert run.execute(books, StudyConfig.from_dict(settings), SERIAL, direct) == 1
    for table in TABLES:
        assert repr(rows(again, table)) == repr(rows(direct, table)), table
    assert len(rows(again, "pairs")) == LAYERS * 2 * PAIRS
    assert len(rows(again, "cross_pairs")) == LAYERS * 2 * CROSS_PAIRS
    assert {row[:2] for row in rows(again, "books")} == {row[:2] for row in rows(kept, "books")}
    mine, theirs = files(again), files(direct)
    partitioned = {key for key in theirs if key.layer is not None}
    assert {key: mine.get(key) for key in partitioned} == {key: theirs[key] for key in partitioned}


def test_the_new_study_keeps_the_model_and_records_the_settings(kept, tmp_path):
    recompute.execute(kept, str(tmp_path / "again"), SETTINGS, SERIAL)
    with open_store(kept) as old, open_store(str(tmp_path / "again")) as new:
        assert new.study.model == old.study.model
        assert new.study.config == {**old.study.config, **SETTINGS, "keep_hidden_states": False}
        (row,) = new.sql("SELECT bins, outlier_z FROM study").fetchall()
    assert row == (9, 2.5)


@dataclass(frozen=True)
class Interrupted:
    """Computes blocks; before the n-th one over all processes, does something else."""

    calls: Calls
    at: int
    action: Callable[[], None]

    def __call__(self, context, block, leftovers):
        self.calls.note("compute", str(block.key))
        if self.calls.count("compute") == self.at:
            self.action()
        return compute_block(context, block, leftovers)


def terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1)  # the main thread hears of it in the meantime


def stages_of(kept: str, compute: Callable[..., Any]) -> Stages:
    return replace(stored_stages(kept, 4), compute=compute)


def state_of(location: Path) -> list[str]:
    return sorted(json.loads(record.read_text())["state"] for record in (location / "_runs").glob("*.json"))


@pytest.mark.whole
def test_sigterm_stops_it_with_the_lock_let_go_and_the_next_run_does_what_is_left(kept, tmp_path):
    location, calls = tmp_path / "again", Calls(tmp_path / "calls")
    stages = stages_of(kept, Interrupted(calls, LAYERS + 2, terminated))
    assert recompute.execute(kept, str(location), SETTINGS, SERIAL, stages) == 130
    assert state_of(location) == ["stopped"]
    with StudyWriter.open(location, study_of(location)).lock():
        pass
    stopped_at = calls.count("compute")
    assert LAYERS + 2 <= stopped_at < 2 * LAYERS
    assert recompute.execute(kept, str(location), SETTINGS, SERIAL, stages) == 0
    assert calls.count("compute") - stopped_at == LAYERS, "the first shard was committed, the second is done again"
    assert state_of(location) == ["done", "stopped"]
    assert recompute.execute(kept, str(location), SETTINGS, SERIAL, stages) == 0
    assert calls.count("compute") - stopped_at == LAYERS
    assert recompute.execute(kept, str(tmp_path / "undisturbed"), SETTINGS, SERIAL) == 0
    assert rows(str(location), "pairs") == rows(str(tmp_path / "undisturbed"), "pairs")


def test_a_failure_is_recorded_and_the_display_is_closed(kept, tmp_path, monkeypatch):
    def end(*_):
        raise OSError("injected: the disk stuttered")

    closed = []
    monkeypatch.setattr(Lines, "close", lambda self: closed.append(self))
    with pytest.raises(OSError, match="stuttered"):
        recompute.execute(kept, str(tmp_path / "again"), SETTINGS, SERIAL, stages_of(kept, end))
    assert state_of(tmp_path / "again") == ["failed"]
    assert len(closed) == 1


@pytest.mark.whole
def test_on_ray_the_same_files_are_made_and_a_unit_that_failed_is_tried_again(kept, tmp_path, ray_cluster):
    on_ray, serial = tmp_path / "ray", tmp_path / "serial"
    stages = stages_of(kept, Interrupted(Calls(tmp_path / "calls"), 3, disk_error))
    assert recompute.execute(kept, str(on_ray), SETTINGS, RunConfig(device="cpu"), stages) == 0
    assert recompute.execute(kept, str(serial), SETTINGS, SERIAL) == 0
    mine, theirs = ({k: data for k, data in files(str(s)).items() if k.table != "books"} for s in (on_ray, serial))
    assert mine == theirs
    assert rows(str(on_ray), "books") == rows(str(serial), "books")


def test_the_same_settings_give_the_same_pairs(kept, tmp_path):
    recompute.execute(kept, str(tmp_path / "again"), {}, SERIAL)
    assert rows(str(tmp_path / "again"), "pairs") == rows(kept, "pairs")


def test_a_store_without_states_or_the_store_itself_is_refused(kept, tmp_path):
    plain = str(tmp_path / "plain")
    recompute.execute(kept, plain, SETTINGS, SERIAL)
    with pytest.raises(UsageError, match="--keep-hidden-states"):
        recompute.execute(plain, str(tmp_path / "next"), {}, SERIAL)
    with pytest.raises(UsageError, match="name another"):
        recompute.execute(kept, kept, SETTINGS, SERIAL)
    with pytest.raises(StudyMismatch, match="bins"):
        recompute.execute(kept, plain, {"bins": 8}, SERIAL)
    with pytest.raises(NoStore):
        recompute.execute(str(tmp_path / "nowhere"), plain, {}, SERIAL)
    with pytest.raises(UsageError, match="bins is 1"):
        recompute.execute(kept, str(tmp_path / "next"), {"bins": 1}, SERIAL)
    assert not (tmp_path / "next").exists()


def test_more_bins_never_lower_an_entropy(kept, tmp_path):
    recompute.execute(kept, str(tmp_path / "fine"), {"bins": 30, "outlier_z": 5.0}, SERIAL)
    query = "SELECT hx FROM pairs ORDER BY layer, class, book, i, j"
    with open_store(kept) as old, open_store(str(tmp_path / "fine")) as new:
        coarse, fine = (np.array(store.sql(query).fetchall()) for store in (old, new))
    # 30 bins split each of 15 in two, so that the finer histogram knows at least as much.
    assert (fine >= coarse - 1e-6).all()
