"""One driver at a time: a lock with an owner and a heartbeat, taken over when its owner is gone.

To take the lock is to append a **term** to the store's log, which only one of any number of takers can, and which ends
the term before: what its holder still wanted to append can no longer enter the log (see `store.log`). The rest is
manners. The holder signs a file of its own as a heartbeat and marks it when it leaves, so that nobody ends the term of
a driver that is alive; if one is ended all the same, for it was frozen or cut off, it finds out and stops.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType

from store import documents, paths
from store.entries import MAINTENANCE, PURPOSES, REPAIR, RUN, Entry, Owner, Term, owner_from
from store.errors import StoreError, StoreLocked, StoreUnavailable
from store.log import CommitLog, LogState
from store.objects.base import ObjectStore

__all__ = ["MAINTENANCE", "REPAIR", "RUN", "Owner", "StoreLock", "Term", "current_term"]

HEARTBEAT_S = 10.0
STALE_S = 60.0
"""A heartbeat this old is watched for one more period, by the watcher's own clock, and then taken for dead."""

ENTRIES_TO_A_CHECKPOINT = 1000
"""A taker of a lock that had to read so many entries writes a checkpoint for those who come after."""

_MOST_BYTES = 64 << 10
_log = logging.getLogger(__name__)
_held_here: set[str] = set()
"""The nonces of the locks that this process holds: a term that names this process and is not here was left behind."""


class StoreLock:
    """A lock on one store for one purpose, as a context manager. Raises StoreLocked where another holds it."""

    def __init__(self, objects: ObjectStore, purpose: str = RUN) -> None:
        self._objects = objects
        self._purpose = purpose
        self._owner = this_process()
        self._term = 0
        self._beaten = 0.0
        self._superseded_by: Owner | None = None
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        self._read: CommitLog | None = None

    def __enter__(self) -> StoreLock:
        self._read = CommitLog.read(self._objects)
        if self._purpose != REPAIR:
            self._read.require_sound()
        for term in _in_force(self._read.state, self._purpose):
            self._wait_until_gone(term)
        _held_here.add(self._owner.nonce)  # before the term can be seen: another thread must not take it for dead
        try:
            self._take()
        except BaseException:
            _held_here.discard(self._owner.nonce)
            raise
        self._thread = threading.Thread(target=self._beat_until_left, name="store-lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._leaving.set()
        if self._thread is not None:
            self._thread.join()
        _held_here.discard(self._owner.nonce)
        if self._superseded_by is None:
            try:
                self._sign(replace(self._owner, heartbeat=time.time(), released=True))
            except StoreError:  # the store is gone; a lock that ages does the same, and the first error counts
                _log.warning("the %s lock of %s could not be released", self._purpose, self._objects.location)

    @property
    def log(self) -> CommitLog:
        """The log as this holder has read it. Raises StoreError where the lock is not held."""
        if self._read is None or self._thread is None or self._leaving.is_set():
            raise StoreError(f"{self._objects.location}: the {self._purpose} lock is not held; do this inside it")
        return self._read

    def append(self, make: Callable[[LogState], Entry | None]) -> Entry | None:
        """Append to the log, in this term: `make` gives the entry for all that was published before it.

        Raises StoreLocked where another term has begun: nothing is then published, whenever and however often this
        process is stopped on the way.
        """

        def made(state: LogState) -> Entry | None:
            self._require_term(state)
            return make(state)

        log = self.log
        self._give_sign_if_old()
        return log.append(made, self._term)

    def is_own_sign(self, path: str) -> bool:
        """Whether a path is this holder's sign of life, or one half written, which its heartbeat may be writing now."""
        folder, _, name = paths.lock_path(self._purpose, self._term).rpartition("/")
        return path == f"{folder}/{name}" or path.startswith(f"{folder}/.{name}.")

    def check(self) -> None:
        """Raise StoreLocked where the lock was lost, as the store says now. Raises StoreError where it is not held.

        What is true at this moment need not be true at the next: only `append` can tell for what it appends.
        """
        self._require_term(self.log.refresh())
        self._give_sign_if_old()

    def _require_term(self, state: LogState) -> None:
        for purpose in PURPOSES[self._purpose]:
            term = state.terms.get(purpose)
            if term is None or term.number != self._term:
                self._superseded_by = self._owner if term is None else term.owner
                raise StoreLocked(
                    f"{self._objects.location}: {self._superseded_by} took over while this process was unresponsive;"
                    " let it finish, what was committed so far is safe"
                )

    def _wait_until_gone(self, term: Term) -> None:
        """Return when the holder is certainly dead, or has shown no sign of life while it was watched."""
        owner = _latest_sign(self._objects, term)
        if owner.released or _is_dead(owner):
            return
        age = time.time() - owner.heartbeat
        if 0 <= age < STALE_S:
            raise StoreLocked(
                f"{self._objects.location} is in use by {owner} ({term.purpose}, last sign of life {age:.0f} s ago);"
                f" wait for it, or if it is dead, run this again in {STALE_S - age:.0f} s"
            )
        # The clocks of two machines may differ: what counts is that the heartbeat does not move while we watch.
        watched_s = STALE_S if age < 0 else 1.5 * HEARTBEAT_S
        deadline = time.monotonic() + watched_s
        while time.monotonic() < deadline:
            time.sleep(min(HEARTBEAT_S / 5, watched_s))
            seen = _latest_sign(self._objects, term)
            if seen.released:
                return
            if seen != owner:
                raise StoreLocked(
                    f"{self._objects.location} is in use by {seen} ({term.purpose}); wait until it has finished"
                )

    def _take(self) -> None:
        """Begin a term, unless another has begun, or the old holder has shown that it lives, since we looked."""
        log = self._read
        assert log is not None
        ended = {term.number for term in _in_force(log.state, self._purpose)}
        seen = log.state.last

        def begin(state: LogState) -> Term | None:
            for term in _in_force(state, self._purpose):
                if term.owner.nonce == self._owner.nonce:  # our own, whose answer was lost
                    return None
                wrote = any(number > seen and record.term == term.number for number, record in state.records.items())
                if term.number not in ended or wrote:
                    raise StoreLocked(
                        f"{self._objects.location} was just taken by {term.owner}; wait until it has finished"
                    )
            return Term(self._purpose, self._owner)

        log.append(begin)
        self._term = log.state.terms[PURPOSES[self._purpose][0]].number
        self._sign(self._owner)
        self._beaten = _awake_or_asleep()
        log.write_checkpoint(unless_fewer_than=ENTRIES_TO_A_CHECKPOINT)
        for purpose, number in _signed(self._objects):
            if number < self._term and set(PURPOSES[purpose]) <= set(PURPOSES[self._purpose]):
                self._objects.delete(paths.lock_path(purpose, number))

    def _beat_until_left(self) -> None:
        while not self._leaving.wait(HEARTBEAT_S):
            try:
                self._beat()
            except StoreError as error:
                _log.warning("no heartbeat on the %s lock: %s", self._purpose, error)
            if self._superseded_by is not None:
                return

    def _give_sign_if_old(self) -> None:
        """Sign where the last sign is old, for this process was asleep, so that whoever watches for one sees it."""
        if self._superseded_by is None and _awake_or_asleep() - self._beaten > STALE_S / 2:
            self._beat()

    def _beat(self) -> None:
        """Sign, unless another has signed a later term: it does so right after its term has begun."""
        for purpose, number in _signed(self._objects):
            if number > self._term and set(PURPOSES[purpose]) & set(PURPOSES[self._purpose]):
                self._superseded_by = _signature(self._objects, purpose, number) or self._owner
                return
        self._sign(replace(self._owner, heartbeat=time.time()))
        self._beaten = _awake_or_asleep()

    def _sign(self, owner: Owner) -> None:
        self._objects.put(paths.lock_path(self._purpose, self._term), json.dumps(asdict(owner)).encode() + b"\n")


def current_term(objects: ObjectStore, purpose: str = RUN) -> Term | None:
    """The latest term that was signed, released or not, or None where the lock was never taken."""
    for number, of in sorted(((number, of) for of, number in _signed(objects)), reverse=True):
        owner = _signature(objects, of, number) if purpose in PURPOSES[of] else None
        if owner is not None:
            return Term(of, owner, number)
    return None


def this_process() -> Owner:
    """This process as an owner."""
    now, pid = time.time(), os.getpid()
    return Owner(uuid.uuid4().hex, socket.gethostname(), _machine(), pid, _start_of(pid) or "", now, now)


def is_gone(owner: Owner) -> bool:
    """Whether an owner has left its lock, or certainly ended."""
    return owner.released or _is_dead(owner)


def _in_force(state: LogState, purpose: str) -> list[Term]:
    """The terms that a taker of a lock for this purpose would end."""
    terms = {state.terms[name].number: state.terms[name] for name in PURPOSES[purpose] if name in state.terms}
    return list(terms.values())


def _latest_sign(objects: ObjectStore, term: Term) -> Owner:
    """The owner of a term as its latest sign of life has it: that of its beginning, where no later one can be read."""
    sign = _signature(objects, term.purpose, term.number)
    return sign if sign is not None and sign.nonce == term.owner.nonce else term.owner


def _signature(objects: ObjectStore, purpose: str, number: int) -> Owner | None:
    """What stands in a lock's file; None where nothing does that an owner writes. A living one soon signs anew."""
    try:
        return owner_from(documents.parse(objects.read(paths.lock_path(purpose, number), _MOST_BYTES)))
    except StoreUnavailable:
        raise
    except StoreError:
        return None


def _signed(objects: ObjectStore) -> list[tuple[str, int]]:
    """The purposes and numbers of the terms that have a file."""
    parsed = (paths.parse_lock_path(listed.path) for listed in objects.walk(paths.LOCKS))
    return [of_lock for of_lock in parsed if of_lock is not None and of_lock[0] in PURPOSES]


def _is_dead(owner: Owner) -> bool:
    """Whether an owner certainly ended: it ran on this machine, and no such process is alive.

    An owner in this very process ended when its `with` block did, even if it could not say so in the store.
    """
    if owner.machine != _machine():
        return False
    if _start_of(owner.pid) != owner.started:
        return True
    return owner.pid == os.getpid() and owner.nonce not in _held_here


def _awake_or_asleep() -> float:
    """Seconds on a clock that goes on while the machine sleeps, as Linux's monotonic one does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _machine() -> str:
    """What tells one set of process numbers from another: host name, boot and, in containers, the namespace."""
    parts = [socket.gethostname()]
    for source in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(os.readlink(source) if source.endswith("/pid") else Path(source).read_text().strip())
        except OSError:  # not Linux: the host's name has to do
            continue
    return " ".join(parts)


def _start_of(pid: int) -> str | None:
    """When a process of this machine started, in a form that only serves to compare; None where there is none.

    The number of a dead process is given to another one some day; the start time tells them apart.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it is alive and another user's
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # not Linux: a process of this number is all that is known
        return ""
    state, start = fields[0], fields[19]
    return None if state in "ZX" else start
