"""Reads, cleans and tokenizes the books of a shard and selects their marks: all that the model needs, and no more."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.config import RunConfig, StudyConfig
from jobs.corpus.cleaning import text_of_book
from jobs.corpus.decoding import Decoded, decode
from jobs.corpus.references import NamedBook
from jobs.corpus.survey import read_books
from jobs.errors import BookError, SourceError
from jobs.marks.features import features_of
from jobs.marks.labels import labels_of
from jobs.marks.selection import Selection, select
from jobs.marks.tokens import Tokenization, tokenize
from jobs.model.encoder import beginning_of_text, load_encoder
from jobs.model.models import RecordedModel, check_model
from jobs.stages.layout import Layout, layout_of
from jobs.stages.partition import ShardWork, pairs_of_classes
from jobs.stages.tables import book_row, books_table, marks_table, passages_table
from store.books import BookStatus
from store.keys import ShardKey


@dataclass(frozen=True)
class RunContext:
    """What every task of a run has to know."""

    location: str
    config: StudyConfig
    run: RunConfig
    fingerprint: str
    run_id: str
    model: RecordedModel


@dataclass(frozen=True, eq=False)
class Reading:
    """What the model reads of one book, and where the book's marks lie in it.

    `sequences`: token ids, int32 [count, length], a beginning-of-text token included where the study has one. `places`:
    int64 [marks], row * length + column of each mark, class after class in the study's order.
    """

    book: str
    sequences: NDArray[np.int32]
    places: NDArray[np.int64]


@dataclass(frozen=True)
class PreparedOutline:
    """What the driver keeps of a prepared shard: marks by class over its usable books, pairs in a layer, and counts.

    `sequences`: passages or windows that the model reads.
    """

    shard: ShardKey
    marks: Mapping[str, int]
    sequences: int
    pairs: int
    used: int
    rejected: Mapping[str, str]
    seconds: float


@dataclass(frozen=True, eq=False)
class PreparedShard:
    """A shard ready for the model: what it reads of each usable book, how marks lie, and the rows of three tables."""

    outline: PreparedOutline
    readings: tuple[Reading, ...]
    layout: Layout
    marks: pa.Table
    passages: pa.Table
    books: pa.Table


def prepare_shard(context: RunContext, work: ShardWork) -> PreparedShard:
    """Read, clean and tokenize a shard's books and select their marks. A bad book becomes a row with its reason.

    Raises SourceError where a source cannot be read any more: that is no fault of the book, and worth another try.
    Raises UsageError where this machine has another model, hence perhaps another tokenizer, than the study.
    """
    started = time.perf_counter()
    check_model(context.model)
    prepared = sorted(_prepare_books(context, work), key=lambda book: book.key)
    usable = [book for book in prepared if book.reading is not None]
    config = context.config
    keys = [book.key for book in usable]
    layout = layout_of(config.class_names, keys, [book.passages for book in usable], [book.types for book in usable])
    outline = outline_of(work.key, layout, config, [book.row for book in prepared], time.perf_counter() - started)
    readings = tuple(book.reading for book in usable if book.reading is not None)
    return PreparedShard(
        replace(outline, sequences=sum(len(reading.sequences) for reading in readings)),
        readings,
        layout,
        marks_table([row for book in usable for row in book.mark_rows]),
        passages_table([row for book in usable for row in book.passage_rows]),
        books_table(book.row for book in prepared),
    )


def outline_of(
    shard: ShardKey, layout: Layout, config: StudyConfig, books: Sequence[Mapping[str, Any]], seconds: float
) -> PreparedOutline:
    """What the driver keeps of a shard with this layout and these rows of `books`."""
    counts = np.array(layout.marks, dtype=np.int64).reshape(-1, len(layout.classes)).sum(axis=0).tolist()
    return PreparedOutline(
        shard,
        marks=dict(zip(layout.classes, counts, strict=True)),
        sequences=0,
        pairs=sum(pairs_of_classes(marks, between=config.computes_between) for marks in layout.marks),
        used=sum(row["status"] == BookStatus.USED for row in books),
        rejected={row["book"]: row["reason"] for row in books if row["status"] == BookStatus.REJECTED},
        seconds=seconds,
    )


@dataclass(frozen=True, eq=False)
class _PreparedBook:
    """A book's row of `books`, and where it is usable what the model reads of it and its rows of two tables.

    `passages`: int32 [marks] of each class, in the study's order; `types`: their mark types.
    """

    key: str
    row: dict[str, Any]
    reading: Reading | None = None
    passages: Sequence[NDArray[np.int32]] = ()
    types: Sequence[NDArray[np.str_]] = ()
    mark_rows: Sequence[dict[str, Any]] = ()
    passage_rows: Sequence[dict[str, Any]] = ()


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
    cleaned = text_of_book(decoded.text, config.text)
    tokenization = tokenize(load_encoder(model.name, model.revision), cleaned.text)
    labels = labels_of(config, context.run).at(book.key, cleaned.text, tokenization.vocabulary)
    selection = select(tokenization, config, labels)
    problem = selection.problem
    warnings = (*decoded.warnings, *cleaned.warnings, *selection.warnings)
    row = book_row(book, BookStatus.REJECTED if problem else BookStatus.USED, problem or "; ".join(warnings) or None)
    classes = selection.classes.items()
    row |= {
        "title": book.ref.title or cleaned.title,
        "author": book.ref.author or cleaned.author,
        "encoding": decoded.encoding,
        "characters": len(cleaned.text),
        "characters_raw": len(decoded.text),
        "tokens": len(tokenization.ids),
        "unique_tokens": tokenization.unique,
        "found": [(name, found.found) for name, found in classes],
        "eligible": [(name, found.eligible) for name, found in classes],
        "used": [(name, 0 if problem else len(found.taken)) for name, found in classes],
        "left_out": list(selection.left_out.items()),
    }
    if problem:
        return _PreparedBook(book.key, row)
    rows = list(mark_rows(book.key, tokenization, selection, config))
    return _PreparedBook(
        book.key,
        row,
        reading_of(book.key, tokenization, selection, beginning_of_text(model.name, model.revision, config.bos)),
        [passages.astype(np.int32) for passages in selection.passage_of.values()],
        [np.array([row["mark"] for row in rows if row["class"] == name], np.str_) for name in selection.passage_of],
        rows,
        list(_passage_rows(book.key, len(tokenization.ids), selection)),
    )


def reading_of(book: str, tokenization: Tokenization, selection: Selection, opening: Sequence[int]) -> Reading:
    """The book's sequences, each behind the beginning-of-text tokens in `opening`."""
    sequences = selection.sequences
    tokens = sequences.tokens(tokenization.ids)
    tokens = np.concatenate([np.tile(np.array(opening, dtype=np.int32), (len(tokens), 1)), tokens], axis=1)
    places = [
        sequences.rows[name] * tokens.shape[1] + sequences.columns[name] + len(opening) for name in sequences.rows
    ]
    return Reading(book, tokens, np.concatenate([*places, np.zeros(0, np.int64)]))


def _passage_rows(book: str, tokens: int, selection: Selection) -> Iterator[dict[str, Any]]:
    for ordinal, start in enumerate(selection.passage_starts.tolist()):
        length = min(selection.passage_length, tokens - start)
        yield {"book": book, "passage": ordinal, "start": start, "tokens": length}


def mark_rows(
    book: str, tokenization: Tokenization, selection: Selection, config: StudyConfig
) -> Iterator[dict[str, Any]]:
    """Rows of `marks` of a book, by class in alphabetical order, in the order of the text within each."""
    for name in sorted(selection.classes):
        positions = selection.classes[name].taken
        ids, vocabulary = tokenization.ids, tokenization.vocabulary
        features = features_of(tokenization, positions)
        columns = {
            "position": positions.tolist(),
            "passage": selection.passage_of[name].tolist(),
            "token_id": ids[positions].tolist(),
            "before": vocabulary.decode(ids[max(0, p - config.before) : p] for p in positions.tolist()),
            "after": vocabulary.decode(ids[p + 1 : p + 1 + config.after] for p in positions.tolist()),
            "first_in_context": selection.first_in_context[name].tolist(),
            **{feature: list(values) for feature, values in features.columns().items()},
        }
        for i, values in enumerate(zip(*columns.values(), strict=True)):
            row = dict(zip(columns, values, strict=True))
            token = vocabulary.text(row["token_id"])
            yield {"book": book, "class": name, "i": i, "token": token, "mark": token.strip(), **row}
