"""The only files that the reader's engine can reach: the store's data, to read, and a place to spill, of its own.

DuckDB's own access to the machine's files is switched off; whatever it opens, it asks for here, and this code answers.
So what a query can do does not rest on how its text is understood:

- `interpunct://data/pairs/layer=00/class=internal/<shard>.parquet`: the committed files that the views are made of.
  They are opened for reading, by this process; there is no way to write, rename or remove one. Those of a store that
  is attached as `other` are below `interpunct://data/other/`.
- `interpunct://spill/duckdb_temp_...`: what a query that outgrows its memory puts aside. These files have no name in
  any folder, so nobody else can open one and none outlives the process; together they never exceed a limit.

Every other name does not exist.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem

from store.errors import StoreError
from store.objects.local_folder import LocalFolder

_SCHEME = "interpunct"
DATA_FOLDER = f"{_SCHEME}://data/"
SPILL_FOLDER = f"{_SCHEME}://spill"

_SPILLED = re.compile(rf"{SPILL_FOLDER}/duckdb_temp_\d+_\d+_(?P<kind>storage_\w+-\d+\.tmp|block-\d+\.block|owner)")
_UNCHANGING = datetime(2000, 1, 1, tzinfo=UTC)


class EngineFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """What DuckDB may open. The methods are those that DuckDB calls, with the meaning that fsspec gives them.

    An exception raised here reaches the user as DuckDB's, with a traceback in its text; `reason_of` finds the reason.
    """

    protocol = _SCHEME
    cachable = False  # fsspec would give two stores the same instance

    def __init__(self, spill_limit: int) -> None:
        super().__init__()
        self._data: dict[str, tuple[LocalFolder, str]] = {}
        self._spill = _Spill(spill_limit)

    def hand_in(self, folder: LocalFolder, paths: Iterable[str], below: str = "") -> list[str]:
        """Make files of a store readable, given by their paths in it; their names for the engine, `below` a folder."""
        named = {DATA_FOLDER + below + path: (folder, path) for path in paths}
        self._data |= named
        return list(named)

    @property
    def spilled_bytes(self) -> int:
        """How much is spilled now."""
        return self._spill.bytes

    def release(self) -> None:
        """Give back the space of what was spilled."""
        self._spill.clear()

    def open(self, path: str, mode: str = "rb", **_: Any) -> _File:
        if path in self._data and mode == "rb":
            folder, path_in_store = self._data[path]
            return _File(folder.open(path_in_store))
        if _SPILLED.fullmatch(path):
            # DuckDB opens to write and expects the file to be made, as a file system does in one step.
            return self._spill.open(path, create=mode != "rb")
        raise PermissionError(f"{path} cannot be opened: a query reads the store's views and nothing else")

    def exists(self, path: str, **_: Any) -> bool:
        return path in self._data or self._spill.holds(path)

    def isfile(self, path: str) -> bool:
        return self.exists(path)

    def isdir(self, path: str) -> bool:
        return path.rstrip("/") == SPILL_FOLDER

    def glob(self, path: str, **_: Any) -> list[str]:
        return [path] if path in self._data else []

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        return []

    def size(self, path: str) -> int:
        with self.open(path) as file:
            return file.size

    def modified(self, path: str) -> datetime:
        """Published files never change, so the engine may keep what it knows of one."""
        return _UNCHANGING

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        self.open(path, "wb").close()

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        self._spill.remove(path)

    def rm_file(self, path: str) -> None:
        self._spill.remove(path)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        if not self.isdir(path):
            raise PermissionError(f"{path} cannot be made: a query reads the store's views and nothing else")

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.mkdir(path)

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        raise PermissionError(f"{path1} cannot be moved: a query reads the store's views and nothing else")

    def rmdir(self, path: str) -> None:
        raise PermissionError(f"{path} cannot be removed: a query reads the store's views and nothing else")


def reason_of(error: Exception) -> str:
    """What an engine's error says, without the traceback that it prints of an exception raised in here."""
    text = str(error)
    if not text.startswith("Traceback (most recent call last)"):
        return text
    last = [line for line in text.strip().splitlines() if not line.startswith(" ")][-1]
    return last.partition(": ")[2] or last


class _File:
    """An open file, as DuckDB uses it: it seeks and then reads, in two calls, from several threads at once.

    So each thread has a position of its own.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._positions: dict[int, int] = {}

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    @property
    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.size}[whence]
        self._positions[threading.get_ident()] = start + offset
        return start + offset

    def tell(self) -> int:
        return self._positions.get(threading.get_ident(), 0)

    def read(self, size: int = -1) -> bytes:
        position = self.tell()
        data = os.pread(self._descriptor, size if size >= 0 else max(0, self.size - position), position)
        self._positions[threading.get_ident()] = position + len(data)
        return data

    def write(self, data: bytes) -> int:
        raise PermissionError("this file can only be read")

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _Spill:
    """Files without a name in any folder, by the names that DuckDB gives them, and how large they are together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._files: dict[str, _Spilled] = {}
        self.bytes = 0

    def holds(self, path: str) -> bool:
        return path in self._files

    def open(self, path: str, create: bool) -> _SpillFile:
        with self._lock:
            file = self._files.get(path)
            if file is None and not create:
                raise FileNotFoundError(f"{path} does not exist")
            if file is None:
                file = self._files[path] = _Spilled(self)
            return _SpillFile(file)

    def grow(self, size: int) -> None:
        """Account for so many bytes more, or less. Raises StoreError where that is more than may be spilled."""
        with self._lock:
            if size > 0 and self.bytes + size > self._limit:
                raise StoreError(f"the query needs more than the {self._limit >> 20:,} MB that may be spilled to disk")
            self.bytes += size

    def remove(self, path: str) -> None:
        """Forget a file; its space is free as soon as nobody has it open, as with any file."""
        with self._lock:
            file = self._files.pop(path, None)
        if file is None:
            raise PermissionError(f"{path} cannot be removed: a query reads the store's views and nothing else")

    def clear(self) -> None:
        with self._lock:
            files, self._files = self._files, {}
        files.clear()


class _Spilled:
    """One spilled file: its space is given back when the last who has it open lets go of it."""

    def __init__(self, spill: _Spill) -> None:
        self._spill = spill
        self._size = 0
        with tempfile.TemporaryFile() as file:
            self.descriptor = os.dup(file.fileno())

    def __del__(self) -> None:
        os.close(self.descriptor)
        self._spill.grow(-self._size)

    def resize(self, size: int) -> None:
        self._spill.grow(size - self._size)
        self._size = size

    def make_room(self, size: int) -> None:
        if size > self._size:
            self.resize(size)


class _SpillFile(_File):
    """One spilled file, open for reading and writing."""

    def __init__(self, file: _Spilled) -> None:
        super().__init__(os.dup(file.descriptor))
        self._file = file

    def write(self, data: bytes) -> int:
        position, rest = self.tell(), memoryview(data)
        self._file.make_room(position + len(rest))
        while rest:
            written = os.pwrite(self._descriptor, rest, position)
            position, rest = position + written, rest[written:]
        self._positions[threading.get_ident()] = position
        return len(data)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._file.resize(size)
