"""Rows of `sensitivity` are those of the text that is used now, each once, as the record says that they were tried."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from store.amendments import remove
from store.columns import SENSITIVITY
from store.commits import CommitRecord, Tried, committed, live_records, load_records
from store.keys import ChunkKey, ShardKey
from store.objects.locations import object_store
from store.query.reader import open_store
from store.upkeep.compaction import compact
from store.upkeep.verify import fix, verify
from store.writer import StudyWriter, publish_chunk
from tests.builders import book_checksum, build_store, publish_book

LAYERS = 2
NAMES = ("30 bins", "centred on the class", "default")
OTHER_TEXT = "f" * 64


def trial_rows(book: str, estimate: float, names=NAMES, layers: int = LAYERS) -> pa.Table:
    """Rows of a trial, of this estimate throughout."""
    empty = {column.name: 0 if pa.types.is_integer(column.type) else "" for column in SENSITIVITY.columns}
    rows = [
        empty
        | {"specification": name, "states": "centred" if "centred" in name else "raw", "book": book}
        | {"kind": "default" if name == "default" else "choice"}
        | {"class": "internal", "other": "terminal", "quantity": quantity, "layer": layer}
        | {"outlier_z": 5.0, "estimate": estimate, "low": estimate, "high": estimate}
        for name in sorted(names)
        for quantity in ("difference", "separation")
        if "centred" not in name or quantity == "difference"
        for layer in range(layers)
    ]
    return pa.Table.from_pylist(rows, schema=SENSITIVITY.schema)


def add_trial(location, study, book: str, sha256: str, estimate: float, table=None, names=NAMES) -> CommitRecord:
    """Commit a trial of a book's text."""
    shard = ShardKey.of("trial", [f"{book} {sha256} {estimate} {names}"])
    receipt = publish_chunk(
        location, ChunkKey("sensitivity", shard), table or trial_rows(book, estimate, names), "tried"
    )
    record = CommitRecord(shard, (receipt,), (), "tried", tried=(Tried(book, sha256, tuple(names), LAYERS),))
    writer = StudyWriter.open(location, study)
    with writer.lock():
        assert writer.commit(record)
    return record


def take_again(location, study, number: int, run: str, sha256: str) -> None:
    """Take a removed book once more, with a text of this checksum."""
    record = publish_book(location, study, number, run)
    (book,) = record.books
    writer = StudyWriter.open(location, study)
    writer.retaken = {book.key: writer.committed().books[book.key].attempted}
    with writer.lock():
        assert writer.commit(replace(record, books=(replace(book, sha256=sha256),)))


def seen(location, **chosen) -> dict[str, set[float]]:
    """The estimates that readers see, by book."""
    with open_store(location, **chosen) as store:
        found = store.sql("SELECT book, list(DISTINCT estimate ORDER BY estimate) FROM sensitivity GROUP BY book")
        return {book: set(estimates) for book, estimates in found.fetchall()}


def tried(location) -> set[tuple[str, str]]:
    return set(committed(live_records(load_records(object_store(location)))).tried)


@pytest.fixture
def built(tmp_path):
    study = build_store(tmp_path, books=2, layers=LAYERS, marks=4, width=8, baseline=None, clusters=False)
    for number in (0, 1):
        add_trial(tmp_path, study, f"book{number}", book_checksum(number), float(number))
    return tmp_path, study


def test_rows_of_a_removed_book_are_not_seen_and_a_choice_of_books_is_heeded(built):
    place, _ = built
    assert seen(place) == {"book0": {0.0}, "book1": {1.0}}
    assert seen(place, books=["book1"]) == {"book1": {1.0}}
    remove(place, ["book0"], "a mistake")
    assert seen(place) == {"book1": {1.0}}
    assert tried(place) == {(name, "book1") for name in NAMES}


@pytest.mark.parametrize("compacted", [False, True])
def test_a_book_that_is_taken_again_with_another_text_was_not_tried(built, compacted):
    place, study = built
    if compacted:
        compact(place)
    remove(place, ["book0"], "pages missing")
    take_again(place, study, 0, "second", OTHER_TEXT)
    assert seen(place) == {"book1": {1.0}}
    assert tried(place) == {(name, "book1") for name in NAMES}
    add_trial(place, study, "book0", OTHER_TEXT, 7.0)
    assert seen(place) == {"book0": {7.0}, "book1": {1.0}}
    assert not verify(place).damages


def test_the_first_text_brings_its_rows_back_unless_a_compaction_left_them_out(built):
    place, study = built
    remove(place, ["book0"], "pages missing")
    take_again(place, study, 0, "second", book_checksum(0))
    assert seen(place) == {"book0": {0.0}, "book1": {1.0}}
    remove(place, ["book0"], "and again")
    compact(place)
    assert not any(of.key == "book0" for record in load_records(object_store(place))[-1:] for of in record.tried)
    take_again(place, study, 0, "third", book_checksum(0))
    assert seen(place) == {"book1": {1.0}}
    assert tried(place) == {(name, "book1") for name in NAMES}
    assert not verify(place).damages


def test_a_trial_alone_is_rewritten_where_its_book_has_gone(built):
    place, _ = built
    compact(place, target_bytes=1)
    remove(place, ["book1"], "a mistake")
    assert compact(place, target_bytes=1).generations
    with open_store(place) as store:
        rows = [file.rows for record in store.records for file in record.files if "sensitivity" in file.path]
    assert sum(rows) == trial_rows("book0", 0).num_rows


def without_a_layer(table: pa.Table) -> pa.Table:
    return table.slice(1)


def one_row_twice(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 1), table.slice(0, 1), table.slice(2)])


def another_specification(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, trial_rows("book0", 3.0, ["no threshold"])])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (without_a_layer, "'30 bins' has 1 rows of difference; it was tried in 2 layers"),
        (lambda table: table.slice(0, 6), "'default' has 0 rows of"),
        (another_specification, "rows of specification 'no threshold', which its record does not say was tried"),
    ],
)
def test_rows_that_are_missing_or_too_many_are_found(tmp_path, spoil, says):
    study = build_store(tmp_path, books=1, layers=LAYERS, marks=4, width=8, baseline=None, clusters=False)
    record = add_trial(tmp_path, study, "book0", book_checksum(0), 3.0, spoil(trial_rows("book0", 3.0)))
    found = verify(tmp_path)
    assert any(says in damage.what for damage in found.damages)
    assert {damage.path for damage in found.damages} == {record.files[0].path}
    assert fix(tmp_path).dropped_shards == [record.shard.name]
    assert not seen(tmp_path)
    assert not verify(tmp_path).damages


def test_a_row_twice_cannot_be_published(tmp_path):
    study = build_store(tmp_path, books=1, layers=LAYERS, marks=4, width=8, baseline=None, clusters=False)
    with pytest.raises(Exception, match="sensitivity"):
        add_trial(tmp_path, study, "book0", book_checksum(0), 3.0, one_row_twice(trial_rows("book0", 3.0)))


def test_a_specification_of_a_text_in_two_commits_is_found(built):
    place, study = built
    add_trial(place, study, "book0", book_checksum(0), 5.0, names=NAMES[:1])
    (damage,) = verify(place).damages
    assert "holds '30 bins' of book book0" in damage.what


@pytest.mark.parametrize(
    "forged",
    [
        {},
        [{"key": "book0"}],
        [{"key": 1, "sha256": "", "specifications": [], "layers": 1}],
        [{"key": "b", "sha256": "", "specifications": ["a", "a"], "layers": 1}],
    ],
)
def test_a_record_that_says_nonsense_of_its_trials_is_damaged(built, forged):
    place, _ = built
    path = place / load_records(object_store(place))[-1].path
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tried": forged}))
    assert any("is not a sound entry" in damage.what for damage in verify(place).damages)
