"""The table of n log2 n."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.engine.nlogn import n_log_n


@pytest.mark.parametrize("dimensions", [2, 576, 65_535])
def test_units_are_n_log2_n_in_fixed_point(dimensions):
    weights, n = n_log_n(dimensions), np.arange(1, dimensions + 1)
    np.testing.assert_allclose(weights.units[1:] * weights.bits_per_unit[1], n * np.log2(n), rtol=1e-15, atol=1e-12)
    np.testing.assert_allclose(weights.bits_per_unit[1:] * n, weights.bits_per_unit[1], rtol=1e-15)
    np.testing.assert_array_equal(weights.per_degree[2:], 1 / (n[1:] - 1))
    assert np.isnan([weights.bits_per_unit[0], *weights.per_degree[:2]]).all()


def test_sums_of_one_joint_and_two_marginal_histograms_have_room():
    units = n_log_n(65_535).units
    assert 4 * int(units[-1]) < 2**63


def test_the_table_is_shared_and_cannot_be_written():
    assert n_log_n(100) is n_log_n(100)
    with pytest.raises(ValueError, match="read-only"):
        n_log_n(100).units[3] = 0
