"""The tables of a store: one frozen spec per column.

The specs feed the Arrow schema of the files, the validation of what is written, the types and comments of the
SQL views and the data dictionary in docs/. Nothing else states a column's name or type.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

SCHEMA_VERSION = 3
"""Raised when a table's columns change in a way that older files do not satisfy."""

_STRING = pa.string()
_KEY = pa.dictionary(pa.int32(), pa.string())
_DOUBLES = pa.list_(pa.float64())
_STEPS = pa.list_(pa.int8())
_COUNTS = pa.list_(pa.int64())
_BY_CLASS = pa.map_(_STRING, pa.int64())
_FLOAT_BY_CLASS = pa.map_(_STRING, pa.float32())


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
_CLASS = Column("class", _STRING, "Class of the marks, as the study names it")
_OTHER = Column("other", _STRING, "Class of the second mark; it comes after `class` in the study's order")
_BOOK = Column("book", _KEY, "Readable key of the book, unique in the store, for example pg219")
_CLASS_KEY = Column("class", _KEY, _CLASS.description)
_OTHER_KEY = Column("other", _KEY, "Class of the second mark of a pair; `class` itself for pairs within it")

MEASURES = ("mi", "cov", "corr", "mi_copula", "corr_centred", "mi_copula_centred", "mi_centred")
"""The measures of a pair, in the order of the columns; a study chooses with `measures` which it has."""


def _measure_columns() -> tuple[Column, ...]:
    """The measures of a pair and what belongs to them; those that a study leaves out are null."""
    return (
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
        Column(
            "mi_copula",
            pa.float32(),
            "Mutual information of the Gaussian copula over all dimensions, bias-corrected; it sees monotone "
            "dependence "
            "only, and does not depend on bins or outliers",
            "bits",
            nullable=True,
        ),
        Column(
            "corr_centred",
            pa.float32(),
            "corr of the centred vectors: less their class's mean over the other half of the book's passages",
            nullable=True,
        ),
        Column("mi_copula_centred", pa.float32(), "mi_copula of the centred vectors", "bits", nullable=True),
        Column("mi_centred", pa.float32(), "mi of the centred vectors; with --measures all", "bits", nullable=True),
    )


PAIRS = Table(
    "pairs",
    "Mutual information, covariance and correlation of every pair of marks of one class within a book, in every layer",
    (
        _LAYER,
        _CLASS,
        _BOOK,
        Column("i", pa.uint16(), "Ordinal of the first mark within book and class; i < j"),
        Column("j", pa.uint16(), "Ordinal of the second mark within book and class"),
        *_measure_columns(),
    ),
    partitioned_by=("layer", "class"),
    sorted_by=("book", "i", "j"),
)

CROSS_PAIRS = Table(
    "cross_pairs",
    "The same of every pair of marks of two classes within a book, in every layer",
    (
        _LAYER,
        _CLASS,
        _OTHER,
        _BOOK,
        Column("i", pa.uint16(), "Ordinal of the first mark within book and `class`"),
        Column("j", pa.uint16(), "Ordinal of the second mark within book and `other`"),
        *_measure_columns(),
    ),
    partitioned_by=("layer", "class", "other"),
    sorted_by=("book", "i", "j"),
)

MARKS = Table(
    "marks",
    "The marks whose hidden states were taken, with their words in context and what the text says about them",
    (
        _BOOK,
        _CLASS_KEY,
        Column("i", pa.uint16(), "Ordinal of the mark within book and class, in the order of the text"),
        Column("mark", _KEY, "Mark type: the token decoded alone, without white space around it"),
        Column("position", pa.int64(), "Index of the mark among the tokens of the whole text", "tokens"),
        Column("passage", pa.int32(), "Ordinal of the mark's passage within the book"),
        Column("token_id", pa.int32(), "The tokenizer's number of the mark"),
        Column("token", _KEY, "The mark decoded alone, with the white space that is part of it"),
        Column("before", _STRING, "Text just before the mark"),
        Column("after", _STRING, "Text just after the mark; the model has not seen it at the mark"),
        Column("place", pa.float32(), "Where in the book: position over the number of tokens, 0 to 1"),
        Column("sentence_tokens", pa.int32(), "Tokens of the sentence up to and including the mark", "tokens"),
        Column("previous_word", _KEY, "The word before the mark, lower case; empty where there is none near"),
        Column("next_word", _KEY, "The word after the mark, lower case; empty where there is none near"),
        Column("in_quotation", pa.bool_(), "A quotation that was opened in the same paragraph is still open"),
        Column("line_end", pa.bool_(), "Nothing but closing marks and white space follows on the line"),
        Column("abbreviation", pa.bool_(), "A full stop that belongs to the word before it"),
        Column("first_in_context", pa.bool_(), "No earlier token of the class is in what the model reads before it"),
    ),
    sorted_by=("book", "class", "i"),
)

PASSAGES = Table(
    "passages",
    "The passages that hold the marks: the unit of sampling, of the forward pass and of resampling",
    (
        _BOOK,
        Column("passage", pa.int32(), "Ordinal of the passage within the book"),
        Column("start", pa.int64(), "Index of its first token among the tokens of the whole text", "tokens"),
        Column("tokens", pa.int32(), "How many of its tokens are read, without a beginning-of-text token", "tokens"),
    ),
    sorted_by=("book", "passage"),
)

BOOKS = Table(
    "books",
    "Every book that a run was given, used or not, with what was found in it and why it was left out",
    (
        Column("book", _STRING, _BOOK.description),
        Column("title", _STRING, "Title as the book's header states it, or as `retitle` does", nullable=True),
        Column("author", _STRING, "Author as the book's header states it, or as `retitle` does", nullable=True),
        Column("source", _STRING, "Where the text was read from"),
        Column("sha256", _STRING, "Checksum of the bytes that were read; null where they could not be", nullable=True),
        Column("encoding", _STRING, "Character encoding the bytes were decoded with", nullable=True),
        Column("characters", pa.int64(), "Characters of the text that was tokenized", "characters"),
        Column("characters_raw", pa.int64(), "Characters before cleaning", "characters"),
        Column("tokens", pa.int64(), "Tokens of the whole text", "tokens"),
        Column("unique_tokens", pa.int64(), "Distinct tokens of the text", "tokens"),
        Column("found", _BY_CLASS, "Tokens of each class in the text, for example {'internal': 5120}", "marks"),
        Column("eligible", _BY_CLASS, "Of these, the ones without a reason against them", "marks"),
        Column("used", _BY_CLASS, "Of these, the marks whose hidden states were taken", "marks"),
        Column(
            "left_out",
            _BY_CLASS,
            "Marks left out, counted by class and reason, for example {'terminal: decimal point': 12}",
            "marks",
        ),
        Column(
            "status",
            _STRING,
            "used, rejected (its content), duplicate, failed (its source), quarantined, or removed",
        ),
        Column("reason", _STRING, "Why the book was not used or was removed, or a warning about it", nullable=True),
    ),
    sorted_by=("book", "source"),
)

MARK_LAYERS = Table(
    "mark_layers",
    "Each mark in each layer: the length of its state, its outlier dimensions, and how alike it is to each class",
    (
        _LAYER,
        _BOOK,
        _CLASS_KEY,
        Column("i", pa.uint16(), "Ordinal of the mark within book and class"),
        Column("norm", pa.float32(), "Euclidean length of the hidden state", "activation"),
        Column("outliers", pa.list_(pa.int32()), "Dimensions that this mark leaves out of its pairs, ascending"),
        Column("mi", pa.float32(), "Mean mi of its pairs within its class; NaN where it has none", "bits"),
        Column("corr", pa.float32(), "Mean corr of its pairs within its class; NaN where it has none"),
        Column("mi_to", _FLOAT_BY_CLASS, "Mean mi of its pairs with each other class", "bits"),
        Column("corr_to", _FLOAT_BY_CLASS, "Mean corr of its pairs with each other class"),
    ),
    partitioned_by=("layer",),
    sorted_by=("book", "class", "i"),
)

ACTIVATIONS = Table(
    "activations",
    "Mean hidden state of each layer, class and book, and how often each dimension was an outlier",
    (
        _LAYER,
        _CLASS_KEY,
        _BOOK,
        Column("marks", pa.int64(), "Marks the mean is taken over", "marks"),
        Column("mean", pa.list_(pa.float32()), "Mean activation per dimension; a list of D", "activation"),
        Column("outliers", _COUNTS, "How many marks left this dimension out; a list of D", "marks"),
    ),
    sorted_by=("layer", "class", "book"),
)

SUMMARIES = Table(
    "summaries",
    "Mergeable summary of each measure of the pairs, by layer, two classes and book: a report need not read the pairs",
    (
        _LAYER,
        _CLASS_KEY,
        _OTHER_KEY,
        _BOOK,
        Column("measure", _KEY, "The measure summarised: a column of `pairs`"),
        Column("pairs", pa.int64(), "Pairs for which it and mi are numbers", "pairs"),
        Column("mean", pa.float64(), "Mean of the measure"),
        Column("m2", pa.float64(), "Sum of squared deviations from the mean"),
        Column("minimum", pa.float64(), "Smallest value"),
        Column("maximum", pa.float64(), "Largest value"),
        Column("mi_mean", pa.float64(), "Mean of mi over the same pairs", "bits"),
        Column("mi_comoment", pa.float64(), "Sum of products of the deviations of the measure and of mi"),
        Column("histogram", _COUNTS, "Pairs per fixed bin; the edges are those of analysis.summaries", "pairs"),
    ),
    sorted_by=("layer", "class", "other", "book", "measure"),
)

PASSAGE_SUMS = Table(
    "passage_sums",
    "Sums of each measure over the pairs of each two passages of a book: what resampling passages needs, exactly",
    (
        _LAYER,
        _CLASS_KEY,
        _OTHER_KEY,
        _BOOK,
        Column("passage", pa.int32(), "Passage of the first mark"),
        Column("other_passage", pa.int32(), "Passage of the second mark; within a class it is not the earlier one"),
        Column("pairs", pa.int64(), "Pairs of marks of these passages", "pairs"),
        *(
            Column(name, pa.float64(), f"Sum of {name} over these pairs; NaN where one is", nullable=True)
            for name in MEASURES
        ),
    ),
    partitioned_by=("layer",),
    sorted_by=("book", "class", "other", "passage", "other_passage"),
)

TRANSFER_SUMS = Table(
    "transfer_sums",
    "Whether a rule learned on the first mark type of two classes tells their other types apart, passages held out: "
    "wins by the passages of two test marks; only in a study with two classes of several tokens",
    (
        _LAYER,
        _CLASS_KEY,
        Column("other", _KEY, _OTHER.description),
        _BOOK,
        Column("labels", _KEY, "`classes`, or `control`: every mark type that did not teach is on a side at random"),
        Column("passage", pa.int32(), "Passage of the mark of `class`, or of the first side"),
        Column("other_passage", pa.int32(), "Passage of the mark of `other`, or of the second side"),
        Column("pairs", pa.int64(), "Pairs of test marks of these passages", "pairs"),
        Column("wins", pa.float64(), "Pairs whose second mark lies further along the rule; ties count half", "pairs"),
    ),
    partitioned_by=("layer",),
    sorted_by=("book", "class", "other", "labels", "passage", "other_passage"),
)

ALL_CLASSES = "all classes"
"""What stands for a class where the marks of all classes are clustered together; no class can be called so."""

_AMONG = Column(
    "among", _KEY, "Whose marks were clustered: those of a class, or of `all classes` together (without the baseline)"
)
_CLUSTER = Column("cluster", pa.int16(), "Ordinal of the cluster, by falling size; 0 alone where there is one")

CLUSTERS = Table(
    "clusters",
    "The cluster of each mark in each layer, among its class's marks and among those of all classes",
    (
        _LAYER,
        _BOOK,
        _AMONG,
        _CLASS_KEY,
        Column("i", pa.uint16(), "Ordinal of the mark within book and class"),
        _CLUSTER,
        Column("marks", pa.int32(), "Marks of this cluster", "marks", repeats=True),
        Column("clusters", pa.int16(), "How many clusters there are", "clusters", repeats=True),
        Column(
            "silhouette",
            pa.float32(),
            "How much nearer the mark is to its cluster than to the nearest other, -1 to 1; NaN with one cluster",
        ),
        Column(
            "stability",
            pa.float32(),
            "Mean Jaccard similarity of the cluster with its like when a quarter of the passages is left out, each "
            "quarter in turn, 0 to 1; NaN with one cluster",
            repeats=True,
        ),
        Column(
            "mi_share",
            pa.float32(),
            "Share of the variance of mi over pairs that the clusters of their marks take; NaN with one cluster",
            repeats=True,
        ),
        Column("corr_share", pa.float32(), "The same of corr", repeats=True),
        Column("rule", _KEY, "How the number of clusters was found"),
        Column("exact", pa.bool_(), "All marks took part; else a sample did, and the others went to the nearest"),
    ),
    partitioned_by=("layer",),
    sorted_by=("book", "among", "class", "i"),
)

CLUSTER_TERMS = Table(
    "cluster_terms",
    "What sets clusters of marks apart: each feature of each cluster, and the name that follows from those that hold",
    (
        _LAYER,
        _BOOK,
        _AMONG,
        _CLUSTER,
        Column("name", _KEY, "The cluster's name, the same in each of its rows; or that it is not explained"),
        Column("feature", _KEY, "The feature compared: a column of `marks`; `token` where a mark type has several"),
        Column("value", _STRING, "What it has more of: words, tokens in quotes, `yes` or `no`, `higher` or `lower`"),
        Column("inside", pa.float32(), "Share of the cluster's marks that have it"),
        Column("outside", pa.float32(), "Share of all other marks that have it"),
        Column("effect", pa.float32(), "Cramer's V; of a number the rank-biserial correlation, -1 to 1"),
        Column("p", pa.float64(), "Chance of such a difference where there is none; uncorrected"),
        Column("q", pa.float64(), "False discoveries among the book's terms that are no less sure, over all layers"),
        Column(
            "told_by_previous_word",
            pa.float32(),
            "How many of the errors of guessing a mark's cluster the word before it spares, of all clusters; up to 1",
            repeats=True,
        ),
    ),
    sorted_by=("layer", "book", "among", "cluster", "feature"),
)

LAYER_MEASURES = Table(
    "layer_measures",
    "What each layer's states look like, by class and book: direction, dimension, extremes, likeness to other layers",
    (
        _LAYER,
        _CLASS_KEY,
        _BOOK,
        Column("marks", pa.int64(), "Marks that were measured", "marks"),
        Column("anisotropy", pa.float64(), "Mean cosine of two marks' states; NaN where there are no two"),
        Column(
            "intrinsic_dimension",
            pa.float64(),
            "TwoNN's intrinsic dimension, too low where marks are few; NaN where fewer than three states differ",
            "dimensions",
        ),
        Column("norm", pa.float64(), "Median length of a state", "activation"),
        Column("massive", pa.float64(), "Largest magnitude of an activation over the median magnitude"),
        Column("massive_dimension", pa.int32(), "The dimension of the largest magnitude"),
        Column(
            "cka",
            _DOUBLES,
            "Linear CKA with each layer in turn, unbiased, over up to 64 of the marks; a list over layers, NaN where "
            "all states of a layer are equal",
        ),
    ),
    sorted_by=("layer", "class", "book"),
)

LAYER_SKETCHES = Table(
    "layer_sketches",
    "How each layer lays out up to 64 marks of a class and book, in whatever basis: what the alignment (CKA) of two "
    "layers, and of two models, follows from",
    (
        _LAYER,
        _CLASS_KEY,
        _BOOK,
        Column("marks", pa.int64(), "Marks of the class, of which those that are held are spread evenly", "marks"),
        Column(
            "sketch",
            _STEPS,
            "Products of each two held marks' states less their mean, U-centred, row by row above the diagonal, in "
            "127ths of the largest; empty below four marks or where all states are equal",
        ),
    ),
    sorted_by=("layer", "class", "book"),
)

SENSITIVITY = Table(
    "sensitivity",
    "What becomes of the first two classes' difference and separation under other choices and under controls: an "
    "estimate for each specification, book and layer, from a sample of the book's marks",
    (
        Column("specification", _KEY, "What differs from the default, which is the study itself: its name in words"),
        Column("axis", _KEY, "The setting that differs; `default` for none, `several` for more than one"),
        Column("kind", _KEY, "default, choice (somebody could have chosen so) or control (a finding should not hold)"),
        Column("model", _KEY, "The model that read the text"),
        Column("weights", _KEY, "trained, or untrained: drawn anew before any training"),
        Column("words", _KEY, "in order, or shuffled within each passage, the marks staying where they are"),
        Column("context", _KEY, "What the model read before a mark: its passage, or a window of so many tokens"),
        Column("bos", _KEY, "A beginning-of-text token: auto (the tokenizer's way), yes or no"),
        Column("selection", _KEY, "Which marks count: strict or notebook"),
        Column("half", _KEY, "Which passages of the book: whole (all of the sample), the first or the second half"),
        Column(
            "states", _KEY, "raw, centred (on the class's mean) or standardised (each dimension, over both classes)"
        ),
        Column("estimator", _KEY, "histogram or copula"),
        Column("bins", pa.int16(), "Bins of an axis; null for the copula", nullable=True),
        Column("outlier_z", pa.float64(), "Outlier threshold; null for none", nullable=True),
        _BOOK,
        _CLASS_KEY,
        Column("other", _KEY, "The second of the two classes"),
        Column("quantity", _KEY, "difference (likeness within `other` less within `class`) or separation of the two"),
        _LAYER,
        Column("sample", pa.int32(), "Marks of a class that were asked for, the same in the whole table", "marks"),
        Column("marks", pa.int32(), "Marks of `class` that took part", "marks", repeats=True),
        Column("other_marks", pa.int32(), "Marks of `other` that took part", "marks", repeats=True),
        Column("passages", pa.int32(), "Passages of the book that they lie in", "passages", repeats=True),
        Column("estimate", pa.float64(), "Mean over pairs of marks of different passages; NaN where undefined", "bits"),
        Column(
            "low", pa.float64(), "95 % interval from the book's passages, each layer by itself; NaN for none", "bits"
        ),
        Column("high", pa.float64(), "Its upper end", "bits"),
    ),
    sorted_by=("specification", "book", "class", "other", "quantity", "layer"),
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
    table.name: table
    for table in (
        PAIRS,
        CROSS_PAIRS,
        MARKS,
        PASSAGES,
        BOOKS,
        MARK_LAYERS,
        ACTIVATIONS,
        SUMMARIES,
        PASSAGE_SUMS,
        TRANSFER_SUMS,
        CLUSTERS,
        CLUSTER_TERMS,
        LAYER_MEASURES,
        LAYER_SKETCHES,
        SENSITIVITY,
        HIDDEN_STATES,
    )
}
"""Every table that has files, by name. The view `study` is made from study.json."""
