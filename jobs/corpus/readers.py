"""Takes single texts out of files: plain and compressed text, archives, JSON lines and Parquet.

Each container has two functions: one lists every text of a file, in one pass and in bounded memory; the other goes
back to some of them by byte offset, member or row group. No more than `max_book_megabytes` of one text are ever
held, whatever a file claims or decompresses to.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from jobs.config import RunConfig
from jobs.corpus.formats import Container, Format, format_of_bytes, format_of_name
from jobs.corpus.references import BookRef, Problem, UnreadableSourceError, UnusableTextError

Content = bytes | str | UnusableTextError
"""A text as bytes to be decoded or as characters, or why it is none."""


@dataclass(frozen=True)
class Record:
    """One text of a file. `number` is None where the file is the text; `name` and `title` come from its columns."""

    content: Content
    number: int | None = None
    offset: int | None = None
    name: str | None = None
    title: str | None = None


def format_of(uri: str, stream: BinaryIO) -> Format:
    """How texts lie in an open file: by its name, or by its first bytes where the name does not say."""
    named = format_of_name(uri.partition("?")[0])
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
            yield from _list_zip(data, run)
        elif layout.container is Container.JSON_LINES:
            yield from _list_json_lines(data, run)
        elif layout.container is Container.PARQUET:
            from jobs.corpus.parquet import list_rows  # pyarrow only where a Parquet file is read

            yield from list_rows(data, run)
        else:
            yield Record(_bounded(data, run))


def read_records(
    stream: BinaryIO, layout: Format, refs: Sequence[BookRef], run: RunConfig
) -> Iterator[tuple[BookRef, Content]]:
    """The texts that `refs` name in an open file, in ascending order of their records, in one pass."""
    with _damage_named(), _decompressed(stream, layout) as data:
        if layout.container is Container.ZIP:
            yield from _read_zip(data, refs, run)
        elif layout.container is Container.JSON_LINES:
            pick = _scan_json_lines if layout.compression else _seek_json_lines
            yield from pick(data, refs, run)
        elif layout.container is Container.PARQUET:
            from jobs.corpus.parquet import read_rows

            yield from read_rows(data, refs, run)
        else:
            content = _bounded(data, run)
            yield from ((ref, content) for ref in refs)


def bounded_text(text: str | bytes, run: RunConfig) -> Content:
    """A text from a column, if it is not too large. Halves of surrogate pairs cannot be encoded and become `?`."""
    if len(text) > _limit(run):
        return _too_large(run)
    if isinstance(text, bytes):
        return text
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode("utf-8")


def _limit(run: RunConfig) -> int:
    return run.max_book_megabytes * 1_000_000


def _too_large(run: RunConfig) -> UnusableTextError:
    return UnusableTextError(
        f"the text is larger than {run.max_book_megabytes} MB; raise --max-book-megabytes if that is meant",
        Problem.TOO_LARGE,
    )


def _bounded(data: BinaryIO, run: RunConfig) -> Content:
    content = data.read(_limit(run) + 1)
    return content if len(content) <= _limit(run) else _too_large(run)


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
        import pyarrow  # its stream, unlike zstandard's own, notices a file that was cut off

        with pyarrow.CompressedInputStream(stream, "zstd") as unpacked:
            yield cast(BinaryIO, io.BufferedReader(unpacked, 1 << 20))
    else:
        yield stream


def _text_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = [info for info in archive.infolist() if not info.is_dir() and format_of_name(info.filename) == _TEXT]
    if not members:
        raise UnusableTextError("the archive holds no .txt file", Problem.FORMAT)
    return members


_TEXT = Format(Container.TEXT)


def _list_zip(data: BinaryIO, run: RunConfig) -> Iterator[Record]:
    with zipfile.ZipFile(data) as archive:
        members = _text_members(archive)
        for number, info in enumerate(members):
            content = _member(archive, info, run)
            alone = len(members) == 1
            yield Record(content, None if alone else number, name=None if alone else info.filename)


def _read_zip(data: BinaryIO, refs: Sequence[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    with zipfile.ZipFile(data) as archive:
        members = _text_members(archive)
        for ref in refs:
            number = ref.record or 0
            if number >= len(members):
                raise UnreadableSourceError(f"member {number} is no longer there; the archive has changed")
            yield ref, _member(archive, members[number], run)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, run: RunConfig) -> Content:
    if info.flag_bits & 1:
        return UnusableTextError(f"{info.filename} in the archive is encrypted", Problem.FORMAT)
    try:
        with archive.open(info) as member:
            return _bounded(cast(BinaryIO, member), run)
    except NotImplementedError as error:
        return UnusableTextError(f"{info.filename} in the archive cannot be unpacked: {error}", Problem.FORMAT)


def _list_json_lines(data: BinaryIO, run: RunConfig) -> Iterator[Record]:
    number = 0
    for offset, line in _lines(data, run):
        if isinstance(line, bytes) and not line.strip():
            continue
        record = _json_record(line, number, offset, run)
        if number == 0 and isinstance(record.content, UnusableTextError) and record.content.kind is Problem.FORMAT:
            raise record.content
        yield record
        number += 1


def _lines(data: BinaryIO, run: RunConfig) -> Iterator[tuple[int, bytes | UnusableTextError]]:
    """Lines with the byte at which they start. JSON may spell one character as six, so a line may be longer than
    the text in it; what is longer still is passed over piece by piece."""
    longest = 6 * _limit(run) + 65_536
    offset = 0
    while line := data.readline(longest):
        start, offset = offset, offset + len(line)
        if len(line) < longest or line.endswith(b"\n"):
            yield start, line
            continue
        while line and not line.endswith(b"\n"):
            line = data.readline(1 << 20)
            offset += len(line)
        yield start, _too_large(run)


def _json_record(line: bytes | UnusableTextError, number: int, offset: int, run: RunConfig) -> Record:
    if isinstance(line, UnusableTextError):
        return Record(line, number, offset)
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Record(UnusableTextError(f"line {number + 1} is not JSON: {error}", Problem.FORMAT), number, offset)
    text = values.get(run.text_column) if isinstance(values, dict) else None
    if not isinstance(text, str):
        return Record(_without_text(values, run.text_column), number, offset)
    name, title = column_value(values, run.id_column, "id"), column_value(values, run.title_column, "title")
    return Record(bounded_text(text, run), number, offset, name, title)


def _without_text(values: Any, column: str) -> UnusableTextError:
    found = ", ".join(sorted(map(str, values))) if isinstance(values, dict) else type(values).__name__
    return UnusableTextError(
        f"there is no text under the key {column!r}; found: {found[:200]}. Name the key with --text-column",
        Problem.FORMAT,
    )


def column_value(values: dict[str, Any], named: str | None, usual: str) -> str | None:
    """The value of the column that the user named, or of the usual one where it is there; as text."""
    value = values.get(named or usual)
    return str(value) if isinstance(value, str | int) and str(value).strip() else None


def _seek_json_lines(data: BinaryIO, refs: Iterable[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    for ref in refs:
        data.seek(ref.offset or 0)
        (_, line) = next(_lines(data, run), (0, b""))
        yield ref, _json_record(line, ref.record or 0, ref.offset or 0, run).content


def _scan_json_lines(data: BinaryIO, refs: Iterable[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    """A compressed file has no random access: pass once over its lines and parse those that are asked for."""
    lines = _lines(data, run)
    for ref in refs:
        for offset, line in lines:
            if offset == ref.offset:
                yield ref, _json_record(line, ref.record or 0, offset, run).content
                break
        else:
            raise UnreadableSourceError(f"record {ref.record} is no longer there; the file has changed")
