"""Wins of transfer are held to the marks: a row that is missing or cannot be is found."""

from __future__ import annotations

import pyarrow as pa
import pytest

from store.keys import ChunkKey
from store.upkeep.verify import verify
from store.writer import StudyWriter, publish_chunk
from tests.builders import RUN, book_chunks, record_of, synthetic_study

CLASSES = [["internal", [",", ";", ":"]], ["terminal", [".", "?", "!"]]]


def dropped(table: pa.Table) -> pa.Table:
    return table.slice(1)


def won_too_often(table: pa.Table) -> pa.Table:
    wins = pa.array(table["pairs"].to_numpy() + 1.0)
    return table.set_column(table.schema.get_field_index("wins"), table.schema.field("wins"), wins)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (None, None),
        (dropped, "pairs in transfer_sums; its marks make"),
        (won_too_often, "wins of control in"),
    ],
)
def test_transfer_sums_are_those_of_the_marks(tmp_path, spoil, says):
    study = synthetic_study(layers=2, marks=18, width=8, classes=CLASSES)
    files = []
    for key, table in book_chunks(study, 0):
        spoilt = spoil is not None and isinstance(key, ChunkKey) and (key.table, key.layer) == ("transfer_sums", 1)
        files.append(publish_chunk(tmp_path, key, spoil(table) if spoilt else table, RUN))
    writer = StudyWriter.open(tmp_path, study)
    with writer.lock():
        writer.commit(record_of(study, 0, files))
    found = [str(damage) for damage in verify(str(tmp_path)).damages]
    assert (found == []) == (says is None)
    assert says is None or any(says in damage and "layer 1" in damage for damage in found)


def test_a_study_whose_classes_have_one_token_each_has_no_such_file():
    study = synthetic_study(layers=2, marks=6, width=8)
    assert not any(key.table == "transfer_sums" for key, _ in book_chunks(study, 0))
    assert study.teaching_types == {}
    assert synthetic_study(classes=CLASSES).teaching_types == {"internal": ",", "terminal": "."}
