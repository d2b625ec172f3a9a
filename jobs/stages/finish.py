"""Finishes a shard on a worker: publishes its small tables and writes the commit record of all its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from jobs.corpus.references import NamedBook
from jobs.stages.clustering import explained
from jobs.stages.compute import BlockReceipt
from jobs.stages.prepare import PreparedShard, RunContext
from jobs.stages.tables import (
    activations_table,
    book_row,
    books_table,
    cluster_terms_table,
    layer_measures_table,
    layer_sketches_table,
    summaries_table,
)
from store.books import BookStatus
from store.commits import CommitRecord, CommittedBook
from store.keys import ChunkKey, ShardKey
from store.writer import publish_chunk


def finish_shard(context: RunContext, prepared: PreparedShard, receipts: Sequence[BlockReceipt]) -> CommitRecord:
    """Publish the shard's tables that are not by layer; the record that commits all of its files."""
    summaries = {(r.key.layer, *key): summary for r in receipts for key, summary in r.summaries.items()}
    activations = {(r.key.layer, *key): activation for r in receipts for key, activation in r.activations.items()}
    tables = {"books": prepared.books}
    if receipts:
        measures = {r.key.layer: r.layer for r in receipts}
        tables |= {
            "marks": prepared.marks,
            "passages": prepared.passages,
            "activations": activations_table(activations),
            "summaries": summaries_table(summaries),
            "layer_measures": layer_measures_table(measures),
            "layer_sketches": layer_sketches_table(measures),
        }
        if context.config.clusters:
            labels = {(r.key.layer, key): of_marks for r in receipts for key, of_marks in r.clusters.items()}
            tables["cluster_terms"] = cluster_terms_table(explained(prepared.marks, prepared.layout, labels))
    shard = prepared.outline.shard
    files = [file for receipt in sorted(receipts, key=lambda r: r.key) for file in receipt.files]
    for name, table in tables.items():
        files.append(publish_chunk(context.location, ChunkKey(name, shard), table, context.run_id))
    return CommitRecord(shard, tuple(files), _committed_books(prepared.books), context.run_id)


def record_books(context: RunContext, books: Mapping[NamedBook, tuple[BookStatus, str]]) -> CommitRecord:
    """Publish a `books` table of its own for books without results: book -> (status, reason).

    The record's name is the run's too, so that the next run's word on the same books stands beside this one's.
    """
    table = books_table(book_row(book, status, reason) for book, (status, reason) in books.items())
    names = [f"{context.run_id} {book.key} {status}" for book, (status, _) in books.items()]
    shard = ShardKey.of(context.fingerprint, names)
    receipt = publish_chunk(context.location, ChunkKey("books", shard), table, context.run_id)
    return CommitRecord(shard, (receipt,), _committed_books(table), context.run_id)


def _committed_books(table: pa.Table) -> tuple[CommittedBook, ...]:
    """The books of a `books` table as a commit record names them."""
    columns = table.select(["book", "sha256", "source", "status", "reason"]).to_pylist()
    return tuple(CommittedBook(row.pop("book"), status=BookStatus(row.pop("status")), **row) for row in columns)
