"""What is committed, as its readers ask for it: the commits that count, and the last word on each book.

A shard exists for readers from the moment its entry stands in the log, which is when all its files stand, and it
consists of the files the entry lists. A **generation** is the entry of a compaction: it holds the rows of many shards
in new files and names the entries it replaces, which readers then pass over. So one atomic publication moves readers
from the old files to the new ones, and nothing is deleted on the way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from store.books import BookStatus
from store.entries import CommitRecord, CommittedBook, FileReceipt
from store.log import CommitLog
from store.objects.base import ObjectStore
from store.trials import Tried

__all__ = [
    "CommitRecord",
    "Committed",
    "CommittedBook",
    "FileReceipt",
    "Tried",
    "committed",
    "live_records",
    "load_records",
    "outdated_trials",
    "superseded_books",
]


@dataclass(frozen=True)
class Committed:
    """What is done: the shards' names, and for each book key its newest word.

    `tried`: specification and book key of what the table `sensitivity` holds of the texts that are used now.
    """

    shards: frozenset[str]
    books: dict[str, CommittedBook]
    tried: frozenset[tuple[str, str]] = frozenset()

    def but(self, keys: Collection[str]) -> Committed:
        """The same as if nothing had been said of these books; shards then tell nothing, for they may hold them."""
        others = {key: book for key, book in self.books.items() if key not in keys}
        return Committed(frozenset(), others, self.tried) if keys else self


def load_records(objects: ObjectStore) -> list[CommitRecord]:
    """Every commit whose files stand, replaced ones too, in the order of the log.

    Raises StoreError where an entry of the log cannot be read, or says what no store writes.
    """
    return CommitLog.read(objects).require_sound().visible()


def live_records(records: Iterable[CommitRecord]) -> list[CommitRecord]:
    """The records that readers see: those that no generation replaces."""
    records = list(records)
    replaced = {number for record in records for number in record.replaces}
    return [record for record in records if record.number not in replaced]


def superseded_books(live: Iterable[CommitRecord]) -> dict[str, set[tuple[str, str]]]:
    """Rows of `books` that a better one for the same source replaces: record path -> {(key, source)}.

    A failed or quarantined attempt goes as soon as its source has been read, or has a newer attempt. Of a book that was
    read (used, rejected, duplicate, removed) the newest word stays, and `used` before the others: a book that was taken
    again after its removal is not said to be removed. A row of a used book is never replaced: two of them mean pairs
    twice over, which has to show.
    """
    attempts: dict[str, list[_Attempt]] = {}
    for record in live:
        for book in record.books:
            is_used = book.status is BookStatus.USED
            attempt = _Attempt(not book.status.retried, is_used, book.attempted, record.number, record.path, book)
            attempts.setdefault(book.source, []).append(attempt)
    superseded: dict[str, set[tuple[str, str]]] = {}
    used = {attempt.book.key for of_source in attempts.values() for attempt in of_source if attempt.used}
    for of_source in attempts.values():
        in_order = sorted(of_source, key=lambda attempt: attempt[:4])
        newest_of_key = {attempt.book.key: attempt for attempt in in_order}
        for attempt in in_order:
            newest = newest_of_key[attempt.book.key] if attempt.read else in_order[-1]
            taken_again = attempt.book.is_removed and attempt.book.key in used
            if taken_again or (not attempt.used and attempt is not newest):
                superseded.setdefault(attempt.path, set()).add((attempt.book.key, attempt.book.source))
    return superseded


def outdated_trials(live: Iterable[CommitRecord]) -> dict[str, frozenset[str]]:
    """Books whose rows of `sensitivity` do not count: record path -> keys.

    The book is not used any more, or was taken again with another text. With the old text the rows count once more. No
    record holds rows of two texts of a book, for a compaction leaves out those that do not count.
    """
    live = list(live)
    texts = {book.key: book.sha256 for record in live for book in record.books if book.status is BookStatus.USED}
    found = {
        record.path: frozenset(tried.key for tried in record.tried if texts.get(tried.key) != tried.sha256)
        for record in live
        if record.tried
    }
    return {path: keys for path, keys in found.items() if keys}


class _Attempt(NamedTuple):
    """One word on one book; the better of two sorts last."""

    read: bool
    used: bool
    attempted: int
    number: int
    path: str
    book: CommittedBook


def committed(live: Iterable[CommitRecord]) -> Committed:
    """What the live records say is done. A key that several sources claim belongs to the one that was read."""
    live = list(live)
    superseded = superseded_books(live)
    books: dict[str, CommittedBook] = {}
    words = [(book.attempted, record.number, book, record.path) for record in live for book in record.books]
    for _, _, book, path in sorted(words, key=lambda word: word[:2]):
        before = books.get(book.key)
        retried_over_read = before is not None and not before.status.retried and book.status.retried
        if (book.key, book.source) not in superseded.get(path, set()) and not retried_over_read:
            books[book.key] = book
    outdated = outdated_trials(live)
    tried = frozenset(
        (name, of_text.key)
        for record in live
        for of_text in record.tried
        if of_text.key not in outdated.get(record.path, ())
        for name in of_text.specifications
    )
    return Committed(frozenset(name for record in live for name in record.holds), books, tried)
