"""Where downloads are kept: a body under the checksum of its address, beside a note of what the server said about it.

Both are written under another name first and renamed, so that tasks on one machine can share the folder. The folder
is for its owner alone, and the notes hold no password. Where it cannot be used, downloads go on without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, cast

from jobs.cache_folder import cache_folder
from jobs.config import RunConfig
from jobs.corpus.references import UnreadableSourceError
from store.objects.public_names import identity, public_name

_IN_MEMORY = 16 << 20
"""Without a cache, a download up to so many bytes is held in memory; a larger one in the folder for temporary files."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Note:
    """What is known of a body: where it came from (a public name) and how to ask whether it has changed."""

    address: str
    url: str
    etag: str | None
    last_modified: str | None

    @classmethod
    def from_json(cls, text: bytes) -> Note:
        """Raises ValueError for what is not a note."""
        values = json.loads(text)
        if not isinstance(values, dict) or set(values) != {"address", "url", "etag", "last_modified"}:
            raise ValueError("not a note of the cache")
        if not all(value is None or isinstance(value, str) for value in values.values()):
            raise ValueError("not a note of the cache")
        return cls(**values)


class CacheUnusableError(Exception):
    """The cache's folder cannot be written: full, read-only, no folder."""


class Slot:
    """The place of one address in the cache."""

    def __init__(self, address: str, run: RunConfig) -> None:
        self._address = address
        self._folder, self._problem = _folder(run)
        name = hashlib.sha256(identity(address).encode(errors="surrogateescape")).hexdigest()[:32]
        self._body = self._folder / name
        self._note = self._body.with_suffix(".json")

    def find(self) -> tuple[BinaryIO, Note] | None:
        """The body that is kept, open, and its note; None where there is none."""
        try:
            note = Note.from_json(self._note.read_bytes())
            return open(self._body, "rb"), note
        except (OSError, ValueError, RecursionError):
            return None

    @contextlib.contextmanager
    def new_body(self) -> Iterator[Body]:
        """A body to be written, which takes its place when it is kept. Raises CacheUnusableError."""
        if self._problem is not None:
            raise CacheUnusableError(self._problem)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = tempfile.NamedTemporaryFile(dir=self._folder, prefix=".part-", delete=False)  # noqa: SIM115
        except OSError as error:
            raise CacheUnusableError(f"{self._folder} cannot be written: {error.strerror}") from None
        body = Body(cast(BinaryIO, file), self, Path(file.name))
        try:
            yield body
        finally:
            body.discard_unless_kept()

    def keep(self, part: Path, url: str, etag: str | None, last_modified: str | None) -> None:
        """Move a complete body to its place and write its note."""
        try:
            os.replace(part, self._body)
            note = Note(public_name(self._address), public_name(url), etag, last_modified)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".part-", delete=False) as file:
                try:
                    file.write(json.dumps(asdict(note)).encode())
                    file.flush()
                    os.replace(file.name, self._note)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            # An older note may not speak of this body.
            with contextlib.suppress(OSError):
                self._note.unlink(missing_ok=True)
            raise CacheUnusableError(f"{self._folder} cannot be written: {error.strerror}") from None


class Body:
    """A body that is being written: into the cache, or, without a slot, for this once."""

    def __init__(self, file: BinaryIO, slot: Slot | None = None, part: Path | None = None) -> None:
        self._file = file
        self._slot = slot
        self._part = part
        self._kept = False

    def write(self, chunk: bytes) -> None:
        """Raises CacheUnusableError, or without a slot UnreadableSourceError, where there is no room."""
        with self._room_needed():
            self._file.write(chunk)

    def keep(self, url: str, etag: str | None, last_modified: str | None) -> BinaryIO:
        """The complete body, open at its start. It is read from here whether or not the cache could keep it."""
        with self._room_needed():
            self._file.flush()
        self._kept = True
        if self._slot is not None and self._part is not None:
            try:
                self._slot.keep(self._part, url, etag, last_modified)
            except CacheUnusableError as error:
                warn_of(error)
                self._part.unlink(missing_ok=True)
        self._file.seek(0)
        return self._file

    def discard_unless_kept(self) -> None:
        """Leave nothing half done behind."""
        if not self._kept:
            with contextlib.suppress(OSError):  # closing writes what is left, for which there may be no room
                self._file.close()
            if self._part is not None:
                self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _room_needed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._slot is not None:
                raise CacheUnusableError(f"a file in the cache cannot be written: {error.strerror}") from None
            raise UnreadableSourceError(
                f"there is no room for the download, neither in the cache nor in {tempfile.gettempdir()} "
                f"({error.strerror}); name a folder with --cache"
            ) from None


@contextlib.contextmanager
def passing_body() -> Iterator[Body]:
    """A body for this once: in memory, and beyond some size in a temporary file without a name."""
    body = Body(cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)))  # noqa: SIM115
    try:
        yield body
    finally:
        body.discard_unless_kept()


def warn_of(error: CacheUnusableError) -> None:
    """Say once in a process that downloads are not kept, and what helps."""
    if str(error) not in _WARNED:
        _WARNED.add(str(error))
        _LOG.warning("downloads are not kept: %s. Make room, or name another folder with --cache", error)


_WARNED: set[str] = set()


def _folder(run: RunConfig) -> tuple[Path, str | None]:
    """The folder for downloads; where none is known, one that holds nothing, and why."""
    if run.cache:
        return Path(os.path.expanduser(run.cache)), None
    try:
        return cache_folder(), None
    except OSError as error:
        return Path(os.devnull), str(error)
