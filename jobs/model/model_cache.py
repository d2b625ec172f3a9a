"""What is expensive to learn or to make of a model, kept in the user's cache folder.

Everything here is a function of its name: checksums of what it was made from, and versions of what made it. An entry
may be deleted at any time, and a cache that cannot be written costs time, nothing else. Nothing is taken from it on
trust: each entry holds the SHA-256 of its contents, and one that does not agree with it is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from jobs.cache_folder import cache_folder
from jobs.errors import UsageError

SETTLED_SECONDS = 2.0
"""A file that changed less long ago may change again without another time of change: clocks of file systems are coarse.
Its checksum is not remembered."""

_MANIFEST = "SHA256SUMS"


def remembered(kind: str, key: str, make: Callable[[], str]) -> str:
    """The text that `make` once gave for this key, or gives now."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        seal, _, known = _entry(kind, key).read_bytes().decode().partition("\n")
        if seal == _seal(key, known):
            return known
    text = make()
    with contextlib.suppress(OSError):
        file = _entry(kind, key)
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as new:
            new.write(f"{_seal(key, text)}\n{text}".encode())
        os.replace(new.name, file)
    return text


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, remembered until the file changes, so that large weights are not read to be recognised.

    A change is known by size, time of writing, inode, and the time of change that the kernel keeps and no program can
    set. Whoever uses a file's contents checks them with `read_checksum` all the same: a disk forgets without a change.
    """
    status = path.stat()
    if time.time() - max(status.st_mtime, status.st_ctime) < SETTLED_SECONDS:
        return read_checksum(path)
    return remembered("checksums", _state_of(path), lambda: read_checksum(path))


def read_checksum(path: Path) -> str:
    """SHA-256 of a file as it is now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget_checksum(path: Path) -> None:
    """Read the file anew when its checksum is next asked for."""
    with contextlib.suppress(OSError):
        _entry("checksums", _state_of(path)).unlink(missing_ok=True)


@contextlib.contextmanager
def kept_folder(name: str, fill: Callable[[Path], None]) -> Iterator[Path]:
    """The folder of this name in the cache, filled where it does not stand yet or is damaged.

    Where the cache cannot be written, or is full, a temporary folder is filled instead, and goes with the context.
    """
    folder = _kept(name, fill)
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="interpunct-model-") as temporary:
        fill(Path(temporary))
        yield Path(temporary)


def _entry(kind: str, key: str) -> Path:
    return cache_folder() / kind / hashlib.sha256(key.encode()).hexdigest()


def _seal(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()


def _state_of(path: Path) -> str:
    status = path.stat()
    numbers = (status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return "\n".join([str(path.resolve()), *map(str, numbers)])


def _kept(name: str, fill: Callable[[Path], None]) -> Path | None:
    """The folder in the cache, with what was written there; None where the cache cannot hold it."""
    with contextlib.suppress(OSError):
        folder = cache_folder() / name
        for _ in range(2):
            if _is_sound(folder):
                return folder
            _discard(folder)
            if not _publish(folder, fill):
                return None
        return folder if _is_sound(folder) else None
    return None


def _is_sound(folder: Path) -> bool:
    """Whether the folder holds the files that it was published with, to the byte, and no others."""
    try:
        lines = (folder / _MANIFEST).read_text(encoding="utf-8").splitlines()
        expected = {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}
        found = {path.name for path in folder.iterdir()} - {_MANIFEST}
        return found == expected.keys() and all(read_checksum(folder / name) == expected[name] for name in found)
    except (OSError, UnicodeDecodeError):
        return False


def _discard(folder: Path) -> None:
    """Take a damaged folder away at once: processes that have its files open keep them."""
    if folder.is_dir() and not folder.is_symlink():
        old = Path(tempfile.mkdtemp(prefix=".old-", dir=folder.parent))
        folder.rename(old / folder.name)
        shutil.rmtree(old, ignore_errors=True)
    else:
        folder.unlink(missing_ok=True)


def _publish(folder: Path, fill: Callable[[Path], None]) -> bool:
    """Fill a new folder and put it in place at once: other processes see all of it or nothing. False where it failed.

    Raises OSError where the cache cannot be written, and what `fill` refuses. Why it failed otherwise is not told:
    whoever fills again will see.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        fill(new)
        lines = [f"{read_checksum(path)}  {path.name}\n" for path in sorted(new.iterdir())]
        (new / _MANIFEST).write_text("".join(lines), encoding="utf-8")
        new.rename(folder)
    except UsageError:
        raise
    except Exception:  # a full disk shows as an error of whichever library wrote
        return folder.exists()  # another process may have been first
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return True
