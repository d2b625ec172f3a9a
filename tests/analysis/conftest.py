"""Vectors that exercise what real hidden states do: heavy tails, shared outlier dimensions, bins that move."""

from __future__ import annotations

import numpy as np
import pytest


def moving_states(tokens: int, dimensions: int, seed: int) -> np.ndarray:
    """float32 [tokens, dimensions] with a shared mean and a few dimensions that are outliers in some tokens only.

    Many pairs need bin edges other than a vector's own.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(tokens, dimensions)) + 0.7 * rng.normal(size=dimensions)
    special = rng.choice(dimensions, size=min(8, dimensions // 4), replace=False)
    x[:, special] += np.sign(rng.normal(size=len(special))) * rng.uniform(3.0, 9.0, size=(tokens, len(special)))
    return x.astype(np.float32)


@pytest.fixture
def states() -> np.ndarray:
    return moving_states(40, 192, seed=7)
