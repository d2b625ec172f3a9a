"""Reads, cleans and tokenizes the books of a shard and selects their marks: all that the model needs, and no more."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.config import RunConfig, StudyConfig
from jobs.corpus.cleaning import clean
from jobs.corpus.decoding import Decoded, decode
from jobs.corpus.references import NamedBook
from jobs.corpus.survey import read_books
from jobs.errors import BookError, SourceError
from jobs.marks.selection import select, windows
from jobs.marks.tokens import Tokenization, tokenize
from jobs.model.encoder import load_encoder
from jobs.model.models import RecordedModel, check_model
from jobs.stages.partition import ShardWork, pairs_of
from jobs.stages.tables import book_row, books_table, tokens_table
from store.books import BookStatus
from store.keys import MARK_CLASSES, ShardKey


@dataclass(frozen=True)
class RunContext:
    """What every task of a run has to know."""

    location: str
    config: StudyConfig
    run: RunConfig
    fingerprint: str
    run_id: str
    model: RecordedModel


@dataclass(frozen=True)
class ClassWindows:
    """The windows of one class of marks in one book: int32 [n, before + 1]."""

    book: str
    windows: NDArray[np.int32]


@dataclass(frozen=True)
class PreparedOutline:
    """What the driver keeps of a prepared shard: marks by class over its usable books, pairs in a layer, and counts."""

    shard: ShardKey
    marks: Mapping[str, int]
    pairs: int
    used: int
    rejected: Mapping[str, str]
    seconds: float

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that have marks; none where no book of the shard is usable."""
        return tuple(name for name in MARK_CLASSES if self.marks.get(name))


@dataclass(frozen=True)
class PreparedShard:
    """A shard ready for the model: windows by class (books sorted by key), and the rows of two tables."""

    outline: PreparedOutline
    windows: Mapping[str, tuple[ClassWindows, ...]]
    tokens: pa.Table
    books: pa.Table


def prepare_shard(context: RunContext, work: ShardWork) -> PreparedShard:
    """Read, clean and tokenize a shard's books and select their marks. A bad book becomes a row with its reason.

    Raises SourceError where a source cannot be read any more: that is no fault of the book, and worth another try.
    Raises UsageError where this machine has another model, hence perhaps another tokenizer, than the study.
    """
    started = time.perf_counter()
    check_model(context.model)
    prepared = sorted(_prepare_books(context, work), key=lambda book: book.key)
    by_class = {
        name: tuple(ClassWindows(book.key, book.windows[name]) for book in prepared if name in book.windows)
        for name in MARK_CLASSES
    }
    outline = PreparedOutline(
        work.key,
        marks={name: sum(len(book.windows) for book in books) for name, books in by_class.items()},
        pairs=sum(pairs_of(len(book.windows)) for books in by_class.values() for book in books),
        used=sum(book.row["status"] is BookStatus.USED for book in prepared),
        rejected={book.key: book.row["reason"] for book in prepared if book.row["status"] is BookStatus.REJECTED},
        seconds=time.perf_counter() - started,
    )
    marks = tokens_table([mark for book in prepared for mark in book.marks])
    return PreparedShard(outline, by_class, marks, books_table(book.row for book in prepared))


@dataclass(frozen=True)
class _PreparedBook:
    """A book's row of `books`, and where it is usable its windows by class and its rows of `tokens`."""

    key: str
    row: dict[str, Any]
    windows: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)
    marks: Sequence[dict[str, Any]] = ()


def _prepare_books(context: RunContext, work: ShardWork) -> Iterator[_PreparedBook]:
    contents = read_books([book.ref for book in work.books], context.run)
    for book, (_, content) in zip(work.books, contents, strict=True):
        try:
            if isinstance(content, BookError):
                raise content
            yield _prepare_book(context, book, decode(content))
        except SourceError:
            raise
        except BookError as error:
            yield _PreparedBook(book.key, book_row(book, BookStatus.REJECTED, str(error)))


def _prepare_book(context: RunContext, book: NamedBook, decoded: Decoded) -> _PreparedBook:
    config, model = context.config, context.model
    cleaned = clean(decoded.text) if config.text == "clean" else None
    text = decoded.text if cleaned is None else cleaned.text
    tokenization = tokenize(load_encoder(model.name, model.revision), text)
    selection = select(tokenization, config)
    problem = selection.problem(config)
    warnings = (*decoded.warnings, *(cleaned.warnings if cleaned else ()))
    row = book_row(book, BookStatus.REJECTED if problem else BookStatus.USED, problem or "; ".join(warnings) or None)
    row |= {
        "title": book.ref.title or (cleaned and cleaned.title),
        "author": book.ref.author or (cleaned and cleaned.author),
        "encoding": decoded.encoding,
        "characters": len(text),
        "characters_raw": len(decoded.text),
        "tokens": len(tokenization.ids),
        "unique_tokens": tokenization.unique,
        "left_out": list(selection.left_out.items()),
    }
    for name, found in selection.classes.items():
        used = 0 if problem else len(found.taken)
        row |= {f"{name}_found": found.found, f"{name}_eligible": found.eligible, f"{name}_used": used}
    if problem:
        return _PreparedBook(book.key, row)
    taken = {name: found.taken for name, found in selection.classes.items()}
    marks = [mark for name in taken for mark in _token_rows(book.key, name, tokenization, taken[name], config)]
    token_windows = {name: windows(tokenization.ids, taken[name], config.before) for name in taken}
    return _PreparedBook(book.key, row, token_windows, marks)


def _token_rows(
    book: str, mark_class: str, tokenization: Tokenization, positions: NDArray[np.int64], config: StudyConfig
) -> Iterator[dict[str, Any]]:
    ids, vocabulary = tokenization.ids, tokenization.vocabulary
    before = vocabulary.decode(ids[p - config.before : p] for p in positions)
    after = vocabulary.decode(ids[p + 1 : p + 1 + config.after] for p in positions)
    for i, position in enumerate(positions.tolist()):
        token_id = int(ids[position])
        yield {
            "book": book,
            "class": mark_class,
            "i": i,
            "position": position,
            "token_id": token_id,
            "token": vocabulary.text(token_id),
            "before": before[i],
            "after": after[i],
        }
