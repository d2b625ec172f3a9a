"""Publishing a report atomically: a finished folder under its time, then `latest` turned to it.

A reader of `latest` sees the old report or the new one, never half of one. One process publishes at a time. A folder is
the report's own where the marker inside it says so, whatever its name; reports are ordered by the number in their
marker, whatever the clock said.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reports.errors import ReportError, ReportUsageError
from store.paths import COMMITS, STUDY

FACTS = "report.json"
LATEST = "latest"
MARKER = ".interpunct-report.json"
"""In every folder that a report made; only folders with a marker of their own are ever removed."""
_LOCK = ".lock"
_DRAFT = ".draft-"
_NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_MARKER_BYTES = 10_000


@dataclass(frozen=True)
class Marker:
    """What a folder's marker says: its number, its name when it is published, and its name while it is written.

    A copy of a report under another name is no longer the report's: its names differ.
    """

    number: int
    name: str
    draft: str


@contextlib.contextmanager
def publishing(out: Path, stores: tuple[str, ...] = ()) -> Iterator[None]:
    """Hold the folder's lock; it is released when the process ends, however it ends.

    `stores` are the stores that are read. Raises ReportUsageError where the folder cannot be written, or a store and it
    lie one in the other; ReportError where another report is being made.
    """
    if match := re.match(r"([a-z0-9]{2,}):/+(.+)", str(out)):
        address = f"{match[1]}://{match[2]}"
        raise ReportUsageError(
            f"--out {address} is an address, and a report is published in a folder, in one step; name a folder, and"
            f" then copy the report: aws s3 sync FOLDER/latest {address}"
        )
    _check_apart(out, stores)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out / _LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        raise ReportUsageError(
            f"the report folder {out} cannot be written ({error.strerror}); choose another with --out"
        ) from None
    try:
        if not _is_own_link(out / LATEST):
            raise ReportUsageError(
                f"{out / LATEST} is not a link that a report made; move it away or choose another --out"
            )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ReportError(
                f"another report is being written to {out}; wait for it, or choose another --out"
            ) from None
        yield
    finally:
        os.close(lock)


def latest_facts(out: Path) -> dict[str, Any] | None:
    """What the newest report says of itself, or None where there is none, or none that a report wrote."""
    folder = out / LATEST
    if not _is_own_link(folder) or _read_marker(folder.resolve()) is None:
        return None
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) and all(fits(facts.get(key)) for key, fits in _FACTS.items()) else None


def publish(out: Path, contents: Mapping[str, bytes], now: datetime, keep: int) -> Path:
    """Write `contents` (relative path to bytes) as a new report, turn `latest` to it, keep the newest `keep`.

    Returns the folder of the new report. Raises ReportUsageError where the disk refuses; nothing is published then.
    """
    written: Path | None = None
    try:
        _remove_drafts(out)
        name = _free_name(out, now)
        draft = out / f"{_DRAFT}{uuid.uuid4().hex}"
        draft.mkdir()
        written = draft
        marker = Marker(_next_number(out), name, written.name)
        _write(written / MARKER, json.dumps(asdict(marker)).encode())
        for relative, data in contents.items():
            _write(written / relative, data)
        os.rename(written, out / name)
        written = out / name
        _turn_latest(out, name)
    except OSError as error:
        if written is not None:
            shutil.rmtree(written, ignore_errors=True)
        raise ReportUsageError(
            f"the report cannot be written to {out} ({error.strerror}); free space or choose another --out"
        ) from None
    for old in published(out)[max(1, keep) :]:
        shutil.rmtree(old, ignore_errors=True)
    return out / name


def published(out: Path) -> list[Path]:
    """The folders of the finished reports, newest first: those whose own marker has their name."""
    marked = [(marker.number, path) for path, marker in _marked(out) if path.name == marker.name]
    return [path for _, path in sorted(marked, key=lambda found: found[0], reverse=True)]


def _check_apart(out: Path, stores: tuple[str, ...]) -> None:
    """Reports inside a store would be foreign files in it, and a store among reports is where no one looks for it."""
    folder = out.expanduser().resolve()
    for store in stores:
        if "://" in store:
            continue
        place = Path(store).expanduser().resolve()
        if folder.is_relative_to(place) or place.is_relative_to(folder):
            raise ReportUsageError(f"--out {out} and the store {store} lie one in the other; choose another --out")
    for parent in (folder, *folder.parents):
        if (parent / STUDY).is_file() and (parent / COMMITS).is_dir():
            raise ReportUsageError(f"--out {out} lies in the store {parent}; choose another --out")


def _is_own_link(link: Path) -> bool:
    """Whether `latest` is free, or a link to a report beside it."""
    if not os.path.lexists(link):
        return True
    return link.is_symlink() and _NAME.fullmatch(os.readlink(link)) is not None


def _marked(out: Path) -> Iterator[tuple[Path, Marker]]:
    for path in out.iterdir():
        if _NAME.fullmatch(path.name) or path.name.startswith(_DRAFT):
            marker = _read_marker(path)
            if marker is not None:
                yield path, marker


def _read_marker(folder: Path) -> Marker | None:
    """The marker of a folder; None where it has none, or is not a folder but a link to one."""
    path = folder / MARKER
    try:
        if folder.is_symlink() or path.is_symlink() or not path.is_file() or path.stat().st_size > _MARKER_BYTES:
            return None
        marker = Marker(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = isinstance(marker.name, str) and isinstance(marker.draft, str)
    return marker if texts and type(marker.number) is int else None


def _next_number(out: Path) -> int:
    """Above the number of every report that is there; the lock is held, so no other process takes it."""
    return 1 + max((marker.number for _, marker in _marked(out)), default=0)


def _free_name(out: Path, now: datetime) -> str:
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    name, number = stamp, 1
    while os.path.lexists(out / name):
        number += 1
        name = f"{stamp}-{number}"
    return name


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _turn_latest(out: Path, name: str) -> None:
    """Replace the symbolic link in one step: rename is atomic, unlink and symlink are not.

    The new link is made in the report's own folder, where it can be in nobody's way.
    """
    link = out / name / f".{LATEST}"
    link.symlink_to(name, target_is_directory=True)
    os.replace(link, out / LATEST)


def _remove_drafts(out: Path) -> None:
    """What a killed report left behind; the lock is held, so nobody is writing them."""
    for path, marker in _marked(out):
        if path.name == marker.draft:
            shutil.rmtree(path, ignore_errors=True)


def _all_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _all_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(number, int | float) for number in value.values())


_FACTS: dict[str, Callable[[Any], bool]] = {
    "books": _all_texts,
    "findings": _all_texts,
    "pairs": lambda value: isinstance(value, int),
    "mi_difference": lambda value: _all_numbers(value) and all(layer.isdecimal() for layer in value),
}
"""What a later report takes from an earlier one, each with the form it must have."""
