"""Pairs of a block: against the oracle, cut in parts, repeated after a stop, added up, with values not finite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.pairing import MEASURES, BookVectors
from analysis.reference import covariance, kept_dimensions, mutual_information
from analysis.summaries import summarise
from jobs.stages import compute
from jobs.stages.compute import compute_block, pair_options
from jobs.stages.extract import Block
from jobs.stages.layout import layout_of
from jobs.stages.partition import plan_parts
from store.keys import BlockKey, ChunkKey, ShardKey
from store.paths import parse_chunk_path
from store.writer import read_chunk

SHARD = ShardKey("00c0ffee00c0ffee")
LAYER = 2
CLASSES = ("terminal", "internal")
"""Not in alphabetical order: the study's order decides which class of two comes first."""

WITHIN = ChunkKey("pairs", SHARD, LAYER, "terminal")
BETWEEN = ChunkKey("cross_pairs", SHARD, LAYER, "terminal", "internal")
STANDARD = MEASURES["standard"]


def made_block(marks: list[tuple[int, int]], width: int = 64, seed: int = 1, passages: int = 4) -> Block:
    """States with outliers, so that sets of dimensions left differ from mark to mark; passages of a few marks each."""
    random = np.random.default_rng(seed)
    names = [f"book{index}" for index in range(len(marks))]
    by_book = [[np.sort(np.arange(n, dtype=np.int32) % passages) for n in counts] for counts in marks]
    layout = layout_of(CLASSES, names, by_book)
    states = (random.normal(size=(layout.total, width)) + random.normal(size=width)).astype(np.float32)
    states[random.random(states.shape) < 0.02] *= 30
    return Block(BlockKey(SHARD, LAYER), layout, states)


def stored(context, key: ChunkKey) -> list[dict]:
    return read_chunk(context.location, key, context.run_id).to_pylist()


def states_of(block: Block, book: str, number: int) -> np.ndarray:
    return block.states[block.layout.rows(block.layout.books.index(book), number)]


def keys_of(receipt) -> set[ChunkKey]:
    return {parse_chunk_path(file.path) for file in receipt.files}


@pytest.mark.parametrize(("key", "second", "expected"), [(WITHIN, 0, 36 + 21), (BETWEEN, 1, 9 * 5 + 7 * 6)])
def test_pairs_are_those_of_the_oracle_book_by_book(context, key, second, expected):
    block = made_block([(9, 5), (7, 6)])
    compute_block(context, block)
    rows = stored(context, key)
    assert len(rows) == len({(row["book"], row["i"], row["j"]) for row in rows}) == expected
    for row in rows:
        x, y = states_of(block, row["book"], 0)[row["i"]], states_of(block, row["book"], second)[row["j"]]
        assert row["n"] == (kept_dimensions(x) & kept_dimensions(y)).sum()
        assert row["mi"] == pytest.approx(mutual_information(x, y), abs=1e-6)
        assert row["cov"] == pytest.approx(covariance(x, y), rel=1e-6)
        assert row["mi_centred"] is None
        assert row["mi_copula"] is not None


def test_a_block_publishes_its_pairs_by_class_and_three_tables_of_the_layer(context):
    receipt = compute_block(context, made_block([(9, 5), (7, 6)]))
    assert keys_of(receipt) == {
        WITHIN,
        BETWEEN,
        ChunkKey("pairs", SHARD, LAYER, "internal"),
        ChunkKey("mark_layers", SHARD, LAYER),
        ChunkKey("passage_sums", SHARD, LAYER),
        ChunkKey("clusters", SHARD, LAYER),
    }
    assert receipt.pairs == 36 + 21 + 10 + 15 + 45 + 42


def test_what_a_study_does_not_store_is_summed_up_all_the_same(context, tmp_path):
    block = made_block([(9, 5), (7, 6)])
    whole = compute_block(context, block)
    for choice, left in (("between", "pairs"), ("within", "cross_pairs")):
        config = replace(context.config, **{choice: "summaries"})
        other = replace(context, location=str(tmp_path / choice), config=config)
        receipt = compute_block(other, block)
        assert {key.table for key in keys_of(receipt)} == {left, "mark_layers", "passage_sums", "clusters"}
        assert receipt.pairs == whole.pairs
        assert repr(receipt.summaries) == repr(whole.summaries)
        for table in ("mark_layers", "passage_sums"):
            key = ChunkKey(table, SHARD, LAYER)
            assert repr(stored(other, key)) == repr(stored(context, key))


def test_without_pairs_between_there_is_nothing_of_two_classes(context):
    config = replace(context.config, between="none")
    receipt = compute_block(replace(context, config=config), made_block([(9, 5)]))
    assert {key[:2] for key in receipt.summaries} == {("terminal", "terminal"), ("internal", "internal")}
    assert receipt.pairs == 36 + 10
    assert {len(row["mi_to"]) for row in stored(context, ChunkKey("mark_layers", SHARD, LAYER))} == {0}


def test_parts_give_the_same_rows_and_sums_as_one_file(context, tmp_path, monkeypatch):
    block = made_block([(20, 7), (30, 9)])
    whole = compute_block(context, block)
    elsewhere = replace(context, location=str(tmp_path / "parts"))
    monkeypatch.setattr(compute, "plan_parts", lambda shapes: plan_parts(shapes, 50))
    parts = compute_block(elsewhere, block)
    for key in (WITHIN, BETWEEN):
        cut = sorted(k for k in keys_of(parts) if replace(k, part=0) == key)
        assert len(cut) > 5
        assert repr([row for k in cut for row in stored(elsewhere, k)]) == repr(stored(context, key))
    assert parts.summaries.keys() == whole.summaries.keys()
    for key, summaries in parts.summaries.items():
        for measure, summary in summaries.items():
            expected = whole.summaries[key][measure]
            assert summary.pairs == expected.pairs
            assert summary.m2 == pytest.approx(expected.m2, rel=1e-9)
            np.testing.assert_array_equal(summary.histogram, expected.histogram)
    sums, expected_sums = (stored(where, ChunkKey("passage_sums", SHARD, LAYER)) for where in (elsewhere, context))
    for row, expected in zip(sums, expected_sums, strict=True):
        assert {**row, **{name: pytest.approx(row[name], rel=1e-12) for name in STANDARD}} == expected


def test_summaries_are_those_of_the_rows_as_stored(context):
    receipt = compute_block(context, made_block([(15, 4)]))
    for key in (WITHIN, BETWEEN):
        table = read_chunk(context.location, key, context.run_id)
        expected = summarise({name: table[name].to_numpy() for name in STANDARD})
        found = receipt.summaries[key.mark_class, key.other or key.mark_class, "book0"]
        assert repr(found) == repr(expected)


def test_sums_by_passages_are_those_of_the_rows(context):
    block = made_block([(9, 5), (7, 6)])
    compute_block(context, block)
    layout, expected = block.layout, {}
    for key, second in ((WITHIN, 0), (BETWEEN, 1), (ChunkKey("pairs", SHARD, LAYER, "internal"), 1)):
        first = CLASSES.index(key.mark_class)
        for row in stored(context, key):
            book = layout.books.index(row["book"])
            one, two = (layout.passages[layout.rows(book, number)] for number in (first, second))
            cell = (row["book"], key.mark_class, CLASSES[second], int(one[row["i"]]), int(two[row["j"]]))
            values = expected.setdefault(cell, [0, *[0.0] * len(STANDARD)])
            values[0] += 1
            for place, name in enumerate(STANDARD, 1):
                values[place] += row[name]
    rows = stored(context, ChunkKey("passage_sums", SHARD, LAYER))
    cells = [(r["book"], r["class"], r["other"], r["passage"], r["other_passage"]) for r in rows]
    assert cells == sorted(expected)
    for cell, row in zip(cells, rows, strict=True):
        assert [row["pairs"], *(row[name] for name in STANDARD)] == pytest.approx(expected[cell], rel=1e-12)
        assert row["mi_centred"] is None


def test_a_mark_has_the_means_of_its_pairs_its_length_and_its_outliers(context):
    block = made_block([(9, 5), (7, 6)])
    compute_block(context, block)
    pairs = {number: [] for number in range(3)}
    for number, key in enumerate((WITHIN, ChunkKey("pairs", SHARD, LAYER, "internal"), BETWEEN)):
        pairs[number] = stored(context, key)
    rows = stored(context, ChunkKey("mark_layers", SHARD, LAYER))
    assert len(rows) == block.layout.total
    for row in rows:
        number = CLASSES.index(row["class"])
        x, i = states_of(block, row["book"], number)[row["i"]], row["i"]
        own = [p for p in pairs[number] if p["book"] == row["book"] and i in (p["i"], p["j"])]
        cross = [p for p in pairs[2] if p["book"] == row["book"] and p["ij"[number]] == i]
        assert row["norm"] == pytest.approx(np.linalg.norm(x), rel=1e-6)
        assert row["outliers"] == np.flatnonzero(~kept_dimensions(x)).tolist()
        for measure in ("mi", "corr"):
            assert row[measure] == pytest.approx(np.mean([p[measure] for p in own]), rel=1e-5, abs=1e-7)
            ((other, value),) = row[f"{measure}_to"]
            assert other == CLASSES[1 - number]
            assert value == pytest.approx(np.mean([p[measure] for p in cross]), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    "marks", [[(5, 1)], [(5, 0)], [(0, 5)], [(5, 1), (1, 4), (3, 0)]], ids=["one", "none", "the first", "by turns"]
)
def test_a_class_with_one_mark_or_none_has_no_pairs_and_costs_no_other_its_own(context, marks):
    block = made_block(marks)
    receipt = compute_block(context, block)
    within = {name: sum(of_book[number] * (of_book[number] - 1) // 2 for of_book in marks) for number, name in
              enumerate(CLASSES)}  # fmt: skip
    between = sum(a * b for a, b in marks)
    assert receipt.pairs == sum(within.values()) + between
    for name, pairs in within.items():
        key = ChunkKey("pairs", SHARD, LAYER, name)
        assert (key in keys_of(receipt)) == (pairs > 0)
        assert sum(s["mi"].pairs for k, s in receipt.summaries.items() if k[:2] == (name, name)) == pairs
    rows = stored(context, ChunkKey("mark_layers", SHARD, LAYER))
    assert len(rows) == block.layout.total
    for row in rows:
        mine, others = (marks[block.layout.books.index(row["book"])][place] for place in
                        (CLASSES.index(row["class"]), 1 - CLASSES.index(row["class"])))  # fmt: skip
        assert np.isnan(row["mi"]) == (mine == 1)
        assert len(row["mi_to"]) == (others > 0)
    assert {key for key, of in receipt.activations.items()} == {
        (name, f"book{book}") for book, counts in enumerate(marks) for name, n in zip(CLASSES, counts, strict=True) if n
    }


@pytest.mark.parametrize("measures", list(MEASURES))
def test_columns_are_those_of_the_measures_that_the_study_chose(context, measures):
    config = replace(context.config, measures=measures)
    receipt = compute_block(replace(context, config=config), made_block([(6, 4)]))
    for key in (WITHIN, BETWEEN, ChunkKey("passage_sums", SHARD, LAYER)):
        (row, *_) = stored(context, key)
        assert {name for name in MEASURES["all"] if row[name] is not None} == set(MEASURES[measures])
    assert {tuple(of) for of in receipt.summaries.values()} == {MEASURES[measures]}


@pytest.fixture
def stopped(context):
    """A run before this one, in the same store."""
    return replace(context, run_id="a-stopped-run")


def leftovers_of(receipt) -> dict[ChunkKey, str]:
    return {parse_chunk_path(file.path): file.path for file in receipt.files}


def test_rows_of_a_stopped_run_are_copied_and_not_computed_again(context, stopped, monkeypatch):
    block = made_block([(12, 5), (8, 6)])
    first = compute_block(stopped, block)
    for name in ("within", "between"):
        monkeypatch.setattr(BookVectors, name, None)
    again = compute_block(context, block, leftovers_of(first))
    assert again.reused == again.pairs == first.pairs
    for mine, theirs in zip(again.files, first.files, strict=True):
        assert mine.path != theirs.path, "a run commits files of its own"
        assert mine.sha256 == theirs.sha256
    assert repr(again.summaries) == repr(first.summaries)
    assert repr(again.activations) == repr(first.activations)


@pytest.mark.parametrize("harm", ["gone", "truncated", "a link"])
def test_rows_of_a_stopped_run_that_cannot_be_read_are_computed(context, stopped, harm):
    block = made_block([(12, 5), (8, 6)])
    left = leftovers_of(compute_block(stopped, block))
    file = Path(context.location) / left[BETWEEN]
    data = file.read_bytes()
    file.unlink()
    if harm == "truncated":
        file.write_bytes(data[:-9])
    elif harm == "a link":
        (file.parent / "elsewhere").write_bytes(data)
        file.symlink_to(file.parent / "elsewhere")
    again = compute_block(context, block, left)
    assert again.pairs - again.reused == 12 * 5 + 8 * 6


def test_files_of_another_version_that_took_other_marks_are_not_copied(context, stopped):
    """As many rows in all, in other places: only counting by book tells them apart."""
    theirs, ours = made_block([(3, 0), (4, 0), (3, 0)]), made_block([(3, 0), (3, 0), (4, 0)])
    left = leftovers_of(compute_block(stopped, theirs))
    receipt = compute_block(context, ours, left)
    assert receipt.reused == 0
    clean = replace(context, location=f"{context.location}-clean")
    expected = compute_block(clean, ours)
    assert receipt.files == expected.files
    assert repr(receipt.summaries) == repr(expected.summaries)
    assert read_chunk(context.location, WITHIN, context.run_id).equals(read_chunk(clean.location, WITHIN, clean.run_id))


def test_states_that_are_not_finite_name_layer_class_and_book(context):
    block = made_block([(5, 3), (5, 3)])
    block.states[block.layout.rows(1, 1).start, 3] = np.nan
    with pytest.raises(ValueError, match=r"layer 2 book book1 class internal"):
        compute_block(context, block)


def test_activations_are_means_and_outlier_counts(context):
    block = made_block([(40, 5)])
    activation = compute_block(context, block).activations["terminal", "book0"]
    states = states_of(block, "book0", 0)
    np.testing.assert_allclose(activation.mean, states.astype(np.float64).mean(axis=0), rtol=1e-12)
    z = (states - states.mean(axis=1, keepdims=True)) / states.std(axis=1, ddof=1, keepdims=True)
    np.testing.assert_array_equal(activation.outliers, (np.abs(z) > 5).sum(axis=0))
    assert activation.outliers.sum() > 0


def test_hidden_states_are_kept_on_request(context):
    block = made_block([(4, 0), (3, 2)], width=16)
    kept = replace(context, config=replace(context.config, keep_hidden_states=True))
    receipt = compute_block(kept, block)
    assert len([key for key in keys_of(receipt) if key.table == "hidden_states"]) == 2
    rows = stored(context, ChunkKey("hidden_states", SHARD, LAYER, "terminal"))
    expected = np.concatenate([states_of(block, book, 0) for book in block.layout.books])
    np.testing.assert_array_equal(np.asarray([row["state"] for row in rows], np.float32), expected)
    assert [(row["book"], row["i"]) for row in rows] == [("book0", i) for i in range(4)] + [
        ("book1", i) for i in range(3)
    ]


def test_the_studys_settings_of_pairs_are_those_of_the_measures(context):
    options = pair_options(replace(context.config, bins=9, outlier_z=2.5, measures="all"))
    assert (options.bins, options.outlier_z, options.measures) == (9, 2.5, "all")
