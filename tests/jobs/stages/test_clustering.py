"""Clusters of a block: the labels, numbers and shares of each class and of all, and what explains them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from analysis.clusters import find_clusters
from jobs.config import StudyConfig
from jobs.stages.clustering import ClusterKey, explained
from jobs.stages.compute import compute_block
from jobs.stages.extract import Block
from jobs.stages.layout import layout_of
from jobs.stages.tables import cluster_terms_table
from store.columns import ALL_CLASSES, MARKS
from store.keys import BlockKey, ChunkKey, ShardKey
from store.writer import read_chunk

KEY = BlockKey(ShardKey("c" * 16), 2)
INTERNAL, TERMINAL = 40, 60


@pytest.fixture
def context(tmp_path):
    config = StudyConfig(model="made up", baseline=None)
    return SimpleNamespace(location=str(tmp_path), config=config, run_id="run")


@pytest.fixture(scope="module")
def block():
    """One cloud of internal marks, and terminal ones of which the last 20 stand apart."""
    random = np.random.default_rng(8)
    states = random.standard_normal((INTERNAL + TERMINAL, 64)) + 3 * random.standard_normal(64)
    states[INTERNAL:] += 1.5 * random.standard_normal(64)
    states[INTERNAL + 40 :] += 3 * random.standard_normal(64)
    passages = [[np.arange(count, dtype=np.int32) // 5 for count in (INTERNAL, TERMINAL)]]
    return Block(KEY, layout_of(("internal", "terminal"), ["a"], passages), states.astype(np.float32))


def _rows(context, table: str) -> list[dict]:
    return read_chunk(context.location, ChunkKey(table, KEY.shard, KEY.layer), "run").to_pylist()


def test_every_mark_has_its_cluster_among_its_class_and_among_all(context, block):
    receipt = compute_block(context, block)
    rows = _rows(context, "clusters")
    assert len(rows) == 2 * (INTERNAL + TERMINAL)
    terminal = [row for row in rows if row["among"] == "terminal"]
    assert [row["cluster"] for row in terminal] == [0] * 40 + [1] * 20
    assert {(row["cluster"], row["marks"], row["clusters"]) for row in terminal} == {(0, 40, 2), (1, 20, 2)}
    internal = [row for row in rows if row["among"] == "internal"]
    assert {(row["cluster"], row["marks"]) for row in internal} == {(0, 40)}
    assert np.isnan([row["silhouette"] for row in internal]).all()
    together = [row for row in rows if row["among"] == ALL_CLASSES]
    assert len({(row["class"], row["cluster"]) for row in together}) == 3
    assert set(receipt.clusters) == {ClusterKey("terminal", "a"), ClusterKey(ALL_CLASSES, "a")}


def test_the_share_of_variance_is_that_of_the_stored_pairs(context, block):
    compute_block(context, block)
    pairs = read_chunk(context.location, ChunkKey("pairs", KEY.shard, KEY.layer, "terminal"), "run").to_pandas()
    cloud = (pairs["i"] >= 40).astype(int) + (pairs["j"] >= 40)
    fitted = pairs["mi"].astype(float).groupby(cloud).transform("mean")
    (share,) = {row["mi_share"] for row in _rows(context, "clusters") if row["among"] == "terminal"}
    assert share == pytest.approx(fitted.var() / pairs["mi"].astype(float).var(), rel=1e-5)


def test_a_block_has_the_clusters_that_its_vectors_have(context, block):
    compute_block(context, block)
    x = block.states[INTERNAL:]
    found = find_clusters(x, passages=np.arange(TERMINAL) // 5)
    rows = [row for row in _rows(context, "clusters") if row["among"] == "terminal"]
    assert [row["cluster"] for row in rows] == found.labels.tolist()
    assert {row["stability"] for row in rows} == set(found.stability.astype(np.float32).tolist())


def test_a_study_may_leave_clusters_out(context, block):
    context.config = replace(context.config, clusters=False)
    receipt = compute_block(context, block)
    assert receipt.clusters == {}
    assert not any("clusters" in file.path for file in receipt.files)


def test_what_sets_a_cluster_apart_is_read_from_the_marks_by_book_class_and_ordinal(block):
    labels = {(2, ClusterKey("terminal", "a")): np.repeat([0, 1], [40, 20])}
    rows = [
        {"book": "a", "class": name, "i": i, "previous_word": "mr" if name == "terminal" and i >= 40 else f"w{i % 7}"}
        for name, count in (("internal", INTERNAL), ("terminal", TERMINAL))
        for i in range(count)
    ]
    terms = explained(_marks(rows), block.layout, labels)
    table = cluster_terms_table(terms).to_pylist()
    assert {row["name"] for row in table if row["cluster"] == 1} == {"after mr"}
    (word,) = (row for row in table if row["cluster"] == 1 and row["feature"] == "previous_word")
    assert (word["value"], word["inside"], word["outside"]) == ("mr", 1.0, 0.0)
    assert {(row["layer"], row["among"], row["book"]) for row in table} == {(2, "terminal", "a")}


def test_a_cluster_is_explained_by_its_tokens_where_a_mark_type_has_several(block):
    labels = {(2, ClusterKey("terminal", "a")): np.repeat([0, 1], [40, 20])}
    rows = [
        {"book": "a", "class": name, "i": i, "mark": "and", "token": "and" if i >= 40 else " and"}
        for name, count in (("internal", INTERNAL), ("terminal", TERMINAL))
        for i in range(count)
    ]
    table = cluster_terms_table(explained(_marks(rows), block.layout, labels)).to_pylist()
    assert {row["cluster"]: row["name"] for row in table} == {0: 'the token " and"', 1: 'the token "and"'}
    one_token = [row | {"token": "and"} for row in rows]
    table = cluster_terms_table(explained(_marks(one_token), block.layout, labels)).to_pylist()
    assert "token" not in {row["feature"] for row in table}


def _marks(rows: list[dict]) -> pa.Table:
    plain = {pa.string(): "", pa.bool_(): False}
    empty = {
        column.name: plain.get(column.type.value_type if pa.types.is_dictionary(column.type) else column.type, 0)
        for column in MARKS.columns
    }
    return pa.Table.from_pylist([empty | row for row in rows], schema=MARKS.schema)
