"""A run leaves out what was removed from its store, says so, and takes it again for whoever asks by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import UsageError
from store.amendments import remove
from store.books import BookStatus
from store.query.reader import open_store
from store.upkeep.verify import verify
from tests.jobs.injection import Calls, run, stages, study, write_books


@pytest.fixture
def books(tmp_path, sample_text) -> list[str]:
    return write_books(tmp_path / "books", sample_text, 2)


def statuses(store: Path) -> dict[str, str]:
    with open_store(store) as opened:
        return dict(opened.sql("SELECT book, status FROM books").fetchall())


def pairs_of(store: Path, book: str) -> list[tuple[int, ...]]:
    with open_store(store) as opened:
        return opened.sql(f"SELECT count(*), sum(hash(p)) FROM pairs p WHERE book = '{book}'").fetchall()


def test_it_is_left_out_until_it_is_asked_for(tmp_path, tiny_gpt2, books, capsys):
    store, calls = tmp_path / "store", Calls(tmp_path / "calls")
    config = study(tiny_gpt2)
    assert run(books, config, store, stages(calls), serial=True) == 0
    before = pairs_of(store, "book0")
    remove(store, ["book0"], "scanned twice")
    capsys.readouterr()
    assert run(books, config, store, stages(calls), serial=True) == 0
    said = capsys.readouterr().err
    assert "nothing to do: 1 book is in the store" in said
    assert "removed: book0: scanned twice (--retake book0 takes it again)" in said
    copy = tmp_path / "the same text elsewhere.txt"
    copy.write_bytes(Path(books[0]).read_bytes())
    assert run([str(copy)], config, store, stages(calls), serial=True) == 0
    assert calls.count("prepare") == 2
    assert run(books, config, store, stages(calls), serial=True, retake=("book0",)) == 0
    assert calls.count("prepare") == 3
    assert pairs_of(store, "book0") == before
    assert run(books, config, store, stages(calls), serial=True, retake=("book0",)) == 0
    assert (calls.count("prepare"), statuses(store)["book0"]) == (3, BookStatus.USED)
    assert verify(store).damages == []


def test_a_mended_text_takes_the_key_of_the_removed_one(tmp_path, tiny_gpt2, books):
    store, config = tmp_path / "store", study(tiny_gpt2)
    calls = Calls(tmp_path / "calls")
    assert run(books, config, store, stages(calls), serial=True) == 0
    remove(store, ["book1"], "pages missing")
    mended = Path(books[1])
    mended.write_text(mended.read_text() + " And so, at last, it ended.")
    assert run(books, config, store, stages(calls), serial=True, retake=("book1",)) == 0
    assert statuses(store) == {"book0": "used", "book1": "used"}
    assert verify(store).damages == []


def test_a_source_that_is_gone_for_good_is_not_tried_again(tmp_path, tiny_gpt2, books, capsys):
    store, config = tmp_path / "store", study(tiny_gpt2)
    calls, gone = Calls(tmp_path / "calls"), str(tmp_path / "gone.txt")
    assert run([*books, gone], config, store, stages(calls), serial=True) == 1
    (failed,) = (key for key, status in statuses(store).items() if status == "failed")
    remove(store, [failed], "it will not come back")
    assert run([*books, gone], config, store, stages(calls), serial=True) == 0
    assert f"removed: {failed}: it will not come back" in capsys.readouterr().err
    assert statuses(store)[failed] == "removed"


def test_what_never_was_there_cannot_be_taken_again(tmp_path, tiny_gpt2, books):
    store, config = tmp_path / "store", study(tiny_gpt2)
    assert run(books, config, store, stages(Calls(tmp_path / "calls")), serial=True) == 0
    with pytest.raises(UsageError, match=r"--retake nobody: .* knows no such book; no book was removed from it"):
        run(books, config, store, stages(Calls(tmp_path / "calls")), serial=True, retake=("nobody",))
