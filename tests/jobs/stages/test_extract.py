"""Windows to blocks: their order, what is left out, how much is in memory, and that a GPU is kept busy."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import numpy as np
import pytest

from jobs.errors import UsageError
from jobs.stages import extract
from jobs.stages.extract import extract_blocks, load_model
from jobs.stages.prepare import prepare_shard
from store.keys import BlockKey
from tests.jobs.injection import HashModel


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
        (mark_class, layer) for mark_class in ("internal", "terminal") for layer in range(model.hidden_layers)
    ]
    assert sum(model.calls) == sum(b.work.windows for b in blocks) == 72
    for block in blocks:
        books = prepared.windows[block.key.mark_class]
        expected = [HashModel().start(book.windows)()[block.key.layer] for book in books]
        np.testing.assert_array_equal(block.states, np.concatenate(expected))
        assert block.marks == (12, 12, 12)


def test_only_wanted_blocks_are_yielded_and_only_their_classes_run(context, work):
    prepared = prepare_shard(context, work)
    model = CountingModel()
    wanted = [BlockKey(work.key, 3, "terminal")]
    assert [b.key for b in extract_blocks(model, prepared, wanted)] == wanted
    assert sum(model.calls) == 36


def test_a_huge_class_is_handed_to_the_model_in_whole_batches_and_kept_on_disk(context, work, monkeypatch):
    prepared = prepare_shard(context, work)
    usual = list(extract_blocks(HashModel(), prepared))
    monkeypatch.setattr(extract, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(extract, "WINDOWS_AT_ONCE", 8)
    model = CountingModel()
    for block, expected in zip(extract_blocks(model, prepared), usual, strict=True):
        np.testing.assert_array_equal(block.states, expected.states)
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


def test_a_worker_refuses_to_load_another_model_than_the_study(context):
    other = replace(context, model=replace(context.model, weights="sha256:0123"))
    with pytest.raises(UsageError, match="sha256:0123 in the study"):
        load_model(other, "cpu")
    assert load_model(context, "cpu").hidden_layers == 4


def test_states_in_a_file_have_their_blocks_before_they_are_written(monkeypatch):
    monkeypatch.setattr(extract, "IN_MEMORY_BYTES", 0)
    files = []
    original = extract.tempfile.TemporaryFile

    def temporary(**options):
        files.append(original(**options))
        return os.fdopen(os.dup(files[-1].fileno()), "r+b")

    monkeypatch.setattr(extract.tempfile, "TemporaryFile", temporary)
    assert extract._states_buffer((3, 100, 1000)).shape == (3, 100, 1000)
    assert os.fstat(files[0].fileno()).st_blocks * 512 >= 4 * 3 * 100 * 1000
    files[0].close()


def test_a_temporary_folder_without_room_is_named_with_the_bytes_that_it_lacks(monkeypatch):
    def full(file, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(extract, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(extract.os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"does not hold 1,200,000 bytes .*\(No space left on device\); set TMPDIR"):
        extract._states_buffer((3, 100, 1000))
