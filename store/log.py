"""The log of a store: numbered entries, each published by exclusive creation by a writer that had read all before it.

That is the whole protocol. Entry n + 1 exists only if its writer knew entries 1 to n, so a writer that was frozen, cut
off or held up for however long finds its number taken and has to read on; where it then finds that a later term has
begun, it stops. So nothing enters the log from a term that has ended, and all readers see a prefix of one and the same
sequence. No clock is asked, and nothing of the storage is needed but `put_new`.

Entries are never removed and numbers never taken again. What is to be forgotten is so by a later entry, before
anything is deleted. A **checkpoint** says what the entries up to a number come to; it follows from them, so it may be
written, and removed, by anyone at any time.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from store import documents, paths
from store.entries import (
    MAINTENANCE,
    PURPOSES,
    RUN,
    Amendment,
    Attempt,
    CommitRecord,
    Entry,
    Removal,
    Retitling,
    Term,
    Verdict,
    entry_from,
    entry_from_json,
    entry_to_json,
    entry_values,
)
from store.errors import DocumentDamaged, ObjectMissing, StoreError, StoreUnavailable
from store.objects.base import ObjectStore

_LISTINGS = 4
"""A listing may miss an entry that was published while it was made; one that is missing from so many is not there."""

_MOST_MISSING = 100_000
"""Entries missing in a row that are named one by one; what comes after more than these is not an entry of this log."""

MOST_ENTRIES = 10**12
_APPENDS = 1000
_CHECKPOINT_FORMAT = 2


@dataclass
class LogState:
    """What the entries up to `last` come to.

    `records` are the commits that may count, by number; those that a generation replaced are among them, since they
    count again should it be dropped, but for the `condemned` ones. `damaged` says of entries that no later one dropped
    what is wrong with them. `shards` and `used` lead from shards and used books to the entry that makes them visible.
    `amendments` are the removals and retitlings that count, by number.
    """

    last: int = 0
    records: dict[int, CommitRecord] = field(default_factory=dict)
    condemned: set[int] = field(default_factory=set)
    terms: dict[str, Term] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    amendments: dict[int, Amendment] = field(default_factory=dict)
    _removals: dict[Attempt, Removal] = field(default_factory=dict, repr=False)

    def apply(self, number: int, entry: Entry) -> None:
        """Take in the next entry; one that its writer had no right to publish is damaged."""
        self.last = max(self.last, number)
        wrong = self._wrong(entry)
        if wrong is not None:
            self.damaged[number] = wrong
        elif isinstance(entry, Term):
            self.terms |= dict.fromkeys(PURPOSES[entry.purpose], entry)
        elif isinstance(entry, CommitRecord):
            self.records[number] = entry
            self._index(entry)
        elif isinstance(entry, Removal | Retitling):
            self._amend(entry)
        elif entry.verdict is Verdict.CONDEMNED:
            self._condemn(entry.entries)
        elif entry.verdict is Verdict.DROPPED:
            self._drop(entry.entries)

    def visible(self) -> list[CommitRecord]:
        """The commits whose files stand, in order: those that readers see, and those that a generation replaced.

        Books that were removed are so in them; `records` has the commits as they were published.
        """
        standing = (record for number, record in self.records.items() if number not in self.condemned)
        return [record.amended(self._removals) for record in standing] if self._removals else list(standing)

    def live(self) -> list[CommitRecord]:
        """The commits that readers see."""
        replaced = {number for record in self.records.values() for number in record.replaces}
        return [record for record in self.visible() if record.number not in replaced]

    def _wrong(self, entry: Entry) -> str | None:
        """Why an entry does not count. An honest writer never publishes such a one: it knows all that came before."""
        if isinstance(entry, Term | Removal | Retitling):
            return None
        of_a_run = isinstance(entry, CommitRecord) and not entry.is_generation
        term = self.terms.get(RUN if of_a_run else MAINTENANCE)
        if (term is not None and entry.term == term.number) or entry.term in self.damaged:
            return None
        return f"it was made in term {entry.term}, when {'none' if term is None else term.number} was in force"

    def _index(self, record: CommitRecord) -> None:
        self.shards |= dict.fromkeys(record.holds, record.number)
        self.used |= dict.fromkeys(record.amended(self._removals).used, record.number)

    def removed_last(self, key: str) -> int:
        """The newest attempt at a book that was removed, or 0: who did not know of it must not bring the book back."""
        return max((attempt.attempted for attempt in self._removals if attempt.key == key), default=0)

    def _amend(self, entry: Amendment) -> None:
        self.amendments[entry.number] = entry
        if not isinstance(entry, Removal):
            return
        self._removals |= dict.fromkeys(entry.attempts, entry)
        for key, attempted in entry.attempts:
            record = self.records.get(self.used.get(key, 0))
            if record is not None and any((book.key, book.attempted) == (key, attempted) for book in record.books):
                del self.used[key]

    def _condemn(self, numbers: Iterable[int]) -> None:
        """What a condemned generation had replaced is condemned too: it must not count again when that one is gone."""
        pending = list(numbers)
        while pending:
            number = pending.pop()
            if number in self.records and number not in self.condemned:
                self.condemned.add(number)
                pending += self.records[number].replaces

    def _drop(self, numbers: Iterable[int]) -> None:
        dropped = set(numbers)
        self.condemned -= dropped
        self.damaged = {number: what for number, what in self.damaged.items() if number not in dropped}
        if dropped & (self.records.keys() | self.amendments.keys()):
            self.records = {number: record for number, record in self.records.items() if number not in dropped}
            kept = [entry for number, entry in self.amendments.items() if number not in dropped]
            self.amendments, self._removals = {}, {}
            for entry in kept:
                self._amend(entry)
            self.shards, self.used = {}, {}
            for record in self.live():
                self._index(record)

    def to_json(self) -> bytes:
        """The text of a checkpoint."""
        values = {
            "format": _CHECKPOINT_FORMAT,
            "number": self.last,
            "records": [entry_values(record) for record in self.records.values()],
            "condemned": sorted(self.condemned),
            "amendments": [entry_values(entry) for entry in self.amendments.values()],
            "terms": [entry_values(term) for _, term in sorted({t.number: t for t in self.terms.values()}.items())],
        }
        return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes, number: int) -> LogState:
        """The state that `to_json` wrote. Raises DocumentDamaged, saying why, for anything else."""
        values = documents.parse(text)
        if documents.count(values, "format") != _CHECKPOINT_FORMAT or documents.count(values, "number") != number:
            raise DocumentDamaged("it is not a checkpoint of this number and format")
        state = cls(last=number)
        for name, kind in (("terms", Term), ("amendments", Removal | Retitling), ("records", CommitRecord)):
            for item in documents.items(values, name, dict):
                entry = entry_from(item, documents.count(item, "number"))
                if not isinstance(entry, kind) or entry.number > number:
                    raise DocumentDamaged(f"{name} holds {documents.shown(item.get('kind'))} {entry.number}")
                if isinstance(entry, Term):
                    state.terms |= dict.fromkeys(PURPOSES[entry.purpose], entry)
                elif isinstance(entry, Removal | Retitling):
                    state._amend(entry)
                elif isinstance(entry, CommitRecord):
                    state.records[entry.number] = entry
        state.condemned = set(documents.items(values, "condemned", int))
        for record in state.live():
            state._index(record)
        return state


class CommitLog:
    """One reader's or writer's view of a log: `state` is what it has read. Threads may share it."""

    def __init__(self, objects: ObjectStore, state: LogState) -> None:
        self.objects = objects
        self.state = state
        self.checkpoint = state.last
        self._mutex = threading.Lock()

    @classmethod
    def read(cls, objects: ObjectStore, from_start: bool = False, up_to: int = MOST_ENTRIES) -> CommitLog:
        """Read the log, from the latest sound checkpoint on unless `from_start`, to its end or entry `up_to`.

        An entry that cannot be read stands in `state.damaged`; `require_sound` raises for it.
        """
        listed = {entry.path for entry in objects.walk(paths.COMMITS)}
        state = LogState() if from_start else _latest_checkpoint(objects, listed)
        for _ in range(_LISTINGS):
            numbers = sorted(n for n in map(paths.parse_entry_path, listed) if n is not None and n > state.last)
            if numbers == list(range(state.last + 1, state.last + 1 + len(numbers))):
                break
            listed = {entry.path for entry in objects.walk(paths.COMMITS)}
        log = cls(objects, state)
        log._take_in([number for number in numbers if number <= up_to])
        return log

    def refresh(self) -> LogState:
        """Read on from the last entry that is known."""
        with self._mutex:
            return self._read_on()

    def append(self, make: Callable[[LogState], Entry | None], term: int = 0) -> Entry | None:
        """Publish the entry that `make` gives for all that was published before it, in term `term`.

        `make` is asked again whenever another entry came first. It returns None where there is nothing to publish, and
        raises where its writer may not. Returns the entry as it stands, or None.
        """
        with self._mutex:
            for _ in range(_APPENDS):
                made = make(self.state)
                if made is None:
                    return None
                number = self.state.last + 1
                entry = made.numbered(number, term)
                if self.objects.put_new(paths.entry_path(number), entry_to_json(entry)):
                    self.state.apply(number, entry)
                    return entry
                if self._read_on().last < number:
                    raise StoreUnavailable(
                        f"{self.objects.address(paths.entry_path(number))} is taken and cannot be read yet; try again"
                    )
        raise StoreUnavailable(f"{self.objects.location}: {_APPENDS} other entries came first; try again")

    def require_sound(self) -> LogState:
        """The state, where every entry could be read. Raises StoreError naming the first that could not."""
        for number, what in sorted(self.state.damaged.items()):
            raise StoreError(
                f"{self.objects.address(paths.entry_path(number))} is damaged ({what}); `interpunct verify --fix` drops"
                " it, and the next run recomputes what it held"
            )
        return self.state

    def write_checkpoint(self, unless_fewer_than: int = 1) -> None:
        """Spare later readers the entries up to here, if there are so many since the last checkpoint.

        Not where any is damaged: that has to be seen.
        """
        with self._mutex:
            if not self.state.damaged and self.state.last - self.checkpoint >= unless_fewer_than:
                text = self.state.to_json()
                if len(text) > documents.MOST_BYTES:  # nobody would read it
                    return
                self.objects.put_new(paths.checkpoint_path(self.state.last), text)
                self.checkpoint = self.state.last
                for listed in list(self.objects.walk(paths.COMMITS)):
                    if (paths.parse_checkpoint_path(listed.path) or self.state.last) < self.state.last:
                        self.objects.delete(listed.path)

    def _read_on(self) -> LogState:
        while True:
            number = self.state.last + 1
            try:
                text: bytes | StoreError = self.objects.read(paths.entry_path(number), documents.MOST_BYTES)
            except ObjectMissing:
                return self.state
            except StoreUnavailable:
                raise
            except StoreError as error:
                text = error
            self._take(number, text)

    def _take_in(self, numbers: list[int]) -> None:
        """Read the entries of a listing. A gap in it is a damage; what lies beyond a large gap is not of the log."""
        expected = self.state.last + 1
        for place, number in enumerate(numbers):
            if number - expected > _MOST_MISSING:
                self.state.damaged |= dict.fromkeys(numbers[place:], f"entry {expected}, the next one, is missing")
                numbers = numbers[:place]
                break
            self.state.damaged |= dict.fromkeys(range(expected, number), "it is missing")
            expected = number + 1
        names = [paths.entry_path(number) for number in numbers]
        texts = self.objects.try_all(names, documents.MOST_BYTES)
        for number, text in zip(numbers, texts, strict=True):
            self._take(number, text)

    def _take(self, number: int, text: bytes | StoreError) -> None:
        try:
            if isinstance(text, StoreError):
                raise text
            entry = entry_from_json(text, number)
        except StoreError as error:
            self.state.damaged[number] = str(error).removeprefix(f"{self.objects.address(paths.entry_path(number))} ")
            self.state.last = max(self.state.last, number)
        else:
            self.state.apply(number, entry)


def _latest_checkpoint(objects: ObjectStore, listed: Iterable[str]) -> LogState:
    """The state of the latest sound checkpoint; the empty one where there is none."""
    for number in sorted((n for n in map(paths.parse_checkpoint_path, listed) if n is not None), reverse=True):
        try:
            return LogState.from_json(objects.read(paths.checkpoint_path(number), documents.MOST_BYTES), number)
        except StoreUnavailable:
            raise
        except StoreError:  # `verify` names it; the entries say the same
            continue
    return LogState()
