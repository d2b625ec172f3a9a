"""The end of a shard: every file and book named, the same record whatever the order of its blocks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from analysis.pairing import MEASURES
from jobs.stages.compute import compute_block
from jobs.stages.extract import extract_blocks
from jobs.stages.finish import finish_shard, record_books
from jobs.stages.prepare import prepare_shard
from store.keys import ChunkKey
from store.paths import parse_chunk_path
from store.writer import read_chunk
from tests.jobs.injection import CROSS_PAIRS as CROSS
from tests.jobs.injection import PAIRS, HashModel

LAYERS = HashModel.hidden_layers


def test_a_finished_shard_names_every_file_and_book(context, work):
    prepared = prepare_shard(context, work)
    receipts = [compute_block(context, block) for block in extract_blocks(HashModel(), prepared)]
    record = finish_shard(context, prepared, receipts[::-1])
    assert record == finish_shard(context, prepared, receipts)
    assert Counter(parse_chunk_path(file.path).table for file in record.files) == {
        "pairs": 3 * LAYERS,
        "cross_pairs": 3 * LAYERS,
        "mark_layers": LAYERS,
        "passage_sums": LAYERS,
        "clusters": LAYERS,
        **dict.fromkeys(
            (
                "cluster_terms",
                "books",
                "marks",
                "passages",
                "activations",
                "summaries",
                "layer_measures",
                "layer_sketches",
            ),
            1,
        ),
    }
    assert [(book.key, book.status) for book in record.books] == [(f"book{n}", "used") for n in range(3)]
    summaries = read_chunk(context.location, ChunkKey("summaries", work.key), context.run_id).to_pylist()
    assert len(summaries) == LAYERS * 6 * 3 * len(MEASURES["standard"])
    mi = [row for row in summaries if row["measure"] == "mi"]
    assert sum(row["pairs"] for row in mi) == sum(receipt.pairs for receipt in receipts) == LAYERS * 3 * (PAIRS + CROSS)


def test_books_without_results_have_a_record_of_their_own_for_each_run(context, work):
    first = record_books(context, {work.books[0]: ("failed", "no answer")})
    second = record_books(replace(context, run_id="next"), {work.books[0]: ("failed", "no answer")})
    assert first.shard != second.shard
    assert first.books[0].reason == "no answer"
    assert len(first.files) == 1
