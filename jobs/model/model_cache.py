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
    """The user's cache folder, for what is expensive to make again. Raises OSError where no home is known."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "interpunct"
    except RuntimeError as error:
        raise OSError(f"no cache folder: {error}; set XDG_CACHE_HOME") from error


def remembered(kind: str, key: str, make: Callable[[], str]) -> str:
    """The text that `make` once gave for this key, or gives now."""
    name = hashlib.sha256(key.encode()).hexdigest()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        known = (cache_folder() / kind / name).read_text(encoding="utf-8")
        if known:  # a machine that lost its power may leave an empty file
            return known
    text = make()
    with contextlib.suppress(OSError):
        file = cache_folder() / kind / name
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
def kept_folder(name: str, fill: Callable[[Path], None]) -> Iterator[Path]:
    """The folder of this name in the cache, filled where it does not stand yet.

    Where the cache cannot be written, or is full, a temporary folder is filled instead, and goes with the context.
    """
    folder = _kept(name, fill)
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="interpunct-model-") as temporary:
        fill(Path(temporary))
        yield Path(temporary)


def _kept(name: str, fill: Callable[[Path], None]) -> Path | None:
    """The folder in the cache; None where the cache cannot hold it."""
    with contextlib.suppress(OSError):
        folder = cache_folder() / name
        if folder.exists() or _publish(folder, fill):
            return folder
    return None


def _publish(folder: Path, fill: Callable[[Path], None]) -> bool:
    """Fill a new folder and put it in place at once: other processes see all of it or nothing. False where it failed.

    Raises OSError where the cache cannot be written. Why filling failed is not told: whoever fills again will see.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        fill(new)
        new.rename(folder)
    except Exception:  # a full disk shows as an error of whichever library wrote
        return folder.exists()  # another process may have been first; its folder holds the same
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return True
