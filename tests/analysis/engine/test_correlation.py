"""The correlation alone is that of the whole engine to the last bit, whatever moves or goes missing."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import pairwise
from analysis.pairwise import correlation_range, cross_correlation_range, cross_range, prepare, row_range
from tests.analysis.conftest import moving_states


def special() -> np.ndarray:
    """Vectors that a partner may leave constant, nearly constant, with one dimension or with none."""
    rng = np.random.default_rng(5)
    few_values = rng.choice(np.array([0, 1, -1, 0.1, 7, 3e4], np.float32), size=(12, 70))
    one_extreme, nearly = np.ones((4, 70), np.float32), np.full((4, 70), 0.1, np.float32)
    for k in range(4):
        one_extreme[k, k] = 1e4
        nearly[k, [k, k + 5]] = 1e6, 0.10000001
    return np.vstack([few_values, one_extreme, nearly, np.ones((2, 70), np.float32)])


CASES = {
    "moving": (moving_states(60, 130, seed=1), 3.0),
    "most pairs move": (moving_states(50, 64, seed=2), 1.5),
    "constants": (special(), 1.0),
    "what outliers leave": (special(), 3.0),
    "empty pairs": (moving_states(12, 6, seed=4), 0.5),
    "two dimensions": (moving_states(9, 2, seed=6), 0.8),
}


@pytest.mark.parametrize("side", [512, 16])
@pytest.mark.parametrize("case", CASES)
def test_the_same_to_the_last_bit(case, side, monkeypatch):
    monkeypatch.setattr(pairwise, "SIDE", side)
    x, outlier_z = CASES[case]
    whole, a, b = (prepare(part, 15, outlier_z) for part in (x, x[:5], x[5:]))
    np.testing.assert_array_equal(correlation_range(whole, 0, len(x)), row_range(whole, 0, len(x)).corr)
    np.testing.assert_array_equal(correlation_range(whole, 3, 7), row_range(whole, 3, 7).corr)
    np.testing.assert_array_equal(cross_correlation_range(a, b, 0, 5), cross_range(a, b, 0, 5).corr)
    np.testing.assert_array_equal(cross_correlation_range(b, a, 1, 4), cross_range(b, a, 1, 4).corr)


def test_the_cases_hold_what_they_are_made_for():
    corr = {case: row_range(prepare(x, 15, z), 0, len(x)).corr for case, (x, z) in CASES.items()}
    assert all(np.isnan(corr[case]).any() for case in ("constants", "what outliers leave", "empty pairs"))
    assert all(np.isfinite(of).any() for of in corr.values())


def test_groups_must_be_prepared_alike():
    x = moving_states(5, 64, seed=1)
    with pytest.raises(ValueError, match="prepared differently"):
        cross_correlation_range(prepare(x, 15), prepare(x, 14), 0, 5)
    with pytest.raises(ValueError, match="rows 0 to 6"):
        correlation_range(prepare(x), 0, 6)
