"""Texts in the members of a zip archive. Nothing is ever unpacked to disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from jobs.config import RunConfig
from jobs.corpus.formats import Container, Format, format_of_name
from jobs.corpus.records import Content, Record, bounded
from jobs.corpus.references import BookRef, Problem, UnreadableSourceError, UnusableTextError

_TEXT = Format(Container.TEXT)


def list_members(data: BinaryIO, run: RunConfig) -> Iterator[Record]:
    with zipfile.ZipFile(data) as archive:
        members = _text_members(archive)
        for number, info in enumerate(members):
            content = _member(archive, info, run)
            alone = len(members) == 1
            yield Record(content, None if alone else number, name=None if alone else info.filename)


def read_members(data: BinaryIO, refs: Sequence[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, Content]]:
    with zipfile.ZipFile(data) as archive:
        members = _text_members(archive)
        for ref in refs:
            number = ref.record or 0
            if number >= len(members):
                raise UnreadableSourceError(f"member {number} is no longer there; the archive has changed")
            yield ref, _member(archive, members[number], run)


def _text_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = [info for info in archive.infolist() if not info.is_dir() and format_of_name(info.filename) == _TEXT]
    if not members:
        raise UnusableTextError("the archive holds no .txt file", Problem.FORMAT)
    return members


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, run: RunConfig) -> Content:
    if info.flag_bits & 1:
        return UnusableTextError(f"{info.filename} in the archive is encrypted", Problem.FORMAT)
    try:
        with archive.open(info) as member:
            return bounded(cast(BinaryIO, member), run)
    except NotImplementedError as error:  # what zipfile raises for a compression that it lacks
        return UnusableTextError(f"{info.filename} in the archive cannot be unpacked: {error}", Problem.FORMAT)
