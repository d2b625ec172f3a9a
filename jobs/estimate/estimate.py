"""What a run costs, from the marks it would take: pure arithmetic over counts and measured rates.

Sizes on disk were measured on seven stores of SmolLM2 (31 layers, 576 dimensions): Heart of Darkness with the defaults,
with `--preset notebook`, with 20 and with 60 marks a class, with kept states and with all measures; and on eight novels
with 60 and 20 marks a class. Each table takes a number of bytes a file and a number a row; where rows are few, as with
20 marks a class, half of a store is what files take for themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from analysis.layer_measures import SKETCHED
from analysis.pairing import MEASURES, NOTEBOOK
from jobs.config import StudyConfig
from jobs.model.batch_size import WITHOUT_GPU
from jobs.stages.partition import ROWS_PER_PART, PairShape

FILE_BYTES = {
    "pairs": 5_200,
    "cross_pairs": 5_000,
    "marks": 5_000,
    "passages": 900,
    "books": 6_500,
    "mark_layers": 3_800,
    "passage_sums": 3_900,
    "transfer_sums": 2_600,
    "activations": 1_600,
    "summaries": 2_800,
    "layer_measures": 2_500,
    "layer_sketches": 1_000,
    "clusters": 3_600,
    "cluster_terms": 2_100,
    "hidden_states": 900,
}
"""Bytes of a file that has hardly a row: its footer, and what each column costs once."""

PAIR_BYTES = 9.5
"""Bytes a row of `pairs` or `cross_pairs` with the notebook's measures, and for each further measure."""
MEASURE_BYTES = 3.4

MARK_BYTES = 65.0
PASSAGE_BYTES = 19.0
BOOK_BYTES = 400.0

MARK_LAYER_BYTES = 8.5
"""Bytes a row of `mark_layers`, and for each other class that a mark's likeness is told of."""
OTHER_CLASS_BYTES = 7.3

SUM_BYTES = 5.3
"""Bytes a row of `passage_sums` for each measure."""

TRANSFER_BYTES = 6.0
"""Bytes a row of `transfer_sums`."""

SUMMARY_BYTES, FILLED_BYTES = 36.5, 6.6
"""Bytes a row of `summaries`, and what the fourth root of its pairs adds.

70 in all with 20 marks a class, whose histograms are nearly empty, 115 with 250.
"""

DIMENSION_BYTES = 3.6
"""Bytes a dimension of a row of `activations`, however many marks it is the mean of."""

LAYER_BYTES, CKA_BYTES = 40.0, 5.5
"""Bytes a row of `layer_measures`, and for each layer that its list of alignments tells of."""

SKETCH_BYTES = 0.76
"""Bytes a number of `layer_sketches`."""

CLUSTER_BYTES, TERM_BYTES = 2.7, 2.0
"""Bytes a row of `clusters`, of which a mark has two a layer, and bytes of `cluster_terms` a mark and layer.

Measured on the sample with 250 marks a class, and on eight novels.
"""

STATE_BYTES = {"float16": 1.9, "bfloat16": 1.4}
"""Bytes a dimension of a kept hidden state, by the format of the pass that gave it."""

FULL_STATE_BYTES = 3.5
"""The same for float32: its last bits are noise, and noise does not compress."""

COMMIT_BYTES = 188.0
"""Bytes of a commit record for each file that it names."""

STORE_BYTES = 3_000
"""The study, the record of a run and the lock."""


@dataclass(frozen=True)
class BookMarks:
    """What a run takes from one book: `marks` of each class, in the study's order.

    `sequences` of `length` tokens go through the model. `passages` hold the marks; in one layer, `passage_sums` has
    `passage_rows` rows of the book.
    """

    marks: tuple[int, ...]
    sequences: int
    length: int
    passages: int
    passage_rows: int


@dataclass(frozen=True)
class Rates:
    """How fast one machine is, and how that is known.

    `tokens` through the model per second; `within` and `between`: pairs of a class and of two classes, per second and
    CPU core; `clusters`: marks among which clusters are looked for, per second and CPU core.
    """

    tokens: float
    within: float
    between: float
    clusters: float
    cores: int
    measured_on: str


@dataclass(frozen=True)
class Cost:
    """What a run makes and takes. Pairs are counted over all layers; `disk` holds bytes by table."""

    books: int
    marks: tuple[int, ...]
    sequences: int
    tokens: int
    forward_passes: int
    pairs_within: int
    pairs_between: int
    disk: Mapping[str, float]
    forward_seconds: float
    pair_seconds: float
    cluster_seconds: float

    @property
    def disk_bytes(self) -> int:
        """All that the store takes."""
        return round(sum(self.disk.values()))

    @property
    def seconds(self) -> float:
        """Time from the first sequence to the last row where model, pairs and clusters share the machine's cores."""
        return self.forward_seconds + self.pair_seconds + self.cluster_seconds


def estimate_cost(
    books: Sequence[BookMarks],
    hidden_layers: int,
    width: int,
    config: StudyConfig,
    rates: Rates,
    books_per_shard: int = 1,
) -> Cost:
    """The cost of these books. `hidden_layers` counts the embedding too, `width` is D."""
    batch = config.batch_size or WITHOUT_GPU[config.context]
    within = hidden_layers * sum(PairShape(count).total for book in books for count in book.marks)
    between = hidden_layers * sum(a * b for book in books for a, b in combinations(book.marks, 2))
    between = between if config.computes_between else 0
    tokens = sum(book.sequences * book.length for book in books)
    shards = [books[start : start + books_per_shard] for start in range(0, len(books), books_per_shard)]
    return Cost(
        books=len(books),
        marks=tuple(map(sum, zip(*(book.marks for book in books), strict=True))),
        sequences=sum(book.sequences for book in books),
        tokens=tokens,
        forward_passes=sum(math.ceil(book.sequences / batch) for book in books),
        pairs_within=within,
        pairs_between=between,
        disk=_disk(shards, hidden_layers, width, config) if books else {},
        forward_seconds=tokens / rates.tokens,
        pair_seconds=(within / rates.within + between / rates.between) / rates.cores,
        cluster_seconds=hidden_layers * _clustered(books, config) / (rates.clusters * rates.cores),
    )


def _clustered(books: Sequence[BookMarks], config: StudyConfig) -> int:
    """Marks among which clusters are looked for in a layer: those of a class, and those of all classes together."""
    times = 1 + (len(config.class_names) > 1)
    return times * sum(sum(book.marks) for book in books) if config.clusters else 0


def _disk(
    shards: Sequence[Sequence[BookMarks]], hidden_layers: int, width: int, config: StudyConfig
) -> dict[str, float]:
    """Bytes by table, the tables of a shard added up over shards, and what belongs to none under `records`."""
    files: dict[str, int] = dict.fromkeys(FILE_BYTES, 0)
    rows = dict.fromkeys(FILE_BYTES, 0.0)
    for shard in shards:
        for table, of_table, bytes_of_rows in _tables(shard, hidden_layers, width, config):
            files[table] += of_table
            rows[table] += bytes_of_rows
    disk = {table: count * FILE_BYTES[table] + rows[table] for table, count in files.items() if count}
    return disk | {"records": STORE_BYTES + COMMIT_BYTES * sum(files.values())}


def _tables(
    shard: Sequence[BookMarks], hidden_layers: int, width: int, config: StudyConfig
) -> Iterator[tuple[str, int, float]]:
    """Each table of a shard: its name, its files, and the bytes of its rows."""
    marks = sum(sum(book.marks) for book in shard)
    measures = len(MEASURES[config.measures])
    pair_bytes = PAIR_BYTES + MEASURE_BYTES * (measures - len(MEASURES[NOTEBOOK]))
    within, between = _pairs_by_class(shard, config)
    for table, pairs, stored in (
        ("pairs", within, config.stores_within),
        ("cross_pairs", between, config.stores_between),
    ):
        if stored:
            files = sum(math.ceil(sum(of_books) / ROWS_PER_PART) for of_books in pairs)
            yield table, hidden_layers * files, hidden_layers * sum(map(sum, pairs)) * pair_bytes
    others = max(0, len(config.class_names) - 1) if config.computes_between else 0
    held = [pairs for of_books in (*within, *between) for pairs in of_books if pairs]
    summaries = sum(SUMMARY_BYTES + FILLED_BYTES * pairs**0.25 for pairs in held)
    passage_rows = hidden_layers * sum(book.passage_rows for book in shard)
    classes_held = sum(count > 0 for book in shard for count in book.marks)
    yield "marks", 1, marks * MARK_BYTES
    yield "passages", 1, sum(book.passages for book in shard) * PASSAGE_BYTES
    yield "books", 1, len(shard) * BOOK_BYTES
    yield "mark_layers", hidden_layers, hidden_layers * marks * (MARK_LAYER_BYTES + others * OTHER_CLASS_BYTES)
    yield "passage_sums", hidden_layers, passage_rows * measures * SUM_BYTES
    teaching = len(config.teaching_types)
    if teaching:
        cells = 2 * teaching * (teaching - 1) // 2 * sum(book.passages**2 // 2 for book in shard)
        yield "transfer_sums", hidden_layers, hidden_layers * cells * TRANSFER_BYTES
    yield "activations", 1, hidden_layers * width * DIMENSION_BYTES * classes_held
    yield "summaries", 1, hidden_layers * measures * summaries
    yield "layer_measures", 1, hidden_layers * (LAYER_BYTES + hidden_layers * CKA_BYTES) * classes_held
    numbers = sum(PairShape(min(count, SKETCHED)).total for book in shard for count in book.marks)
    yield "layer_sketches", 1, hidden_layers * numbers * SKETCH_BYTES
    if config.clusters:
        clustered = sum(sum(book.marks[: len(config.named_classes)]) for book in shard)
        yield "clusters", hidden_layers, hidden_layers * 2 * clustered * CLUSTER_BYTES
        yield "cluster_terms", 1, hidden_layers * clustered * TERM_BYTES
    if config.keep_hidden_states:
        classes = sum(any(of_books) for of_books in zip(*(book.marks for book in shard), strict=True))
        dimensions = hidden_layers * marks * width
        yield "hidden_states", hidden_layers * classes, dimensions * STATE_BYTES.get(config.dtype, FULL_STATE_BYTES)


def _pairs_by_class(shard: Sequence[BookMarks], config: StudyConfig) -> tuple[list[list[int]], list[list[int]]]:
    """Pairs in a layer of each book of a shard: for each class, and for each two."""
    marks = list(zip(*(book.marks for book in shard), strict=True))
    within = [[PairShape(count).total for count in of_class] for of_class in marks]
    if not config.computes_between:
        return within, []
    return within, [[a * b for a, b in zip(one, other, strict=True)] for one, other in combinations(marks, 2)]
