"""One scheduled report in a process of its own, and the news of it for mail and chat.

A process of its own keeps a schedule that runs for months free of whatever a report leaves in memory, and lets it
outlive a report that dies.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path

from reports.errors import ReportUsageError
from reports.produce import Request, run_report
from reports.publish import latest_facts

OUTCOMES = {0: "done", 1: "failed", 2: "failed", 3: "refused", 4: "unchanged"}
NEWS_SECONDS = 60.0
"""A command or a webhook that takes longer is given up."""


@dataclass(frozen=True)
class News:
    """What `--on-done` and `--webhook` are told."""

    outcome: str
    exit_code: int
    due: str
    store: str
    page: str
    findings: tuple[str, ...]

    def environment(self) -> dict[str, str]:
        """The same as variables of the environment, INTERPUNCT_OUTCOME and so on."""
        return {
            "INTERPUNCT_OUTCOME": self.outcome,
            "INTERPUNCT_EXIT_CODE": str(self.exit_code),
            "INTERPUNCT_DUE": self.due,
            "INTERPUNCT_STORE": self.store,
            "INTERPUNCT_PAGE": self.page,
            "INTERPUNCT_FINDINGS": "\n".join(self.findings),
        }


class ReportRunner:
    """Makes one report after another, each in its own process, and tells of each."""

    def __init__(
        self,
        request: Request,
        on_done: str | None = None,
        webhook: str | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        if webhook is not None and not webhook.startswith(("http://", "https://")):
            raise ReportUsageError(f"--webhook is {webhook!r}; it is an http:// or https:// address")
        self._request = request
        self._on_done = on_done
        self._webhook = webhook
        self._say = say
        self._process: BaseProcess | None = None

    def __call__(self, due: datetime) -> None:
        """Make the report that was due. Its failure is told and does not raise."""
        process = multiprocessing.get_context("spawn").Process(target=_report_process, args=(self._request,))
        process.start()
        self._process = process
        process.join()
        self._process = None
        code = process.exitcode or 0
        news = self._news(1 if code < 0 else code, due)
        self._say(f"report of {news.due}: {news.outcome}" + (f", {news.page}" if news.outcome == "done" else ""))
        self._tell(news)

    def kill(self) -> None:
        """End the report in hand. Nothing half-made is published."""
        if self._process is not None:
            self._process.kill()

    def _news(self, code: int, due: datetime) -> News:
        facts = latest_facts(Path(self._request.out)) or {}
        return News(
            OUTCOMES.get(code, "failed"),
            code,
            due.isoformat(timespec="minutes"),
            self._request.store,
            os.path.join(os.path.abspath(self._request.out), "latest", "index.html"),
            tuple(facts.get("findings", ())),
        )

    def _tell(self, news: News) -> None:
        if self._on_done is not None:
            try:
                done = subprocess.run(
                    self._on_done, shell=True, env={**os.environ, **news.environment()}, timeout=NEWS_SECONDS
                )
                if done.returncode:
                    self._say(f"--on-done ended with exit code {done.returncode}")
            except (OSError, subprocess.TimeoutExpired) as error:
                self._say(f"--on-done failed: {error}")
        if self._webhook is not None:
            try:
                post_news(self._webhook, news)
            except (OSError, ValueError, urllib.error.URLError) as error:
                self._say(f"--webhook failed: {error}")


def post_news(address: str, news: News) -> None:
    """POST the news as JSON; `text` is one line, which chat services show as it is."""
    finding = f": {news.findings[0]}" if news.findings else ""
    body = {**news.__dict__, "text": f"Interpunct report {news.outcome}{finding}"}
    request = urllib.request.Request(
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=NEWS_SECONDS):
        pass


def _report_process(request: Request) -> None:
    """The body of the process: like the command `report`, deaf to the signals that end the schedule."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = run_report(request)
    except Exception as error:
        exit_code = getattr(error, "exit_code", None)
        if exit_code is None:
            raise
        print(f"interpunct: {error}", file=sys.stderr)
        code = exit_code
    sys.stdout.flush()
    sys.exit(code)
