"""Classes of tokens that come from outside: a file that names book, character offset and class of each token.

Whatever an annotator knows can be a class: part of speech, speaker, sense. The file is Parquet or CSV with the columns
`book` (the book's key), `offset` (of a character of the token, counted from 0 in the text that is tokenized; with
`--text raw` that is the file's own text) and `class`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from jobs.classes import check_name
from jobs.errors import UsageError
from jobs.marks.tokens import Vocabulary

COLUMNS = ("book", "offset", "class")
_SCHEMA = pa.schema([("book", pa.string()), ("offset", pa.int64()), ("class", pa.string())])


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of a file: for each book the offsets, int64 [n], and the classes [n] at them.

    `classes`: the names that occur, in alphabetical order. `sha256`: of the file, since the study's numbers rest on it.
    """

    by_book: Mapping[str, tuple[NDArray[np.int64], list[str]]]
    classes: tuple[str, ...]
    sha256: str

    def of(self, book: str) -> tuple[NDArray[np.int64], list[str]]:
        """The offsets and classes of a book; empty for one that the file does not name."""
        return self.by_book.get(book, (np.zeros(0, dtype=np.int64), []))


def read_labels(path: str) -> Labels:
    """The labels of a Parquet or CSV file.

    Raises UsageError where there is no such file, it is neither, a column is missing or of another kind, a value is
    missing, an offset is negative or named twice, or a class's name cannot be one.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"the labels file {path} cannot be read: {error.strerror}") from None
    table = _table(path, data)
    for name in COLUMNS:
        if table.column(name).null_count:
            raise UsageError(f"the labels file {path} has rows without {name}; every row names {', '.join(COLUMNS)}")
    if table.num_rows and pc.min(table.column("offset")).as_py() < 0:
        raise UsageError(f"the labels file {path} has a negative offset; offsets count characters from 0")
    classes = sorted(set(table.column("class").to_pylist()))
    for name in classes:
        check_name(name)
    return Labels(_by_book(path, table), tuple(classes), hashlib.sha256(data).hexdigest())


def token_positions(vocabulary: Vocabulary, text: str, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the token of `text` that holds the character at each offset, int64 [n]; -1 where none does.

    Raises UsageError where the tokenizer cannot say where its tokens stand.
    """
    spans = vocabulary.spans(text)
    if spans is None:
        raise UsageError(
            "the tokenizer cannot say where in a text its tokens stand, so --labels cannot be used with it"
        )
    if not len(spans) or not offsets.size:
        return np.full(offsets.shape, -1, dtype=np.int64)
    at = np.searchsorted(spans[:, 0], offsets, side="right") - 1
    inside = (at >= 0) & (offsets < spans[np.maximum(at, 0), 1])
    return np.where(inside, at, -1)


def _table(path: str, data: bytes) -> pa.Table:
    try:
        if data[:4] == b"PAR1":
            table = pa.parquet.read_table(pa.BufferReader(data))
        else:
            table = pa.csv.read_csv(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"the labels file {path} is neither Parquet nor CSV: {reason}") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise UsageError(
            f"the labels file {path} has no column {missing[0]!r}; it has {', '.join(table.column_names)}, "
            f"and needs {', '.join(COLUMNS)}"
        )
    try:
        return table.select(list(COLUMNS)).cast(_SCHEMA)
    except (pa.ArrowException, ValueError) as error:
        raise UsageError(
            f"the labels file {path} has a column of another kind ({str(error).splitlines()[0]}); book and class are "
            "texts, offset a whole number"
        ) from None


def _by_book(path: str, table: pa.Table) -> dict[str, tuple[NDArray[np.int64], list[str]]]:
    ordered = table.sort_by([("book", "ascending"), ("offset", "ascending")])
    books = np.array(ordered.column("book").to_pylist(), dtype=object)
    offsets, classes = ordered.column("offset").to_numpy(), ordered.column("class").to_pylist()
    twice = np.flatnonzero((books[1:] == books[:-1]) & (offsets[1:] == offsets[:-1]))
    if twice.size:
        raise UsageError(
            f"the labels file {path} names offset {offsets[twice[0]]} of book {books[twice[0]]} twice; a token belongs "
            "to one class"
        )
    edges = [0, *(np.flatnonzero(books[1:] != books[:-1]) + 1).tolist(), len(books)] if len(books) else [0]
    return {
        str(books[start]): (offsets[start:stop].astype(np.int64), classes[start:stop])
        for start, stop in itertools.pairwise(edges)
    }
