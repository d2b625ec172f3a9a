"""What a store holds, who works on it, and what went wrong: for humans, now and repeatedly."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from store import documents, lock, paths
from store.books import BookStatus
from store.commits import CommittedBook, committed, live_records, load_records
from store.errors import NoStore, StoreError, StoreUnavailable
from store.foreign_text import for_terminal
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.study import Study, read_study

_MOST_BYTES = 64 << 20
_SHOWN_PROBLEMS = 20
_WATCH_EVERY_S = 2.0
_NO_PROGRESS = {"run", "host", "pid", "cpus"}
"""What a run's record says of where it works; the line on who is running says it better."""


@dataclass(frozen=True)
class Status:
    """One look at a store."""

    location: str
    study: Study
    shards: int
    files: int
    bytes: int
    rows: dict[str, int]
    books: dict[str, CommittedBook]
    running: lock.Owner | None
    latest_run: dict[str, Any] = field(default_factory=dict)
    latest_run_name: str = ""


def read_status(location: str | Path) -> Status:
    """Look at a store. Raises NoStore where there is none."""
    objects = object_store(location)
    study = read_study(objects)
    if study is None:
        raise NoStore(f"{objects.location} holds no store; `interpunct run BOOK --store {location}` makes one")
    live = live_records(load_records(objects))
    done = committed(live)
    rows: dict[str, int] = {}
    for record in live:
        for file in record.files:
            table = file.path.partition("/")[0]
            rows[table] = rows.get(table, 0) + file.rows
    files = [file for record in live for file in record.files]
    run_name, run = _latest_run(objects)
    return Status(
        objects.location,
        study,
        shards=len(done.shards),
        files=len(files),
        bytes=sum(file.bytes for file in files),
        rows=rows,
        books=done.books,
        running=_running(objects),
        latest_run=run,
        latest_run_name=run_name,
    )


def show(location: str | Path, console: Console) -> Status:
    """Print one look."""
    status = read_status(location)
    console.print(_drawn(status))
    return status


def watch(location: str | Path, console: Console) -> None:
    """Keep looking until interrupted."""
    with Live(_drawn(read_status(location)), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(_WATCH_EVERY_S)
            live.update(_drawn(read_status(location)), refresh=True)


def _running(objects: ObjectStore) -> lock.Owner | None:
    term = lock.current_term(objects, lock.RUN)
    if term is None or lock.is_gone(term.owner):
        return None
    return term.owner


def _latest_run(objects: ObjectStore) -> tuple[str, dict[str, Any]]:
    """The run whose record was written last, and the record."""
    found = sorted((entry.modified, entry.path) for entry in objects.walk(paths.RUNS) if entry.path.endswith(".json"))
    if not found:
        return "", {}
    path = found[-1][1]
    try:
        record = documents.parse(objects.read(path, _MOST_BYTES))
    except StoreUnavailable:
        raise
    except StoreError:  # `verify` names it
        return "", {}
    return Path(path).stem, record if isinstance(record, dict) else {}


def _drawn(status: Status) -> Group:
    return Group(*(part for part in (_totals(status), _run_lines(status), _problems(status)) if part is not None))


def _totals(status: Status) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    model = status.study.config.get("model", "")
    statuses: dict[str, int] = {}
    for book in status.books.values():
        statuses[book.status] = statuses.get(book.status, 0) + 1
    books = ", ".join(f"{count:,} {name}" for name, count in sorted(statuses.items())) or "none yet"
    rows = ", ".join(f"{count:,} {name}" for name, count in sorted(status.rows.items())) or "none yet"
    for name, value in (
        ("store", status.location),
        ("study", f"{model}, fingerprint {status.study.fingerprint[:12]}"),
        ("books", books),
        ("committed", f"{status.shards:,} shards, {status.files:,} files, {_size(status.bytes)}"),
        ("rows", rows),
    ):
        table.add_row(name, _plain(value))
    return table


def _run_lines(status: Status) -> Text:
    if status.running is None:
        lines = ["running    nobody"]
    else:
        since = datetime.fromtimestamp(status.running.acquired).isoformat(" ", "seconds")
        age = max(0.0, time.time() - status.running.heartbeat)
        lines = [f"running    {status.running}, since {since}, last sign of life {age:.0f} s ago"]
    if status.latest_run:
        plain = {
            name: value
            for name, value in status.latest_run.items()
            if isinstance(value, str | int | float) and name not in _NO_PROGRESS
        }
        if plain.get("state") == "running" and not _is_of(status.running, status.latest_run):
            plain["state"] = "interrupted"
        lines.append(
            f"latest run {status.latest_run_name}: " + ", ".join(f"{k} {_number(v)}" for k, v in plain.items())
        )
    return Text("\n".join(map(for_terminal, lines)))


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
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
