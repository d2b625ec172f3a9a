"""Effect sizes against their definition, intervals against what is known of their coverage."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import effects


def pairs_of_tokens(tokens: np.ndarray) -> np.ndarray:
    i, j = np.triu_indices(len(tokens), 1)
    return tokens[i] + tokens[j]


def test_cliffs_delta_is_its_definition():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 40).astype(float), rng.integers(2, 12, 55).astype(float)
    assert np.isclose(effects.cliffs_delta(a, b), np.sign(a[:, None] - b).mean())
    assert effects.cliffs_delta(a, a) == 0
    assert effects.cliffs_delta(a + 100, b) == 1
    assert np.isclose(effects.cliffs_delta(a, b), -effects.cliffs_delta(b, a))


def test_a_weight_counts_as_repetition():
    rng = np.random.default_rng(1)
    a, b, often = rng.normal(size=30), rng.normal(size=20), rng.integers(0, 4, 30)
    weighted = effects.cliffs_delta(a, b, often.astype(float))
    assert np.isclose(weighted, effects.cliffs_delta(np.repeat(a, often), b))
    assert np.isnan(effects.cliffs_delta(a, b, np.zeros(30)))


@pytest.mark.parametrize("statistic", ["cliffs_delta", "mean_difference"])
def test_intervals_from_tokens_cover_no_difference_where_there_is_none(statistic):
    """Values that depend on tokens: an interval that took pairs as independent would be far too narrow."""
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(60):
        a, b = pairs_of_tokens(rng.normal(size=30)), pairs_of_tokens(rng.normal(size=30))
        effect = effects.compare(a, b, statistic, resamples=120, seed=trial)
        covered += effect.low <= 0 <= effect.high
    assert 52 <= covered <= 60


def test_a_real_difference_is_found_and_reproduced():
    rng = np.random.default_rng(3)
    a, b = pairs_of_tokens(rng.normal(1.0, 1.0, 40)), pairs_of_tokens(rng.normal(0.0, 1.0, 40))
    effect = effects.compare(a, b, seed=0)
    assert 0 < effect.low < effect.value < effect.high <= 1
    assert effect == effects.compare(a, b, seed=0)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="4 values are not all pairs"):
        effects.compare(np.zeros(4), np.zeros(3), seed=0)
    with pytest.raises(ValueError, match="statistic is median"):
        effects.compare(np.zeros(3), np.zeros(3), "median", seed=0)
