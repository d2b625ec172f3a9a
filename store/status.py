"""What a store holds, who works on it, and what went wrong: for humans, now and repeatedly."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from store import documents, lock, paths
from store.books import BookStatus
from store.commits import CommitRecord, CommittedBook, committed, live_records, load_records
from store.errors import StoreError, StoreUnavailable
from store.foreign_text import for_terminal
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.study import Study, require_study

_MOST_BYTES = 64 << 20
_SHOWN_PROBLEMS = 20
_WATCH_EVERY_S = 2.0
ENDED = "ended without a word"
"""The state of a run that was killed: its record says that it runs, and no process does."""

_LOST = (
    "shards of it were dropped since, by `interpunct verify --fix`; run the same `interpunct run` command again to"
    " recompute them"
)
"""What stands in place of a run's progress where that was taken back."""

_PROGRESS = (("shards_committed", "shards", "shards"), ("sequences", "sequences_expected", "sequences"))


@dataclass(frozen=True)
class Status:
    """One look at a store."""

    location: str
    study: Study
    shards: int
    files: int
    bytes: int
    rows: dict[str, int]
    table_bytes: dict[str, int]
    on_disk: tuple[str, ...]
    """Removed books whose rows are on the disk, and among `rows`, until a compaction."""
    books: dict[str, CommittedBook]
    running: lock.Owner | None
    latest_run: dict[str, Any] = field(default_factory=dict)
    latest_run_name: str = ""
    damaged_run: str | None = None
    """What is wrong with the latest run's record, where it cannot be read."""
    lost: bool = False
    """Whether shards that the latest run committed are committed no more: `verify --fix` dropped them."""

    @property
    def books_by_status(self) -> dict[str, int]:
        """How many books have each status."""
        counts = Counter(str(book.status) for book in self.books.values())
        return dict(sorted(counts.items()))

    @property
    def state(self) -> str:
        """The latest run's state; `ended without a word` where its record says that it runs and no process does."""
        state = str(self.latest_run.get("state", ""))
        return ENDED if state == "running" and not _is_of(self.running, self.latest_run) else state

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values, for programs."""
        bad = [book for book in self.books.values() if book.status is not BookStatus.USED]
        return {
            "store": self.location,
            "model": self.study.config.get("model"),
            "fingerprint": self.study.fingerprint,
            "books": self.books_by_status,
            "shards": self.shards,
            "files": self.files,
            "bytes": self.bytes,
            "rows": dict(sorted(self.rows.items())),
            "removed_on_disk": list(self.on_disk),
            "bytes_by_table": dict(sorted(self.table_bytes.items())),
            "running": None if self.running is None else asdict(self.running),
            "latest_run": {"name": self.latest_run_name, "state": self.state, "damage": self.damaged_run}
            | {"shards_dropped_since": self.lost}
            | {name: value for name, value in self.latest_run.items() if name != "state"},
            "books_without_results": [
                {"book": book.key, "status": str(book.status), "reason": book.reason, "source": book.source}
                for book in sorted(bad, key=lambda book: book.key)
            ],
        }


def read_status(location: str | Path) -> Status:
    """Look at a store. Raises NoStore where there is none."""
    objects = object_store(location)
    study = require_study(objects)
    live = live_records(load_records(objects))
    done = committed(live)
    rows: dict[str, int] = {}
    table_bytes: dict[str, int] = {}
    for record in live:
        for file in record.files:
            table = file.path.partition("/")[0]
            rows[table] = rows.get(table, 0) + file.rows
            table_bytes[table] = table_bytes.get(table, 0) + file.bytes
    files = [file for record in live for file in record.files]
    run_name, run, damage = _latest_run(objects)
    return Status(
        objects.location,
        study,
        shards=len(done.shards),
        files=len(files),
        bytes=sum(file.bytes for file in files),
        rows=rows,
        table_bytes=table_bytes,
        on_disk=tuple(sorted({key for record in live for key in record.hidden})),
        books=done.books,
        running=_running(objects),
        latest_run=run,
        latest_run_name=run_name,
        damaged_run=damage,
        lost=_lost(run_name, run, live),
    )


def show(location: str | Path, console: Console) -> Status:
    """Print one look."""
    status = read_status(location)
    console.print(_drawn(status))
    return status


def watch(location: str | Path, console: Console) -> None:
    """Keep looking until interrupted: a terminal is drawn anew; elsewhere each change is printed with its time."""
    if console.is_terminal:
        with Live(_drawn(read_status(location)), console=console, auto_refresh=False, screen=True) as live:
            while True:
                time.sleep(_WATCH_EVERY_S)
                live.update(_drawn(read_status(location)), refresh=True)
    seen: dict[str, Any] = {}
    while True:
        status = read_status(location)
        if (now := status.to_dict() | {"running": None}) != seen:
            console.print(f"{datetime.now(UTC).isoformat(timespec='seconds')}")
            console.print(_drawn(status))
            seen = now
        time.sleep(_WATCH_EVERY_S)


def _running(objects: ObjectStore) -> lock.Owner | None:
    term = lock.current_term(objects, lock.RUN)
    if term is None or lock.is_gone(term.owner):
        return None
    return term.owner


def _latest_run(objects: ObjectStore) -> tuple[str, dict[str, Any], str | None]:
    """The run whose record was written last, the record, and what is wrong with it where it cannot be read."""
    found = sorted((entry.modified, entry.path) for entry in objects.walk(paths.RUNS) if entry.path.endswith(".json"))
    if not found:
        return "", {}, None
    path = found[-1][1]
    try:
        return Path(path).stem, documents.parse(objects.read(path, _MOST_BYTES)), None
    except StoreUnavailable:
        raise
    except StoreError as error:
        return Path(path).stem, {}, str(error)


def _lost(run_name: str, run: dict[str, Any], live: list[CommitRecord]) -> bool:
    """Whether less stands of a run than it says it committed; what was compacted may be anyone's."""
    may_be_its = [record for record in live if record.run == run_name or record.is_generation]
    shards = sum(len(record.holds) for record in may_be_its)
    gave_pairs = (BookStatus.USED, BookStatus.REMOVED)
    books = sum(book.status in gave_pairs for record in may_be_its for book in record.books)
    found = {"shards_committed": shards}
    if not any(record.tried for record in may_be_its):  # those of `sensitivity` name no books
        found["books_used"] = books
    return any(isinstance(run.get(name), int) and run[name] > count for name, count in found.items())


def _drawn(status: Status) -> Group:
    return Group(*(part for part in (_totals(status), _problems(status)) if part is not None))


def _totals(status: Status) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    model = status.study.config.get("model", "")
    books = ", ".join(f"{count:,} {name}" for name, count in status.books_by_status.items()) or "none yet"
    rows = ", ".join(f"{count:,} {name}" for name, count in sorted(status.rows.items())) or "none yet"
    shards = f"{status.shards:,} shard" + ("" if status.shards == 1 else "s")
    for name, value in (
        ("store", status.location),
        ("study", f"{model}, fingerprint {status.study.fingerprint[:12]}"),
        ("books", books),
        ("committed", f"{shards}, {status.files:,} files, {_size(status.bytes)}"),
        ("rows", rows),
        *_on_disk_told(status),
        ("running", _running_told(status)),
        *_run_told(status),
    ):
        table.add_row(name, _plain(value))
    return table


def _on_disk_told(status: Status) -> Iterator[tuple[str, str]]:
    if status.on_disk:
        yield "removed", f"rows of {len(status.on_disk):,} removed are among these until `interpunct compact`"


def _running_told(status: Status) -> str:
    if status.running is None:
        return "nobody"
    since = datetime.fromtimestamp(status.running.acquired, UTC).isoformat(" ", "seconds")
    age = max(0.0, time.time() - status.running.heartbeat)
    return f"{status.running}, since {since}, last sign of life {age:.0f} s ago"


def _run_told(status: Status) -> Iterator[tuple[str, str]]:
    """The latest run in a few lines: its state, how far it is and at which rate, and what it could not do."""
    run = status.latest_run
    if status.damaged_run is not None:
        yield "latest run", f"{status.latest_run_name}: its record is damaged: {status.damaged_run}"
    elif run:
        when = f", last word {run['updated']}" if isinstance(run.get("updated"), str) else ""
        yield "latest run", f"{status.latest_run_name}: {status.state or 'no state'}{when}"
        told = _LOST if status.lost else ", ".join(_progress_told(run, status.state))
        if told:
            yield "progress", told
        retries, seconds = run.get("retries"), run.get("elapsed_seconds")
        more = [f"{_number(seconds)} s so far"] if isinstance(seconds, int | float) else []
        more += [f"{retries} retries"] if retries else []
        if more:
            yield "", ", ".join(more)


def _progress_told(run: dict[str, Any], state: str) -> Iterator[str]:
    progress = run.get("progress")
    progress = progress if isinstance(progress, dict) else {}
    share = progress.get("share_done")
    if state == "running" and isinstance(share, int | float):
        yield f"{share:.0%}"
    for done, expected, unit in (*_PROGRESS, ("pairs", "pairs_expected", "pairs")):
        if isinstance(run.get(done), int) and isinstance(run.get(expected), int) and run[expected]:
            rate = progress.get(f"{unit}_per_second")
            pace = f" at {_number(rate)}/s" if isinstance(rate, int | float) else ""
            yield f"{run[done]:,} of {run[expected]:,} {unit}{pace}"
    if state == "running" and isinstance(progress.get("time_left"), str):
        yield f"{progress['time_left']} left"


def _is_of(owner: lock.Owner | None, record: dict[str, Any]) -> bool:
    """Whether who works on the store is the run of this record: a run that was killed leaves a record that it runs."""
    return owner is not None and (owner.host, owner.pid) == (record.get("host"), record.get("pid"))


def _problems(status: Status) -> Table | None:
    """Books that gave no results; what is tried again comes first."""
    bad = [book for book in status.books.values() if book.status.retried or book.status is BookStatus.REJECTED]
    if not bad:
        return None
    table = Table("book", "status", "reason", "source", title="books without results", title_justify="left")
    for book in sorted(bad, key=lambda book: (not book.status.retried, book.key))[:_SHOWN_PROBLEMS]:
        table.add_row(*map(_plain, (book.key, book.status, book.reason or "", book.source)))
    if len(bad) > _SHOWN_PROBLEMS:
        table.caption = f"and {len(bad) - _SHOWN_PROBLEMS:,} more: SELECT book, status, reason FROM books"
    return table


def _plain(text: str) -> Text:
    """A cell that shows a text as it is: rich would read a string as markup."""
    return Text(for_terminal(text))


def _number(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if value < 10 else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"
    return str(value)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
