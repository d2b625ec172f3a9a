"""A small store with real pair statistics of seeded vectors, published the way a run publishes it."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa

from analysis.moments import summarise
from analysis.pairwise import PairStatistics, prepare, row_range
from jobs.config import StudyConfig
from store.books import BookStatus
from store.columns import TABLES
from store.commits import CommitRecord, CommittedBook, FileReceipt
from store.keys import MARK_CLASSES, ChunkKey, ShardKey
from store.study import Study
from store.writer import StudyWriter, publish_chunk

RUN = "made-up-run"
MARKS = {"internal": ",", "terminal": "."}
WORDS = ("the", "river", "was", "still", "and", "nobody", "spoke", "for", "a", "while", "until", "dawn")


def build_store(
    location: str | Path, books: int = 3, layers: int = 4, marks: int = 12, width: int = 16, seed: int = 0
) -> Study:
    """A committed store of `books` shards of one book, each with `marks` marks of each class in `layers` layers."""
    study = synthetic_study(layers, marks, width, seed)
    writer = StudyWriter.open(location, study)
    with writer.lock():
        for number in range(books):
            writer.commit(publish_book(location, study, number))
    return study


def synthetic_study(layers: int = 4, marks: int = 12, width: int = 16, seed: int = 0) -> Study:
    """A study of a model that does not exist, with the shape and seed of its made-up hidden states."""
    config = StudyConfig(model="synthetic", per_class=marks, seed=seed).to_dict()
    return Study(config, {"name": "synthetic", "decoder_blocks": layers - 1, "hidden_layers": layers, "width": width})


def shard_of(study: Study, number: int) -> ShardKey:
    """The shard of the n-th made-up book."""
    return ShardKey.of(study.fingerprint, [book_checksum(number)])


def book_checksum(number: int) -> str:
    return hashlib.sha256(f"book {number}".encode()).hexdigest()


def publish_book(location: str | Path, study: Study, number: int, run: str = RUN) -> CommitRecord:
    """Publish every chunk of the n-th book and return the record that commits them."""
    files = [publish_chunk(location, key, table, run) for key, table in book_chunks(study, number)]
    return record_of(study, number, files, run)


def record_of(study: Study, number: int, files: list[FileReceipt], run: str = RUN) -> CommitRecord:
    book = CommittedBook(f"book{number}", book_checksum(number), f"/books/book{number}.txt", BookStatus.USED)
    return CommitRecord(shard_of(study, number), tuple(files), (book,), run)


def book_chunks(study: Study, number: int) -> list[tuple[ChunkKey, pa.Table]]:
    """The chunks of the n-th book: pairs by layer and class, then one file of each other table."""
    shard = shard_of(study, number)
    layers, marks, seed = study.model["hidden_layers"], study.config["per_class"], study.config["seed"]
    chunks, activations, summaries = [], [], []
    for layer in range(layers):
        for mark_class in MARK_CLASSES:
            where = {"layer": layer, "class": mark_class, "book": f"book{number}"}
            states = hidden_states(layer, mark_class, number, marks, study.model["width"], seed)
            prepared = prepare(states, study.config["bins"], study.config["outlier_z"])
            pairs = pair_table(f"book{number}", row_range(prepared, 0, marks), marks)
            chunks.append((ChunkKey("pairs", shard, layer, mark_class), pairs))
            mean, outliers = states.mean(axis=0, dtype=np.float64).tolist(), prepared.outlier_counts.tolist()
            activations.append({**where, "marks": marks, "mean": mean, "outliers": outliers})
            summaries.append({**where, **summary_row(pairs)})
    chunks.append((ChunkKey("tokens", shard), token_table(number, marks)))
    chunks.append((ChunkKey("books", shard), book_table(number, marks)))
    chunks.append((ChunkKey("activations", shard), table_of("activations", activations)))
    chunks.append((ChunkKey("summaries", shard), table_of("summaries", summaries)))
    return chunks


def hidden_states(layer: int, mark_class: str, number: int, marks: int, width: int, seed: int) -> np.ndarray:
    """Correlated vectors with a few outlier dimensions: float32 `[marks, width]`; classes part in later layers."""
    generator = np.random.default_rng([seed, number, layer, MARK_CLASSES.index(mark_class)])
    shared = np.random.default_rng([seed, layer]).normal(size=width)
    noise = generator.normal(size=(marks, width))
    states = (0.5 + 0.2 * layer * (mark_class == "terminal")) * shared + noise
    states[:, 0] *= 1 + 6 * layer
    return states.astype(np.float32)


def pair_table(book: str, statistics: PairStatistics, marks: int) -> pa.Table:
    i, j = np.triu_indices(marks, 1)
    values = {
        "book": pa.array([book] * len(i)).dictionary_encode(),
        "i": i.astype(np.uint16),
        "j": j.astype(np.uint16),
        "n": statistics.n.astype(np.uint16),
    }
    values |= {name: getattr(statistics, name).astype(np.float32) for name in ("mi", "cov", "corr", "hx", "hy")}
    return pa.table(values)


def summary_row(pairs: pa.Table) -> dict[str, object]:
    summary = summarise(pairs.column("mi").to_numpy(), pairs.column("cov").to_numpy())
    values = {field.name: getattr(summary, field.name) for field in fields(summary)}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def token_table(number: int, marks: int) -> pa.Table:
    generator = np.random.default_rng([number, 1])
    rows = []
    for mark_class in MARK_CLASSES:
        for i in range(marks):
            words = generator.choice(WORDS, size=14)
            rows.append(
                {
                    "book": f"book{number}",
                    "class": mark_class,
                    "i": i,
                    "position": 30 * i + 15 * (mark_class == "terminal"),
                    "token_id": 11 if mark_class == "internal" else 13,
                    "token": MARKS[mark_class],
                    "before": " " + " ".join(words[:9]),
                    "after": " " + " ".join(words[9:]),
                }
            )
    return table_of("tokens", rows)


def book_table(number: int, marks: int) -> pa.Table:
    counts = {
        f"{mark_class}_{stage}": marks + extra
        for mark_class in MARK_CLASSES
        for stage, extra in (("found", 5), ("eligible", 3), ("used", 0))
    }
    row = {
        "book": f"book{number}",
        "title": f"The Book of {number}",
        "author": "Nobody" if number % 2 else None,
        "source": f"/books/book{number}.txt",
        "sha256": book_checksum(number),
        "encoding": "utf-8",
        "characters": 90 * marks,
        "characters_raw": 100 * marks,
        "tokens": 31 * marks,
        "unique_tokens": 14,
        "left_out": [("internal: window", 2), ("terminal: window", 2)],
        "status": BookStatus.USED,
        "reason": None,
    }
    return table_of("books", [row | counts])


def table_of(name: str, rows: list[dict]) -> pa.Table:
    """Rows as a table with the exact schema of the spec, in the spec's order of columns."""
    return pa.Table.from_pylist(rows, schema=TABLES[name].schema)
