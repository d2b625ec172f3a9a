"""Every binning that a pair picks, against the plain step."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.engine import plain
from analysis.engine.vectors import ABSENT
from tests.analysis.engine.tiles import MADE, made_of


@pytest.mark.parametrize("name", MADE)
def test_a_pair_picks_the_plain_codes(name):
    made = made_of(name)
    for side, other, r, c, x, valid, both in made.ways():
        binned = side.binned
        found = binned.binnings.codes[binned.chosen[r, other.binned.set_of[c]], : both.size]
        np.testing.assert_array_equal(found[both] & 63, plain.codes(x, both, made.bins)[both])
        assert (found[~valid] == ABSENT).all()


@pytest.mark.parametrize("name", MADE)
def test_forms_of_a_binning_agree(name):
    made = made_of(name)
    for side, *_ in made.sides():
        binnings = side.binned.binnings
        np.testing.assert_array_equal(side.binned.by_set, side.binned.chosen.T)
        bits = np.unpackbits(binnings.bits.view(np.uint8), axis=2, bitorder="little")
        for v, codes in enumerate(binnings.codes):
            in_bin = codes != ABSENT
            assert (bits[v].sum(axis=0) == in_bin).all()
            np.testing.assert_array_equal(bits[v].argmax(axis=0)[in_bin], codes[in_bin] & 63)
            np.testing.assert_array_equal(binnings.counts[v], bits[v].sum(axis=1))
            assert (np.diff(binnings.counts[v][binnings.by_rank[v]]) <= 0).all()
            assert len(set(binnings.by_rank[v])) == made.bins


def test_bins_move_in_what_is_tested_here():
    for name in ("moving", "most pairs move", "two groups"):
        rows = made_of(name).tile.rows.binned
        assert len(rows.binnings.codes) > 1.5 * len(rows.set_of), name
