"""The studies below a folder or prefix, for whoever keeps many: each in one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

from store import paths
from store.books import BookStatus
from store.columns import BOOKS, CROSS_PAIRS, PAIRS
from store.commits import CommitRecord, committed, live_records, load_records
from store.encoding import decode
from store.errors import NoStore, StoreError, StoreUnavailable
from store.objects.base import ObjectStore
from store.objects.locations import is_remote, object_store
from store.study import read_study

MOST_LEVELS = 8
"""How deep below the root a store is looked for."""


@dataclass(frozen=True)
class Listed:
    """One store: its model, its books that gave pairs and all it was given, rows of pairs, bytes, and its last change.

    Pairs are those that a query sees; bytes are those on the disk, a removed book's too until a compaction. `problem`
    says why a store that was found cannot be read; the rest is then empty.
    """

    store: str
    model: str = ""
    used: int = 0
    books: int = 0
    pairs: int = 0
    bytes: int = 0
    changed: str = ""
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def stores_below(root: str | Path) -> Iterator[str]:
    """The locations of the stores below a folder or `s3://` prefix, itself included, in order; none within another.

    Links and folders that begin with a dot are passed over. Raises StoreError where the place cannot be read.
    """
    objects = object_store(root)
    pending = [""]
    while pending:
        folder = pending.pop()
        names = objects.names(folder)
        if paths.STUDY in names:
            yield objects.address(folder).rstrip("/")
        elif folder.count("/") < MOST_LEVELS:
            inner = [name for name in names if name.endswith("/") and not name.startswith(".")]
            pending += [folder + name for name in reversed(inner)]


def list_stores(root: str | Path) -> Iterator[Listed]:
    """Look at each store below a place. Raises NoStore where there is none, StoreUnavailable if it does not answer."""
    found = False
    for location in stores_below(root):
        found = True
        try:
            yield _look(location, object_store(location))
        except StoreUnavailable:
            raise
        except StoreError as error:
            yield Listed(location, problem=str(error))
    if not found:
        if not is_remote(root) and not Path(root).exists():
            raise NoStore(f"{object_store(root).location} does not exist; name a folder that holds stores")
        raise NoStore(f"no store was found in {object_store(root).location}, {MOST_LEVELS} folders deep")


def _look(location: str, objects: ObjectStore) -> Listed:
    study = read_study(objects)
    live = live_records(load_records(objects))
    books = committed(live).books
    files = [file for record in live for file in record.files]
    pairs = sum(_pairs(objects, record) for record in live)
    changed = max((entry.modified for entry in objects.walk(paths.COMMITS)), default=None)
    return Listed(
        location,
        model=str(study.config.get("model", "")) if study else "",
        used=sum(book.status == BookStatus.USED for book in books.values()),
        books=len(books),
        pairs=pairs,
        bytes=sum(file.bytes for file in files),
        changed="" if changed is None else datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds"),
    )


def _pairs(objects: ObjectStore, record: CommitRecord) -> int:
    """Rows of pairs of a record that a query sees: without those of its removed books, whose marks its files count."""
    keys = [(paths.parse_chunk_path(file.path), file.rows) for file in record.files]
    pairs, layers = 0, {table.name: set[int | None]() for table in (PAIRS, CROSS_PAIRS)}
    for key, rows in keys:
        if key is not None and key.table in layers:
            pairs += rows
            layers[key.table].add(key.layer)
    for marks in _removed_marks(objects, record) if record.hidden else ():
        pairs -= len(layers[PAIRS.name]) * sum(count * (count - 1) // 2 for count in marks)
        pairs -= len(layers[CROSS_PAIRS.name]) * sum(a * b for a, b in combinations(marks, 2))
    return pairs


def _removed_marks(objects: ObjectStore, record: CommitRecord) -> list[list[int]]:
    """How many marks of each class the record's removed books have in its files."""
    files = [file.path for file in record.files if file.path.startswith(f"{BOOKS.name}/")]
    rows = [
        row
        for path, data in zip(files, objects.read_all(files), strict=True)
        for row in decode(BOOKS, data, objects.address(path)).select(["book", "used"]).to_pylist()
    ]
    return [[count for _, count in row["used"]] for row in rows if row["book"] in record.hidden]
