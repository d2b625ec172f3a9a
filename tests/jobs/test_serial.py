"""The plain loop: small blocks go side by side, and nothing of a run depends on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import serial
from jobs.account.run_record import Recorder
from jobs.serial import _in_order
from tests.jobs import injection
from tests.jobs.injection import Calls, rows, write_books


def most_at_once(monkeypatch: pytest.MonkeyPatch, folder: Path, books: list[str], model: Path, threads: int) -> int:
    """Run with so many threads; returns how many blocks were computed at the same time."""
    monkeypatch.setattr(serial, "usable_cores", lambda: threads)
    stages = injection.stages(Calls(folder / "calls"))
    lock, under_way, most = threading.Lock(), 0, 0

    def compute(context, block, leftovers):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        try:
            return stages.compute(context, block, leftovers)
        finally:
            with lock:
                under_way -= 1

    watched = replace(stages, compute=compute)
    assert injection.run(books, injection.study(model), folder / "store", watched, serial=True) == 0
    return most


def test_blocks_side_by_side_give_the_rows_of_one_after_the_other(monkeypatch, tmp_path, tiny_gpt2, sample_text):
    books = write_books(tmp_path / "books", sample_text, 2)
    assert most_at_once(monkeypatch, tmp_path / "one", books, tiny_gpt2, threads=1) == 1
    assert 1 < most_at_once(monkeypatch, tmp_path / "many", books, tiny_gpt2, threads=16) <= serial.SIDE_BY_SIDE
    assert rows(tmp_path / "many" / "store") == rows(tmp_path / "one" / "store")


def test_large_blocks_go_alone(monkeypatch, tmp_path, tiny_gpt2, sample_text):
    monkeypatch.setattr(serial, "SMALL_PAIRS", 10)
    books = write_books(tmp_path / "books", sample_text, 1)
    assert most_at_once(monkeypatch, tmp_path, books, tiny_gpt2, threads=4) == 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_keep_the_order_and_items_are_taken_when_they_can_be_worked_on(threads):
    taken, given = 0, []

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(12):
            taken += 1
            assert taken - len(given) <= threads
            yield number

    for result in _in_order(lambda number: (time.sleep(0.002 * (number % 3)), 10 * number)[1], items(), threads):
        given.append(result)
    assert given == [10 * number for number in range(12)]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_ends_the_loop_where_it_stands(threads):
    started = []

    def work(number: int) -> int:
        started.append(number)
        if number == 2:
            raise RuntimeError("block 2")
        return number

    results = _in_order(work, range(100), threads)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(RuntimeError, match="block 2"):
        next(results)
    assert len(started) <= 2 + threads


def test_the_model_is_heard_of_while_it_reads_a_book(monkeypatch, tmp_path, sample_text, tiny_gpt2):
    """Batch after batch, before the first block comes; a book that takes an hour does not look stuck."""
    monkeypatch.setattr("jobs.stages.extract.TOKENS_AT_ONCE", 1)
    heard: list[tuple[int, int]] = []
    update = Recorder.update

    def listening(self, tally):
        heard.append((tally.sequences, tally.blocks))
        update(self, tally)

    monkeypatch.setattr(Recorder, "update", listening)
    books = write_books(tmp_path / "books", sample_text, 1)
    config = injection.study(tiny_gpt2, context="window", bos="no")
    assert (
        injection.run(books, config, tmp_path / "store", injection.stages(Calls(tmp_path / "calls")), serial=True) == 0
    )
    before = [sequences for sequences, blocks in heard if not blocks]
    assert len(set(before)) > 2
    assert before == sorted(before)
    assert before[-1] == heard[-1][0]
