"""From results to Arrow tables with the stored schemas. Values in, tables out; nothing is written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.moments import PairSummary
from analysis.pairwise import PairStatistics
from jobs.corpus.references import NamedBook
from store.books import BookStatus
from store.columns import ACTIVATIONS, BOOKS, HIDDEN_STATES, PAIRS, SUMMARIES, TOKENS, Table
from store.keys import BlockKey


@dataclass(frozen=True)
class BookActivation:
    """One book's mean state in one layer and class (float64 [D]), and outlier counts per dimension (int64 [D])."""

    marks: int
    mean: NDArray[np.float64]
    outliers: NDArray[np.int64]


def pairs_table(
    book: Sequence[str], rows: Sequence[tuple[int, NDArray[np.uint16], NDArray[np.uint16], PairStatistics]]
) -> pa.Table:
    """Rows of `pairs`: for each piece the index of its book in `book`, the ordinals i and j, and the statistics."""
    columns: dict[str, Any] = {
        "book": _repeated(book, [(index, len(i)) for index, i, _, _ in rows]),
        "i": np.concatenate([i for _, i, _, _ in rows]),
        "j": np.concatenate([j for _, _, j, _ in rows]),
        "n": np.concatenate([statistics.n for _, _, _, statistics in rows], dtype=np.uint16, casting="unsafe"),
    }
    for name in ("mi", "cov", "corr", "hx", "hy"):
        values = [getattr(statistics, name) for _, _, _, statistics in rows]
        columns[name] = np.concatenate(values, dtype=np.float32, casting="same_kind")
    return _table(PAIRS, columns)


def hidden_states_table(books: Sequence[str], marks: Sequence[int], states: NDArray[np.float32]) -> pa.Table:
    """Rows of `hidden_states`: `states` float32 [sum of marks, D], book after book."""
    ordinals = np.concatenate([np.arange(count, dtype=np.uint16) for count in marks])
    offsets = np.arange(len(states) + 1, dtype=np.int32) * states.shape[1]
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(states.reshape(-1)))
    return _table(HIDDEN_STATES, {"book": _repeated(books, enumerate(marks)), "i": ordinals, "state": lists})


def tokens_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of `tokens`, one mapping a mark."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=TOKENS.schema)


def books_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows of `books`, sorted by key; counts that a row leaves out are 0, other columns null."""
    empty: dict[str, Any] = {column.name: 0 for column in BOOKS.columns if pa.types.is_integer(column.type)} | {
        "left_out": []
    }
    complete = [empty | dict(row) for row in rows]
    return pa.Table.from_pylist(sorted(complete, key=lambda row: row["book"]), schema=BOOKS.schema)


def book_row(book: NamedBook, status: BookStatus, reason: str | None = None) -> dict[str, Any]:
    """What is known of a book without reading it."""
    ref = book.ref
    known = {"title": ref.title, "author": ref.author, "source": ref.source, "sha256": ref.sha256}
    return {"book": book.key, "status": status, "reason": reason, **known}


def activations_table(values: Mapping[tuple[BlockKey, str], BookActivation]) -> pa.Table:
    """Rows of `activations`, by block and book."""
    rows = [
        {**_block_columns(block, book), "marks": v.marks, "mean": v.mean, "outliers": v.outliers}
        for (block, book), v in _ordered(values)
    ]
    return pa.Table.from_pylist(rows, schema=ACTIVATIONS.schema)


def summaries_table(values: Mapping[tuple[BlockKey, str], PairSummary]) -> pa.Table:
    """Rows of `summaries`, by block and book. Extremes and means of no pairs are NaN."""
    rows = [{**_block_columns(block, book), **asdict(summary)} for (block, book), summary in _ordered(values)]
    return pa.Table.from_pylist(rows, schema=SUMMARIES.schema)


def _ordered(values: Mapping[tuple[BlockKey, str], Any]) -> list[tuple[tuple[BlockKey, str], Any]]:
    return sorted(values.items(), key=lambda item: (item[0][0].layer, item[0][0].mark_class, item[0][1]))


def _block_columns(block: BlockKey, book: str) -> dict[str, Any]:
    return {"layer": block.layer, "class": block.mark_class, "book": book}


def _repeated(books: Sequence[str], counts: Iterable[tuple[int, int]]) -> pa.DictionaryArray:
    indices = np.concatenate([np.full(count, index, dtype=np.int32) for index, count in counts])
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(list(books), type=pa.string()))


def _table(spec: Table, columns: Mapping[str, Any]) -> pa.Table:
    arrays = [pa.array(columns[c.name]) if isinstance(columns[c.name], np.ndarray) else columns[c.name]
              for c in spec.file_columns]  # fmt: skip
    return pa.table(arrays, schema=spec.schema)
