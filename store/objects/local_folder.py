"""Objects as files of a local or network folder.

An object is written to a temporary name, flushed to the disk, and then given its final name by `os.link`, which
fails where the name is taken: the one operation of POSIX that is atomic, exclusive and shows whole files only, on NFS
too. Where a file system has no links, a claim folder (`mkdir` is exclusive everywhere) guards a rename.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from store.errors import ObjectMissing, StoreFull, StoreUnavailable
from store.objects.base import ObjectStore, StoredObject
from store.paths import temporary_name

CLAIM_EXPIRES_S = 30.0
"""A claim folder older than this was left by a process that died between claiming and renaming."""

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FILE_SYSTEMS_OWN = {"lost+found", ".snapshot"}
"""Folders at the root of a disk or share that the file system keeps for itself; they may not be listed."""

_log = logging.getLogger(__name__)


class LocalFolder(ObjectStore):
    """The objects below one folder; the folder is made by the first object that is put."""

    def __init__(self, location: str) -> None:
        self.location = location
        self._root = Path(location)
        self._links = True

    def put_new(self, path: str, data: bytes) -> bool:
        final = self._root / path
        with self._explained(path):
            published = False
            if not final.exists():
                with self._temporary(final, data) as temporary:
                    published = self._publish(temporary, final)
            _sync_folder(final.parent)
            return published

    def put(self, path: str, data: bytes) -> None:
        final = self._root / path
        with self._explained(path), self._temporary(final, data) as temporary:
            os.replace(temporary, final)
            _sync_folder(final.parent)

    def read(self, path: str) -> bytes:
        try:
            return (self._root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectMissing(f"{self.address(path)} is missing") from None
        except OSError as error:
            raise StoreUnavailable(f"{self.address(path)} cannot be read: {error.strerror}") from error

    def walk(self, folder: str = "") -> Iterator[StoredObject]:
        """Folders that are links (`pairs` moved to a larger disk) are entered too, each folder once."""
        pending, links = [self._root / folder], list[Path]()
        entered: set[tuple[int, int]] = set()
        while pending or links:
            for entry in self._entries((pending or links).pop(), entered):
                path, status = Path(entry.path), self._status(entry)
                if status is None or entry.name in _FILE_SYSTEMS_OWN:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    (links if entry.is_symlink() else pending).append(path)
                else:
                    yield StoredObject(path.relative_to(self._root).as_posix(), status.st_size, status.st_mtime)

    def delete(self, path: str) -> None:
        with self._explained(path), contextlib.suppress(FileNotFoundError):
            os.unlink(self._root / path)

    def address(self, path: str) -> str:
        return str(self._root / path)

    def check_place(self) -> None:
        existing = self._root
        while not os.path.lexists(existing):
            existing = existing.parent
        if not existing.is_dir():
            raise StoreUnavailable(f"{self.location} cannot be made: {existing} is not a folder; name another store")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise StoreUnavailable(f"{self.location} cannot be written: no permission to write in {existing}")
        super().check_place()

    def _entries(self, folder: Path, entered: set[tuple[int, int]]) -> list[os.DirEntry[str]]:
        """What is in a folder: nothing where it has gone, or has been entered under another name."""
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in entered:
                return []
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreUnavailable(f"{self.location} cannot be listed: {error.strerror}") from error

    def _status(self, entry: os.DirEntry[str]) -> os.stat_result | None:
        """None where the entry has gone meanwhile, or is a link that leads nowhere."""
        try:
            return entry.stat()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                return None
            raise StoreUnavailable(f"{self.location} cannot be listed: {error.strerror}") from error

    @contextlib.contextmanager
    def _temporary(self, final: Path, data: bytes) -> Iterator[Path]:
        """The data in a flushed temporary file beside its final place; gone afterwards, whatever happens."""
        _make_folders(final.parent)
        temporary = final.parent / temporary_name(final.name)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)

    def _publish(self, temporary: Path, final: Path) -> bool:
        if self._links:
            try:
                os.link(temporary, final)
            except FileExistsError:
                # A network file system repeats a request whose answer was lost, and then finds our own link there.
                return os.stat(temporary).st_nlink == 2
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self._links = False
                _log.warning("%s has no hard links; files are published by claim and rename", self.location)
        return self._links or _rename_claimed(temporary, final)

    @contextlib.contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        try:
            yield
        except StoreUnavailable:
            raise
        except OSError as error:
            where = self.address(path)
            if error.errno in _FULL:
                raise StoreFull(f"no space left for {where}; free some and run the same command again") from error
            raise StoreUnavailable(f"{where} cannot be written: {error.strerror or error}") from error


def _rename_claimed(temporary: Path, final: Path) -> bool:
    """Rename unless the final name is taken, with an exclusive claim folder in place of an exclusive rename."""
    claim = final.parent / f".{final.name}.claim"
    while not final.exists():
        try:
            os.mkdir(claim)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - claim.stat().st_mtime > CLAIM_EXPIRES_S:
                    os.rmdir(claim)
            time.sleep(0.02)
            continue
        try:
            if final.exists():
                return False
            os.rename(temporary, final)
            return True
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(claim)
    return False


def _make_folders(folder: Path) -> None:
    """Make a folder and its parents, each flushed into its parent, so that a crash cannot lose the way to a file."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries. Some network file systems refuse to; there, the server has flushed them already."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
