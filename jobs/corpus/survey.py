"""Reads sources on a worker: once to list, count and hash their texts, and again to hand a text over."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from jobs.config import RunConfig
from jobs.corpus.corpus_text import Content, CorpusText
from jobs.corpus.decoding import UnknownEncodingError, decode
from jobs.corpus.formats import file_name, stem_of
from jobs.corpus.gutenberg import read_header
from jobs.corpus.opening import open_source
from jobs.corpus.readers import format_of, list_texts, read_texts
from jobs.corpus.references import BookRef, Problem, Source, UnreadableSourceError, UnusableTextError
from jobs.errors import BookError
from store.objects.base import printable
from store.objects.public_names import public_name, without_secrets

_HEAD = 65_536
_GUTENBERG = re.compile(r"gutenberg:[0-9]{1,9}")
_LONGEST_PROBLEM = 600


def survey(source: Source, run: RunConfig) -> Iterator[BookRef]:
    """One reference per text of a source, in order. What cannot be read or used becomes a reference with a problem.

    One text is held at a time, whatever the size of the file.
    """
    stem = _stem(source.uri)
    listed = 0
    try:
        with open_source(source.uri, run, revalidate=True) as stream:
            for text in list_texts(stream, format_of(source.uri, stream, run), run):
                yield _reference(source.uri, stem, text)
                listed += 1
    except (UnreadableSourceError, UnusableTextError) as error:
        yield refused(source.uri, error)
        return
    if listed == 0:
        yield refused(source.uri, UnusableTextError("the file holds no text", Problem.EMPTY))


def refused(uri: str, error: UnreadableSourceError | UnusableTextError) -> BookRef:
    """The reference that stands for a source from which nothing could be taken. Its name may be anything."""
    return BookRef(_stem(uri), printable(uri), problem=printable(_located(uri, error)), problem_kind=error.kind)


def read_book(ref: BookRef, run: RunConfig) -> bytes | str:
    """The text a reference names, as bytes to be decoded or as characters.

    Raises BookError for a text that was refused, SourceError where it cannot be read any more or has changed.
    """
    ((_, content),) = read_books([ref], run)
    if isinstance(content, BookError):
        raise content
    return content


def read_books(refs: Iterable[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, bytes | str | BookError]]:
    """The texts of several references, in the given order, with the error in the place of one that fails.

    Neighbours from one file are read in one pass over it as long as they follow each other in its order, so a shard
    of texts from a compressed file costs one decompression and not one each. One text is held at a time.
    """
    group: list[BookRef] = []
    for ref in refs:
        if group and (ref.uri != group[-1].uri or (ref.number or 0) <= (group[-1].number or 0)):
            yield from _read_group(group[0].uri, group, run)
            group = []
        group.append(ref)
    if group:
        yield from _read_group(group[0].uri, group, run)


def _read_group(uri: str, refs: list[BookRef], run: RunConfig) -> Iterator[tuple[BookRef, bytes | str | BookError]]:
    done = 0
    try:
        with open_source(uri, run) as stream:
            for ref, content in read_texts(stream, format_of(uri, stream, run), refs, run):
                done += 1
                yield ref, _unchanged(ref, content)
    except (UnreadableSourceError, UnusableTextError) as error:
        yield from ((ref, error) for ref in refs[done:])


def _unchanged(ref: BookRef, content: Content) -> bytes | str | BookError:
    if isinstance(content, UnusableTextError):
        return content
    if ref.sha256 is not None and _checksum(content) != ref.sha256:
        return UnreadableSourceError(f"{ref.source} has changed since the run began; run again to take it as it is now")
    return content


def _reference(uri: str, stem: str, text: CorpusText) -> BookRef:
    if text.name:
        stem = stem_of(text.name)
    elif text.number is not None:
        stem = f"{stem}-{text.number:06d}"
    located = BookRef(stem, uri, text.number, text.offset)
    if isinstance(text.content, UnusableTextError):
        problem = _located(located.source, text.content)
        return replace(located, problem=problem, problem_kind=text.content.kind)
    head, refusal = _head(text.content)
    header = read_header(head)
    return replace(
        located,
        stem=f"pg{header.ebook_id}" if header.ebook_id is not None else stem,
        bytes=len(text.content if isinstance(text.content, bytes) else text.content.encode()),
        sha256=_checksum(text.content),
        ebook_id=header.ebook_id,
        title=text.title or header.title,
        author=header.author,
        problem=None if refusal is None else _located(located.source, refusal),
        problem_kind=None if refusal is None else refusal.kind,
    )


def _stem(uri: str) -> str:
    if _GUTENBERG.fullmatch(uri):
        return f"pg{uri.removeprefix('gutenberg:')}"
    name = public_name(uri)
    try:
        return stem_of(file_name(name))
    except ValueError:  # what is not a URL has no path
        return stem_of(name)


def _located(source: str, error: BookError) -> str:
    """What is wrong, and where: one line of bounded length that stands by itself."""
    message = " ".join(without_secrets(str(error), source).split())
    name = public_name(source)
    located = message if name in message else f"{name}: {message}"
    return located if len(located) <= _LONGEST_PROBLEM else f"{located[:_LONGEST_PROBLEM]}..."


def _head(content: bytes | str) -> tuple[str, UnusableTextError | None]:
    """The first characters of a text, or why it is none."""
    head = _whole_lines(content) if isinstance(content, bytes) else content[:_HEAD]
    try:
        return decode(head).text, None
    except UnknownEncodingError as error:
        # Too little of a longer text may show no encoding; a header is legible without.
        legible = head if isinstance(head, str) else head.decode("ascii", errors="replace")
        return legible, error if len(content) <= _HEAD else None
    except UnusableTextError as error:
        return "", error


def _whole_lines(content: bytes) -> bytes:
    """The first bytes up to the end of a line, so that no character is cut in two."""
    return content if len(content) <= _HEAD else content[: content.rfind(b"\n", 0, _HEAD) + 1] or content[:_HEAD]


def _checksum(content: bytes | str) -> str:
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()
