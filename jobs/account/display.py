"""How a run shows what it is doing: bars on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from jobs.account.console import key_values, log, say
from jobs.account.pace import forecast, pace_of, share_done
from jobs.account.tally import Tally

SECONDS_BETWEEN_LINES = 15.0
"""How often a log gets a line where nothing but progress is to be told."""

STAGES = ("prepare", "forward", "pairs", "write", "commit")


class Listener(Protocol):
    """Who is told what a run does. `line` is for events, with the key of the unit they concern."""

    def line(self, event: str, **keys: object) -> None:
        """An event worth a line in a log."""

    def update(self, tally: Tally) -> None:
        """The numbers have changed. Called often: a listener shows as much of it as it sees fit."""

    def close(self) -> None:
        """The run is over."""


def listener_for(console: Console, form: str = "text") -> Listener:
    """Bars where the console is a terminal and the log's form is text, lines otherwise."""
    return Bars(console) if console.is_terminal and form == "text" else Lines(form=form)


class Lines:
    """One line an event, `time event key=value ...` or a JSON object, and one every so often on how far the run is."""

    def __init__(
        self, stream: TextIO | None = None, between: float = SECONDS_BETWEEN_LINES, form: str = "text"
    ) -> None:
        self._stream = stream or sys.stderr
        self._json = form == "json"
        self._between = between
        self._last = time.monotonic()

    def line(self, event: str, **keys: object) -> None:
        """Log an event with its time (UTC)."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        if self._json:
            values = {name: value if isinstance(value, int | float) else str(value) for name, value in keys.items()}
            log(self._stream, json.dumps({"time": now, "event": event} | values, ensure_ascii=False))
        else:
            log(self._stream, f"{now} {event} {key_values(keys)}".rstrip())

    def update(self, tally: Tally) -> None:
        """Log the counts and the rates since the last such line, where that is long enough ago."""
        now = time.monotonic()
        if now - self._last < self._between:
            return
        self._last = now
        done, left = share_done(tally), forecast(tally)
        self.line(
            "progress",
            shards=f"{tally.shards_committed}/{tally.shards}",
            sequences=f"{tally.sequences}/{tally.sequences_expected}",
            pairs=f"{tally.pairs}/{tally.pairs_expected}",
            done="unknown" if done is None else f"{done:.1%}",
            **{f"{name}_per_s": _rate(rate) for name, rate in asdict(pace_of(tally)).items()},
            retries=tally.retries,
            eta=left or "unknown",
            **{f"queue_{name}": length for name, length in tally.queues.items()},
        )

    def close(self) -> None:
        """Nothing is left open."""


class Bars:
    """One bar a stage, and a line for an event that no bar shows. A stage's total grows while shards are prepared."""

    _SHOWN_BY_BARS = frozenset({"committed", "progress"})

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:>8}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            console=console,
            transient=True,
            refresh_per_second=4,
        )
        self._tasks: dict[str, TaskID] = {
            name: self._progress.add_task(name, total=None, rate="") for name in ("shards", "sequences", "pairs")
        }
        self._progress.start()

    def line(self, event: str, **keys: object) -> None:
        """Say an event above the bars, unless a bar shows it."""
        if event in self._SHOWN_BY_BARS:
            return
        say(self._progress.console, f"{event} {key_values(keys)}".rstrip())

    def update(self, tally: Tally) -> None:
        """Move the bars."""
        pace, left = pace_of(tally), forecast(tally)
        rates = {
            "shards": "" if left is None else f"{left} left",
            "sequences": "" if pace.sequences is None else f"{_rate(pace.sequences)}/s",
            "pairs": "" if pace.pairs is None else f"{_rate(pace.pairs)}/s",
        }
        values = {
            "shards": (tally.shards_committed, tally.shards),
            "sequences": (tally.sequences, tally.sequences_expected),
            "pairs": (tally.pairs, tally.pairs_expected),
        }
        for name, (done, total) in values.items():
            self._progress.update(self._tasks[name], completed=done, total=total or None, rate=rates[name])

    def close(self) -> None:
        """Leave the bars as they are, and give the terminal back."""
        self._progress.stop()


def summary_table(tally: Tally, unit: str = "book") -> Table:
    """What the run did, for the end of it; `unit` is what it counts."""
    table = Table(title="Run", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = [
        (f"{unit}s used", f"{tally.books_used:,}"),
        (f"{unit}s done before", f"{tally.books_done_before:,}"),
        (f"{unit}s not used", f"{len(tally.not_used):,}"),
        ("marks", f"{tally.marks:,}"),
        ("pairs", f"{tally.pairs:,}"),
        ("of them reused", f"{tally.pairs_reused:,}"),
        ("bytes written", f"{tally.bytes:,}"),
        ("retries", f"{tally.retries:,}"),
        *((f"seconds: {stage}", f"{tally.seconds[stage]:,.1f}") for stage in STAGES),
        ("seconds in all", f"{tally.elapsed:,.1f}"),
    ]
    hidden = {"of them reused", "retries", f"{unit}s done before", f"{unit}s not used", "bytes written"}
    for name, value in rows:
        if name not in hidden or value != "0":
            table.add_row(name, value)
    return table


def _rate(rate: float | None) -> str:
    """A rate with the digits that tell; a slow model does less than one sequence a second."""
    if rate is None:
        return "unknown"
    return f"{rate:.2f}" if rate < 10 else f"{rate:,.0f}"
