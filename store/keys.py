"""Names of units of work: the immutable keys that paths, logs, errors and retries speak of.

A **shard** is a fixed group of books. Its name is a hash of what it holds and of the study it belongs to, so
that relaunching the same command finds the same shards. A **chunk** is one file of one shard: a table and, for
the tables that are partitioned, a layer, one class of marks or two, and a part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

BASELINE = "baseline"
"""The name of the class of random tokens, where a study has it."""


@dataclass(frozen=True, order=True)
class ShardKey:
    """The name of a group of books within one study: 16 hexadecimal digits."""

    name: str

    @classmethod
    def of(cls, fingerprint: str, books: Iterable[str]) -> ShardKey:
        """Hash the study's fingerprint and what identifies each book (its checksum); their order does not count.

        Raises ValueError where there is no book: an empty shard has no name.
        """
        identities = sorted(books)
        if not identities:
            raise ValueError("a shard needs at least one book")
        digest = hashlib.sha256("\n".join([fingerprint, *identities]).encode())
        return cls(digest.hexdigest()[:16])

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, order=True)
class BlockKey:
    """One unit of pair work: the states of all classes, in one layer, of one shard."""

    shard: ShardKey
    layer: int

    def __post_init__(self) -> None:
        if self.layer < 0:
            raise ValueError(f"layer {self.layer} of shard {self.shard} is negative; layer 0 is the embeddings")

    def __str__(self) -> str:
        return f"shard {self.shard} layer {self.layer}"


@dataclass(frozen=True, order=True)
class ChunkKey:
    """One file of one shard.

    `layer`, `mark_class` and `other` are set for tables that are partitioned by them and None for the others. `part`
    numbers the pieces of a block whose rows do not fit in one file; it is a function of the row counts, never of the
    attempt.
    """

    table: str
    shard: ShardKey
    layer: int | None = None
    mark_class: str | None = None
    other: str | None = None
    part: int = 0

    @property
    def partition(self) -> tuple[tuple[str, str], ...]:
        """The folders of the file below its table: name and value, the layer with two digits."""
        layer = None if self.layer is None else f"{self.layer:02d}"
        folders = (("layer", layer), ("class", self.mark_class), ("other", self.other))
        return tuple((name, value) for name, value in folders if value is not None)

    def __str__(self) -> str:
        where = "".join(f" {name} {value}" for name, value in self.partition)
        return f"{self.table} of shard {self.shard}{where}" + (f" part {self.part}" if self.part else "")
