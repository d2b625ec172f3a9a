"""The chance level of a store: measured from its hidden states, or computed from its entropies."""

from __future__ import annotations

import numpy as np

from analysis.nulls import chance_mi, expected_mi_of_entropy
from reports.build import build_report
from reports.data.chance import PAIRS, chance_level
from reports.data.queries import ask
from reports.data.scope import GRID_MARKS, SEED, choose_scope
from store.query.reader import open_store
from tests.builders import build_store, hidden_states


def test_a_store_without_states_has_a_computed_level(store, scope):
    chance = chance_level(store, scope, 15, 5.0)
    assert not chance.measured
    assert len(chance.frame) == 8
    entropies = ask(store, "marginal_entropies", books=scope.grid_books, marks=GRID_MARKS).frame
    assert chance.frame[["layer", "class"]].equals(entropies[["layer", "class"]])
    for level, row in zip(chance.frame["chance"], entropies.itertuples(), strict=True):
        assert level == expected_mi_of_entropy(row.entropy, 15, round(row.dimensions)) > 0


def test_a_store_that_keeps_states_shows_them_in_the_report(tmp_path):
    study = build_store(tmp_path, books=1, layers=2, marks=20, width=40, baseline=None, keep_hidden_states=True)
    with open_store(tmp_path) as store:
        scope = choose_scope(store)
        assert scope is not None
        chance = chance_level(store, scope, 15, 5.0)
        report = build_report(store)
    assert chance.measured
    rows = chance.frame.set_index(["layer", "class"])["chance"]
    states = hidden_states(study, 1, "terminal", 0)
    assert rows[1, "terminal"] == chance_mi(states, 15, 5.0, pairs=PAIRS, rng=np.random.default_rng(SEED))
    (table,) = [part for section in report.sections for part in section.parts if part.key == "layers"]
    assert table.frame.set_index("layer").loc[1, "chance_terminal"] == rows[1, "terminal"]
    (level,) = [part for section in report.sections for part in section.parts if part.key == "chance"]
    assert [line.get_label() for line in level.figure.axes[0].lines].count("if independent") == 1
