"""The last arithmetic of each pair, from the plain sums, against the plain step."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import reference
from analysis.engine import plain
from analysis.engine.finish import finish
from analysis.engine.vectors import PairStatistics, Target, TileSums
from tests.analysis.conftest import moving_states
from tests.analysis.engine.tiles import MADE, Made, made, made_of


def finished(made: Made) -> dict[tuple[int, int], dict[str, float]]:
    """The statistics of each pair (r, c) of the tile, from sums that the plain steps make."""
    shape = len(made.x), len(made.y)
    joint = np.zeros(shape, np.int64)
    for r, c in made.pairs():
        joint[r, c] = plain.terms(made.joint(r, c), made.weights.units)
    sums = TileSums(joint, plain.centred(made.x, made.valid_x) @ plain.centred(made.y, made.valid_y).T)
    pairs = PairStatistics.empty(shape[0] * shape[1])
    finish(made.tile, sums, made.weights, Target(np.arange(shape[0]) * shape[1], pairs))
    found = {}
    for r, c in made.pairs():
        i, j = int(made.tile.rows.members[r]), int(made.tile.columns.members[c])
        if made.tile.on_diagonal and j < i:
            i, j = j, i
        found[r, c] = {name: field[i * shape[1] + j] for name, field in pairs._asdict().items()}
    return found


@pytest.mark.parametrize("name", MADE)
def test_every_statistic_of_every_pair(name):
    made = made_of(name)
    for (r, c), found in finished(made).items():
        valid = made.valid_x[r] & made.valid_y[c]
        first, second = made.x[r], made.y[c]
        swapped = made.tile.on_diagonal and made.tile.rows.members[r] > made.tile.rows.members[c]
        joint = made.joint(r, c)
        if swapped:
            first, second, joint = second, first, joint.T
        expected = plain.finish(first, second, valid, joint)
        size = np.abs(first).max().astype(np.float64) * np.abs(second).max()
        tolerance = {"cov": 1e-11 * size, "corr": 1e-6, "n": 0}
        assert set(expected) == set(found)
        for field, value in expected.items():
            np.testing.assert_allclose(found[field], value, rtol=1e-9, atol=tolerance.get(field, 1e-12), err_msg=field)


def test_plain_steps_are_the_reference():
    x = moving_states(8, 90, seed=9)
    tile = made(x, 15, 2.0)
    for r, c in tile.pairs():
        valid = reference.kept_dimensions(tile.x[r], 2.0) & reference.kept_dimensions(tile.y[c], 2.0)
        np.testing.assert_array_equal(tile.joint(r, c), reference.joint_histogram(tile.x[r][valid], tile.y[c][valid]))
        found = plain.finish(tile.x[r], tile.y[c], valid, tile.joint(r, c))
        np.testing.assert_allclose(found["mi"], reference.mutual_information(tile.x[r], tile.y[c], 15, 2.0), atol=1e-12)
        np.testing.assert_allclose(found["cov"], reference.covariance(tile.x[r], tile.y[c], 2.0), rtol=1e-9)
