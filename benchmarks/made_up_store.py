"""Stores of any size, filled fast with values that compress like real ones, for measuring and not for reading.

Per mark and layer one marginal entropy, which its pairs repeat unless the partner's outliers change it; per pair a
mutual information, covariance and correlation with 24 random bits. A row takes about a tenth more bytes than one of
real hidden states.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from analysis.layer_measures import layer_measures
from analysis.summaries import summarise
from jobs.stages.tables import (
    MarkRows,
    PassageRows,
    layer_measures_table,
    layer_sketches_table,
    mark_layers_table,
    passage_sums_table,
)
from store import paths
from store.books import BookStatus
from store.columns import PAIRS as PAIRS_TABLE
from store.columns import TABLES
from store.commits import CommitRecord, CommittedBook, FileReceipt
from store.keys import ChunkKey, ShardKey
from store.study import Study
from store.writer import StudyWriter, publish_chunk

RUN = "made-up"
MARKS, WIDTH = 250, 576
PAIRS = MARKS * (MARKS - 1) // 2
BOOKS_PER_SHARD = 32
CLASSES = ("internal", "terminal")
PASSAGE = 512
FIRST, SECOND = np.triu_indices(MARKS, 1)


@dataclass(frozen=True)
class Shape:
    """How many books and layers; every book has 250 marks of each class."""

    books: int
    layers: int

    @classmethod
    def of_rows(cls, rows: int, layers: int) -> Shape:
        """As many books as it takes for about this many pair rows."""
        return cls(max(1, round(rows / (PAIRS * layers * len(CLASSES)))), layers)

    @property
    def rows(self) -> int:
        """Pair rows of the whole store."""
        return self.books * self.layers * len(CLASSES) * PAIRS

    def shards(self) -> Iterator[tuple[ShardKey, list[str]]]:
        """The shards and their books."""
        names = [f"pg{number:05d}" for number in range(self.books)]
        for start in range(0, self.books, BOOKS_PER_SHARD):
            books = names[start : start + BOOKS_PER_SHARD]
            yield ShardKey.of("made up", books), books


def study(shape: Shape) -> Study:
    """A study that says what it is."""
    return Study(
        {
            "model": "made up",
            "classes": [["internal", [","]], ["terminal", ["."]]],
            "per_class": MARKS,
            "bins": 15,
            "outlier_z": 5.0,
            "measures": "notebook",
            "within": "rows",
            "between": "none",
            "clusters": False,
        },
        {"hidden_layers": shape.layers, "width": WIDTH},
    )


def fill(location: str, shape: Shape, progress: Callable[[int, int], None]) -> None:
    """Publish and commit every shard, two blocks at a time."""
    writer = StudyWriter.open(location, study(shape))
    shards = list(shape.shards())
    with writer.lock(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (shard, books) in enumerate(shards):
            progress(done, len(shards))
            keys = _pair_keys(shard, shape.layers)
            published = list(pool.map(lambda key, books=books: _publish_pairs(location, key, books), keys))
            files = [receipt for receipt, _, _ in published]
            rows = [row for _, rows_of_key, _ in published for row in rows_of_key]
            for layer in range(shape.layers):
                sums = [part for key, (_, _, parts) in zip(keys, published, strict=True) if key.layer == layer
                        for part in parts]  # fmt: skip
                files += _publish_layer(location, shard, layer, sums)
            files.append(_publish(location, "summaries", shard, rows))
            means = [_activation(row) for row in rows if row["measure"] == "mi"]
            files.append(_publish(location, "activations", shard, means))
            files += _publish_layer_measures(location, shard, shape.layers, books)
            files.append(_publish(location, "marks", shard, [row for name in books for row in _marks(name)]))
            files.append(_publish(location, "passages", shard, [row for name in books for row in _passages(name)]))
            files.append(_publish(location, "books", shard, [_book(name) for name in books]))
            committed = tuple(CommittedBook(name, _checksum(name), f"/{name}.txt", BookStatus.USED) for name in books)
            writer.commit(CommitRecord(shard, tuple(files), committed, RUN))


def clone_until(location: Path, shape: Shape, files: int) -> int:
    """Commit copies of the first shard (hard links, so they take no space) until this many files are committed.

    For measuring how a store with very many files opens; the copies' books are the same, so it is for nothing else.
    """
    writer = StudyWriter.open(location, study(shape))
    with writer.lock():
        shard, books = next(shape.shards())
        published = [_publish_pairs(str(location), key, books)[0] for key in _pair_keys(shard, shape.layers)]
        committed, number = 0, 0
        while committed < files:
            copy = ShardKey(f"{number:016x}")
            receipts = [_link(location, receipt, copy) for receipt in published]
            book = CommittedBook(f"copy{number}", _checksum(str(number)), f"/copy{number}.txt", BookStatus.USED)
            writer.commit(CommitRecord(copy, tuple(receipts), (book,), RUN))
            committed, number = committed + len(receipts), number + 1
    return committed


def pair_table(layer: int, mark_class: str, books: list[str]) -> pa.Table:
    """The pairs within one class of some books in one layer: `[books * 31,125]` rows."""
    generator = np.random.default_rng([layer, CLASSES.index(mark_class), int(books[0][2:])])
    rows = len(books) * PAIRS
    entropies = generator.normal(2.9, 0.1, (len(books), MARKS)).astype(np.float32)
    moved = (generator.random((2, rows)) < 0.02) * generator.normal(0, 0.01, (2, rows)).astype(np.float32)
    cov = (generator.normal(1, 2, rows) * 1.2**layer).astype(np.float32)
    codes = np.repeat(np.arange(len(books), dtype=np.int32), PAIRS)
    outliers = generator.choice([0, 0, 1, 2, 3], (len(books), MARKS)).astype(np.uint16)
    columns: dict[str, object] = {
        "book": pa.DictionaryArray.from_arrays(codes, pa.array(books)),
        "i": np.tile(FIRST.astype(np.uint16), len(books)),
        "j": np.tile(SECOND.astype(np.uint16), len(books)),
        "n": (WIDTH - np.maximum(outliers[:, FIRST], outliers[:, SECOND])).ravel().astype(np.uint16),
        "mi": (0.25 + 0.05 * generator.gamma(4.0, 1.0, rows)).astype(np.float32),
        "cov": cov,
        "corr": np.tanh(cov / 4 + generator.normal(0, 0.1, rows)).astype(np.float32),
        "hx": (entropies[:, FIRST].ravel() + moved[0]).astype(np.float32),
        "hy": (entropies[:, SECOND].ravel() + moved[1]).astype(np.float32),
    }
    left_out = {column.name: pa.nulls(rows, column.type) for column in PAIRS_TABLE.file_columns if column.nullable}
    return pa.table(columns | left_out, schema=PAIRS_TABLE.schema)


def _pair_keys(shard: ShardKey, layers: int) -> list[ChunkKey]:
    return [ChunkKey("pairs", shard, layer, name) for layer in range(layers) for name in CLASSES]


def _publish_pairs(
    location: str, key: ChunkKey, books: list[str]
) -> tuple[FileReceipt, list[dict[str, object]], list[PassageRows]]:
    layer, mark_class = key.layer, key.mark_class
    assert layer is not None
    assert mark_class is not None
    table = pair_table(layer, mark_class, books)
    measured = {name: table.column(name).to_numpy() for name in ("mi", "cov", "corr")}
    rows: list[dict[str, object]] = []
    sums: list[PassageRows] = []
    for number, book in enumerate(books):
        of_book = slice(number * PAIRS, (number + 1) * PAIRS)
        where = {"layer": layer, "class": mark_class, "other": mark_class, "book": book}
        values_of_book = {name: values[of_book] for name, values in measured.items()}
        summaries = summarise(values_of_book)
        sums.append(_passage_rows(book, mark_class, values_of_book))
        rows += [where | {"measure": name} | asdict(summary) for name, summary in sorted(summaries.items())]
    return publish_chunk(location, key, table, RUN), rows, sums


def _passage_rows(book: str, mark_class: str, measured: dict[str, np.ndarray]) -> PassageRows:
    """The sums of a book's pairs by the passages of their marks."""
    passages = 31 * np.arange(MARKS) // PASSAGE
    shape = (int(passages.max()) + 1,) * 2
    cells = passages[FIRST] * shape[1] + passages[SECOND]

    def added(weights: np.ndarray | None) -> np.ndarray:
        return np.bincount(cells, weights, minlength=shape[0] * shape[1]).reshape(shape)

    return PassageRows(
        book, mark_class, mark_class, added(None), {name: added(values) for name, values in measured.items()}
    )


def _publish_layer(location: str, shard: ShardKey, layer: int, sums: list[PassageRows]) -> list[FileReceipt]:
    """The tables of one layer that hold both classes."""
    level = np.full(MARKS, 0.5)
    nothing = [np.zeros(0, np.int32)] * MARKS
    marks = [MarkRows(part.book, part.mark_class, level, nothing, level, level, {}, {}) for part in sums]
    tables = {"passage_sums": passage_sums_table(sums), "mark_layers": mark_layers_table(marks)}
    return [publish_chunk(location, ChunkKey(name, shard, layer), table, RUN) for name, table in tables.items()]


def _publish_layer_measures(location: str, shard: ShardKey, layers: int, books: list[str]) -> list[FileReceipt]:
    """What the layers' states look like: of states at random, the same in every layer and book."""
    states = np.random.default_rng(0).normal(size=(MARKS, 32)).astype(np.float32)
    measured = dict.fromkeys([(name, book) for name in CLASSES for book in books], layer_measures(states))
    measures = dict.fromkeys(range(layers), measured)
    tables = {"layer_measures": layer_measures_table(measures), "layer_sketches": layer_sketches_table(measures)}
    return [publish_chunk(location, ChunkKey(name, shard), table, RUN) for name, table in tables.items()]


def _publish(location: str, table: str, shard: ShardKey, rows: list[dict[str, object]]) -> FileReceipt:
    made = pa.Table.from_pylist(rows, schema=TABLES[table].schema)
    return publish_chunk(location, ChunkKey(table, shard), made, RUN)


def _link(location: Path, receipt: FileReceipt, shard: ShardKey) -> FileReceipt:
    key = paths.parse_chunk_path(receipt.path)
    assert key is not None
    path = paths.chunk_path(replace(key, shard=shard), RUN)
    if path != receipt.path:
        os.link(location / receipt.path, location / path)
    return replace(receipt, path=path)


def _activation(summary: dict[str, object]) -> dict[str, object]:
    where = {name: summary[name] for name in ("layer", "class", "book")}
    return where | {"marks": MARKS, "mean": [0.5] * WIDTH, "outliers": [0] * WIDTH}


def _marks(book: str) -> Iterator[dict[str, object]]:
    for mark_class, token in zip(CLASSES, (",", "."), strict=True):
        for i in range(MARKS):
            position = 31 * i
            yield {
                "book": book,
                "class": mark_class,
                "i": i,
                "mark": token,
                "position": position,
                "passage": position // PASSAGE,
                "token_id": ord(token),
                "token": token,
                "before": f"word {i}",
                "after": f"word {i + 1}",
                "place": i / MARKS,
                "sentence_tokens": 20,
                "previous_word": "word",
                "next_word": "word",
                "in_quotation": False,
                "line_end": False,
                "abbreviation": False,
                "first_in_context": False,
            }


def _passages(book: str) -> Iterator[dict[str, object]]:
    for passage in range(31 * (MARKS - 1) // PASSAGE + 1):
        yield {"book": book, "passage": passage, "start": passage * PASSAGE, "tokens": PASSAGE}


def _book(name: str) -> dict[str, object]:
    counts = {column.name: 0 for column in TABLES["books"].columns if pa.types.is_integer(column.type)}
    text = dict.fromkeys(("found", "eligible", "used"), dict.fromkeys(CLASSES, MARKS)) | {
        "book": name,
        "source": f"/{name}.txt",
        "sha256": _checksum(name),
        "status": BookStatus.USED,
        "left_out": [],
    }
    return counts | text


def _checksum(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
