"""One driver at a time: a lock with an owner and a heartbeat, taken over when its owner is gone.

A lock is a sequence of **terms**. To take it is to publish the file of the next term, which only one of any number of
takers can (`put_new`); the highest term is the one in force. Its holder rewrites its own file as a heartbeat and marks
it when it leaves. A holder that was away for long finds a higher term and stops: it can never take its lock back by
accident. This needs nothing of the storage but exclusive creation, so it is the same on a folder and on S3.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from store import paths
from store.errors import ObjectMissing, StoreError, StoreLocked, StoreUnavailable
from store.objects.base import ObjectStore

HEARTBEAT_S = 10.0
STALE_S = 60.0
"""A heartbeat this old is watched for one more period, by the watcher's own clock, and then taken for dead."""

RUN = "run"
MAINTENANCE = "maintenance"

_log = logging.getLogger(__name__)
_held_here: set[str] = set()
"""The nonces of the locks that this process holds: a term that names this process and is not here was left behind."""


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

    @classmethod
    def this_process(cls) -> Owner:
        """This process as an owner."""
        now, pid = time.time(), os.getpid()
        return cls(uuid.uuid4().hex, socket.gethostname(), _machine(), pid, _start_of(pid) or "", now, now)

    @property
    def is_dead(self) -> bool:
        """Whether the owner certainly ended: it ran on this machine, and no such process is alive.

        An owner in this very process ended when its `with` block did, even if it could not say so in the store.
        """
        if self.machine != _machine():
            return False
        if _start_of(self.pid) != self.started:
            return True
        return self.pid == os.getpid() and self.nonce not in _held_here

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class Term:
    """One term of a lock and its owner."""

    number: int
    owner: Owner


class StoreLock:
    """A lock on one store for one purpose, as a context manager. Raises StoreLocked where another holds it."""

    def __init__(self, objects: ObjectStore, purpose: str = RUN) -> None:
        self._objects = objects
        self._purpose = purpose
        self._owner = Owner.this_process()
        self._term = 0
        self._beaten = 0.0
        self._superseded_by: Owner | None = None
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> StoreLock:
        current = current_term(self._objects, self._purpose)
        if current is not None and not current.owner.released:
            self._wait_until_gone(current)
        _held_here.add(self._owner.nonce)  # before the term can be seen: another thread must not take it for dead
        try:
            self._take(1 if current is None else current.number + 1)
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

    def check(self) -> None:
        """Raise StoreLocked where the lock was lost, as the store says now: no clock of a machine that slept is asked.

        Raises StoreError where it is not held at all.
        """
        if self._thread is None or self._leaving.is_set():
            raise StoreError(f"{self._objects.location}: the {self._purpose} lock is not held; do this inside it")
        if self._superseded_by is None:
            # Signed anew where the last sign is old, so that whoever watches for one sees it.
            self._beat() if _awake_or_asleep() - self._beaten > STALE_S / 2 else self._look()
        if self._superseded_by is not None:
            raise StoreLocked(
                f"{self._objects.location}: {self._superseded_by} took over while this process was unresponsive;"
                " let it finish, what was committed so far is safe"
            )

    def _wait_until_gone(self, current: Term) -> None:
        """Return when the holder is certainly dead, or has shown no sign of life while it was watched."""
        owner = current.owner
        if owner.is_dead:
            return
        age = time.time() - owner.heartbeat
        if 0 <= age < STALE_S:
            raise StoreLocked(
                f"{self._objects.location} is in use by {owner} ({self._purpose}, last sign of life {age:.0f} s ago);"
                f" wait for it, or if it is dead, run this again in {STALE_S - age:.0f} s"
            )
        # The clocks of two machines may differ: what counts is that the heartbeat does not move while we watch.
        watched_s = STALE_S if age < 0 else 1.5 * HEARTBEAT_S
        deadline = time.monotonic() + watched_s
        while time.monotonic() < deadline:
            time.sleep(min(HEARTBEAT_S / 5, watched_s))
            seen = current_term(self._objects, self._purpose)
            if seen is None or seen.owner.released:
                return
            if seen != current:
                raise StoreLocked(
                    f"{self._objects.location} is in use by {seen.owner} ({self._purpose}); wait until it has finished"
                )

    def _take(self, number: int) -> None:
        path = paths.lock_path(self._purpose, number)
        won = self._objects.put_new(path, _to_json(self._owner))
        current = current_term(self._objects, self._purpose)
        if not won or current is None or current.number != number:
            if won:  # a later term came and went while we looked at an old listing
                self._objects.delete(path)
            other = "another process" if current is None else str(current.owner)
            raise StoreLocked(f"{self._objects.location} was just taken by {other}; wait until it has finished")
        self._term, self._beaten = number, _awake_or_asleep()
        for term in _terms(self._objects, self._purpose):
            if term < number:
                self._objects.delete(paths.lock_path(self._purpose, term))

    def _beat_until_left(self) -> None:
        while not self._leaving.wait(HEARTBEAT_S):
            try:
                self._beat()
            except StoreUnavailable as error:
                _log.warning("no heartbeat on the %s lock: %s", self._purpose, error)
            if self._superseded_by is not None:
                return

    def _beat(self) -> None:
        self._look()
        if self._superseded_by is None:
            self._sign(replace(self._owner, heartbeat=time.time()))
            self._beaten = _awake_or_asleep()

    def _look(self) -> None:
        current = current_term(self._objects, self._purpose)
        if current is None or current.number != self._term or current.owner.nonce != self._owner.nonce:
            self._superseded_by = self._owner if current is None else current.owner

    def _sign(self, owner: Owner) -> None:
        self._objects.put(paths.lock_path(self._purpose, self._term), _to_json(owner))


def current_term(objects: ObjectStore, purpose: str = RUN) -> Term | None:
    """The term in force, released or not, or None where the lock was never taken."""
    while True:
        terms = _terms(objects, purpose)
        if not terms:
            return None
        path = paths.lock_path(purpose, max(terms))
        try:
            return Term(max(terms), Owner(**json.loads(objects.read(path))))
        except ObjectMissing:  # the next holder removed it after we listed: look again
            continue
        except (ValueError, TypeError) as error:
            raise StoreError(f"{objects.address(path)} is damaged ({error}); remove that file") from error


def _awake_or_asleep() -> float:
    """Seconds on a clock that goes on while the machine sleeps, as Linux's monotonic one does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _terms(objects: ObjectStore, purpose: str) -> list[int]:
    parsed = (paths.parse_lock_path(listed.path) for listed in objects.walk(paths.LOCKS))
    return [of_lock[1] for of_lock in parsed if of_lock is not None and of_lock[0] == purpose]


def _to_json(owner: Owner) -> bytes:
    return json.dumps(asdict(owner)).encode() + b"\n"


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
