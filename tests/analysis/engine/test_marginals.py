"""What one side of a pair settles, against the plain step."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import reference
from analysis.engine import plain
from analysis.engine.marginals import CANCELLATION
from tests.analysis.engine.tiles import MADE, made, made_of


@pytest.mark.parametrize("name", MADE)
def test_every_vector_against_every_outlier_set(name):
    made = made_of(name)
    for side, other, r, c, x, _, both in made.ways():
        found, at = side.marginals, (r, other.binned.set_of[c])
        histogram = plain.marginal_histogram(plain.codes(x, both, made.bins), made.bins)
        assert found.n[at] == both.sum()
        assert found.units[at] == plain.terms(histogram, made.weights.units)
        entropy = reference.entropy(histogram) if both.any() else np.nan
        np.testing.assert_allclose(found.entropy[at], entropy, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MADE)
def test_sums_over_the_valid_dimensions(name):
    made = made_of(name)
    for side, other, r, c, x, valid, both in made.ways():
        found, at = side.marginals, (r, other.binned.set_of[c])
        if both.sum() < 2 or found.cancelled[at]:
            continue
        size = np.abs(x[valid]).max()
        total = plain.centred(x[None], valid[None])[0][both].sum()
        np.testing.assert_allclose(found.total[at], total, rtol=1e-9, atol=1e-11 * size)
        np.testing.assert_allclose(found.shift[at], total / both.sum(), rtol=1e-9, atol=1e-11 * size)
        spread = np.sqrt(np.sum((x[both] - x[both].mean(dtype=np.float64)) ** 2))
        scale = np.nan if np.ptp(x[both]) == 0 else 1 / spread
        np.testing.assert_allclose(found.scale[at], scale, rtol=1e-7)


def test_a_sum_of_squares_that_a_partner_all_but_takes_away_is_told():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2, 300)).astype(np.float32)
    assert not made(x, 15, 2.0).tile.rows.marginals.cancelled.any()
    x[0, 7], x[0, 8:60], x[1, 7:60] = 4e6, rng.normal(size=52) * 1.2e6, 500.0
    tile = made(x, 15, 2.0).tile
    side, first, second = tile.rows, *np.argsort(tile.rows.members)
    assert side.marginals.cancelled[first, side.binned.set_of[second]]
    assert not side.marginals.cancelled[first, side.binned.set_of[first]]
    assert not side.marginals.cancelled[second].any()
    assert side.vectors.squares[0] * CANCELLATION > 300
