"""Clouds: the share of variance that lies between them is that of their means, whatever the parts pairs come in."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.clouds import CloudVariance


def test_the_share_of_variance_is_that_of_the_clouds_means():
    random = np.random.default_rng(6)
    labels = random.integers(0, 3, 60)
    i, j = (side.astype(np.uint16) for side in np.triu_indices(60, 1))
    values = (random.standard_normal(len(i)) + (labels[i] == labels[j])).astype(np.float32)
    variance = CloudVariance(3, 2)
    for part in np.array_split(np.arange(len(i)), 4):
        others = np.where(part % 7 == 0, np.nan, 2 * values[part])
        variance.add(labels, labels, i[part], j[part], [values[part], others])
    cloud = np.sort(np.stack([labels[i], labels[j]]), axis=0)
    assert variance.shares[0] == pytest.approx(_share(cloud.T, values))
    known = np.arange(len(i)) % 7 != 0
    assert variance.shares[1] == pytest.approx(_share(cloud.T[known], values[known]))


def _share(clouds: np.ndarray, values: np.ndarray) -> float:
    means = {tuple(cloud): values[(clouds == cloud).all(axis=1)].mean() for cloud in np.unique(clouds, axis=0)}
    fitted = np.array([means[tuple(cloud)] for cloud in clouds])
    return float(fitted.var() / values.var())


def test_without_pairs_or_variance_there_is_no_share():
    assert np.isnan(CloudVariance(2, 2).shares).all()
    equal = CloudVariance(1, 1)
    none, places = np.zeros(3, np.int64), np.arange(2, dtype=np.uint16)
    equal.add(none, none, places, places + np.uint16(1), [np.ones(2, np.float32)])
    assert np.isnan(equal.shares).all()
