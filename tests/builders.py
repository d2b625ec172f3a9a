"""Small stores with real statistics of seeded vectors, computed and published the way a run does it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.pairwise import PairStatistics
from analysis.summaries import MeasureSummary, summarise
from jobs.config import RunConfig, StudyConfig
from jobs.model.models import RecordedModel
from jobs.stages.clustering import explained
from jobs.stages.compute import BlockReceipt, compute_block
from jobs.stages.extract import Block
from jobs.stages.layout import Layout, layout_of
from jobs.stages.partition import PairShape, block_keys
from jobs.stages.prepare import RunContext
from jobs.stages.tables import (
    PairRows,
    activations_table,
    cluster_terms_table,
    layer_measures_table,
    layer_sketches_table,
    pairs_table,
    summaries_table,
)
from store import paths
from store.books import BookStatus
from store.columns import MEASURES, PAIRS, TABLES
from store.commits import CommitRecord, CommittedBook, FileReceipt
from store.keys import ChunkKey, ShardKey
from store.study import Study
from store.writer import StudyWriter, publish_chunk, read_chunk

RUN = "made-up-run"
PASSAGES = 4
WARM_UP = 128
WORDS = ("the", "river", "was", "still", "and", "nobody", "spoke", "for", "a", "while", "until", "dawn")

Chunks = list[tuple[ChunkKey, pa.Table]]
_CHUNKS: dict[str, Chunks] = {}
_CHUNKS_KEPT = 200
_TEMPLATES = tempfile.TemporaryDirectory(prefix="interpunct-stores-")
_BUILT: dict[str, Path] = {}
"""Where stores were built from these settings, to be copied: publishing flushes each file to the disk."""


def build_store(
    location: str | Path,
    books: int = 3,
    layers: int = 4,
    marks: int = 12,
    width: int = 16,
    seed: int = 0,
    **settings: Any,
) -> Study:
    """A committed store of `books` shards of one book each; see `synthetic_study` for what is in it.

    In an empty folder it is a copy of one that this process has made before, where it has.
    """
    study = synthetic_study(layers, marks, width, seed, **settings)
    if "://" in str(location) or (Path(location).is_dir() and any(Path(location).iterdir())):
        _commit_books(location, study, books)
        return study
    key = json.dumps([study.config, study.model, books], sort_keys=True)
    if key not in _BUILT:
        _BUILT[key] = Path(_TEMPLATES.name) / str(len(_BUILT))
        _commit_books(_BUILT[key], study, books)
    shutil.copytree(_BUILT[key], location, copy_function=shutil.copyfile, dirs_exist_ok=True)
    return study


def _commit_books(location: str | Path, study: Study, books: int) -> None:
    writer = StudyWriter.open(location, study)
    with writer.lock():
        for number in range(books):
            writer.commit(publish_book(location, study, number))


def synthetic_study(layers: int = 4, marks: int = 12, width: int = 16, seed: int = 0, **settings: Any) -> Study:
    """A study of a model that does not exist, with the shape and seed of its made-up hidden states.

    Every book has `marks` marks of each class, and half as many of the baseline. `settings` are those of StudyConfig
    that differ from its defaults: `classes=[["and", ["and"]], ["but", ["but"]]]`, `baseline=None`, `between="none"`,
    `measures="notebook"`, `keep_hidden_states=True`.
    """
    made_up = {"model": "synthetic", "per_class": marks, "baseline": max(2, marks // 2), "seed": seed}
    config = StudyConfig.from_dict(made_up | settings).to_dict()
    return Study(config, {"name": "synthetic", "decoder_blocks": layers - 1, "hidden_layers": layers, "width": width})


def marks_of(study: Study) -> dict[str, int]:
    """How many marks of each class a made-up book has, in the study's order."""
    named, baseline = study.config["per_class"], study.config["baseline"]
    return {name: baseline if name == "baseline" else named for name in study.class_names}


def shard_of(study: Study, number: int) -> ShardKey:
    """The shard of the n-th made-up book."""
    return ShardKey.of(study.fingerprint, [book_checksum(number)])


def book_checksum(number: int) -> str:
    return hashlib.sha256(f"book {number}".encode()).hexdigest()


def publish_book(
    location: str | Path, study: Study, number: int, run: str = RUN, marks: Mapping[str, int] | None = None
) -> CommitRecord:
    """Publish every chunk of the n-th book and return the record that commits them."""
    files = [publish_chunk(location, key, table, run) for key, table in book_chunks(study, number, marks)]
    return record_of(study, number, files, run)


def record_of(study: Study, number: int, files: list[FileReceipt], run: str = RUN) -> CommitRecord:
    book = CommittedBook(f"book{number}", book_checksum(number), f"/books/book{number}.txt", BookStatus.USED)
    return CommitRecord(shard_of(study, number), tuple(files), (book,), run)


def book_chunks(study: Study, number: int, marks: Mapping[str, int] | None = None) -> Chunks:
    """The chunks of the n-th book: those of each layer, then one file of each other table.

    `marks`: how many marks the book has of each class, where it is not what `marks_of` says. They are computed once a
    process: hundreds of tests build the same few books.
    """
    marks = marks or marks_of(study)
    key = json.dumps([study.config, study.model, number, list(marks.items())], sort_keys=True)
    if key not in _CHUNKS:
        if len(_CHUNKS) >= _CHUNKS_KEPT:
            _CHUNKS.pop(next(iter(_CHUNKS)))
        _CHUNKS[key] = _compute_chunks(study, number, marks)
    return list(_CHUNKS[key])


def _compute_chunks(study: Study, number: int, marks: Mapping[str, int]) -> Chunks:
    shard, book = shard_of(study, number), f"book{number}"
    passages = [passages_of(count) for count in marks.values()]
    layout = layout_of(study.class_names, [book], [passages], [_types_of(study, number, marks)])
    with tempfile.TemporaryDirectory() as folder:
        context = _context(study, folder)
        receipts = [compute_block(context, block) for block in _blocks(study, number, layout)]
        files = [file.path for receipt in receipts for file in receipt.files]
        keys = [key for key in map(paths.parse_chunk_path, files) if key is not None]
        chunks = [(key, read_chunk(folder, key, RUN)) for key in keys]
    chunks.append((ChunkKey("marks", shard), mark_table(study, number, marks)))
    chunks.append((ChunkKey("passages", shard), passage_table(study, number, marks)))
    chunks.append((ChunkKey("books", shard), book_table(study, number, marks)))
    if study.config["clusters"]:
        labels = {(r.key.layer, key): of_marks for r in receipts for key, of_marks in r.clusters.items()}
        terms = explained(mark_table(study, number, marks), layout, labels)
        chunks.append((ChunkKey("cluster_terms", shard), cluster_terms_table(terms)))
    return [*chunks, *_sums(shard, receipts)]


def _context(study: Study, location: str) -> RunContext:
    model = RecordedModel(study.model["name"], "made up")
    return RunContext(location, StudyConfig.from_dict(study.config), RunConfig(), study.fingerprint, RUN, model)


def _blocks(study: Study, number: int, layout: Layout) -> Iterator[Block]:
    counts = dict(zip(layout.classes, layout.marks[0], strict=True))
    for key in block_keys(shard_of(study, number), study.model["hidden_layers"]):
        states = [hidden_states(study, key.layer, name, number)[:count] for name, count in counts.items()]
        yield Block(key, layout, np.concatenate(states))


def _sums(shard: ShardKey, receipts: list[BlockReceipt]) -> Chunks:
    activations = {(r.key.layer, *key): value for r in receipts for key, value in r.activations.items()}
    summaries = {(r.key.layer, *key): value for r in receipts for key, value in r.summaries.items()}
    measures = {r.key.layer: r.layer for r in receipts}
    return [
        (ChunkKey("activations", shard), activations_table(activations)),
        (ChunkKey("summaries", shard), summaries_table(summaries)),
        (ChunkKey("layer_measures", shard), layer_measures_table(measures)),
        (ChunkKey("layer_sketches", shard), layer_sketches_table(measures)),
    ]


def hidden_states(study: Study, layer: int, mark_class: str, number: int) -> NDArray[np.float32]:
    """Correlated vectors with an outlier dimension: float32 `[marks, width]`; classes part in later layers.

    The first class's are least alike, the next ones' more and more; the baseline's have little in common.
    """
    seed, width, rank = study.config["seed"], study.model["width"], study.class_names.index(mark_class)
    shared = np.random.default_rng([seed, layer]).normal(size=width)
    own = np.random.default_rng([seed, layer, 1, rank]).normal(size=width)
    noise = np.random.default_rng([seed, number, layer, rank]).normal(size=(marks_of(study)[mark_class], width))
    if mark_class == "baseline":
        states = 0.2 * shared + noise
    else:
        states = (0.5 + 0.2 * layer * rank) * shared + 0.3 * layer * own + noise
    states[:, 0] *= 1 + 6 * layer
    return states.astype(np.float32)


def passages_of(marks: int) -> NDArray[np.int32]:
    """The passage of each of a class's marks: they lie evenly over the book."""
    return (np.arange(marks) * PASSAGES // max(marks, 1)).astype(np.int32)


def pair_table(book: str, statistics: PairStatistics, marks: int) -> pa.Table:
    """Rows of `pairs` of one class, with the notebook's measures alone."""
    return pairs_table(PAIRS, [book], [PairRows(0, *PairShape(marks).ordinals(0, marks), statistics, {})])


def summary_of(pairs: pa.Table) -> dict[str, MeasureSummary]:
    """The summary of each measure that some pairs have."""
    return summarise({name: pairs[name].to_numpy() for name in MEASURES if pairs[name].null_count < len(pairs)})


def summary_rows(where: Mapping[str, Any], pairs: pa.Table) -> list[dict[str, Any]]:
    """Rows of `summaries` of some pairs; `where` has their layer, class, other and book."""
    return [{**where, "measure": name, **asdict(summary)} for name, summary in sorted(summary_of(pairs).items())]


def mark_table(study: Study, number: int, marks: Mapping[str, int]) -> pa.Table:
    tokens = dict(study.config["classes"]) | {"baseline": list(WORDS)}
    length = _passage_tokens(marks)
    rows = []
    for rank, name in enumerate(study.class_names):
        generator = np.random.default_rng([number, 1, rank])
        for i, passage in enumerate(passages_of(marks[name]).tolist()):
            words = generator.choice(WORDS, size=14)
            token = tokens[name][i % len(tokens[name])]
            position = passage * length + WARM_UP + i * len(marks) + rank
            rows.append(
                {
                    "book": f"book{number}",
                    "class": name,
                    "i": i,
                    "mark": token,
                    "position": position,
                    "passage": passage,
                    "token_id": sum(token.encode()),
                    "token": token,
                    "before": " " + " ".join(words[:9]),
                    "after": " " + " ".join(words[9:]),
                    "place": position / (PASSAGES * length),
                    "sentence_tokens": 9 + i % 5,
                    "previous_word": words[8],
                    "next_word": words[9],
                    "in_quotation": i % 3 == 0,
                    "line_end": i % 4 == 0,
                    "abbreviation": False,
                    "first_in_context": i == 0,
                }
            )
    return table_of("marks", sorted(rows, key=lambda row: (row["class"], row["i"])))


def _types_of(study: Study, number: int, marks: Mapping[str, int]) -> list[NDArray[np.str_]]:
    """The mark types of each class."""
    rows = mark_table(study, number, marks).select(["class", "mark"]).to_pylist()
    return [np.array([row["mark"] for row in rows if row["class"] == name], np.str_) for name in marks]


def passage_table(study: Study, number: int, marks: Mapping[str, int]) -> pa.Table:
    length = _passage_tokens(marks)
    rows = [
        {"book": f"book{number}", "passage": passage, "start": passage * length, "tokens": length}
        for passage in range(PASSAGES)
    ]
    return table_of("passages", rows)


def book_table(study: Study, number: int, marks: Mapping[str, int] | None = None) -> pa.Table:
    marks = marks or marks_of(study)
    tokens = PASSAGES * _passage_tokens(marks)
    row = {
        "book": f"book{number}",
        "title": f"The Book of {number}",
        "author": "Nobody" if number % 2 else None,
        "source": f"/books/book{number}.txt",
        "sha256": book_checksum(number),
        "encoding": "utf-8",
        "characters": 3 * tokens,
        "characters_raw": 4 * tokens,
        "tokens": tokens,
        "unique_tokens": 14,
        "found": {name: count + 5 for name, count in marks.items()},
        "eligible": {name: count + 3 for name, count in marks.items()},
        "used": dict(marks),
        "left_out": {f"{name}: in the first warm-up": 2 for name in marks},
        "status": BookStatus.USED,
        "reason": None,
    }
    return table_of("books", [row])


def _passage_tokens(marks: Mapping[str, int]) -> int:
    """Room for the warm-up and for all marks of a passage, whichever it is."""
    return WARM_UP + len(marks) * (max(marks.values()) + 1)


def table_of(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a table with the exact schema of the spec, in the spec's order of columns."""
    return pa.Table.from_pylist(rows, schema=TABLES[name].schema)
