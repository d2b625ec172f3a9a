"""The figures of docs/pitfalls.md: each artefact has its own, and the one about dependence says what is true."""

from __future__ import annotations

import re

import numpy as np
import pytest

from store.query.reader import open_store
from tests.builders import build_store
from website.build import DOCS
from website.pitfalls import ARTEFACTS, FOLDER, HALVES_OF_PAIRS, flagged


def test_every_artefact_has_its_figure_in_the_page():
    page = (DOCS / "pitfalls.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^\]]+\]\(figures/pitfalls-(\w+)\.png\)", page)
    assert shown == list(ARTEFACTS)
    assert {path.name for path in FOLDER.iterdir()} == {f"pitfalls-{name}.png" for name in ARTEFACTS}


def test_halves_are_compared_as_the_pairs_say(tmp_path):
    build_store(tmp_path, books=2, layers=3, marks=24, width=64)
    with open_store(tmp_path) as store:
        found = store.sql(HALVES_OF_PAIRS.format(book="book1", name="terminal")).df()
        passages = dict(
            store.sql("SELECT i, passage FROM marks WHERE book = 'book1' AND class = 'terminal'").fetchall()
        )
        pairs = store.sql(
            "SELECT i, j, mi FROM pairs WHERE layer = 2 AND book = 'book1' AND class = 'terminal'"
        ).fetchall()
        counted = flagged(store, "book1")
    halves = [
        [mi for i, j, mi in pairs if passages[i] != passages[j] and {passages[i], passages[j]} <= half]
        for half in ({0, 1}, {2, 3})
    ]
    (row,) = found[found["layer"] == 2].to_dict("records")
    assert row["estimate"] == pytest.approx(np.mean(halves[1]) - np.mean(halves[0]))
    assert row["error"] == pytest.approx(np.sqrt(sum(np.var(half, ddof=1) / len(half) for half in halves)))
    assert counted["layers"].tolist() == [2, 2]
    assert counted["class"].tolist() == ["internal", "terminal"]
