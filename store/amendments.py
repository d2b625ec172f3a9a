"""What a person said of books that are in the store: that they are removed, and what they are called.

An amendment is an entry of the log, so it is seen by whoever opens the store from then on, and no file is touched. Rows
of a removed book leave the disk when a compaction writes the others anew.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.books import BookStatus
from store.commits import CommitRecord, CommittedBook, committed
from store.entries import Amendment, Attempt, Removal, Retitling
from store.errors import NoSuchBook, StoreError
from store.log import CommitLog, LogState
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.study import require_study


class Title(NamedTuple):
    """What a retitling calls a book; None where it says nothing."""

    title: str | None
    author: str | None


def remove(location: str | Path, keys: Sequence[str], reason: str) -> list[CommittedBook]:
    """Remove books from a store, whatever became of them; the words on them that were removed now.

    Books that are removed already are left out. Needs no lock: a run, a compaction and readers may be at work. Raises
    NoStore, NoSuchBook where a key is none of the store's, StoreError where no reason is given; then nothing changes.
    """
    if not reason.strip():
        raise StoreError("a removal needs a reason, which stands in the table `books`; say it with --reason")
    log = _log_of(location)
    removed: list[CommittedBook] = []

    def made(state: LogState) -> Removal | None:
        live = state.live()
        known = committed(live).books
        _require(known, keys, log.objects)
        removed[:] = [known[key] for key in dict.fromkeys(keys) if not known[key].is_removed]
        wanted = {book.key for book in removed}
        attempts = {Attempt(b.key, b.attempted) for r in live for b in r.books if b.key in wanted and not b.is_removed}
        return Removal(tuple(sorted(attempts)), reason.strip()) if attempts else None

    log.append(made)
    return removed


def retitle(location: str | Path, key: str, title: str | None = None, author: str | None = None) -> None:
    """Give a book another title or author, for all who open the store from now on.

    Raises NoStore, NoSuchBook where the key is none of the store's.
    """
    log = _log_of(location)

    def made(state: LogState) -> Retitling:
        _require(committed(state.live()).books, [key], log.objects)
        return Retitling(key, title, author)

    log.append(made)


def titles_of(amendments: Iterable[Amendment]) -> dict[str, Title]:
    """What retitled books are called, by key: the last word on each."""
    titles: dict[str, Title] = {}
    for entry in amendments:
        if isinstance(entry, Retitling):
            before = titles.get(entry.key, Title(None, None))
            titles[entry.key] = Title(entry.title or before.title, entry.author or before.author)
    return titles


def taken_again(amendments: Iterable[Amendment], records: Iterable[CommitRecord]) -> list[str]:
    """The keys of books that were removed once and are in the store all the same."""
    removed = {key for entry in amendments if isinstance(entry, Removal) for key, _ in entry.attempts}
    return sorted(removed.intersection(key for record in records for key in record.used)) if removed else []


def without_books(rows: pa.Table, keys: Collection[str]) -> pa.Table:
    """The rows of all other books."""
    if not keys:
        return rows
    return rows.filter(pc.invert(pc.is_in(rows.column("book").cast(pa.string()), pa.array(sorted(keys), pa.string()))))


def rows_that_count(
    books: pa.Table,
    record: CommitRecord,
    superseded: Collection[tuple[str, str]],
    titles: Mapping[str, Title] | None = None,
) -> pa.Table:
    """Rows of `books` as readers see them: without superseded ones; with removals, their reasons, and new titles."""
    identities = zip(books.column("book").to_pylist(), books.column("source").to_pylist(), strict=True)
    rows = books.filter(pa.array(np.array([identity not in superseded for identity in identities], dtype=bool)))
    reasons = {book.key: book.reason for book in record.books if book.key in record.hidden}
    if not titles and not reasons:
        return rows
    values = rows.to_pylist()
    for row in values:
        if row["book"] in reasons:
            nothing = [(name, 0) for name, _ in row["used"]]
            row |= {"status": str(BookStatus.REMOVED), "reason": reasons[row["book"]], "used": nothing}
        title = (titles or {}).get(row["book"], Title(None, None))
        row |= {name: value for name, value in title._asdict().items() if value is not None}
    return pa.Table.from_pylist(values, schema=rows.schema)


def _log_of(location: str | Path) -> CommitLog:
    objects = object_store(location)
    require_study(objects)
    log = CommitLog.read(objects)
    log.require_sound()
    return log


def _require(known: Mapping[str, CommittedBook], keys: Iterable[str], objects: ObjectStore) -> None:
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3)
            like = f"; like it are {', '.join(near)}" if near else ""
            raise NoSuchBook(
                f'{objects.location} has no book {key!r}{like}. `interpunct sql --store ... "SELECT book FROM books"`'
                " lists all"
            )
