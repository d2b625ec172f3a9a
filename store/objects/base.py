"""One small interface over a local folder and an S3 prefix: whole objects, written once or replaced atomically.

Everything the store does rests on `put_new`: of any number of attempts to publish one name, exactly one succeeds,
and a reader sees the whole object or none of it. The interface is small on purpose; a file system's rename, append
and locks are not in it, because object stores lack them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from store import paths
from store.errors import ObjectIrregular, ObjectMissing, ObjectTooLarge, StoreError

_PARALLEL_READS = 16

_Outcome = TypeVar("_Outcome")


@dataclass(frozen=True)
class StoredObject:
    """What a listing says of one object: its path relative to the store, its size, and seconds since the epoch.

    `modified` is told by the storage's clock. `regular` is False for what no store makes: links, pipes, devices.
    """

    path: str
    bytes: int
    modified: float
    regular: bool = True


class ObjectStore(ABC):
    """The objects of one store. Paths are relative to it, with forward slashes.

    All methods raise StoreUnavailable where the disk or the service fails, after bounded retries where they help.
    """

    location: str

    @abstractmethod
    def put_new(self, path: str, data: bytes) -> bool:
        """Publish an object unless its name is taken; say whether this call published it.

        When it returns, the object is durable, whichever attempt wrote it.
        """

    @abstractmethod
    def put(self, path: str, data: bytes) -> None:
        """Publish an object, or replace the one of this name as a whole."""

    @abstractmethod
    def read(self, path: str, most: int | None = None) -> bytes:
        """The object's bytes. Raises ObjectMissing, ObjectIrregular, and ObjectTooLarge beyond `most` bytes."""

    @abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """What lies right in a folder, in order: names of objects, and of folders with a slash at the end."""

    @abstractmethod
    def walk(self, folder: str = "") -> Iterator[StoredObject]:
        """Every object below a folder (`pairs/`), or of the whole store, in no particular order."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove an object; one that is not there is no error."""

    @abstractmethod
    def address(self, path: str) -> str:
        """The object's full name for humans and for engines that read Parquet themselves."""

    def check_place(self) -> None:
        """Raise StoreError where it shows, without writing, that no store should be made here.

        The place must hold nothing but what a first run that was interrupted at once leaves: a store's own files. Names
        that start with a dot are the system's or a tool's (`.DS_Store`) and do not count.
        """
        for entry in self.walk():
            if not (entry.path.startswith(".") or paths.is_of_a_store(entry.path)):
                raise StoreError(
                    f"{self.location} holds other files, {printable(entry.path)} for one, and a store wants a place to"
                    " itself; name one that is empty or does not exist yet"
                )

    def read_all(self, names: Iterable[str]) -> list[bytes]:
        """Read many objects at once, in the order asked. Raises ObjectMissing, ObjectIrregular."""
        return _at_once(self.read, names)

    def try_all(self, names: Iterable[str], most: int) -> list[bytes | StoreError]:
        """Read many objects at once: in the order asked, the bytes of each or why there are none.

        Raises StoreUnavailable.
        """

        def outcome(name: str) -> bytes | StoreError:
            try:
                return self.read(name, most)
            except (ObjectMissing, ObjectIrregular, ObjectTooLarge) as error:
                return error

        return _at_once(outcome, names)


def _at_once(read: Callable[[str], _Outcome], names: Iterable[str]) -> list[_Outcome]:
    names = list(names)
    if len(names) < 2:
        return [read(name) for name in names]
    with ThreadPoolExecutor(min(_PARALLEL_READS, len(names))) as pool:
        return list(pool.map(read, names))


def printable(path: str) -> str:
    """A path that any stream can print: bytes that are not UTF-8 as `\\xe9`."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def too_large(address: str, found: int, most: int) -> ObjectTooLarge:
    """The error for an object that is larger than any of its kind."""
    return ObjectTooLarge(f"{address} has {found:,} bytes; a store's own file of this kind has {most:,} at most")
