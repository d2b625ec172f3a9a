"""Texts in the members of a zip archive. Nothing is ever unpacked to disk."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from jobs.config import RunConfig
from jobs.corpus.corpus_text import Content, CorpusText, bounded
from jobs.corpus.damage import reading
from jobs.corpus.formats import Container, Format, format_of_name
from jobs.corpus.references import BookRef, Problem, UnreadableSourceError, UnusableTextError
from jobs.errors import SourceError

_TEXT = Format(Container.TEXT)
_DOCUMENTS = {
    "META-INF/container.xml": "an EPUB book",
    "word/document.xml": "a Word document",
    "xl/workbook.xml": "an Excel workbook",
    "ppt/presentation.xml": "a PowerPoint presentation",
    "content.xml": "an OpenDocument file",
}
"""Files of other programs that are zip archives, by a member that each of them has."""

_MOST_MEMBERS = 1_000_000
_END_OF_DIRECTORY = b"PK\x05\x06"
_LONGEST_COMMENT = 65_535


def list_members(data: BinaryIO, run: RunConfig) -> Iterator[CorpusText]:
    """The texts of an archive, in its order; a problem in place of a text that cannot be read."""
    with _archive(data) as archive:
        members = _text_members(archive)
        for number, info in enumerate(members):
            content = _member(archive, info, run)
            alone = len(members) == 1
            yield CorpusText(content, None if alone else number, name=None if alone else info.filename)


def read_members(data: BinaryIO, refs: Sequence[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    """The members that the references name, each with its reference."""
    with _archive(data) as archive:
        members = _text_members(archive)
        for ref in refs:
            number = ref.number or 0
            if number >= len(members):
                raise UnreadableSourceError(f"member {number} is no longer there; the archive has changed")
            yield ref, _member(archive, members[number], run)


def _archive(data: BinaryIO) -> zipfile.ZipFile:
    """An open archive, if its list of members, which is held in memory, is not endless."""
    size = data.seek(0, os.SEEK_END)
    data.seek(max(0, size - _LONGEST_COMMENT - 22))
    _, found, end = data.read().rpartition(_END_OF_DIRECTORY)
    data.seek(0)
    entries_bytes = int.from_bytes(end[8:12], "little") if found and len(end) >= 12 else 0
    if entries_bytes != 0xFFFFFFFF and entries_bytes > _MOST_MEMBERS * 100:
        raise UnusableTextError(f"the archive lists more than {_MOST_MEMBERS:,} members; divide it", Problem.TOO_LARGE)
    return zipfile.ZipFile(data)


def _text_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    names = archive.namelist()
    document = next((what for member, what in _DOCUMENTS.items() if member in names), None)
    if document is not None:
        raise UnusableTextError(f"this is {document}, not plain text; save it as plain text", Problem.FORMAT)
    members = [info for info in archive.infolist() if _is_text(info)]
    if not members:
        others = [name for name in names if not name.endswith("/") and not _is_hidden(name)]
        found = f"; it holds {', '.join(others)[:200]}. Unpack it and name what is inside" if others else ""
        raise UnusableTextError(f"the archive holds no .txt file{found}", Problem.FORMAT)
    return members


def _is_text(info: zipfile.ZipInfo) -> bool:
    return not info.is_dir() and not _is_hidden(info.filename) and format_of_name(info.filename) == _TEXT


def _is_hidden(name: str) -> bool:
    """Whether a member is what a file manager left: `__MACOSX/._a.txt`, `.DS_Store`. Paths like `../a.txt` are not."""
    parts = name.split("/")
    return "__MACOSX" in parts or any(part.startswith(".") and part.strip(".") for part in parts)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, run: RunConfig) -> Content:
    """The text of a member, or why it is none: one that is damaged does not take the others with it."""
    if info.flag_bits & 1:
        return UnusableTextError(f"{info.filename} in the archive is encrypted", Problem.FORMAT)
    try:
        with reading(f"{info.filename} in the archive"), archive.open(info) as member:
            return bounded(cast(BinaryIO, member), run)
    except SourceError as error:
        return UnusableTextError(str(error), Problem.UNREADABLE)
