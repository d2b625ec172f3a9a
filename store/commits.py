"""Commit records: a shard exists for readers from the moment its record does, and consists of what the record lists.

A record is published when every file it lists stands. A **generation** is the record of a compaction: it holds the
rows of many shards in new files and names the records it replaces, which readers then pass over. So one atomic
publication moves readers from the old files to the new ones, and nothing is deleted on the way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from store import paths
from store.books import BookStatus
from store.errors import ObjectMissing, StoreError
from store.keys import ShardKey
from store.objects.base import ObjectStore

_LISTINGS = 5


@dataclass(frozen=True)
class FileReceipt:
    """One published file: its path in the store, its rows and bytes, and the sha256 of its bytes."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class CommittedBook:
    """One book of a commit. `attempted` (UTC, ISO 8601) is set by the commit and orders attempts at one source."""

    key: str
    sha256: str | None
    source: str
    status: BookStatus
    reason: str | None = None
    attempted: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", BookStatus(self.status))


@dataclass(frozen=True)
class CommitRecord:
    """What one shard, or one generation of many, consists of.

    `number`, `shards` and `replaces` are set for generations only: the place in the sequence of compactions, the
    shards whose rows it holds, and the paths of the records it takes the place of.
    """

    shard: ShardKey
    files: tuple[FileReceipt, ...]
    books: tuple[CommittedBook, ...]
    run: str = ""
    committed: str = ""
    number: int | None = None
    shards: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("files", "books", "shards", "replaces"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def path(self) -> str:
        """Where the record lives."""
        return paths.commit_path(self.shard) if self.number is None else paths.generation_path(self.number)

    @property
    def holds(self) -> tuple[str, ...]:
        """The names of the shards whose rows the record's files hold."""
        return (self.shard.name,) if self.number is None else self.shards

    def stamped(self) -> CommitRecord:
        """The record with the time of its commit, given to each book that has none from an earlier commit."""
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        books = tuple(book if book.attempted else replace(book, attempted=now) for book in self.books)
        return replace(self, committed=now, books=books)

    def to_json(self) -> bytes:
        """The text of the record's file."""
        values = asdict(self) | {"shard": self.shard.name}
        if self.number is None:
            for name in ("number", "shards", "replaces"):
                del values[name]
        return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes, where: str) -> CommitRecord:
        """The record that `to_json` wrote. Raises StoreError for anything else."""
        try:
            values: dict[str, Any] = json.loads(text)
            values["shard"] = ShardKey(values["shard"])
            values["files"] = [FileReceipt(**file) for file in values["files"]]
            values["books"] = [CommittedBook(**book) for book in values["books"]]
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{where} is damaged ({error}); `interpunct verify --fix` drops it, and the next run recomputes it"
            ) from error


@dataclass(frozen=True)
class Committed:
    """What is done: the shards' names, and for each book key its newest word."""

    shards: frozenset[str]
    books: dict[str, CommittedBook]


def load_records(objects: ObjectStore, damaged: list[str] | None = None) -> list[CommitRecord]:
    """Every record, replaced ones too, in the order of their paths.

    A record that cannot be read raises StoreError, unless `damaged` collects the paths of such.
    """
    for _ in range(_LISTINGS):
        names = sorted(o.path for o in objects.walk(paths.COMMITS) if paths.is_record_path(o.path))
        try:
            texts = objects.read_all(names)
        except ObjectMissing:  # a compaction removed replaced records after we listed them: list again
            continue
        return list(_parsed(objects, zip(names, texts, strict=True), damaged))
    raise StoreError(f"{objects.location}: commit records vanish while they are read; try again")


def _parsed(
    objects: ObjectStore, texts: Iterable[tuple[str, bytes]], damaged: list[str] | None
) -> Iterable[CommitRecord]:
    for name, text in texts:
        try:
            record = CommitRecord.from_json(text, objects.address(name))
            if record.path != name:
                raise StoreError(f"{objects.address(name)} is the record of {record.path}; it was copied or renamed")
        except StoreError:
            if damaged is None:
                raise
            damaged.append(name)
        else:
            yield record


def live_records(records: Iterable[CommitRecord]) -> list[CommitRecord]:
    """The records that readers see: those that no generation replaces."""
    records = list(records)
    replaced = {path for record in records for path in record.replaces}
    return [record for record in records if record.path not in replaced]


def superseded_books(live: Iterable[CommitRecord]) -> dict[str, set[tuple[str, str]]]:
    """Rows of `books` that a better one for the same source replaces: record path -> {(key, source)}.

    A failed or quarantined attempt goes as soon as its source has been read, or has a newer attempt. Of a book that was
    read (used, rejected, duplicate) the newest word stays, and `used` before the others. A row of a used book is never
    replaced: two of them mean pairs twice over, which has to show.
    """
    attempts: dict[str, list[_Attempt]] = {}
    for record in live:
        for book in record.books:
            at = book.attempted or record.committed
            attempt = _Attempt(not book.status.retried, book.status is BookStatus.USED, at, record.path, book)
            attempts.setdefault(book.source, []).append(attempt)
    superseded: dict[str, set[tuple[str, str]]] = {}
    for of_source in attempts.values():
        in_order = sorted(of_source, key=lambda attempt: attempt[:4])
        newest_of_key = {attempt.book.key: attempt for attempt in in_order}
        for attempt in in_order:
            newest = newest_of_key[attempt.book.key] if attempt.read else in_order[-1]
            if not attempt.used and attempt is not newest:
                superseded.setdefault(attempt.path, set()).add((attempt.book.key, attempt.book.source))
    return superseded


class _Attempt(NamedTuple):
    """One word on one book; the better of two sorts last."""

    read: bool
    used: bool
    at: str
    path: str
    book: CommittedBook


def committed(live: Iterable[CommitRecord]) -> Committed:
    """What the live records say is done. A key that several sources claim belongs to the one that was read."""
    live = list(live)
    superseded = superseded_books(live)
    books: dict[str, CommittedBook] = {}
    for record in sorted(live, key=lambda record: (record.committed, record.path)):
        hidden = superseded.get(record.path, set())
        for book in record.books:
            before = books.get(book.key)
            retried_over_read = before is not None and not before.status.retried and book.status.retried
            if (book.key, book.source) not in hidden and not retried_over_read:
                books[book.key] = book
    return Committed(frozenset(name for record in live for name in record.holds), books)
