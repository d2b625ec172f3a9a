"""How a run shows what it is doing: bars on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from jobs.account.console import key_values, log, say
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


def listener_for(console: Console) -> Listener:
    """Bars where the console is a terminal, lines otherwise."""
    return Bars(console) if console.is_terminal else Lines()


class Lines:
    """One line an event, `time event key=value ...`, and one every so often on how far the run is."""

    def __init__(self, stream: TextIO | None = None, between: float = SECONDS_BETWEEN_LINES) -> None:
        self._stream = stream or sys.stderr
        self._between = between
        self._last = time.monotonic()
        self._shown = _rates(Tally())

    def line(self, event: str, **keys: object) -> None:
        """Log an event with its time."""
        log(self._stream, f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {event} {key_values(keys)}".rstrip())

    def update(self, tally: Tally) -> None:
        """Log the counts and the rates since the last such line, where that is long enough ago."""
        now = time.monotonic()
        if now - self._last < self._between:
            return
        elapsed, self._last = now - self._last, now
        before, self._shown = self._shown, _rates(tally)
        rates = {f"{name}_per_s": round((value - before[name]) / elapsed) for name, value in self._shown.items()}
        done = f"{tally.pairs / tally.pairs_expected:.1%}" if tally.pairs_expected else "0%"
        self.line(
            "progress",
            shards=f"{tally.shards_committed}/{tally.shards}",
            sequences=f"{tally.sequences}/{tally.sequences_expected}",
            pairs=f"{tally.pairs}/{tally.pairs_expected}",
            done=done,
            **rates,
            retries=tally.retries,
            eta=_duration(seconds_left(tally)),
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
            TimeRemainingColumn(),
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
        values = {
            "shards": (tally.shards_committed, tally.shards),
            "sequences": (tally.sequences, tally.sequences_expected),
            "pairs": (tally.pairs, tally.pairs_expected),
        }
        for name, (done, total) in values.items():
            rate = f"{done / tally.elapsed:,.0f}/s" if name != "shards" and tally.elapsed > 0 else ""
            self._progress.update(self._tasks[name], completed=done, total=total or None, rate=rate)

    def close(self) -> None:
        """Leave the bars as they are, and give the terminal back."""
        self._progress.stop()


def seconds_left(tally: Tally) -> float | None:
    """How long the rest will take at the pace so far; None before the first shard tells."""
    if not tally.pairs or not tally.shards:
        return None
    share_prepared = max(tally.shards_prepared, 1) / tally.shards
    done = tally.pairs / tally.pairs_expected * share_prepared
    return tally.elapsed * (1 - done) / done


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


def _rates(tally: Tally) -> dict[str, int]:
    return {"sequences": tally.sequences, "pairs": tally.pairs}


def _duration(seconds: float | None) -> str:
    return "unknown" if seconds is None else str(timedelta(seconds=round(seconds)))
