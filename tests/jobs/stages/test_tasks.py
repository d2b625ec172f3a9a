"""The worker functions by themselves: against the oracle, cut in parts, repeated, with bad books among the good."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import numpy as np
import pytest

from analysis.moments import summarise
from analysis.reference import covariance, kept_dimensions, mutual_information
from jobs.config import RunConfig
from jobs.corpus.names import name_books
from jobs.corpus.references import Source
from jobs.errors import SourceError, UsageError
from jobs.model.models import RecordedModel, identify_model
from jobs.stages import tasks
from jobs.stages.partition import plan_parts, shard_of
from jobs.stages.prepare import RunContext, prepare_shard
from jobs.stages.tasks import Block, compute_block, extract_blocks, finish_shard, record_books
from store.keys import BlockKey, ChunkKey, ShardKey
from store.writer import read_chunk
from tests.jobs.injection import HashModel, study, write_books

SHARD = ShardKey("00c0ffee00c0ffee")


@pytest.fixture
def context(tmp_path, tiny_gpt2) -> RunContext:
    model = RecordedModel.of(identify_model(str(tiny_gpt2)))
    return RunContext(str(tmp_path / "store"), study(tiny_gpt2), RunConfig(), "f" * 64, "run", model)


@pytest.fixture
def work(tmp_path, sample_text):
    paths = write_books(tmp_path / "books", sample_text, 3)
    refs = tasks.survey_sources([Source(path) for path in reversed(paths)], RunConfig())
    return shard_of("f" * 64, list(name_books(refs, {})))


def block(tokens: tuple[int, ...], width: int = 64, seed: int = 1) -> Block:
    """States with outliers, so that sets of dimensions left differ from token to token."""
    random = np.random.default_rng(seed)
    states = random.normal(size=(sum(tokens), width)).astype(np.float32)
    states[random.random(states.shape) < 0.02] *= 30
    offsets = tuple(np.cumsum([0, *tokens]).tolist())
    names = tuple(f"book{index}" for index in range(len(tokens)))
    return Block(BlockKey(SHARD, 2, "internal"), names, offsets, states)


def test_pairs_are_those_of_the_oracle_book_by_book(context):
    some = block((9, 7))
    receipt = compute_block(context, some)
    table = read_chunk(context.location, ChunkKey.of_block("pairs", some.key)).to_pylist()
    assert len(table) == receipt.pairs == 36 + 21
    for row in table:
        first = 0 if row["book"] == "book0" else 9
        x, y = some.states[first + row["i"]], some.states[first + row["j"]]
        assert row["n"] == (kept_dimensions(x) & kept_dimensions(y)).sum()
        assert row["mi"] == pytest.approx(mutual_information(x, y), abs=1e-6)
        assert row["cov"] == pytest.approx(covariance(x, y), rel=1e-6)


def test_parts_give_the_same_rows_and_summaries_as_one_file(context, tmp_path, monkeypatch):
    some = block((20, 30))
    whole = compute_block(context, some)
    elsewhere = replace(context, location=str(tmp_path / "parts"))
    monkeypatch.setattr(tasks, "plan_parts", lambda tokens: plan_parts(tokens, 100))
    parts = compute_block(elsewhere, some)
    assert len(whole.files) == 1
    assert len(parts.files) > 5
    keys = [ChunkKey.of_block("pairs", some.key, number) for number in range(len(parts.files))]
    rows = [row for key in keys for row in read_chunk(elsewhere.location, key).to_pylist()]
    assert repr(rows) == repr(read_chunk(context.location, keys[0]).to_pylist())
    for book in some.books:
        assert parts.summaries[book].pairs == whole.summaries[book].pairs
        assert parts.summaries[book].mi_m2 == pytest.approx(whole.summaries[book].mi_m2, rel=1e-9)
        np.testing.assert_array_equal(parts.summaries[book].mi_histogram, whole.summaries[book].mi_histogram)


def test_summaries_are_those_of_the_rows_as_stored(context):
    some = block((15,))
    receipt = compute_block(context, some)
    table = read_chunk(context.location, ChunkKey.of_block("pairs", some.key))
    expected = summarise(table["mi"].to_numpy(), table["cov"].to_numpy())
    assert repr(receipt.summaries["book0"]) == repr(expected)


def test_files_of_a_stopped_attempt_are_read_and_not_computed_again(context, monkeypatch):
    some = block((12, 8))
    first = compute_block(context, some)
    leftovers = {ChunkKey.of_block("pairs", some.key): first.files[0]}
    monkeypatch.setattr(tasks, "row_range", None)
    again = compute_block(context, some, leftovers)
    assert again.reused == again.pairs == first.pairs
    assert again.files == first.files
    assert repr(again.summaries) == repr(first.summaries)
    assert repr(again.activations) == repr(first.activations)


def test_files_of_another_version_that_took_other_marks_give_way(context):
    """As many rows in all, in other places: only counting by book tells them apart."""
    theirs, ours = block((3, 4, 3)), block((3, 3, 4))
    left = compute_block(context, theirs)
    key = ChunkKey.of_block("pairs", theirs.key)
    receipt = compute_block(context, ours, {key: left.files[0]})
    assert receipt.reused == 0
    clean = replace(context, location=f"{context.location}-clean")
    expected = compute_block(clean, ours)
    assert receipt.files == expected.files != left.files
    assert repr(receipt.summaries) == repr(expected.summaries)
    assert read_chunk(context.location, key).equals(read_chunk(clean.location, key))
    # The unit is repeated with what was known of the leftovers before the first try.
    assert compute_block(context, ours, {key: left.files[0]}).files == expected.files


def test_states_that_are_not_finite_name_layer_class_and_book(context):
    some = block((5, 5))
    some.states[7, 3] = np.nan
    with pytest.raises(ValueError, match=r"layer 2 class internal book book1"):
        compute_block(context, some)


def test_activations_are_means_and_outlier_counts(context):
    some = block((40,))
    activation = compute_block(context, some).activations["book0"]
    np.testing.assert_allclose(activation.mean, some.states.astype(np.float64).mean(axis=0), rtol=1e-12)
    z = (some.states - some.states.mean(axis=1, keepdims=True)) / some.states.std(axis=1, ddof=1, keepdims=True)
    np.testing.assert_array_equal(activation.outliers, (np.abs(z) > 5).sum(axis=0))
    assert activation.outliers.sum() > 0


def test_a_shard_is_prepared_in_the_order_of_its_keys_with_windows_that_end_at_the_marks(context, work):
    prepared = prepare_shard(context, work)
    assert prepared.books["book"].to_pylist() == ["book0", "book1", "book2"]
    assert prepared.outline.tokens == {"internal": 36, "terminal": 36}
    assert prepared.outline.pairs == 6 * 66
    marks = prepared.tokens.to_pylist()
    for mark_class in ("internal", "terminal"):
        rows = [mark for mark in marks if mark["class"] == mark_class]
        windows = np.concatenate([found.windows for found in prepared.windows[mark_class]])
        assert windows.shape == (36, context.config.before + 1)
        assert windows[:, -1].tolist() == [row["token_id"] for row in rows]
        assert {row["token"].strip() for row in rows} == {"," if mark_class == "internal" else "."}
        assert all(row["before"] and row["after"] for row in rows)


def test_bad_books_become_rows_with_reasons_and_good_ones_are_used(context, tmp_path, sample_text):
    paths = write_books(tmp_path / "books", sample_text, 1)
    (tmp_path / "books" / "short.txt").write_text("One, two. Not much else is here.")
    refs = tasks.survey_sources([Source(p) for p in (*paths, str(tmp_path / "books" / "short.txt"))], RunConfig())
    prepared = prepare_shard(context, shard_of("f", list(name_books(refs, {}))))
    assert prepared.outline.used == 1
    assert "too few marks" in prepared.outline.rejected["short"]
    statuses = {row["book"]: row["status"] for row in prepared.books.to_pylist()}
    assert statuses == {"book0": "used", "short": "rejected"}
    assert {mark["book"] for mark in prepared.tokens.to_pylist()} == {"book0"}


def test_a_book_that_has_changed_since_the_survey_is_no_bad_book(context, work, tmp_path):
    (tmp_path / "books" / "book1.txt").write_text("Something else entirely.")
    with pytest.raises(SourceError, match="has changed"):
        prepare_shard(context, work)


class CountingModel(HashModel):
    def __init__(self) -> None:
        self.calls: list[int] = []

    def start(self, windows):
        self.calls.append(len(windows))
        return super().start(windows)


def test_blocks_come_in_order_with_the_models_states(context, work):
    prepared = prepare_shard(context, work)
    model = CountingModel()
    blocks = list(extract_blocks(model, prepared))
    assert [(b.key.mark_class, b.key.layer) for b in blocks] == [
        (mark_class, layer) for mark_class in ("internal", "terminal") for layer in range(model.layers + 1)
    ]
    assert sum(model.calls) == sum(b.work.windows for b in blocks) == 72
    for some in blocks:
        expected = [HashModel().start(book.windows)()[some.key.layer] for book in prepared.windows[some.key.mark_class]]
        np.testing.assert_array_equal(some.states, np.concatenate(expected))
        assert some.tokens == (12, 12, 12)


def test_only_wanted_blocks_are_yielded_and_only_their_classes_run(context, work):
    prepared = prepare_shard(context, work)
    model = CountingModel()
    wanted = [BlockKey(work.key, 3, "terminal")]
    assert [b.key for b in extract_blocks(model, prepared, wanted)] == wanted
    assert sum(model.calls) == 36


def test_a_huge_class_is_handed_to_the_model_in_whole_batches_and_kept_on_disk(context, work, monkeypatch):
    prepared = prepare_shard(context, work)
    usual = list(extract_blocks(HashModel(), prepared))
    monkeypatch.setattr(tasks, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(tasks, "WINDOWS_AT_ONCE", 8)
    model = CountingModel()
    for some, expected in zip(extract_blocks(model, prepared), usual, strict=True):
        np.testing.assert_array_equal(some.states, expected.states)
    assert set(model.calls) == {8, 4}


class WatchedModel(HashModel):
    """Notes when a part is started and when its states are taken."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def start(self, windows):
        number = sum(event.startswith("start") for event in self.events)
        self.events.append(f"start {number}")
        pending = super().start(windows)

        def wait():
            self.events.append(f"take {number}")
            return pending()

        return wait


def test_the_next_windows_are_with_the_model_before_the_last_ones_states_are_taken(context, work):
    model = WatchedModel()
    blocks = extract_blocks(model, prepare_shard(context, work))
    next(blocks)
    # Three books of one class are done; the next class's first book is under way while this class's blocks are yielded.
    assert model.events == ["start 0", "start 1", "take 0", "start 2", "take 1", "start 3", "take 2"]
    list(blocks)
    assert model.events[-2:] == ["take 4", "take 5"]
    assert len(model.events) == 12


def test_hidden_states_are_kept_on_request(context):
    some = block((4, 3), width=16)
    kept = replace(context, config=replace(context.config, keep_hidden_states=True))
    assert len(compute_block(kept, some).files) == 2
    rows = read_chunk(context.location, ChunkKey.of_block("hidden_states", some.key)).to_pylist()
    np.testing.assert_array_equal(np.asarray([row["state"] for row in rows], np.float32), some.states)
    assert [(row["book"], row["i"]) for row in rows] == [("book0", i) for i in range(4)] + [
        ("book1", i) for i in range(3)
    ]


def test_a_finished_shard_names_every_file_and_book(context, work):
    prepared = prepare_shard(context, work)
    receipts = [compute_block(context, some) for some in extract_blocks(HashModel(), prepared)]
    record = finish_shard(context, prepared, receipts[::-1])
    assert record == finish_shard(context, prepared, receipts)
    assert len(record.files) == len(receipts) + 4
    assert [(book.key, book.status) for book in record.books] == [(f"book{n}", "used") for n in range(3)]
    summaries = read_chunk(context.location, ChunkKey("summaries", work.key)).to_pylist()
    assert len(summaries) == len(receipts) * 3
    assert sum(row["pairs"] for row in summaries) == sum(receipt.pairs for receipt in receipts)


def test_books_without_results_have_a_record_of_their_own_for_each_run(context, work):
    first = record_books(context, {work.books[0]: ("failed", "no answer")})
    second = record_books(replace(context, run_id="next"), {work.books[0]: ("failed", "no answer")})
    assert first.shard != second.shard
    assert first.books[0].reason == "no answer"
    assert len(first.files) == 1


def test_a_worker_refuses_to_work_with_another_model_than_the_study(context, work):
    other = replace(context, model=replace(context.model, weights="sha256:0123"))
    with pytest.raises(UsageError, match="sha256:0123 in the study"):
        prepare_shard(other, work)
    with pytest.raises(UsageError, match="sha256:0123 in the study"):
        tasks.load_model(other, "cpu")
    assert tasks.load_model(context, "cpu").layers == 3


def test_states_in_a_file_have_their_blocks_before_they_are_written(monkeypatch):
    monkeypatch.setattr(tasks, "IN_MEMORY_BYTES", 0)
    files = []
    original = tasks.tempfile.TemporaryFile

    def temporary(**options):
        files.append(original(**options))
        return os.fdopen(os.dup(files[-1].fileno()), "r+b")

    monkeypatch.setattr(tasks.tempfile, "TemporaryFile", temporary)
    assert tasks._states_buffer((3, 100, 1000)).shape == (3, 100, 1000)
    assert os.fstat(files[0].fileno()).st_blocks * 512 >= 4 * 3 * 100 * 1000
    files[0].close()


def test_a_temporary_folder_without_room_is_named_with_the_bytes_that_it_lacks(monkeypatch):
    def full(file, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tasks, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(tasks.os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"does not hold 1,200,000 bytes .*\(No space left on device\); set TMPDIR"):
        tasks._states_buffer((3, 100, 1000))
