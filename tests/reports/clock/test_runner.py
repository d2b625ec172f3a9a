"""Scheduled reports in processes of their own, and the news of them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import interpunct
from reports.clock import runner as runner_module
from reports.clock import webhook
from reports.clock.runner import News, ReportRunner
from reports.errors import ReportUsageError
from reports.produce import Request
from reports.publish import published
from tests.builders import build_store
from tests.raw_server import NEVER_ENDING, NONSENSE, RawServer, sending, silent

NEWS = News("done", 0, "now", "store", "/out/latest/index.html", ("Finding 1.", "Finding 2."))
HEARD = (
    "204 No Content",
    "206 unasked",
    "a body cut off",
    "chunks within gzip",
    "garbage behind gzip",
    "two encodings",
    "chunks cut off",
    "a gzip that is none",
    "a header that is not a header",
    "a length of letters",
    "a negative length",
    "a length of 5,000 digits",
    "a chunk size of letters",
    "a negative chunk size",
    "a chunk size of 70,000 digits",
)
"""Answers that say in their head that the news were received; a webhook's body is not read."""

HEADLESS = ("silence", "a dripped status line", "dripped headers", "endless 100 Continue")
DUE = datetime(2026, 3, 1, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    location = tmp_path_factory.mktemp("small") / "store"
    build_store(location, books=1, layers=2, marks=4, width=6)
    return location


@pytest.mark.whole
def test_each_report_is_told_of_and_a_failure_does_not_raise(small_store, tmp_path):
    told, lines = tmp_path / "told", []
    command = f'echo "$INTERPUNCT_OUTCOME $INTERPUNCT_EXIT_CODE $INTERPUNCT_DUE" >> {told}'
    runner = ReportRunner(Request(str(small_store), str(tmp_path / "out")), command, say=lines.append)
    runner(DUE)
    runner(DUE)
    ReportRunner(Request(str(tmp_path / "none"), str(tmp_path / "out2")), command, say=lines.append)(DUE)
    due = "2026-03-01T06:00+00:00"
    assert told.read_text().splitlines() == [f"done 0 {due}", f"unchanged 4 {due}", f"failed 2 {due}"]
    assert lines[0] == f"report of {due}: done, {tmp_path}/out/latest/index.html"
    assert lines[1] == f"report of {due}: unchanged"


def test_a_report_that_is_killed_counts_as_failed_and_publishes_nothing(small_store, tmp_path):
    lines: list[str] = []
    runner = ReportRunner(Request(str(small_store), str(tmp_path / "out")), say=lines.append)
    threading.Timer(0.5, runner.kill).start()
    runner(DUE)
    assert lines == ["report of 2026-03-01T06:00+00:00: failed"]
    assert not (tmp_path / "out").exists() or published(tmp_path / "out") == []


def test_news_that_cannot_be_delivered_are_a_line_and_no_more(small_store, tmp_path):
    lines: list[str] = []
    request = Request(str(tmp_path / "none"), str(tmp_path / "out"))
    ReportRunner(request, "exit 7", "http://127.0.0.1:9/", lines.append)(DUE)
    assert "--on-done ended with exit code 7" in lines
    assert any(line.startswith("--webhook failed") for line in lines)


def told_by_webhook(tmp_path: Path, address: str, **options: Any) -> list[str]:
    """What the runner says after a report that fails at once, of which a webhook is told."""
    lines: list[str] = []
    runner = ReportRunner(
        Request(str(tmp_path / "none"), str(tmp_path / "out")), None, address, lines.append, **options
    )
    runner._tell(NEWS)
    return lines


def test_a_webhook_gets_json(tmp_path):
    with RawServer(sending(b"HTTP/1.1 204 No Content\r\n\r\n")) as server:
        host = server.url.removeprefix("http://")
        assert told_by_webhook(tmp_path, f"HTTP://me:p%40ss@{host}/hook?token=abc") == []
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?token=abc HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Basic bWU6cEBzcw==" in head
    received = json.loads(body)
    assert received["text"] == "Interpunct report done: Finding 1."
    assert received["page"] == "/out/latest/index.html"
    assert received["findings"] == ["Finding 1.", "Finding 2."]


@pytest.mark.parametrize("name", [name for name in NONSENSE if name not in HEARD])
def test_a_webhook_that_answers_nonsense_is_one_line(name):
    """Asked from this process: a process for each of so many answers would take minutes."""
    with RawServer(NONSENSE[name]) as server:
        line = webhook.post(f"{server.url}/services/5ecret/path?token=5ecret", b"{}")
    assert line is not None
    assert line.startswith(server.url)
    assert "5ecret" not in line
    assert len(line) < 500


def test_what_a_webhook_answers_comes_back_from_the_process_that_asked(tmp_path):
    with RawServer(NONSENSE["binary"]) as server:
        (line,) = told_by_webhook(tmp_path, f"{server.url}/services/5ecret/path?token=5ecret")
    assert line.startswith(f"--webhook failed: {server.url}")
    assert "5ecret" not in line


@pytest.mark.parametrize("name", HEARD)
def test_a_webhook_that_says_in_its_head_that_it_heard_may_say_what_it_will(name):
    with RawServer(NONSENSE[name]) as server:
        assert webhook.post(f"{server.url}/hook", b"{}") is None


@pytest.mark.parametrize("name", HEADLESS)
def test_a_webhook_that_never_answers_is_given_up(tmp_path, monkeypatch, name):
    monkeypatch.setattr(runner_module, "NEWS_SECONDS", 2.0)
    started = time.monotonic()
    with RawServer(NEVER_ENDING[name]) as server:
        lines = told_by_webhook(tmp_path, f"{server.url}/5ecret")
    assert lines == [f"--webhook failed: {server.url} did not answer in time"]
    assert time.monotonic() - started < 5


def test_a_stop_is_heard_while_a_webhook_and_a_command_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(runner_module, "SECONDS_AFTER_A_STOP", 0.3)
    marker, lines = tmp_path / "lived on", list[str]()
    request = Request(str(tmp_path / "none"), str(tmp_path / "out"))
    with RawServer(silent) as server:
        started = time.monotonic()
        command = f"(sleep 3; touch {shlex.quote(str(marker))}) & sleep 60"
        ReportRunner(request, command, f"{server.url}/", lines.append, lambda: True)._tell(NEWS)
    assert time.monotonic() - started < 5
    assert lines[0].startswith("--on-done was given up")
    assert lines[1].endswith("did not answer in time")
    time.sleep(max(0.0, 3.3 - (time.monotonic() - started)))
    assert not marker.exists()  # what the command had started went with it


def test_the_news_are_given_up_at_once_by_a_kill(tmp_path):
    lines: list[str] = []
    with RawServer(silent) as server:
        runner = ReportRunner(Request("none", str(tmp_path)), None, f"{server.url}/", lines.append)
        threading.Timer(0.5, runner.kill).start()
        started = time.monotonic()
        runner._tell(NEWS)
    assert time.monotonic() - started < 5
    assert lines[0].endswith("did not answer in time")


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "https://", "http://[::1/5ecret", "ftp://u:5ecret@host/", "x"]
)
def test_a_webhook_is_an_address(address):
    with pytest.raises(ReportUsageError, match="http:// or https://") as refusal:
        ReportRunner(Request("s", "o"), webhook=address)
    assert "5ecret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--cron", "soon"], "not a cron expression"), (["--cron", "0 6 * * *", "--tz", "Nowhere"], "not a time zone")],
)
def test_a_clock_that_is_none_is_refused_before_anything_else(small_store, tmp_path, capsys, options, message):
    assert interpunct.main(["schedule", "--store", str(small_store), "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.whole
def test_the_command_reports_at_once_and_ends_on_sigterm(small_store, tmp_path):
    """The whole command, as a container or systemd runs it."""
    arguments = ["schedule", "--store", small_store, "--out", tmp_path / "out", "--cron", "0 0 1 1 *", "--now"]
    start = "import sys, interpunct; sys.exit(interpunct.main(sys.argv[1:]))"
    root = Path(interpunct.__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", start, *map(str, arguments)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line.startswith("next report at"):
            break
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert time.monotonic() - began < 15
    assert "schedule ended" in rest
    assert any(": done, " in line for line in lines)
    assert len(published(tmp_path / "out")) == 1
