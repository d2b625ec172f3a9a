"""Which reader a name asks for: the ending of a file name, or the first bytes where the ending says nothing."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit


class Container(StrEnum):
    """How texts lie in a file."""

    TEXT = "text"
    ZIP = "zip"
    JSON_LINES = "JSON lines"
    PARQUET = "Parquet"


@dataclass(frozen=True)
class Format:
    """How texts lie in a file, and what the file as a whole is compressed with (`gzip`, `zstd` or nothing)."""

    container: Container
    compression: str = ""


_CONTAINERS = {
    ".txt": Container.TEXT,
    ".text": Container.TEXT,
    ".zip": Container.ZIP,
    ".jsonl": Container.JSON_LINES,
    ".ndjson": Container.JSON_LINES,
    ".parquet": Container.PARQUET,
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_MAGIC = {
    b"PAR1": Format(Container.PARQUET),
    b"PK\x03\x04": Format(Container.ZIP),
    b"\x1f\x8b": Format(Container.TEXT, "gzip"),
    b"\x28\xb5\x2f\xfd": Format(Container.TEXT, "zstd"),
}
_LONGEST_STEM = 80


def format_of_name(name: str) -> Format | None:
    """The format that a file's name promises; None where its ending is not one of a book.

    >>> format_of_name("corpus.jsonl.zst")
    Format(container=<Container.JSON_LINES: 'JSON lines'>, compression='zstd')
    """
    lowered = name.lower()
    compression = next((kind for ending, kind in _COMPRESSIONS.items() if lowered.endswith(ending)), "")
    if compression:
        lowered = lowered.rpartition(".")[0]
    container = next((kind for ending, kind in _CONTAINERS.items() if lowered.endswith(ending)), None)
    if container is None or (compression and container in (Container.ZIP, Container.PARQUET)):
        return None
    return Format(container, compression)


def format_of_bytes(start: bytes) -> Format:
    """The format that the first bytes of a file show; text where they show none."""
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), Format(Container.TEXT))


def file_name(uri: str) -> str:
    """The last part of a path or URL, without query and fragment."""
    path = unquote(urlsplit(uri).path) if "://" in uri else uri
    return path.rstrip("/").rpartition("/")[2] or uri


def stem_of(name: str) -> str:
    """A readable key from any name: no endings of formats, no separators, no leading dots, at most 80 characters.

    >>> stem_of("../../etc/Moby Dick's tale.txt.gz")
    'Moby-Dick-s-tale'
    """
    base = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    endings = (*_COMPRESSIONS, *_CONTAINERS, ".utf-8")
    while any(base.lower().endswith(ending) and len(base) > len(ending) for ending in endings):
        base = base.rpartition(".")[0]
    words = re.sub(r"[^\w.]+", "-", unicodedata.normalize("NFC", base))
    return words.strip("-.")[:_LONGEST_STEM].strip("-.") or "book"
