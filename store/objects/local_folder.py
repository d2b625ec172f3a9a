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

from store.errors import ObjectIrregular, ObjectMissing, StoreFull, StoreUnavailable
from store.objects.base import ObjectStore, StoredObject, too_large
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
            if not os.path.lexists(final):
                with self._temporary(final, data) as temporary:
                    published = self._publish(temporary, final)
            _sync_folder(final.parent)
            return published

    def put(self, path: str, data: bytes) -> None:
        final = self._root / path
        with self._explained(path), self._temporary(final, data) as temporary:
            os.replace(temporary, final)
            _sync_folder(final.parent)

    def read(self, path: str, most: int | None = None) -> bytes:
        with self._explained_reading(path), os.fdopen(self._open(path, most), "rb") as file:
            return file.read(-1 if most is None else most)

    def open(self, path: str) -> int:
        """A descriptor of an object, to read it at any place. Raises ObjectMissing, ObjectIrregular."""
        with self._explained_reading(path):
            return self._open(path)

    def names(self, folder: str = "") -> list[str]:
        """Links are listed as what they are, and lead to no folder."""
        entries = self._entries(self._root / folder) if self._is_own_folder(folder) else []
        return sorted(entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries)

    def walk(self, folder: str = "") -> Iterator[StoredObject]:
        """Links are listed and never followed: what they lead to is not of this store."""
        pending = [self._root / folder] if self._is_own_folder(folder) else []
        while pending:
            for entry in self._entries(pending.pop()):
                path, status = Path(entry.path), self._status(entry)
                if status is None or entry.name in _FILE_SYSTEMS_OWN:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)
                else:
                    name, regular = path.relative_to(self._root).as_posix(), stat.S_ISREG(status.st_mode)
                    yield StoredObject(name, status.st_size, status.st_mtime, regular)

    def delete(self, path: str) -> None:
        """A link is removed, not what it leads to; nothing is removed through a link."""
        with (
            self._explained(path),
            contextlib.suppress(FileNotFoundError),
            self._folder_of(path) as (folder, name),
        ):
            os.unlink(name, dir_fd=folder)

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

    def _open(self, path: str, most: int | None = None) -> int:
        """No link is followed below the root, and nothing that is not a regular file is waited for."""
        with self._folder_of(path) as (folder, name):
            self._check_regular(path, os.stat(name, dir_fd=folder, follow_symlinks=False), most)
            # Should it have become a link or a pipe by now, this neither follows nor waits.
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            self._check_regular(path, os.fstat(descriptor), most)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _check_regular(self, path: str, status: os.stat_result, most: int | None) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise self._irregular(path)
        if most is not None and status.st_size > most:
            raise too_large(self.address(path), status.st_size, most)

    @contextlib.contextmanager
    def _folder_of(self, path: str) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that holds an object, and the object's name there.

        Each folder on the way is opened from the one before, so that no link can get into the way meanwhile.
        """
        *folders, name = path.split("/")
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for folder in folders:
                inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor, name
        finally:
            os.close(descriptor)

    def _is_own_folder(self, folder: str) -> bool:
        """Whether a folder can be reached from the root without following a link."""
        return not any(map(os.path.islink, self._names_to(folder)))

    def _names_to(self, path: str) -> list[Path]:
        """Every name below the root on the way to a path, the path itself included."""
        parts = Path(path).parts
        return [self._root.joinpath(*parts[: count + 1]) for count in range(len(parts))]

    def _irregular(self, path: str) -> ObjectIrregular:
        return ObjectIrregular(
            f"{self.address(path)} is not a regular file, or lies behind a link; a store follows no links and reads"
            " nothing but its own files"
        )

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """What is in a folder: nothing where it has gone."""
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreUnavailable(f"{self.location} cannot be listed: {error.strerror}") from error

    def _status(self, entry: os.DirEntry[str]) -> os.stat_result | None:
        """What the entry itself is, be it a link; None where it has gone meanwhile."""
        try:
            return entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"{self.location} cannot be listed: {error.strerror}") from error

    @contextlib.contextmanager
    def _temporary(self, final: Path, data: bytes) -> Iterator[Path]:
        """The data in a flushed temporary file beside its final place; gone afterwards, whatever happens."""
        _make_folders(final.parent)
        if not self._is_own_folder(final.parent.relative_to(self._root).as_posix()):
            raise self._irregular(final.relative_to(self._root).as_posix())
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
    def _explained_reading(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise ObjectMissing(f"{self.address(path)} is missing") from None
        except OSError as error:
            if any(map(os.path.islink, self._names_to(path))):
                raise self._irregular(path) from error
            if isinstance(error, NotADirectoryError):
                raise ObjectMissing(f"{self.address(path)} is missing") from error
            raise StoreUnavailable(f"{self.address(path)} cannot be read: {error.strerror}") from error

    @contextlib.contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        try:
            yield
        except StoreUnavailable:
            raise
        except OSError as error:
            where = self.address(path)
            if any(map(os.path.islink, self._names_to(path))):
                raise self._irregular(path) from error
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
