"""What a commit says of the table `sensitivity`: which specifications of which text its files hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from store import documents
from store.errors import DocumentDamaged


@dataclass(frozen=True)
class Tried:
    """Specifications of one text, each with rows in layers 0 to `layers` - 1.

    The text is that of book `key` with this checksum; of another one under the same key it says nothing. `layers` is 0
    where the text has too few marks for any.
    """

    key: str
    sha256: str
    specifications: tuple[str, ...]
    layers: int


def tried_from(values: dict[str, Any]) -> Tried:
    """What these plain values of a commit say. Raises DocumentDamaged."""
    key, sha256 = documents.field(values, "key", str), documents.field(values, "sha256", str)
    names, layers = documents.items(values, "specifications", str), documents.count(values, "layers")
    if len(set(names)) != len(names):
        raise DocumentDamaged(f"it tried a specification of {documents.shown(key)} twice")
    return Tried(key, sha256, tuple(names), layers)
