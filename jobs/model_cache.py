"""What is expensive to learn or to make of a model, kept in the user's cache folder.

Everything here is a function of its name: checksums of what it was made from, and versions of what made it. An entry
may be deleted at any time, and a cache that cannot be written costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder, for what is expensive to make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "interpunct"


def remembered(kind: str, key: str, make: Callable[[], str]) -> str:
    """The text that `make` once gave for this key, or gives now."""
    file = cache_folder() / kind / hashlib.sha256(key.encode()).hexdigest()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        known = file.read_text(encoding="utf-8")
        if known:  # a machine that lost its power may leave an empty file
            return known
    text = make()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as new:
            new.write(text)
        os.replace(new.name, file)
    return text


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, remembered by path, size and time of change, so that large weights are read once."""

    def read() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    status = path.stat()
    return remembered("checksums", f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}", read)


@contextlib.contextmanager
def publish_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill, and put it in place at once: other processes see all of it or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        yield new
        with contextlib.suppress(OSError):  # another process was first; its folder holds the same
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
