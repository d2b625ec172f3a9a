"""Publishing: a reader of `latest` sees a whole report at every moment, whatever happens to the writer."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reports.errors import ReportError, ReportUsageError
from reports.publish import FACTS, latest_facts, publish, published, publishing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def contents(text: str) -> dict[str, bytes]:
    return {"index.html": text.encode(), "data/a.csv": b"a\n1\n", FACTS: json.dumps({"text": text}).encode()}


def test_latest_is_the_newest_report_and_the_last_n_are_kept(tmp_path):
    for day in range(5):
        publish(tmp_path, contents(f"day {day}"), NOON + timedelta(days=day), keep=3)
    assert (tmp_path / "latest" / "index.html").read_text() == "day 4"
    assert latest_facts(tmp_path) == {"text": "day 4"}
    assert [folder.name for folder in published(tmp_path)] == [
        "20260305T120000Z",
        "20260304T120000Z",
        "20260303T120000Z",
    ]
    assert (tmp_path / "latest" / "data" / "a.csv").exists()


def test_two_reports_in_one_second_have_names_of_their_own(tmp_path):
    names = [publish(tmp_path, contents(str(number)), NOON, keep=20).name for number in range(12)]
    assert len(set(names)) == 12
    assert [folder.name for folder in published(tmp_path)] == names[::-1]
    assert (tmp_path / "latest" / "index.html").read_text() == "11"


@pytest.mark.parametrize("step", ["open", "fsync", "rename", "symlink", "replace"])
def test_a_failure_at_any_step_leaves_the_old_report_in_place(tmp_path, monkeypatch, step):
    publish(tmp_path, contents("old"), NOON, keep=3)
    calls = []

    def fail(*arguments, **options):
        calls.append(step)
        raise OSError(errno.ENOSPC, "No space left on device")

    target = {"open": (Path, "open"), "symlink": (Path, "symlink_to")}.get(step, (os, step))
    monkeypatch.setattr(*target, fail)
    with pytest.raises(ReportUsageError, match="No space left on device"):
        publish(tmp_path, contents("new"), NOON + timedelta(days=1), keep=1)
    monkeypatch.undo()
    assert calls
    assert (tmp_path / "latest" / "index.html").read_text() == "old"
    assert not list(tmp_path.glob(".draft-*"))
    publish(tmp_path, contents("new"), NOON + timedelta(days=2), keep=1)
    assert (tmp_path / "latest" / "index.html").read_text() == "new"


def test_what_a_killed_report_left_is_cleared_away(tmp_path):
    (tmp_path / ".draft-20200101T000000Z").mkdir()
    publish(tmp_path, contents("new"), NOON, keep=1)
    assert not list(tmp_path.glob(".draft-*"))


def hold_lock(out: Path, held, release) -> None:
    with publishing(out):
        held.set()
        release.wait(30)


def test_one_report_at_a_time_and_a_dead_one_holds_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=hold_lock, args=(tmp_path, held, release))
    process.start()
    assert held.wait(60)
    with pytest.raises(ReportError, match="another report is being written"), publishing(tmp_path):
        pass
    process.kill()
    process.join()
    with publishing(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReportUsageError, match="cannot be written"), publishing(tmp_path / "file" / "out"):
        pass


def test_a_latest_that_no_report_made_is_left_alone(tmp_path):
    (tmp_path / "latest").mkdir()
    with pytest.raises(ReportUsageError, match="not a link that a report made"), publishing(tmp_path):
        pass


@pytest.mark.parametrize("damage", ["missing", "garbage", "a list"])
def test_facts_that_cannot_be_read_are_none(tmp_path, damage):
    publish(tmp_path, contents("x"), NOON, keep=1)
    facts = tmp_path / "latest" / FACTS
    {"missing": facts.unlink, "garbage": lambda: facts.write_bytes(b"\xff{"), "a list": lambda: facts.write_text("[]")}[
        damage
    ]()
    assert latest_facts(tmp_path) is None
