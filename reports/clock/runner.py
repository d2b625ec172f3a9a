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
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path

from reports.clock.webhook import check_address, send
from reports.produce import Request, run_report
from reports.publish import latest_facts

OUTCOMES = {0: "done", 1: "failed", 2: "failed", 3: "refused", 4: "unchanged"}
NEWS_SECONDS = 60.0
"""A command or a webhook that takes longer is given up."""

SECONDS_AFTER_A_STOP = 5.0
"""The same, once the schedule was asked to end."""

_BETWEEN_LOOKS = 0.1


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
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stopping` says whether the schedule was asked to end; news are then told in haste."""
        if webhook is not None:
            check_address(webhook)
        self._request = request
        self._on_done = on_done
        self._webhook = webhook
        self._say = say
        self._stopping = stopping
        self._killed = False
        self._process: BaseProcess | None = None

    def __call__(self, due: datetime) -> None:
        """Make the report that was due. Its failure is told and does not raise."""
        news = self._news(self._report(), due)
        self._say(f"report of {news.due}: {news.outcome}" + (f", {news.page}" if news.outcome == "done" else ""))
        self._tell(news)

    def kill(self) -> None:
        """End the report in hand, and the telling of it. Nothing half-made is published."""
        self._killed = True
        if self._process is not None:
            self._process.kill()

    def _report(self) -> int:
        """Make the report and return its exit code; 1 where its process died, or none was to be had."""
        process = multiprocessing.get_context("spawn").Process(target=_report_process, args=(self._request,))
        try:
            process.start()
        except OSError as error:
            self._say(f"the report's process cannot be started: {error}")
            return 1
        self._process = process
        process.join()
        self._process = None
        code = process.exitcode or 0
        return 1 if code < 0 else code

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
        if self._on_done is not None and (failure := self._run_command(self._on_done, news)):
            self._say(f"--on-done {failure}")
        if self._webhook is not None and (failure := send(self._webhook, _as_json(news), self._waited_for_process)):
            self._say(f"--webhook failed: {failure}")

    def _run_command(self, command: str, news: News) -> str | None:
        """Run the command; why it failed, or None. One that is given up goes with all that it started."""
        try:
            done = subprocess.Popen(
                command, shell=True, env={**os.environ, **news.environment()}, start_new_session=True
            )
        except (OSError, ValueError) as error:  # no process to be had; a NUL in the command
            return f"failed: {error}"
        if not self._waited(lambda: done.poll() is None):
            with suppress(ProcessLookupError):
                os.killpg(done.pid, signal.SIGKILL)
            done.wait()
            return f"was given up: it took longer than {NEWS_SECONDS:.0f} seconds, or the schedule ended"
        return f"ended with exit code {done.returncode}" if done.returncode else None

    def _waited_for_process(self, process: BaseProcess) -> bool:
        return self._waited(process.is_alive)

    def _waited(self, running: Callable[[], bool]) -> bool:
        """Wait for something to end; False where its time is up first.

        A stop, which the main thread's signal handler hears while this waits, cuts the time short.
        """
        end, hurried = time.monotonic() + NEWS_SECONDS, False
        while running():
            if self._stopping() and not hurried:
                end, hurried = min(end, time.monotonic() + SECONDS_AFTER_A_STOP), True
            if self._killed or time.monotonic() > end:
                return False
            time.sleep(_BETWEEN_LOOKS)
        return True


def _as_json(news: News) -> bytes:
    """The news for a webhook; `text` is one line, which chat services show as it is."""
    finding = f": {news.findings[0]}" if news.findings else ""
    return json.dumps({**news.__dict__, "text": f"Interpunct report {news.outcome}{finding}"}).encode()


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
