"""The tables of a store: one frozen spec per column.

The specs feed the Arrow schema of the files, the validation of what is written, the types and comments of the
SQL views and the data dictionary in docs/. Nothing else states a column's name or type.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

SCHEMA_VERSION = 1
"""Raised when a table's columns change in a way that older files do not satisfy."""

_STRING = pa.string()
_KEY = pa.dictionary(pa.int32(), pa.string())
_DOUBLES = pa.list_(pa.float64())
_COUNTS = pa.list_(pa.int64())


@dataclass(frozen=True)
class Column:
    """One column: its name, the Arrow type in memory and in the file, its meaning and its unit.

    `repeats` says that rows near each other often hold the very same value, which decides how the file encodes it.
    """

    name: str
    type: pa.DataType
    description: str
    unit: str = ""
    nullable: bool = False
    repeats: bool = False


@dataclass(frozen=True)
class Table:
    """One table: its columns in order, the columns that are folders, and the order of its rows.

    Columns named in `partitioned_by` are part of the path (`layer=00/class=internal`) and not of the file.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    partitioned_by: tuple[str, ...] = ()
    sorted_by: tuple[str, ...] = ()

    @property
    def file_columns(self) -> tuple[Column, ...]:
        """The columns that are stored in the file itself."""
        return tuple(column for column in self.columns if column.name not in self.partitioned_by)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of one file."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.file_columns])


_LAYER = Column("layer", pa.int16(), "Hidden layer; 0 is the embeddings, the last one comes after the final norm")
_CLASS = Column("class", _STRING, "Class of the marks: internal (goes on) or terminal (ends)")
_BOOK = Column("book", _KEY, "Readable key of the book, unique in the store, for example pg219")

PAIRS = Table(
    "pairs",
    "Mutual information and covariance of every pair of marks of one class within a book, in every layer",
    (
        _LAYER,
        _CLASS,
        _BOOK,
        Column("i", pa.uint16(), "Ordinal of the first mark within book and class; i < j"),
        Column("j", pa.uint16(), "Ordinal of the second mark within book and class"),
        Column(
            "n",
            pa.uint16(),
            "Dimensions left after the outliers of either vector are taken out",
            "dimensions",
            repeats=True,
        ),
        Column("mi", pa.float32(), "Plug-in mutual information of the joint histogram", "bits"),
        Column("cov", pa.float32(), "Covariance over the dimensions left, divided by n - 1", "activation squared"),
        Column("corr", pa.float32(), "Pearson correlation over the dimensions left; NaN where a vector is constant"),
        Column("hx", pa.float32(), "Entropy of the first mark's marginal histogram", "bits", repeats=True),
        Column("hy", pa.float32(), "Entropy of the second mark's marginal histogram", "bits", repeats=True),
    ),
    partitioned_by=("layer", "class"),
    sorted_by=("book", "i", "j"),
)

TOKENS = Table(
    "tokens",
    "The marks whose hidden states were taken, with their words in context",
    (
        _BOOK,
        Column("class", _KEY, _CLASS.description),
        Column("i", pa.uint16(), "Ordinal of the mark within book and class, in the order of the text"),
        Column("position", pa.int64(), "Index of the mark among the tokens of the whole text", "tokens"),
        Column("token_id", pa.int32(), "The tokenizer's number of the mark"),
        Column("token", _KEY, "The mark decoded alone"),
        Column("before", _STRING, "The window's text before the mark"),
        Column("after", _STRING, "The window's text after the mark; the model does not see it"),
    ),
    sorted_by=("book", "class", "i"),
)

BOOKS = Table(
    "books",
    "Every book that a run was given, used or not, with what was found in it and why it was left out",
    (
        Column("book", _STRING, _BOOK.description),
        Column("title", _STRING, "Title as the book's header states it", nullable=True),
        Column("author", _STRING, "Author as the book's header states it", nullable=True),
        Column("source", _STRING, "Where the text was read from"),
        Column("sha256", _STRING, "Checksum of the bytes that were read; null where they could not be", nullable=True),
        Column("encoding", _STRING, "Character encoding the bytes were decoded with", nullable=True),
        Column("characters", pa.int64(), "Characters of the text that was tokenized", "characters"),
        Column("characters_raw", pa.int64(), "Characters before cleaning", "characters"),
        Column("tokens", pa.int64(), "Tokens of the whole text", "tokens"),
        Column("unique_tokens", pa.int64(), "Distinct tokens of the text", "tokens"),
        Column("internal_found", pa.int64(), "Internal marks found by the selection rule", "marks"),
        Column("terminal_found", pa.int64(), "Terminal marks found by the selection rule", "marks"),
        Column("internal_eligible", pa.int64(), "Internal marks with a full window and no reason against", "marks"),
        Column("terminal_eligible", pa.int64(), "Terminal marks with a full window and no reason against", "marks"),
        Column("internal_used", pa.int64(), "Internal marks whose hidden states were taken", "marks"),
        Column("terminal_used", pa.int64(), "Terminal marks whose hidden states were taken", "marks"),
        Column(
            "left_out",
            pa.map_(_STRING, pa.int64()),
            "Marks left out, counted by reason, for example {'terminal: decimal point': 12}",
            "marks",
        ),
        Column("status", _STRING, "used, rejected (its content), duplicate, failed (its source) or quarantined"),
        Column("reason", _STRING, "Why the book was not used, or a warning about it", nullable=True),
    ),
    sorted_by=("book", "source"),
)

ACTIVATIONS = Table(
    "activations",
    "Mean hidden state of each layer, class and book, and how often each dimension was an outlier",
    (
        _LAYER,
        Column("class", _KEY, _CLASS.description),
        _BOOK,
        Column("marks", pa.int64(), "Marks the mean is taken over", "marks"),
        Column("mean", _DOUBLES, "Mean activation per dimension; a list of D", "activation"),
        Column("outliers", _COUNTS, "How many marks left this dimension out; a list of D", "marks"),
    ),
    sorted_by=("layer", "class", "book"),
)

SUMMARIES = Table(
    "summaries",
    "Mergeable summary of the pairs of each layer, class and book, so that a report need not read them all",
    (
        _LAYER,
        Column("class", _KEY, _CLASS.description),
        _BOOK,
        Column("pairs", pa.int64(), "Pairs summarised", "pairs"),
        Column("mi_mean", pa.float64(), "Mean of mi", "bits"),
        Column("mi_m2", pa.float64(), "Sum of squared deviations of mi from its mean", "bits squared"),
        Column("mi_min", pa.float64(), "Smallest mi", "bits"),
        Column("mi_max", pa.float64(), "Largest mi", "bits"),
        Column("cov_mean", pa.float64(), "Mean of cov", "activation squared"),
        Column("cov_m2", pa.float64(), "Sum of squared deviations of cov from its mean", "activation^4"),
        Column("cov_min", pa.float64(), "Smallest cov", "activation squared"),
        Column("cov_max", pa.float64(), "Largest cov", "activation squared"),
        Column("mi_cov_comoment", pa.float64(), "Sum of products of the deviations of mi and cov"),
        Column("mi_histogram", _COUNTS, "Pairs per fixed bin of mi; the edges are those of analysis.moments", "pairs"),
        Column(
            "cov_histogram", _COUNTS, "Pairs per fixed bin of cov; the edges are those of analysis.moments", "pairs"
        ),
    ),
    sorted_by=("layer", "class", "book"),
)

HIDDEN_STATES = Table(
    "hidden_states",
    "The hidden states themselves; only in a study that keeps them",
    (
        _LAYER,
        _CLASS,
        _BOOK,
        Column("i", pa.uint16(), "Ordinal of the mark within book and class"),
        Column("state", pa.list_(pa.float32()), "The hidden state; a list of D", "activation"),
    ),
    partitioned_by=("layer", "class"),
    sorted_by=("book", "i"),
)

TABLES: dict[str, Table] = {
    table.name: table for table in (PAIRS, TOKENS, BOOKS, ACTIVATIONS, SUMMARIES, HIDDEN_STATES)
}
"""Every table that has files, by name. The view `study` is made from study.json."""
