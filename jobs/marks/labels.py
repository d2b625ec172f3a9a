"""Classes of tokens that come from outside: a file that names book, character offset and class of each token.

Whatever an annotator knows can be a class: part of speech, speaker, sense. The file is Parquet or CSV with the columns
`book` (the book's key), `offset` (of a character of the token, counted from 0 in the text that is tokenized; with
`--text raw` that is the file's own text) and `class`.

The driver reads the file when a run starts and records its checksum and its classes in the study. Workers read it where
they are, and refuse a file with another checksum.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from jobs.classes import NO_CLASS, check_name, check_names
from jobs.config import RunConfig, StudyConfig
from jobs.errors import UsageError
from jobs.marks.tokens import Vocabulary

COLUMNS = ("book", "offset", "class")
_SCHEMA = pa.schema([("book", pa.string()), ("offset", pa.int64()), ("class", pa.string())])


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of a file: for each book the offsets, ascending (int64 [n]), and the classes at them (int8 [n]).

    `classes`: the names that occur, in alphabetical order; a label's class is its place among them. `sha256`: of the
    file, since the study's numbers rest on it.
    """

    by_book: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int8]]]
    classes: tuple[str, ...]
    sha256: str

    def at(self, book: str, text: str, vocabulary: Vocabulary) -> BookLabels:
        """The labels of a book, at the tokens of its text; none for a book that the file does not name.

        Raises UsageError where the tokenizer cannot say where its tokens stand.
        """
        offsets, classes = self.by_book.get(book, _NO_LABELS)
        return BookLabels(token_positions(vocabulary, text, offsets) if offsets.size else offsets, classes)


@dataclass(frozen=True, eq=False)
class BookLabels:
    """The labels of one text in the order of their offsets.

    `positions`: int64 [n], the token that each hits, -1 for none. `classes`: int8 [n], places among the file's classes.
    """

    positions: NDArray[np.int64]
    classes: NDArray[np.int8]


_NO_LABELS = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int8)
NO_LABELS = BookLabels(*_NO_LABELS)
"""What a text has in a study without a labels file."""


NO_FILE = Labels({}, (), "")
"""What a study without a labels file has."""


def settle_labels(config: StudyConfig, run: RunConfig) -> tuple[StudyConfig, RunConfig]:
    """The configuration with the classes and the checksum of the run's labels file, and the file's absolute path.

    Raises what `read_labels` raises, and UsageError where there is no class at all, more than 16, or two of one name,
    and where a study of labels goes on without them.
    """
    if run.labels is None:
        if config.labels_sha256 is not None:
            raise UsageError("the store's study rests on a file of labels; name the same file with --labels")
        if not config.named_classes:
            raise UsageError(NO_CLASS)
        return config, run
    path = str(Path(run.labels).expanduser().resolve())
    labels = read_labels(path)
    return (
        replace(config, labels_sha256=labels.sha256, label_classes=labels.classes),
        replace(run, labels=path),
    )


def labels_of(config: StudyConfig, run: RunConfig) -> Labels:
    """The labels of a study whose labels are settled, read from this machine's file; none where it has no file.

    Raises UsageError where the file cannot be read here, or is not the one that the run began with.
    """
    if config.labels_sha256 is None or run.labels is None:
        return NO_FILE
    labels = _read_once(run.labels, config.labels_sha256)
    if labels.sha256 != config.labels_sha256:
        raise UsageError(
            f"the labels file {run.labels} on {platform.node()} has the checksum {labels.sha256[:12]}, and the study "
            f"rests on {config.labels_sha256[:12]}; every machine needs the same file under this path"
        )
    return labels


def read_labels(path: str) -> Labels:
    """The labels of a Parquet or CSV file.

    Raises UsageError where there is no such file, it is neither, it has no rows, a column is missing or of another
    kind, a value is missing, an offset is negative or named twice, or a class's name cannot be one.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"the labels file {path} cannot be read on {platform.node()}: {error.strerror}") from None
    table = _table(path, data)
    for name in COLUMNS:
        if table.column(name).null_count:
            raise UsageError(f"the labels file {path} has rows without {name}; every row names {', '.join(COLUMNS)}")
    if not table.num_rows:
        raise UsageError(f"the labels file {path} has no rows; each names a book, an offset and a class")
    if pc.min(table.column("offset")).as_py() < 0:
        raise UsageError(f"the labels file {path} has a negative offset; offsets count characters from 0")
    classes = sorted(pc.unique(table.column("class")).to_pylist())
    for name in classes:
        check_name(name)
    check_names(classes)
    return Labels(_by_book(path, table, classes), tuple(classes), hashlib.sha256(data).hexdigest())


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


@functools.lru_cache(maxsize=1)
def _read_once(path: str, sha256: str) -> Labels:
    """The file, once in the life of a process that works for one study."""
    return read_labels(path)


def _table(path: str, data: bytes) -> pa.Table:
    texts = pa.csv.ConvertOptions(column_types={"book": pa.string(), "class": pa.string()}, strings_can_be_null=True)
    try:
        if data[:4] == b"PAR1":
            table = pa.parquet.read_table(pa.BufferReader(data))
        else:
            table = pa.csv.read_csv(pa.BufferReader(data), convert_options=texts)
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


def _by_book(path: str, table: pa.Table, names: list[str]) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int8]]]:
    ordered = table.sort_by([("book", "ascending"), ("offset", "ascending")])
    books = ordered.column("book").combine_chunks().dictionary_encode()
    keys, book = books.dictionary.to_pylist(), books.indices.to_numpy()
    offsets = ordered.column("offset").to_numpy()
    classes = pc.index_in(ordered.column("class"), pa.array(names)).to_numpy().astype(np.int8)
    twice = np.flatnonzero((book[1:] == book[:-1]) & (offsets[1:] == offsets[:-1]))
    if twice.size:
        raise UsageError(
            f"the labels file {path} names offset {offsets[twice[0]]} of book {keys[book[twice[0]]]} twice; a token "
            "belongs to one class"
        )
    edges = [0, *(np.flatnonzero(book[1:] != book[:-1]) + 1).tolist(), book.size]
    return {keys[book[start]]: (offsets[start:stop], classes[start:stop]) for start, stop in itertools.pairwise(edges)}
