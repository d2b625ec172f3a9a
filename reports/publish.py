"""Publishing a report atomically: a finished folder under its time, then `latest` turned to it.

A reader of `latest` sees the old report or the new one, never half of one. One process publishes at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reports.errors import ReportError, ReportUsageError

FACTS = "report.json"
LATEST = "latest"
_LOCK = ".lock"
_NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")


@contextlib.contextmanager
def publishing(out: Path) -> Iterator[None]:
    """Hold the folder's lock; it is released when the process ends, however it ends.

    Raises ReportUsageError where the folder cannot be written, ReportError where another report is being made.
    """
    if "://" in str(out) or str(out).startswith(("s3:", "http:", "https:")):
        raise ReportUsageError(
            f"reports are published in a local folder, and {out} is an address; copy them from there"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out / _LOCK, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise ReportUsageError(
            f"the report folder {out} cannot be written ({error.strerror}); choose another with --out"
        ) from None
    try:
        if (out / LATEST).exists() and not (out / LATEST).is_symlink():
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
    """What the newest report says of itself, or None where there is none that can be read."""
    try:
        facts = json.loads((out / LATEST / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def publish(out: Path, contents: Mapping[str, bytes], now: datetime, keep: int) -> Path:
    """Write `contents` (relative path to bytes) as a new report, turn `latest` to it, keep the newest `keep`.

    Returns the folder of the new report. Raises ReportUsageError where the disk refuses; nothing is published then.
    """
    name = _free_name(out, now)
    draft = out / f".draft-{name}"
    try:
        _remove_drafts(out)
        for relative, data in contents.items():
            path = draft / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        os.rename(draft, out / name)
        _turn_latest(out, name)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise ReportUsageError(
            f"the report cannot be written to {out} ({error.strerror}); free space or choose another --out"
        ) from None
    for old in published(out)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return out / name


def published(out: Path) -> list[Path]:
    """The folders of the finished reports, newest first."""
    return sorted((path for path in out.iterdir() if path.is_dir() and _NAME.fullmatch(path.name)), key=_age)[::-1]


def _age(folder: Path) -> tuple[str, int]:
    stamp, _, number = folder.name.partition("-")
    return stamp, int(number or 1)


def _free_name(out: Path, now: datetime) -> str:
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    name, number = stamp, 1
    while (out / name).exists():
        number += 1
        name = f"{stamp}-{number}"
    return name


def _turn_latest(out: Path, name: str) -> None:
    """Replace the symbolic link in one step: rename is atomic, unlink and symlink are not."""
    link = out / f".{LATEST}-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(name, target_is_directory=True)
    os.replace(link, out / LATEST)


def _remove_drafts(out: Path) -> None:
    """What a killed report left behind; the lock is held, so nobody is writing them."""
    for draft in out.glob(".draft-*"):
        shutil.rmtree(draft, ignore_errors=True)
