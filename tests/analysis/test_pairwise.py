"""The pair engine against NumPy, pair by pair, and against identities that hold whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis import pairwise, reference
from analysis.engine.nlogn import n_log_n
from analysis.engine.scratch import Scratch
from analysis.engine.tile import rectangle
from tests.analysis.conftest import moving_states

FIELDS = pairwise.PairStatistics._fields


def expected(x, y, bins, outlier_z):
    """Everything about one pair, from NumPy alone: joint counts, n, entropies, MI, covariance, correlation."""
    kept = reference.kept_dimensions(x, outlier_z) & reference.kept_dimensions(y, outlier_z)
    joint = reference.joint_histogram(x[kept], y[kept], bins)
    n = int(kept.sum())
    hx = reference.entropy(joint.sum(axis=1)) if n else np.nan
    hy = reference.entropy(joint.sum(axis=0)) if n else np.nan
    x64, y64 = x[kept].astype(np.float64), y[kept].astype(np.float64)
    constant = n < 2 or np.ptp(x64) == 0 or np.ptp(y64) == 0
    corr = np.nan if constant else np.corrcoef(x64, y64)[0, 1]
    mi = reference.mutual_information(x, y, bins, outlier_z)
    return joint, n, hx, hy, mi, reference.covariance(x, y, outlier_z), corr


def joint_counts(prepared, i, j):
    """The joint histogram of vectors `i` and `j`, int64 [bins, bins], from the bit rows that the kernels count."""
    weights, scratch = n_log_n(prepared.x.shape[1]), Scratch()
    pair = rectangle(prepared.vectors, np.array([i]), prepared.vectors, np.array([j]), prepared.bins, weights, scratch)
    x, y = (side.binned.binnings.bits[side.binned.chosen[0, 0]] for side in (pair.rows, pair.columns))
    return np.bitwise_count(x[:, None, :] & y[None, :, :]).sum(axis=2, dtype=np.int64)


def assert_as_numpy(x, bins, outlier_z):
    """Every pair of `x`: counts equal, entropies to 1e-12, moments to 1e-9 of the vectors' spread."""
    prepared = pairwise.prepare(x, bins, outlier_z)
    found = pairwise.row_range(prepared, 0, len(x))
    for k, (i, j) in enumerate(zip(*np.triu_indices(len(x), 1), strict=True)):
        joint, n, hx, hy, mi, cov, corr = expected(x[i], x[j], bins, outlier_z)
        np.testing.assert_array_equal(joint_counts(prepared, i, j), joint, err_msg=f"pair {i}, {j}")
        assert found.n[k] == n
        entropies = [found.hx[k], found.hy[k], found.mi[k]]
        np.testing.assert_allclose(entropies, [hx, hy, mi], rtol=0, atol=1e-12, err_msg=f"pair {i}, {j}")
        both = reference.kept_dimensions(x[i], outlier_z) & reference.kept_dimensions(x[j], outlier_z)
        spread = np.std(x[i][both], dtype=np.float64) * np.std(x[j][both], dtype=np.float64) if n else 0.0
        size = np.abs(x[i]).max().astype(np.float64) * np.abs(x[j]).max()
        np.testing.assert_allclose(found.cov[k], cov, rtol=1e-9, atol=1e-9 * spread + 1e-14 * size)
        if spread > 1e-12 * size or np.isnan(corr):
            np.testing.assert_allclose(found.corr[k], corr, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dimensions", [2, 3, 63, 64, 65, 200, 576, 1024])
@pytest.mark.parametrize("bins", [2, 15, 17, 64])
def test_counts_and_statistics_are_numpys(dimensions, bins):
    assert_as_numpy(moving_states(9, dimensions, seed=dimensions + bins), bins, outlier_z=2.5)


def test_eight_thousand_dimensions():
    assert_as_numpy(moving_states(6, 8192, seed=1), 15, outlier_z=5.0)


# Few distinct values make ties on edges, ties of extremes and constant vectors; low limits leave out most dimensions.
levels = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, 7.0, 1e-30, 1e-45, 3e4, 3e4 + 2**-9, -1e10])
vectors = st.tuples(st.integers(2, 5), st.sampled_from([2, 3, 5, 64, 70])).flatmap(
    lambda shape: arrays(np.float32, shape, elements=levels | st.floats(-100, 100, width=32))
)


@settings(max_examples=150, deadline=None)
@given(x=vectors, bins=st.integers(2, 64), outlier_z=st.sampled_from([1e-6, 0.5, 1.0, 1.5, 5.0, None]))
def test_any_vectors_are_binned_as_numpy_bins_them(x, bins, outlier_z):
    assert_as_numpy(x, bins, outlier_z)


def test_edges_of_float32_are_numpys():
    """Values placed on, just below and just above every edge of `numpy.linspace` in float32."""
    rng = np.random.default_rng(3)
    rows = []
    for low, high in rng.normal(size=(6, 2)) * [[1], [1e-3], [1e4], [1e-38], [1e20], [1]]:
        low, high = np.float32(min(low, high)), np.float32(max(low, high))
        edges = np.linspace(low, high, 16)
        near = np.concatenate([edges, np.nextafter(edges, low), np.nextafter(edges, high)])
        rows.append(rng.permutation(near))
    assert_as_numpy(np.array(rows, np.float32), 15, outlier_z=5.0)


@pytest.mark.parametrize("bins", [2, 15, 64])
@pytest.mark.parametrize("relative_width", [2.0**-13, 2.0**-17, 2.0**-18, 2.0**-19, 2.0**-22, 2.0**-24])
def test_bins_little_wider_than_the_rounding_of_their_values(bins, relative_width):
    """Where a division finds a value's bin and, for narrower bins, where it may not; on, below and above each edge."""
    rng = np.random.default_rng(5)
    rows = []
    for low in (1000.0, -1000.0, 3e-30, 7e25, 1.0):
        high = np.float32(low + abs(low) * relative_width * bins)
        edges = np.linspace(np.float32(low), high, bins + 1)
        near = np.concatenate([edges, np.nextafter(edges, np.float32(low)), np.nextafter(edges, high)])
        rows.append(rng.permutation(np.clip(near, edges[0], edges[-1])))
    assert_as_numpy(np.array(rows, np.float32), bins, outlier_z=5.0)


def test_the_kernel_adds_up_numpys_counts_exactly(states):
    """In fixed point the engine's sum of n log2 n must equal that over NumPy's counts to the last bit."""
    table, per_dimension, _ = n_log_n(states.shape[1])
    found = pairwise.pair_statistics(states)
    for k, (i, j) in enumerate(zip(*np.triu_indices(len(states), 1), strict=True)):
        joint, n, *_ = expected(states[i], states[j], 15, 5.0)
        sums = [table[counts].sum() for counts in (joint, joint.sum(axis=0), joint.sum(axis=1))]
        assert found.mi[k] == max(0, table[n] + sums[0] - sums[1] - sums[2]) * per_dimension[n]


def test_every_pair_of_real_states(smollm2_states):
    """Joint counts of all pairs of 120 tokens of an early, a middle and the last layer."""
    moved = 0
    for (layer, mark_class), x in smollm2_states.items():
        if mark_class == "terminal":
            continue
        prepared = pairwise.prepare(x)
        found = pairwise.row_range(prepared, 0, len(x))
        table, per_dimension, _ = n_log_n(x.shape[1])
        keep = prepared.valid
        np.testing.assert_array_equal(keep, [reference.kept_dimensions(row) for row in x])
        for k, (i, j) in enumerate(zip(*np.triu_indices(len(x), 1), strict=True)):
            both = keep[i] & keep[j]
            joint = reference.joint_histogram(x[i][both], x[j][both])
            sums = table[joint].sum() - table[joint.sum(axis=0)].sum() - table[joint.sum(axis=1)].sum()
            n = int(both.sum())
            assert found.n[k] == n
            assert found.mi[k] == max(0, table[n] + sums) * per_dimension[n], f"layer {layer}, pair {i}, {j}"
            moved += x[i][both].min() != x[i][keep[i]].min() or x[i][both].max() != x[i][keep[i]].max()
            if k % 16 == 0:
                np.testing.assert_array_equal(joint_counts(prepared, i, j), joint)
    assert moved > 1000, "the states must have pairs whose bins move, or this test shows little"


def test_covariance_is_exact_on_states_with_huge_dimensions(smollm2_states):
    """Hidden states have dimensions of 1e3 to 1e4 among values near 1: sums must not cancel."""
    for x in smollm2_states.values():
        found = pairwise.pair_statistics(x[:40])
        for k, (i, j) in enumerate(zip(*np.triu_indices(40, 1), strict=True)):
            _, _, _, _, _, cov, corr = expected(x[i], x[j], 15, 5.0)
            np.testing.assert_allclose(found.cov[k], cov, rtol=1e-9)
            np.testing.assert_allclose(found.corr[k], corr, rtol=1e-9)


def test_partner_takes_away_nearly_all_of_the_variance():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2, 300)).astype(np.float32)
    x[0, 7], x[0, 8:60] = 4e6, rng.normal(size=52) * 1.2e6
    x[1, 7:60] = 500.0
    found = pairwise.pair_statistics(x, outlier_z=2.0)
    _, n, _, _, _, cov, corr = expected(x[0], x[1], 15, 2.0)
    assert n < 300
    np.testing.assert_allclose([found.cov[0], found.corr[0]], [cov, corr], rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(x=vectors, bins=st.integers(2, 64), outlier_z=st.sampled_from([1.0, 5.0]))
def test_identities(x, bins, outlier_z):
    found = pairwise.pair_statistics(x, bins, outlier_z)
    some = found.n > 0
    assert (found.mi[some] >= 0).all()
    assert (found.mi[some] <= np.minimum(found.hx, found.hy)[some] + 1e-12).all()
    assert (np.maximum(found.hx, found.hy)[some] <= np.log2(bins) + 1e-12).all()
    assert np.isnan(found.mi[~some]).all()
    assert np.isnan(found.cov[found.n < 2]).all()
    assert np.nanmax(np.abs(found.corr), initial=0) <= 1


def test_a_vector_with_itself_has_its_own_entropy():
    x = np.repeat(moving_states(1, 500, seed=2), 2, axis=0)
    found = pairwise.pair_statistics(x)
    assert found.mi[0] == found.hx[0] == found.hy[0] > 1
    np.testing.assert_allclose(found.corr[0], 1.0, rtol=1e-12)


def test_constant_vectors_have_no_information_and_no_correlation():
    x = np.stack([np.full(100, 0.1), np.full(100, -3e8), np.linspace(0, 1, 100)]).astype(np.float32)
    found = pairwise.pair_statistics(x)
    np.testing.assert_array_equal(found.mi, 0.0)
    np.testing.assert_array_equal(found.hx, 0.0)
    assert np.isnan(found.corr).all()
    np.testing.assert_allclose(found.cov, 0.0, atol=1e-9)
    assert (found.n == 100).all()


@pytest.mark.parametrize("tokens", [0, 1, 2])
def test_few_vectors(tokens):
    found = pairwise.pair_statistics(moving_states(tokens, 64, seed=0))
    for field in FIELDS:
        assert getattr(found, field).shape == (tokens * (tokens - 1) // 2,)


def test_results_do_not_depend_on_how_pairs_are_cut(monkeypatch):
    x = moving_states(60, 130, seed=11)
    prepared = pairwise.prepare(x, 15, 3.0)
    whole = pairwise.row_range(prepared, 0, 60)
    monkeypatch.setattr(pairwise, "SIDE", 7)
    parts = [pairwise.row_range(prepared, *rows) for rows in pairwise.row_ranges(60, 100)]
    assert len(parts) > 10
    for field in FIELDS:
        cut = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_array_equal(cut, getattr(whole, field), err_msg=f"{field}, to the last bit")


def test_order_of_tokens_permutes_the_results():
    x = moving_states(30, 100, seed=12)
    order = np.random.default_rng(0).permutation(30)
    square, shuffled = np.zeros((30, 30)), np.zeros((30, 30))
    square[np.triu_indices(30, 1)] = pairwise.pair_statistics(x).mi
    shuffled[np.triu_indices(30, 1)] = pairwise.pair_statistics(x[order]).mi
    np.testing.assert_array_equal((square + square.T)[np.ix_(order, order)], shuffled + shuffled.T)


def test_pairs_between_two_groups_are_pairs_of_the_union(monkeypatch):
    x = moving_states(31, 150, seed=13)
    monkeypatch.setattr(pairwise, "SIDE", 8)
    cross = pairwise.cross_statistics(pairwise.prepare(x[:12]), pairwise.prepare(x[12:]))
    union = pairwise.pair_statistics(x)
    i, j = np.triu_indices(31, 1)
    between = (i < 12) & (j >= 12)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(cross, field), getattr(union, field)[between], rtol=1e-11, atol=1e-13)
    plain = pairwise.cross_statistics(x[:12], x[12:])
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(plain, field), getattr(cross, field))
    with pytest.raises(ValueError, match="in group b are float64"):
        pairwise.cross_statistics(x[:12], x[12:].astype(np.float64))


@pytest.mark.parametrize("outlier_z", [0, 0.0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(outlier_z):
    """Users of the notebook write 0 for no limit; taken as a number it would leave nothing of any pair."""
    with pytest.raises(ValueError, match=rf"outlier_z is {outlier_z}; pass a number above 0, or None"):
        pairwise.pair_statistics(moving_states(4, 64, seed=0), outlier_z=outlier_z)


def test_without_a_limit_no_dimension_is_left_out():
    x = moving_states(6, 64, seed=3)
    assert (pairwise.pair_statistics(x, outlier_z=2).n < 64).any()
    assert (pairwise.pair_statistics(x, outlier_z=None).n == 64).all()


def test_groups_prepared_differently_are_refused():
    x = moving_states(4, 64, seed=0)
    with pytest.raises(ValueError, match=r"15 bins of 64 dimensions, outliers beyond 5\.0 and with 10 bins"):
        pairwise.cross_statistics(pairwise.prepare(x, 15), pairwise.prepare(x, 10))


def test_groups_of_different_outlier_limits_are_refused():
    x = moving_states(4, 64, seed=0)
    with pytest.raises(ValueError, match=r"beyond 5.0 and with .* beyond 3.0; prepare both"):
        pairwise.cross_statistics(pairwise.prepare(x, 15, 5.0), pairwise.prepare(x, 15, 3.0))


@pytest.mark.parametrize(("bins", "outlier_z"), [(15, 2.0), (64, 1.5), (2, 1.0)])
def test_pairs_between_two_groups_are_numpys(bins, outlier_z):
    """Pair by pair: shared and different outliers, bins that move on either side, groups whose means differ."""
    x = moving_states(26, 130, seed=31)
    x[11:] += np.float32(2) * moving_states(1, 130, seed=32)
    a, b = pairwise.prepare(x[:11], bins, outlier_z), pairwise.prepare(x[11:], bins, outlier_z)
    found, moved = pairwise.cross_statistics(a, b), np.zeros(2, int)
    for i in range(11):
        for j in range(15):
            y, k = x[11 + j], i * 15 + j
            _, n, hx, hy, mi, cov, corr = expected(x[i], y, bins, outlier_z)
            assert found.n[k] == n
            np.testing.assert_allclose([found.hx[k], found.hy[k], found.mi[k]], [hx, hy, mi], rtol=0, atol=1e-12)
            np.testing.assert_allclose(found.cov[k], cov, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found.corr[k], corr, rtol=0, atol=1e-9)
            both = a.valid[i] & b.valid[j]
            if n:
                moved += [np.ptp(x[i][both]) < np.ptp(x[i][a.valid[i]]), np.ptp(y[both]) < np.ptp(y[b.valid[j]])]
    assert (moved > 5).all(), "bins must move on either side, or this test shows little"


def test_rows_between_two_groups_are_parts_of_the_whole(monkeypatch):
    x = moving_states(40, 100, seed=14)
    a, b = pairwise.prepare(x[:22], 15, 2.5), pairwise.prepare(x[22:], 15, 2.5)
    whole = pairwise.cross_statistics(a, b)
    monkeypatch.setattr(pairwise, "SIDE", 7)
    parts = [pairwise.cross_range(a, b, *rows) for rows in [(0, 5), (5, 5), (5, 21), (21, 22)]]
    for field in FIELDS:
        cut = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_array_equal(cut, getattr(whole, field), err_msg=f"{field}, to the last bit")


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 5)])
def test_rows_that_are_not_there_are_refused(start, stop):
    prepared = pairwise.prepare(moving_states(4, 64, seed=0))
    for take in (
        lambda: pairwise.row_range(prepared, start, stop),
        lambda: pairwise.cross_range(prepared, prepared, start, stop),
    ):
        with pytest.raises(ValueError, match=f"rows {start} to {stop} are not a range within the 4 vectors"):
            take()


def test_an_empty_group_has_no_pairs():
    x = moving_states(3, 64, seed=0)
    some, none = pairwise.prepare(x), pairwise.prepare(x[:0])
    for a, b in ((some, none), (none, some), (none, none)):
        assert all(field.shape == (0,) for field in pairwise.cross_statistics(a, b))


@pytest.mark.parametrize(("tokens", "max_pairs"), [(0, 5), (1, 5), (2, 1), (250, 1000), (1000, 1), (300, 10**9)])
def test_row_ranges_cover_the_triangle_once(tokens, max_pairs):
    ranges = pairwise.row_ranges(tokens, max_pairs)
    assert [row for start, stop in ranges for row in range(start, stop)] == list(range(tokens))
    for start, stop in ranges:
        assert stop - start == 1 or sum(tokens - 1 - row for row in range(start, stop)) <= max_pairs


def test_left_out_dimensions_are_counted(states):
    prepared = pairwise.prepare(states)
    left_out = ~np.array([reference.kept_dimensions(row) for row in states])
    assert left_out.sum() > 20
    np.testing.assert_array_equal(prepared.outlier_counts, left_out.sum(axis=0))
    np.testing.assert_array_equal(prepared.valid, ~left_out)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_values_that_are_no_numbers_are_named(states, value):
    states[17, 5] = value
    with pytest.raises(ValueError, match=r"mark 17 in layer 3, class internal .* dimension 5"):
        pairwise.prepare(states, where="layer 3, class internal")


@pytest.mark.parametrize(
    ("x", "bins", "message"),
    [
        (np.zeros((3, 4)), 15, "float64"),
        (np.zeros(4, np.float32), 15, r"float32 \[4\]"),
        ([[1.0, 2.0]], 15, "list"),
        (np.zeros((3, 1), np.float32), 15, "1 dimensions"),
        (np.zeros((3, 4), np.float32), 1, "bins is 1"),
        (np.zeros((3, 4), np.float32), 65, "bins is 65"),
    ],
)
def test_wrong_input_is_refused(x, bins, message):
    with pytest.raises(ValueError, match=message):
        pairwise.pair_statistics(x, bins)
