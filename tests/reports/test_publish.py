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
from reports.publish import FACTS, MARKER, latest_facts, publish, published, publishing
from store.writer import StudyWriter
from tests.builders import synthetic_study

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def facts(text: str) -> dict[str, object]:
    return {"books": [text], "findings": ["a finding"], "pairs": 3, "mi_difference": {"0": 0.5}}


def contents(text: str) -> dict[str, bytes]:
    return {"index.html": text.encode(), "data/a.csv": b"a\n1\n", FACTS: json.dumps(facts(text)).encode()}


@pytest.mark.parametrize("address", ["s3://bucket/reports", "gs://bucket/reports"])
def test_an_address_is_refused_as_it_was_written(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReportUsageError, match=f"--out {address} is an address, .* FOLDER/latest {address}"):
        publishing(Path(address)).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_latest_is_the_newest_report_and_the_last_n_are_kept(tmp_path):
    for day in range(5):
        publish(tmp_path, contents(f"day {day}"), NOON + timedelta(days=day), keep=3)
    assert (tmp_path / "latest" / "index.html").read_text() == "day 4"
    assert latest_facts(tmp_path) == facts("day 4")
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


def publish_and_die(out: Path) -> None:
    os.rename = lambda source, target: os._exit(9)
    publish(out, contents("never"), NOON, keep=1)


def test_what_a_killed_report_left_is_cleared_away(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=publish_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert len(list(tmp_path.glob(".draft-*"))) == 1
    publish(tmp_path, contents("new"), NOON, keep=1)
    assert not list(tmp_path.glob(".draft-*"))
    assert (tmp_path / "latest" / "index.html").read_text() == "new"


@pytest.mark.parametrize("name", ["20240101T000000Z", ".draft-x", ".draft-20240101T000000Z", ".latest-1", "notes"])
@pytest.mark.parametrize("marker", [None, "{}", "[", '{"number": 1, "name": "other", "draft": "other"}', "copied"])
def test_a_folder_that_no_report_made_stays_whatever_its_name(tmp_path, name, marker):
    first = publish(tmp_path, contents("first"), NOON, keep=1)
    foreign = tmp_path / name
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    if marker is not None:
        (foreign / MARKER).write_text((first / MARKER).read_text() if marker == "copied" else marker)
    for day in (1, 2):
        publish(tmp_path, contents(f"day {day}"), NOON + timedelta(days=day), keep=1)
    assert (foreign / "thesis.txt").read_text() == "years of work"
    assert [folder.name for folder in published(tmp_path)] == ["20260303T120000Z"]


def test_a_link_to_a_report_elsewhere_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    elsewhere = publish(tmp_path / "elsewhere", contents("old"), NOON, keep=1)
    out = tmp_path / "out"
    out.mkdir()
    (out / elsewhere.name).symlink_to(elsewhere)
    for day in (1, 2):
        publish(out, contents("new"), NOON + timedelta(days=day), keep=1)
    assert (elsewhere / "index.html").read_text() == "old"
    assert (out / elsewhere.name).is_symlink()


def test_a_clock_that_goes_back_changes_no_order_and_no_report_removes_itself(tmp_path):
    for hour in (12, 11, 10, 15, 9):
        folder = publish(tmp_path, contents(f"at {hour}"), NOON.replace(hour=hour), keep=2)
        assert (tmp_path / "latest").resolve() == folder
        assert (tmp_path / "latest" / "index.html").read_text() == f"at {hour}"
    assert [folder.name for folder in published(tmp_path)] == ["20260301T090000Z", "20260301T150000Z"]


def test_a_name_that_is_taken_by_a_file_or_a_dangling_link_is_passed_over(tmp_path):
    (tmp_path / "20260301T120000Z").write_text("in the way")
    (tmp_path / "20260301T120000Z-2").symlink_to("nowhere")
    assert publish(tmp_path, contents("new"), NOON, keep=1).name == "20260301T120000Z-3"
    assert (tmp_path / "20260301T120000Z").read_text() == "in the way"


@pytest.mark.parametrize("out", ["store", "store/reports", "store/pairs/reports", "", "linked/reports"])
def test_reports_and_stores_lie_apart(tmp_path, out):
    StudyWriter.open(tmp_path / "store", synthetic_study())
    (tmp_path / "linked").symlink_to("store")
    before = sorted(tmp_path.rglob("*"))
    store = str(tmp_path / "store")
    with pytest.raises(ReportUsageError, match="one in the other"), publishing(tmp_path / out, (store,)):
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_no_report_is_put_into_a_store_that_it_is_not_about(tmp_path):
    StudyWriter.open(tmp_path / "other", synthetic_study())
    (tmp_path / "other" / "_commits").mkdir(exist_ok=True)
    with pytest.raises(ReportUsageError, match="lies in the store"), publishing(tmp_path / "other" / "reports"):
        pass
    with publishing(tmp_path / "reports", (str(tmp_path / "other"), "s3://bucket/store")):
        pass


def publish_often(out: Path, writer: int) -> None:
    for number in range(15):
        try:
            with publishing(out):
                publish(out, contents(f"{writer} {number}"), NOON, keep=2)
        except ReportError:
            pass


def test_writers_side_by_side_publish_whole_reports_under_numbers_of_their_own(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=publish_often, args=(tmp_path, writer)) for writer in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    assert [process.exitcode for process in writers] == [0] * 4
    kept = published(tmp_path)
    assert len(kept) == 2
    assert kept[0] == (tmp_path / "latest").resolve()
    numbers = [json.loads((folder / MARKER).read_text())["number"] for folder in kept]
    assert numbers[0] == numbers[1] + 1
    assert sorted(path.name for path in tmp_path.iterdir() if path not in kept) == [".lock", "latest"]


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
    (tmp_path / "latest").symlink_to(tmp_path)
    with pytest.raises(ReportUsageError, match="not a link that a report made"), publishing(tmp_path):
        pass
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    with pytest.raises(ReportUsageError, match="not a link that a report made"), publishing(tmp_path):
        pass


@pytest.mark.parametrize("damage", ["missing", "garbage", "a list", "of other types"])
def test_facts_that_cannot_be_read_are_none(tmp_path, damage):
    publish(tmp_path, contents("x"), NOON, keep=1)
    facts = tmp_path / "latest" / FACTS
    {
        "missing": facts.unlink,
        "garbage": lambda: facts.write_bytes(b"\xff{"),
        "a list": lambda: facts.write_text("[]"),
        "of other types": lambda: facts.write_text('{"books": 5}'),
    }[damage]()
    assert latest_facts(tmp_path) is None
