"""How texts lie in a file: shown by its first bytes, or promised by its name where they show nothing."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from jobs.corpus.delimited import looks_delimited

HEAD_BYTES = 65_536
"""So much of a file shows what it is."""


class Container(StrEnum):
    """How texts lie in a file."""

    TEXT = "text"
    ZIP = "zip"
    JSON_LINES = "JSON lines"
    JSON = "JSON"
    CSV = "CSV"
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
_NAMED_ONLY = {".json": Container.JSON, ".csv": Container.CSV, ".tsv": Container.CSV}
"""Read where they are named; in a folder of books such files are mostly about the books."""

_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_COMPRESSION_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")

_STRING = rb'"(?:[^"\\\r\n]|\\.)*"'
_JSON_OBJECT = re.compile(rb"\s*\{\s*" + _STRING + rb"\s*:")
_JSON_ARRAY = re.compile(rb"\s*\[\s*(?:\{\s*" + _STRING + rb"\s*:|" + _STRING + rb'\s*(?:,\s*"|\]\s*\Z))')
_OBJECT_ON_A_LINE = re.compile(rb"\s*\{[^\n]*(?:\}\s*(?:\n|\Z)|\Z)")
_LONGEST_STEM = 80


def format_of_name(name: str) -> Format | None:
    """The format that a file's name promises; None where its ending is not one that a folder is searched for.

    >>> format_of_name("corpus.jsonl.zst")
    Format(container=<Container.JSON_LINES: 'JSON lines'>, compression='zstd')
    """
    return _format_by(name, _CONTAINERS)


def named_format(name: str) -> Format | None:
    """The format that the name of a file promises when that file itself was named; None where it promises none."""
    return _format_by(name, _CONTAINERS | _NAMED_ONLY)


def compression_of(start: bytes, named: Format | None) -> str:
    """What a file is compressed with: by its first bytes, whatever its name; by its name where they show none."""
    shown = next((kind for magic, kind in _COMPRESSION_MAGIC.items() if start.startswith(magic)), None)
    return shown or (named.compression if named else "")


def container_of(head: bytes, named: Format | None, text_column: str) -> Container:
    """How texts lie in (decompressed) bytes that start with `head`: shown by them, or promised by the name.

    JSON and tables are recognised strictly, by a first key or by a header with the text column in it, so that prose
    that opens with a bracket or has commas stays prose.
    """
    if head.startswith(b"PAR1"):
        return Container.PARQUET
    if head.startswith(_ZIP_MAGIC):
        return Container.ZIP
    promised = named.container if named else Container.TEXT
    start = head.removeprefix(b"\xef\xbb\xbf")
    if promised in (Container.JSON, Container.JSON_LINES):
        shown = start.lstrip()[:1]
        by_line = shown != b"[" and (promised is Container.JSON_LINES or bool(_OBJECT_ON_A_LINE.match(start)))
        return Container.JSON_LINES if by_line else Container.JSON
    if promised is Container.TEXT and _JSON_ARRAY.match(start):
        return Container.JSON
    if promised is Container.TEXT and _JSON_OBJECT.match(start):
        return Container.JSON_LINES if _OBJECT_ON_A_LINE.match(start) else Container.JSON
    if promised is Container.TEXT and looks_delimited(head, text_column):
        return Container.CSV
    return promised


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
    endings = (*_COMPRESSIONS, *_CONTAINERS, *_NAMED_ONLY, ".utf-8")
    while any(base.lower().endswith(ending) and len(base) > len(ending) for ending in endings):
        base = base.rpartition(".")[0]
    words = re.sub(r"[^\w.]+", "-", unicodedata.normalize("NFC", base))
    return words.strip("-.")[:_LONGEST_STEM].strip("-.") or "book"


def _format_by(name: str, containers: dict[str, Container]) -> Format | None:
    lowered = name.lower()
    compression = next((kind for ending, kind in _COMPRESSIONS.items() if lowered.endswith(ending)), "")
    if compression:
        lowered = lowered.rpartition(".")[0]
    container = next((kind for ending, kind in containers.items() if lowered.endswith(ending)), None)
    if container is None or (compression and container in (Container.ZIP, Container.PARQUET)):
        return None
    return Format(container, compression)
