"""Scheduled reports in processes of their own, and the news of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import interpunct
from reports.clock.runner import News, ReportRunner, post_news
from reports.errors import ReportUsageError
from reports.produce import Request
from reports.publish import published
from tests.builders import build_store

DUE = datetime(2026, 3, 1, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    location = tmp_path_factory.mktemp("small") / "store"
    build_store(location, books=1, layers=2, marks=4, width=6)
    return location


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


def test_a_webhook_gets_json():
    received: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        news = News("done", 0, "now", "store", "/out/latest/index.html", ("Finding 1.", "Finding 2."))
        post_news(f"http://127.0.0.1:{server.server_port}/hook", news)
        thread.join(10)
    assert received[0]["text"] == "Interpunct report done: Finding 1."
    assert received[0]["page"] == "/out/latest/index.html"
    assert received[0]["findings"] == ["Finding 1.", "Finding 2."]


def test_a_webhook_is_an_address():
    with pytest.raises(ReportUsageError, match="http:// or https://"):
        ReportRunner(Request("s", "o"), webhook="file:///etc/passwd")


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--cron", "soon"], "not a cron expression"), (["--cron", "0 6 * * *", "--tz", "Nowhere"], "not a time zone")],
)
def test_a_clock_that_is_none_is_refused_before_anything_else(small_store, tmp_path, capsys, options, message):
    assert interpunct.main(["schedule", "--store", str(small_store), "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


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
