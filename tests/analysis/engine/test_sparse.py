"""Sparse bins: which dimensions they list, and their joint terms, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.engine import plain
from analysis.engine.sparse import LISTED, list_dimensions, sparse_terms
from tests.analysis.engine.tiles import MADE, afresh


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("name", MADE)
def test_dimensions_are_listed_bin_by_bin(name, ranks):
    binnings = afresh(name).tile.rows.binned.binnings
    codes = binnings.codes.copy()
    listed = list_dimensions(binnings, ranks)
    for v in range(len(codes)):
        dims = listed.dims[listed.start[v] : listed.start[v + 1]]
        earlier = listed.earlier[listed.start[v] : listed.start[v + 1]]
        bins = [b for b in binnings.by_rank[v, ranks:] if binnings.counts[v, b] > 1]
        expected = [np.flatnonzero(codes[v] == b) for b in bins]
        np.testing.assert_array_equal(dims, np.concatenate([*expected, np.empty(0, int)]))
        np.testing.assert_array_equal(earlier, np.concatenate([np.arange(len(d)) for d in expected] + [[]]))
        is_listed = np.isin(codes[v], bins)
        np.testing.assert_array_equal(binnings.codes[v][is_listed], codes[v][is_listed] | LISTED)
        np.testing.assert_array_equal(binnings.codes[v][~is_listed], codes[v][~is_listed])


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("name", MADE)
def test_terms_are_those_of_the_cells_of_sparse_bins(name, ranks):
    """With all bins of the partner, and with those that are not sparse."""
    made = afresh(name)
    a, b = made.tile.rows.binned, made.tile.columns.binned
    listed = list_dimensions(a.binnings, ranks)
    if a is not b:
        list_dimensions(b.binnings, ranks)
    units, triangle = made.weights.units, int(made.tile.on_diagonal)
    found = {below: np.zeros((len(made.x), len(made.y)), np.int64) for below in (LISTED, 2 * LISTED)}
    for below, out in found.items():
        sparse_terms(listed, a, b, below, triangle, units, out)
    for r, c in made.pairs():
        v, w = a.chosen[r, b.set_of[c]], b.chosen[c, a.set_of[r]]
        joint = made.joint(r, c)
        sparse_x = np.isin(np.arange(made.bins), a.binnings.by_rank[v, ranks:])
        # A bin of one dimension is not listed: its cells hold 1 at most, and 1 log2 1 is 0.
        full_y = np.isin(np.arange(made.bins), b.binnings.by_rank[w, :ranks]) | (b.binnings.counts[w] < 2)
        assert found[2 * LISTED][r, c] == plain.terms(joint[sparse_x], units)
        assert found[LISTED][r, c] == plain.terms(joint[sparse_x][:, full_y], units)
