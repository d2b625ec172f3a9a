"""What is read to blocks: their order, what is left out, how much is in memory, and that a GPU is kept busy."""

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
    """Notes how many sequences it is handed at once."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def start(self, sequences, places=None):
        self.calls.append(len(sequences))
        return super().start(sequences, places)


def states_by_hand(prepared, layer):
    """Of each mark in the order of the layout, each from a pass of its own."""
    found = []
    for reading in prepared.readings:
        length = reading.sequences.shape[1]
        for place in reading.places:
            sequence = reading.sequences[place // length : place // length + 1]
            found.append(HashModel().start(sequence, np.array([place % length]))()[layer, 0])
    return np.stack(found)


def test_blocks_come_layer_by_layer_with_the_states_of_each_mark_in_the_order_of_the_layout(context, work):
    prepared = prepare_shard(context, work)
    model = CountingModel()
    blocks = list(extract_blocks(model, prepared))
    assert [block.key.layer for block in blocks] == list(range(model.hidden_layers))
    assert sum(model.calls) == sum(block.work.sequences for block in blocks) == prepared.outline.sequences
    for block in blocks:
        assert block.layout is prepared.layout
        np.testing.assert_array_equal(block.states, states_by_hand(prepared, block.key.layer))


def test_of_windows_the_last_position_is_asked_for(context, work):
    windows = replace(context, config=replace(context.config, context="window", bos="no"))
    prepared = prepare_shard(windows, work)
    for block in extract_blocks(CountingModel(), prepared):
        np.testing.assert_array_equal(block.states, states_by_hand(prepared, block.key.layer))


def test_only_wanted_blocks_are_yielded_and_none_where_all_are_done(context, work):
    prepared = prepare_shard(context, work)
    model = CountingModel()
    wanted = [BlockKey(work.key, 3), BlockKey(work.key, 1)]
    blocks = list(extract_blocks(model, prepared, wanted))
    assert [block.key.layer for block in blocks] == [1, 3]
    assert [block.work.sequences for block in blocks] == [prepared.outline.sequences, 0]
    calls = len(model.calls)
    assert list(extract_blocks(model, prepared, [])) == []
    assert len(model.calls) == calls


def test_a_long_book_is_handed_to_the_model_in_whole_batches_and_its_states_kept_on_disk(context, work, monkeypatch):
    prepared = prepare_shard(context, work)
    usual = list(extract_blocks(HashModel(), prepared))
    monkeypatch.setattr(extract, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(extract, "TOKENS_AT_ONCE", 1)
    model = CountingModel()
    model.batch_size = 4
    for block, expected in zip(extract_blocks(model, prepared), usual, strict=True):
        assert isinstance(block.states, np.memmap)
        np.testing.assert_array_equal(block.states, expected.states)
    expected_calls = []
    for reading in prepared.readings:
        whole, rest = divmod(len(reading.sequences), 4)
        expected_calls += [4] * whole + [rest] * bool(rest)
    assert model.calls == expected_calls


class WatchedModel(HashModel):
    """Notes when a part is started and when its states are taken."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def start(self, sequences, places=None):
        number = sum(event.startswith("start") for event in self.events)
        self.events.append(f"start {number}")
        pending = super().start(sequences, places)

        def wait():
            self.events.append(f"take {number}")
            return pending()

        return wait


def test_the_next_sequences_are_with_the_model_before_the_last_ones_states_are_taken(context, work):
    model = WatchedModel()
    list(extract_blocks(model, prepare_shard(context, work)))
    assert model.events == ["start 0", "start 1", "take 0", "start 2", "take 1", "take 2"]


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
