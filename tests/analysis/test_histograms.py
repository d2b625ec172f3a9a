import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from analysis.histograms import FixedBins
from analysis.summaries import COV_EDGES, MI_EDGES

EDGES = {
    "mi": MI_EDGES,
    "cov": COV_EDGES,
    "one bin": np.array([0.0, 1.0]),
    "narrower than a float32 tells apart": 1.0 + np.arange(50) * 2.0**-45,
    "beyond float32": np.array([-1e300, -1e200, 0.0, 1e-300, 1e39, 1e200]),
}


def expected(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bin for bin, without a search: how many values are not below the left edge, and below the right one."""
    values = values.astype(np.float64)
    left = [(values >= edge).sum() for edge in edges[1:-1]]
    return -np.diff([len(values), *left, 0])


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_on_edges_and_beside_them(name: str, dtype: type) -> None:
    edges = EDGES[name]
    finite = edges[np.isfinite(edges)]
    with np.errstate(over="ignore"):
        near = np.concatenate(
            [finite, np.nextafter(finite, -np.inf), np.nextafter(finite, np.inf), -finite, [0.0, -0.0]]
        )
        values = near.astype(dtype)
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(FixedBins(edges).count(values), expected(values, edges))


@given(
    values=arrays.arrays(np.float64, st.integers(0, 60), elements=st.floats(allow_nan=False, allow_infinity=False)),
    edges=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40, unique=True),
)
def test_any_edges_and_values(values: np.ndarray, edges: list[float]) -> None:
    ascending = np.sort(np.array(edges))
    if not np.all(ascending[:-1] < ascending[1:]):  # 0 and -0 are two numbers to hypothesis
        return
    np.testing.assert_array_equal(FixedBins(ascending).count(values), expected(values, ascending))


def test_values_need_not_lie_side_by_side() -> None:
    values = np.linspace(0, 6, 999).astype(np.float32)
    np.testing.assert_array_equal(FixedBins(MI_EDGES).count(values[::3]), FixedBins(MI_EDGES).count(values[::3].copy()))


@pytest.mark.parametrize("edges", [[0.0], [1.0, 1.0], [2.0, 1.0], [0.0, np.nan]])
def test_edges_that_make_no_bins_are_refused(edges: list[float]) -> None:
    with pytest.raises(ValueError, match="edges do not ascend"):
        FixedBins(np.array(edges))
