"""Takes single texts out of files: plain and compressed text, archives, JSON, tables and Parquet.

Each container has two functions: one lists every text of a file, in one pass and in bounded memory; the other goes
back to some of them by byte offset, member or row group. No more than `max_book_megabytes` of one text are ever
held, whatever a file claims or decompresses to.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, cast

import pyarrow as pa

from jobs.config import RunConfig
from jobs.corpus import archives, delimited, json_lines, json_values, parquet
from jobs.corpus.corpus_text import Content, CorpusText, bounded
from jobs.corpus.damage import reading
from jobs.corpus.decoding import check_signature
from jobs.corpus.formats import (
    HEAD_BYTES,
    Container,
    Format,
    compression_of,
    container_of,
    file_name,
    named_format,
)
from jobs.corpus.references import BookRef, Problem, UnusableTextError

_UTF8_MARK = b"\xef\xbb\xbf"


def format_of(uri: str, stream: BinaryIO, run: RunConfig) -> Format:
    """How texts lie in an open file: shown by its first bytes, or promised by its name.

    Raises UnreadableSourceError where it cannot be decompressed, UnusableTextError where it is of a kind that its
    name hides and that is not read.
    """
    named = named_format(file_name(uri))
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    compression = compression_of(head, named)
    if compression:
        head = _head(stream, compression)
        # Neither is packed once more: such a name is as wrong as it says nothing of what is inside.
        named = None if named and named.container in (Container.ZIP, Container.PARQUET) else named
    container = container_of(head, named, run.text_column)
    if compression and container in (Container.ZIP, Container.PARQUET):
        raise UnusableTextError(f"this is {container} within {compression} data; unpack it first", Problem.FORMAT)
    if container not in (Container.TEXT, Container.ZIP, Container.PARQUET):
        check_signature(head)
    return Format(container, compression)


def list_texts(stream: BinaryIO, layout: Format, run: RunConfig) -> Iterator[CorpusText]:
    """Every text of an open file, in order.

    Raises UnreadableSourceError where the file is damaged, and UnusableTextError where nothing in it can be a text
    or a column that was named is not in it.
    """
    with reading(_name_of(layout)):
        _check_keys(stream, layout, run)
        head = _head(stream, layout.compression) if layout.container is Container.CSV else b""
        with _decompressed(stream, layout.compression) as data:
            yield from _list(data, head, layout, run)


def read_texts(
    stream: BinaryIO, layout: Format, refs: Sequence[BookRef], run: RunConfig
) -> Iterator[tuple[BookRef, Content]]:
    """The texts that `refs` name in an open file, in ascending order of their numbers, in one pass."""
    with reading(_name_of(layout)):
        head = _head(stream, layout.compression) if layout.container is Container.CSV else b""
        with _decompressed(stream, layout.compression) as data:
            yield from _read(data, head, layout, refs, run)


def _list(data: BinaryIO, head: bytes, layout: Format, run: RunConfig) -> Iterator[CorpusText]:
    if layout.container is Container.ZIP:
        yield from archives.list_members(data, run)
    elif layout.container is Container.JSON_LINES:
        yield from json_lines.list_lines(data, run)
    elif layout.container is Container.JSON:
        yield from json_values.list_values(_without_mark(data), run)
    elif layout.container is Container.CSV:
        yield from delimited.list_rows(data, head, run)
    elif layout.container is Container.PARQUET:
        yield from parquet.list_rows(data, run)
    else:
        yield CorpusText(bounded(data, run))


def _read(
    data: BinaryIO, head: bytes, layout: Format, refs: Sequence[BookRef], run: RunConfig
) -> Iterator[tuple[BookRef, Content]]:
    if layout.container is Container.ZIP:
        yield from archives.read_members(data, refs, run)
    elif layout.container is Container.JSON_LINES:
        pick = json_lines.scan_lines if layout.compression else json_lines.seek_lines
        yield from pick(data, refs, run)
    elif layout.container is Container.JSON:
        yield from json_values.scan_values(_without_mark(data), refs, run)
    elif layout.container is Container.CSV:
        yield from delimited.read_rows(data, head, refs, run)
    elif layout.container is Container.PARQUET:
        yield from parquet.read_rows(data, refs, run)
    else:
        content = bounded(data, run)
        yield from ((ref, content) for ref in refs)


def _check_keys(stream: BinaryIO, layout: Format, run: RunConfig) -> None:
    """Look for the keys that were named, in JSON, before any text is listed: mostly the first value has them."""
    if layout.container not in (Container.JSON, Container.JSON_LINES):
        return
    with _decompressed(stream, layout.compression) as data:
        if layout.container is Container.JSON_LINES:
            json_lines.check_lines(data, run)
        else:
            json_values.check_keys(json_values.values_of(_without_mark(data), run), run)
    stream.seek(0)


def _name_of(layout: Format) -> str:
    return f"the {layout.compression or layout.container} file"


def _head(stream: BinaryIO, compression: str) -> bytes:
    """The first bytes of a file when it is decompressed; the stream is at its start again."""
    with reading(f"the {compression} file"), _decompressed(stream, compression) as data:
        head = data.read(HEAD_BYTES)
    stream.seek(0)
    return head


def _without_mark(data: BinaryIO) -> BinaryIO:
    """A stream behind its byte order mark, which JSON has no place for."""
    buffered = io.BufferedReader(cast(io.RawIOBase, _KeptOpen(data)))
    if buffered.peek(len(_UTF8_MARK)).startswith(_UTF8_MARK):
        buffered.read(len(_UTF8_MARK))
    return cast(BinaryIO, buffered)


@contextmanager
def _decompressed(stream: BinaryIO, compression: str) -> Iterator[BinaryIO]:
    if compression == "gzip":
        with gzip.GzipFile(fileobj=stream) as unzipped:
            yield cast(BinaryIO, io.BufferedReader(unzipped, 1 << 20))
    elif compression == "zstd":
        # pyarrow's stream, unlike zstandard's own, notices a file that was cut off.
        with pa.CompressedInputStream(cast(BinaryIO, _KeptOpen(stream)), "zstd") as unpacked:
            yield cast(BinaryIO, io.BufferedReader(unpacked, 1 << 20))
    else:
        yield stream


class _KeptOpen(io.RawIOBase):
    """A stream that stays open when its reader is closed, so that it can be read once more."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
