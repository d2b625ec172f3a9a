"""`pairs` makes from stored hidden states exactly what a run with the same settings makes from the books."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jobs import recompute, run
from jobs.account.display import Lines
from jobs.config import RunConfig, StudyConfig
from jobs.errors import UsageError
from store.errors import NoStore, StudyMismatch
from store.paths import parse_chunk_path
from store.query.reader import open_store

SETTINGS = {"bins": 9, "outlier_z": 2.5}
SERIAL = RunConfig(serial=True)


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
    return StudyConfig(model=str(tiny_gpt2), per_class=12, keep_hidden_states=True)


@pytest.fixture(scope="module")
def kept(tmp_path_factory, books, config) -> str:
    """A store with hidden states."""
    location = str(tmp_path_factory.mktemp("kept") / "store")
    assert run.execute(books, config, SERIAL, location) == 1, "the text without marks is told"
    return location


def rows(location: str, table: str) -> list[tuple]:
    with open_store(location) as store:
        return store.sql(f"SELECT * FROM {table} ORDER BY ALL").fetchall()


def files(location: str) -> dict[str, bytes]:
    paths = (path for path in Path(location).rglob("*.parquet"))
    return {str(path.relative_to(location)): path.read_bytes() for path in paths}


def test_recomputed_pairs_are_those_of_a_direct_run(kept, books, config, tmp_path):
    again, direct = str(tmp_path / "again"), str(tmp_path / "direct")
    settings = {**config.to_dict(), **SETTINGS, "keep_hidden_states": False}
    assert recompute.execute(kept, again, SETTINGS) == 0
    assert run.execute(books, StudyConfig.from_dict(settings), SERIAL, direct) == 1
    for table in ("pairs", "tokens", "books", "activations", "summaries"):
        assert rows(again, table) == rows(direct, table), table
    assert len(rows(again, "pairs")) == 4 * 2 * 2 * 66
    assert {row[:2] for row in rows(again, "books")} == {row[:2] for row in rows(kept, "books")}
    mine, theirs = files(again), files(direct)
    partitioned = {path for path in theirs if parse_chunk_path(path).layer is not None}
    assert {path: mine.get(path) for path in partitioned} == {path: theirs[path] for path in partitioned}


def test_the_new_study_keeps_the_model_and_records_the_settings(kept, tmp_path):
    recompute.execute(kept, str(tmp_path / "again"), SETTINGS)
    with open_store(kept) as old, open_store(str(tmp_path / "again")) as new:
        assert new.study.model == old.study.model
        assert new.study.config == {**old.study.config, **SETTINGS, "keep_hidden_states": False}
        (row,) = new.sql("SELECT bins, outlier_z FROM study").fetchall()
    assert row == (9, 2.5)


def test_relaunching_does_only_what_is_left(kept, tmp_path, monkeypatch):
    location, computed = str(tmp_path / "again"), []
    compute = recompute.compute_block

    def stop_in_the_second_shard(context, block, leftovers):
        computed.append(block.key)
        if len(computed) == 12:
            raise KeyboardInterrupt
        return compute(context, block, leftovers)

    monkeypatch.setattr(recompute, "compute_block", stop_in_the_second_shard)
    with pytest.raises(KeyboardInterrupt):
        recompute.execute(kept, location, SETTINGS)
    assert recompute.execute(kept, location, SETTINGS) == 0
    assert len(computed) == 12 + 8
    assert recompute.execute(kept, location, SETTINGS) == 0
    assert len(computed) == 12 + 8
    assert recompute.execute(kept, str(tmp_path / "undisturbed"), SETTINGS) == 0
    assert rows(location, "pairs") == rows(str(tmp_path / "undisturbed"), "pairs")


@pytest.mark.parametrize(("error", "state"), [(KeyboardInterrupt, "stopped"), (OSError, "failed")])
def test_however_it_ends_the_record_says_so_and_the_display_is_closed(kept, tmp_path, monkeypatch, error, state):
    def end(*_):
        raise error

    closed = []
    monkeypatch.setattr(recompute, "compute_block", end)
    monkeypatch.setattr(Lines, "close", lambda self: closed.append(self))
    with pytest.raises(error):
        recompute.execute(kept, str(tmp_path / "again"), SETTINGS)
    (record,) = (tmp_path / "again" / "_runs").glob("*.json")
    assert json.loads(record.read_text())["state"] == state
    assert len(closed) == 1


def test_the_same_settings_give_the_same_pairs(kept, tmp_path):
    recompute.execute(kept, str(tmp_path / "again"), {})
    assert rows(str(tmp_path / "again"), "pairs") == rows(kept, "pairs")


def test_a_store_without_states_or_the_store_itself_is_refused(kept, tmp_path):
    plain = str(tmp_path / "plain")
    recompute.execute(kept, plain, SETTINGS)
    with pytest.raises(UsageError, match="--keep-hidden-states"):
        recompute.execute(plain, str(tmp_path / "next"), {})
    with pytest.raises(UsageError, match="name another"):
        recompute.execute(kept, kept, SETTINGS)
    with pytest.raises(StudyMismatch, match="bins"):
        recompute.execute(kept, plain, {"bins": 8})
    with pytest.raises(NoStore):
        recompute.execute(str(tmp_path / "nowhere"), plain, {})
    with pytest.raises(UsageError, match="bins is 1"):
        recompute.execute(kept, str(tmp_path / "next"), {"bins": 1})
    assert not (tmp_path / "next").exists()


def test_more_bins_never_lower_an_entropy(kept, tmp_path):
    recompute.execute(kept, str(tmp_path / "fine"), {"bins": 30, "outlier_z": 5.0})
    query = "SELECT hx FROM pairs ORDER BY layer, class, book, i, j"
    with open_store(kept) as old, open_store(str(tmp_path / "fine")) as new:
        coarse, fine = (np.array(store.sql(query).fetchall()) for store in (old, new))
    # 30 bins split each of 15 in two, so that the finer histogram knows at least as much.
    assert (fine >= coarse - 1e-6).all()
