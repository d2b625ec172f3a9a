"""Joint terms of a tile, to the last bit, against the plain step."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.engine import joint, plain
from analysis.engine.joint import COST_OF_CELL, COST_OF_COMPARISON, COST_OF_DIMENSION, COST_OF_WORD, choose_ranks
from tests.analysis.conftest import moving_states
from tests.analysis.engine.tiles import MADE, afresh, made


@pytest.mark.parametrize("ranks", [None, 1, 3])
@pytest.mark.parametrize("name", MADE)
def test_every_pair_wherever_the_ranks_are_cut(name, ranks, monkeypatch):
    tile = afresh(name)  # afresh: the codes of sparse bins are marked
    if ranks:
        monkeypatch.setattr(joint, "choose_ranks", lambda binnings: ranks)
    found = joint.joint_terms(tile.tile, tile.weights.units, tile.scratch)
    for r, c in tile.pairs():
        assert found[r, c] == plain.terms(tile.joint(r, c), tile.weights.units), (r, c)


@pytest.mark.parametrize("ranks", [16, 17, 33, 64])
def test_more_ranks_than_registers_hold_sums(ranks, monkeypatch):
    tile = made(moving_states(21, 300, seed=3), 64, 2.0)
    monkeypatch.setattr(joint, "choose_ranks", lambda binnings: ranks)
    found = joint.joint_terms(tile.tile, tile.weights.units, tile.scratch)
    for r, c in tile.pairs():
        assert found[r, c] == plain.terms(tile.joint(r, c), tile.weights.units), (r, c)


@pytest.mark.parametrize("name", MADE)
def test_ranks_are_those_of_the_lowest_cost(name):
    binnings = afresh(name).tile.rows.binned.binnings
    bins = binnings.bits.shape[1]
    sample = slice(None, None, max(1, len(binnings.bits) // joint.SAMPLED))
    filled, costs = [], []
    counts = np.take_along_axis(binnings.counts, binnings.by_rank, axis=1)[sample]
    words = (binnings.bits != 0).sum(axis=2)
    filled = np.take_along_axis(words, binnings.by_rank, axis=1)[sample].sum(axis=0)
    comparing = (counts * (COST_OF_DIMENSION + COST_OF_COMPARISON * (counts - 1) / 2) * (counts > 1)).sum(axis=0)
    for ranks in range(1, bins + 1):
        by_rows = COST_OF_WORD * ranks * filled[:ranks].sum() + COST_OF_CELL * ranks**2 * len(counts)
        costs.append(by_rows + 2 * comparing[ranks - 1 :][1:].sum())
    # The engine charges rank k's comparisons from the cut before it on, so that ties go to fewer ranks.
    assert 1 <= choose_ranks(binnings) <= bins
    assert costs[choose_ranks(binnings) - 1] <= 1.2 * min(costs)
