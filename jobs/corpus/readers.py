"""Takes single texts out of files: plain and compressed text, archives, JSON lines and Parquet.

Each container has two functions: one lists every text of a file, in one pass and in bounded memory; the other goes
back to some of them by byte offset, member or row group. No more than `max_book_megabytes` of one text are ever
held, whatever a file claims or decompresses to.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, cast

import pyarrow as pa

from jobs.config import RunConfig
from jobs.corpus import archives, json_lines, parquet
from jobs.corpus.formats import Container, Format, file_name, format_of_bytes, format_of_name
from jobs.corpus.records import Content, Record, bounded
from jobs.corpus.references import BookRef, UnreadableSourceError


def format_of(uri: str, stream: BinaryIO) -> Format:
    """How texts lie in an open file: by its name, or by its first bytes where the name does not say."""
    named = format_of_name(file_name(uri))
    if named is not None:
        return named
    start = stream.read(8)
    stream.seek(0)
    return format_of_bytes(start)


def list_records(stream: BinaryIO, layout: Format, run: RunConfig) -> Iterator[Record]:
    """Every text of an open file, in order.

    Raises UnreadableSourceError where the file is damaged, and UnusableTextError where nothing in it can be a text.
    """
    with _damage_named(), _decompressed(stream, layout) as data:
        if layout.container is Container.ZIP:
            yield from archives.list_members(data, run)
        elif layout.container is Container.JSON_LINES:
            yield from json_lines.list_lines(data, run)
        elif layout.container is Container.PARQUET:
            yield from parquet.list_rows(data, run)
        else:
            yield Record(bounded(data, run))


def read_records(
    stream: BinaryIO, layout: Format, refs: Sequence[BookRef], run: RunConfig
) -> Iterator[tuple[BookRef, Content]]:
    """The texts that `refs` name in an open file, in ascending order of their records, in one pass."""
    with _damage_named(), _decompressed(stream, layout) as data:
        if layout.container is Container.ZIP:
            yield from archives.read_members(data, refs, run)
        elif layout.container is Container.JSON_LINES:
            pick = json_lines.scan_lines if layout.compression else json_lines.seek_lines
            yield from pick(data, refs, run)
        elif layout.container is Container.PARQUET:
            yield from parquet.read_rows(data, refs, run)
        else:
            content = bounded(data, run)
            yield from ((ref, content) for ref in refs)


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise UnreadableSourceError("the compressed file ends too early; it was cut off on its way here") from None
    except (gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
        raise UnreadableSourceError(f"the compressed file is damaged: {error}") from None


@contextmanager
def _decompressed(stream: BinaryIO, layout: Format) -> Iterator[BinaryIO]:
    if layout.compression == "gzip":
        with gzip.GzipFile(fileobj=stream) as unzipped:
            yield cast(BinaryIO, io.BufferedReader(unzipped, 1 << 20))
    elif layout.compression == "zstd":
        # pyarrow's stream, unlike zstandard's own, notices a file that was cut off.
        with pa.CompressedInputStream(stream, "zstd") as unpacked:
            yield cast(BinaryIO, io.BufferedReader(unpacked, 1 << 20))
    else:
        yield stream
