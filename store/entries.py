"""What the log's entries say, and the only place that reads them: types, paths and ranges are checked here.

A **commit** says which files a shard consists of. A **generation** is the commit of a compaction: it holds the rows of
many shards in new files and names the entries it replaces. A **term** says who may write from here on. A **note** says
of earlier entries that they do not count any more, or that their files are about to be removed. A **removal** and a
**retitling** are a person's word on books, and count from there on, whoever holds which term.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from store import documents, paths
from store.books import BookStatus
from store.errors import DocumentDamaged
from store.keys import ShardKey
from store.trials import Tried, tried_from

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OWNERS_TEXTS = ("nonce", "host", "machine", "started")
_SHARD = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class FileReceipt:
    """One published file: its path in the store, its rows and bytes, and the sha256 of its bytes."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class CommittedBook:
    """One book of a commit. `attempted` is the entry that first said this of it, which orders attempts at a source."""

    key: str
    sha256: str | None
    source: str
    status: BookStatus
    reason: str | None = None
    attempted: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", BookStatus(self.status))

    @property
    def is_removed(self) -> bool:
        """Whether the book was removed by hand."""
        return self.status is BookStatus.REMOVED

    def removed_by(self, removals: Mapping[Attempt, Removal]) -> CommittedBook:
        """The word on this book after the removal of it."""
        reason = removals[Attempt(self.key, self.attempted)].reason
        return replace(self, status=BookStatus.REMOVED, reason=reason)


@dataclass(frozen=True)
class CommitRecord:
    """What one shard, or one generation of many, consists of.

    `run` made the files and its attempt is in their names. `number`, `term` and `committed` (UTC, for humans) are set
    when the record is committed: its place in the log, and the entry that began the term it was made in. `shards` and
    `replaces` are set for generations only: the shards whose rows it holds, and the entries it takes the place of.
    `tried` is set where it holds rows of `sensitivity`; their books are those of other commits.

    `hidden` is never written: the log sets it, for readers, to the keys of books whose rows the files hold and that
    were removed since; among `books` they then have the status `removed`.
    """

    shard: ShardKey
    files: tuple[FileReceipt, ...]
    books: tuple[CommittedBook, ...]
    run: str
    number: int = 0
    term: int = 0
    committed: str = ""
    shards: tuple[str, ...] = ()
    replaces: tuple[int, ...] = ()
    tried: tuple[Tried, ...] = ()
    hidden: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("files", "books", "shards", "replaces", "tried"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def path(self) -> str:
        """Where the record lives."""
        return paths.entry_path(self.number)

    @property
    def is_generation(self) -> bool:
        """Whether a compaction made it."""
        return bool(self.replaces)

    @property
    def holds(self) -> tuple[str, ...]:
        """The names of the shards whose rows the record's files hold."""
        return self.shards if self.is_generation else (self.shard.name,)

    @property
    def used(self) -> tuple[str, ...]:
        """The keys of its books that gave pairs."""
        return tuple(book.key for book in self.books if book.status is BookStatus.USED)

    def numbered(self, number: int, term: int) -> CommitRecord:
        """The record as the log's entry of this number; books that no earlier entry spoke of are attempted in it."""
        books = tuple(book if book.attempted else replace(book, attempted=number) for book in self.books)
        return replace(self, number=number, term=term, committed=self.committed or _now(), books=books)

    def amended(self, removals: Mapping[Attempt, Removal]) -> CommitRecord:
        """The record as readers see it after these removals."""
        hit = {book.key for book in self.books if (book.key, book.attempted) in removals and not book.is_removed}
        if not hit:
            return self
        books = tuple(book.removed_by(removals) if book.key in hit else book for book in self.books)
        return replace(self, books=books, hidden=tuple(sorted(hit)))


@dataclass(frozen=True)
class Owner:
    """Who holds a term: the process, where it runs, and when it last gave a sign (seconds since the epoch)."""

    nonce: str
    host: str
    machine: str
    pid: int
    started: str
    acquired: float
    heartbeat: float
    released: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class Term:
    """A term of a lock: from this entry on, until the next one for its purpose, only its owner may write."""

    purpose: str
    owner: Owner
    number: int = 0

    def numbered(self, number: int, term: int) -> Term:
        """The term as the log's entry of this number."""
        return replace(self, number=number)


class Verdict(StrEnum):
    """What a note says of earlier entries."""

    DROPPED = "dropped"
    """They do not count any more, whatever they say: damaged, or their files are gone."""
    CONDEMNED = "condemned"
    """Their files are being removed; they were replaced, and do not come back should their generation be dropped."""
    SWEPT = "swept"
    """None in particular: the files that no entry names are being removed. It stands to show that the term lasts."""


@dataclass(frozen=True)
class Note:
    """A word on earlier entries."""

    verdict: Verdict
    entries: tuple[int, ...] = ()
    number: int = 0
    term: int = 0

    def numbered(self, number: int, term: int) -> Note:
        """The note as the log's entry of this number."""
        return replace(self, number=number, term=term)


class Attempt(NamedTuple):
    """One word of the store on a book: its key, and the entry that first said it, which a compaction carries over."""

    key: str
    attempted: int


@dataclass(frozen=True)
class Removal:
    """These words on books do not count any more, for this reason. `made` (UTC) is for humans.

    It names attempts and not keys: whatever a later run says of the same book stands, and a compaction that had read
    before the removal brings nothing back.
    """

    attempts: tuple[Attempt, ...]
    reason: str
    number: int = 0
    made: str = ""

    def numbered(self, number: int, term: int) -> Removal:
        """The removal as the log's entry of this number; it belongs to no term."""
        return replace(self, number=number, made=self.made or _now())


@dataclass(frozen=True)
class Retitling:
    """What a book is called from here on; what is None stays as it was."""

    key: str
    title: str | None
    author: str | None
    number: int = 0
    made: str = ""

    def numbered(self, number: int, term: int) -> Retitling:
        """The retitling as the log's entry of this number; it belongs to no term."""
        return replace(self, number=number, made=self.made or _now())


Amendment = Removal | Retitling
Entry = CommitRecord | Term | Note | Amendment


def entry_to_json(entry: Entry) -> bytes:
    """The text of an entry's file."""
    return json.dumps(entry_values(entry), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def entry_values(entry: Entry) -> dict[str, Any]:
    """An entry as plain JSON values."""
    values = asdict(entry)
    if isinstance(entry, Term):
        return {"kind": "term"} | values
    if isinstance(entry, Note):
        return {"kind": "note"} | values
    if isinstance(entry, Removal):
        values["attempts"] = [attempt._asdict() for attempt in entry.attempts]
        return {"kind": "removal"} | values
    if isinstance(entry, Retitling):
        return {"kind": "retitling"} | values
    del values["hidden"]
    if not entry.tried:
        del values["tried"]
    values["shard"] = entry.shard.name
    return {"kind": "generation" if entry.is_generation else "commit"} | values


def entry_from_json(text: bytes, number: int) -> Entry:
    """The entry that `entry_to_json` wrote under this number. Raises DocumentDamaged, saying why, for anything else."""
    return entry_from(documents.parse(text), number)


def entry_from(values: dict[str, Any], number: int) -> Entry:
    """The entry of these plain values. Raises DocumentDamaged where they are not those of entry `number`."""
    if documents.count(values, "number") != number:
        raise DocumentDamaged(f"it is the entry of {documents.shown(values['number'])}; it was copied or renamed")
    kind = documents.field(values, "kind", str)
    if kind == "term":
        return _term(values)
    if kind == "note":
        return _note(values)
    if kind in ("commit", "generation"):
        return _commit(values, kind == "generation")
    if kind == "removal":
        return _removal(values)
    if kind == "retitling":
        key, title = documents.field(values, "key", str), documents.text_or_none(values, "title")
        author, made = documents.text_or_none(values, "author"), documents.field(values, "made", str)
        return Retitling(key, title, author, values["number"], made)
    raise DocumentDamaged(f"kind is {documents.shown(kind)}; this Interpunct knows no such entry")


def owner_from(values: dict[str, Any]) -> Owner:
    """The owner of these plain values. Raises DocumentDamaged."""
    nonce, host, machine, started = (documents.field(values, name, str) for name in _OWNERS_TEXTS)
    acquired, heartbeat = (documents.field(values, name, float) for name in ("acquired", "heartbeat"))
    pid, released = documents.count(values, "pid"), documents.field(values, "released", bool)
    if not (0 < pid < 1 << 31 and math.isfinite(acquired) and math.isfinite(heartbeat)):
        raise DocumentDamaged(f"no process has the number {documents.shown(pid)}, or no clock tells such a time")
    return Owner(nonce, host, machine, pid, started, acquired, heartbeat, released)


def _term(values: dict[str, Any]) -> Term:
    purpose = documents.field(values, "purpose", str)
    if purpose not in PURPOSES:
        raise DocumentDamaged(f"purpose is {documents.shown(purpose)}; it must be one of {', '.join(PURPOSES)}")
    return Term(purpose, owner_from(documents.field(values, "owner", dict)), values["number"])


def _note(values: dict[str, Any]) -> Note:
    try:
        verdict = Verdict(documents.field(values, "verdict", str))
    except ValueError as error:
        raise DocumentDamaged(str(error)) from None
    return Note(verdict, _earlier(values, "entries"), values["number"], documents.count(values, "term"))


def _removal(values: dict[str, Any]) -> Removal:
    attempts = tuple(
        Attempt(documents.field(item, "key", str), documents.count(item, "attempted"))
        for item in documents.items(values, "attempts", dict)
    )
    if any(not 0 < attempt.attempted < values["number"] for attempt in attempts):
        raise DocumentDamaged("it removes what no earlier entry said")
    reason, made = documents.field(values, "reason", str), documents.field(values, "made", str)
    return Removal(attempts, reason, values["number"], made)


def _commit(values: dict[str, Any], is_generation: bool) -> CommitRecord:
    shard, run = _shard(documents.field(values, "shard", str)), documents.field(values, "run", str)
    if not paths.is_run_name(run):
        raise DocumentDamaged(f"run is {documents.shown(run)}, which no run is called")
    record = CommitRecord(
        ShardKey(shard),
        tuple(_file(file, shard, run) for file in documents.items(values, "files", dict)),
        tuple(_book(book, values["number"]) for book in documents.items(values, "books", dict)),
        run,
        values["number"],
        documents.count(values, "term"),
        documents.field(values, "committed", str),
        tuple(map(_shard, documents.items(values, "shards", str))),
        _earlier(values, "replaces"),
        tuple(map(tried_from, documents.items(values, "tried", dict))) if "tried" in values else (),
    )
    if record.is_generation != is_generation or bool(record.shards) != is_generation:
        raise DocumentDamaged(
            "a generation names the shards it holds and the entries it replaces, and nothing else does"
        )
    for what, names in (("file", [file.path for file in record.files]), ("shard", record.holds)):
        if len(set(names)) != len(names):
            raise DocumentDamaged(f"it lists a {what} twice")
    return record


def _file(values: dict[str, Any], shard: str, run: str) -> FileReceipt:
    path, sha256 = documents.field(values, "path", str), documents.field(values, "sha256", str)
    key = paths.parse_chunk_path(path)
    if key is None or key.shard.name != shard or not paths.is_made_by(path, run):
        raise DocumentDamaged(f"it lists {documents.shown(path)}, which is not a path of its shard and run")
    if not _SHA256.fullmatch(sha256):
        raise DocumentDamaged(f"the sha256 of {path} is {documents.shown(sha256)}")
    return FileReceipt(path, documents.count(values, "rows"), documents.count(values, "bytes"), sha256)


def _book(values: dict[str, Any], number: int) -> CommittedBook:
    status = documents.field(values, "status", str)
    if status not in BookStatus.__members__.values():
        raise DocumentDamaged(f"a book's status is {documents.shown(status)}")
    attempted = documents.count(values, "attempted")
    if not 0 < attempted <= number:
        raise DocumentDamaged(f"a book was attempted in entry {documents.shown(attempted)}, which is no earlier one")
    key, source = documents.field(values, "key", str), documents.field(values, "source", str)
    sha256, reason = documents.text_or_none(values, "sha256"), documents.text_or_none(values, "reason")
    return CommittedBook(key, sha256, source, BookStatus(status), reason, attempted)


def _shard(name: str) -> str:
    if not _SHARD.fullmatch(name):
        raise DocumentDamaged(f"{documents.shown(name)} is not a name of a shard")
    return name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _earlier(values: dict[str, Any], name: str) -> tuple[int, ...]:
    numbers = tuple(documents.items(values, name, int))
    if any(not 0 < number < values["number"] for number in numbers) or len(set(numbers)) != len(numbers):
        raise DocumentDamaged(f"{name} must be numbers of earlier entries, each once")
    return numbers


RUN = "run"
MAINTENANCE = "maintenance"
REPAIR = "repair"
PURPOSES = {RUN: (RUN,), MAINTENANCE: (MAINTENANCE,), REPAIR: (RUN, MAINTENANCE)}
"""What a term is for, and what it shuts out: a repair shuts out runs and compactions."""
