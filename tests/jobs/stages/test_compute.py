"""Pairs of a block: against the oracle, cut in parts, repeated after a stop, with values that are not finite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.moments import summarise
from analysis.reference import covariance, kept_dimensions, mutual_information
from jobs.stages import compute
from jobs.stages.compute import compute_block
from jobs.stages.extract import Block
from jobs.stages.partition import plan_parts
from store.keys import BlockKey, ChunkKey, ShardKey
from store.writer import read_chunk

SHARD = ShardKey("00c0ffee00c0ffee")


def made_block(marks: tuple[int, ...], width: int = 64, seed: int = 1) -> Block:
    """States with outliers, so that sets of dimensions left differ from token to token."""
    random = np.random.default_rng(seed)
    states = random.normal(size=(sum(marks), width)).astype(np.float32)
    states[random.random(states.shape) < 0.02] *= 30
    offsets = tuple(np.cumsum([0, *marks]).tolist())
    names = tuple(f"book{index}" for index in range(len(marks)))
    return Block(BlockKey(SHARD, 2, "internal"), names, offsets, states)


def test_pairs_are_those_of_the_oracle_book_by_book(context):
    block = made_block((9, 7))
    receipt = compute_block(context, block)
    table = read_chunk(context.location, ChunkKey.of_block("pairs", block.key), context.run_id).to_pylist()
    assert len(table) == receipt.pairs == 36 + 21
    for row in table:
        first = 0 if row["book"] == "book0" else 9
        x, y = block.states[first + row["i"]], block.states[first + row["j"]]
        assert row["n"] == (kept_dimensions(x) & kept_dimensions(y)).sum()
        assert row["mi"] == pytest.approx(mutual_information(x, y), abs=1e-6)
        assert row["cov"] == pytest.approx(covariance(x, y), rel=1e-6)


def test_parts_give_the_same_rows_and_summaries_as_one_file(context, tmp_path, monkeypatch):
    block = made_block((20, 30))
    whole = compute_block(context, block)
    elsewhere = replace(context, location=str(tmp_path / "parts"))
    monkeypatch.setattr(compute, "plan_parts", lambda marks: plan_parts(marks, 100))
    parts = compute_block(elsewhere, block)
    assert len(whole.files) == 1
    assert len(parts.files) > 5
    keys = [ChunkKey.of_block("pairs", block.key, number) for number in range(len(parts.files))]
    rows = [row for key in keys for row in read_chunk(elsewhere.location, key, context.run_id).to_pylist()]
    assert repr(rows) == repr(read_chunk(context.location, keys[0], context.run_id).to_pylist())
    for book in block.books:
        assert parts.summaries[book].pairs == whole.summaries[book].pairs
        assert parts.summaries[book].mi_m2 == pytest.approx(whole.summaries[book].mi_m2, rel=1e-9)
        np.testing.assert_array_equal(parts.summaries[book].mi_histogram, whole.summaries[book].mi_histogram)


def test_summaries_are_those_of_the_rows_as_stored(context):
    block = made_block((15,))
    receipt = compute_block(context, block)
    table = read_chunk(context.location, ChunkKey.of_block("pairs", block.key), context.run_id)
    expected = summarise(table["mi"].to_numpy(), table["cov"].to_numpy())
    assert repr(receipt.summaries["book0"]) == repr(expected)


@pytest.fixture
def stopped(context):
    """A run before this one, in the same store."""
    return replace(context, run_id="a-stopped-run")


def test_rows_of_a_stopped_run_are_copied_and_not_computed_again(context, stopped, monkeypatch):
    block = made_block((12, 8))
    first = compute_block(stopped, block)
    leftovers = {ChunkKey.of_block("pairs", block.key): first.files[0].path}
    monkeypatch.setattr(compute, "row_range", None)
    again = compute_block(context, block, leftovers)
    assert again.reused == again.pairs == first.pairs
    assert again.files[0].path != first.files[0].path, "a run commits files of its own"
    assert again.files[0].sha256 == first.files[0].sha256
    assert repr(again.summaries) == repr(first.summaries)
    assert repr(again.activations) == repr(first.activations)


@pytest.mark.parametrize("harm", ["gone", "truncated", "a link"])
def test_rows_of_a_stopped_run_that_cannot_be_read_are_computed(context, stopped, harm):
    block = made_block((12, 8))
    path = compute_block(stopped, block).files[0].path
    file = Path(context.location) / path
    data = file.read_bytes()
    file.unlink()
    if harm == "truncated":
        file.write_bytes(data[:-9])
    elif harm == "a link":
        (file.parent / "elsewhere").write_bytes(data)
        file.symlink_to(file.parent / "elsewhere")
    again = compute_block(context, block, {ChunkKey.of_block("pairs", block.key): path})
    assert (again.reused, again.pairs) == (0, 66 + 28)


def test_files_of_another_version_that_took_other_marks_are_not_copied(context, stopped):
    """As many rows in all, in other places: only counting by book tells them apart."""
    theirs, ours = made_block((3, 4, 3)), made_block((3, 3, 4))
    left = compute_block(stopped, theirs)
    key = ChunkKey.of_block("pairs", theirs.key)
    receipt = compute_block(context, ours, {key: left.files[0].path})
    assert receipt.reused == 0
    clean = replace(context, location=f"{context.location}-clean")
    expected = compute_block(clean, ours)
    assert receipt.files == expected.files != left.files
    assert repr(receipt.summaries) == repr(expected.summaries)
    assert read_chunk(context.location, key, context.run_id).equals(read_chunk(clean.location, key, clean.run_id))


def test_states_that_are_not_finite_name_layer_class_and_book(context):
    block = made_block((5, 5))
    block.states[7, 3] = np.nan
    with pytest.raises(ValueError, match=r"layer 2 class internal book book1"):
        compute_block(context, block)


def test_activations_are_means_and_outlier_counts(context):
    block = made_block((40,))
    activation = compute_block(context, block).activations["book0"]
    np.testing.assert_allclose(activation.mean, block.states.astype(np.float64).mean(axis=0), rtol=1e-12)
    z = (block.states - block.states.mean(axis=1, keepdims=True)) / block.states.std(axis=1, ddof=1, keepdims=True)
    np.testing.assert_array_equal(activation.outliers, (np.abs(z) > 5).sum(axis=0))
    assert activation.outliers.sum() > 0


def test_hidden_states_are_kept_on_request(context):
    block = made_block((4, 3), width=16)
    kept = replace(context, config=replace(context.config, keep_hidden_states=True))
    assert len(compute_block(kept, block).files) == 2
    rows = read_chunk(context.location, ChunkKey.of_block("hidden_states", block.key), context.run_id).to_pylist()
    np.testing.assert_array_equal(np.asarray([row["state"] for row in rows], np.float32), block.states)
    assert [(row["book"], row["i"]) for row in rows] == [("book0", i) for i in range(4)] + [
        ("book1", i) for i in range(3)
    ]
