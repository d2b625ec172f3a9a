"""Each piece of vector code, as compiled code calls it, against the NumPy form that Python calls."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from analysis.engine.simd.binning import codes_of_word, lowest_bit, put_bits
from analysis.engine.simd.counting import (
    GROUP,
    LANES,
    RANKS_AT_ONCE,
    TALLIED,
    add_joint_terms,
    add_joint_terms_spread,
    put_in_lane,
    spread_row,
    tally,
)
from analysis.engine.simd.products import PANEL, add_products


def assert_same(function, *arguments, rtol: float = 0.0):
    """Both forms leave the same in every array, and something in at least one."""

    @numba.njit
    def call(*arguments):
        function(*arguments)

    def copies():
        return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]

    compiled, plain = copies(), copies()
    call(*compiled)
    function(*plain)
    for found, expected in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=0)
    assert any(not np.array_equal(a, b) for a, b in zip(plain, arguments, strict=True))


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def bits(rng, *shape: int) -> np.ndarray:
    """Words of which most are 0, as in bit rows."""
    return rng.integers(0, 2**63, shape).astype(np.uint64) * rng.integers(0, 2, shape).astype(np.uint64)


@pytest.mark.parametrize("bins", [2, 15, 64])
def test_codes_of_word(rng, bins):
    values = rng.normal(size=128).astype(np.float32)
    values[70:90] = np.linspace(-1, 1, bins + 1, dtype=np.float32)[rng.integers(0, bins + 1, 20)]
    step = np.float32(2) / np.float32(bins)
    args = values, 64, np.float32(-1), np.float32(1), np.float32(-1), step
    assert_same(codes_of_word, *args, np.zeros(128, np.uint8), np.zeros(bins, np.int64))


def test_put_bits(rng):
    codes = rng.integers(0, 7, 128).astype(np.uint8)
    assert_same(put_bits, codes, 64, np.zeros((2, 5, 2), np.uint64), 11, 2, rng.integers(0, 9, 5))


@pytest.mark.parametrize("word", [1, 2, 2**63, 3 << 40])
def test_lowest_bit(word):
    call = numba.njit(lambda word: lowest_bit(word))
    assert call(np.uint64(word)) == lowest_bit(np.uint64(word))


@pytest.mark.parametrize("ranks", [1, 5, RANKS_AT_ONCE])
@pytest.mark.parametrize("form", [add_joint_terms, add_joint_terms_spread])
def test_joint_terms(rng, form, ranks):
    rows, words = 4, 70
    x = bits(rng, 2, 3, words) if form is add_joint_terms else bits(rng, 6 * words * LANES)
    start, filled = np.arange(6) * words, bits(rng, 6, 2) & np.array([2**64 - 1, 2**6 - 1], np.uint64)
    partners = bits(rng, LANES + words * ranks * LANES)
    counts, table, terms = np.zeros(rows * ranks * LANES, np.int64), np.arange(64 * words + 1) ** 2, np.arange(LANES)
    assert_same(form, x, start, filled, 2, rows, partners, LANES, ranks, counts, table, terms)


def test_spread_row(rng):
    filled = bits(rng, 3, 1) | np.uint64(6)
    lanes = np.zeros((LANES, LANES), np.uint64)
    lanes[rng.integers(0, 3, LANES), np.arange(LANES)] = 2**64 - 1
    sources = np.array([0, 64, 128, 0, 0, 0, 0, 0])
    words = np.zeros(3 * 64 * LANES, np.uint64)
    assert_same(spread_row, bits(rng, 1, 3, 64), sources, lanes.reshape(-1), 3, filled, 1, words, 64)


def test_put_in_lane(rng):
    assert_same(put_in_lane, bits(rng, 2, 3, 9), 18, 9, np.zeros(200, np.uint64), 3, 20)


@pytest.mark.parametrize("before", [1, 3, TALLIED - 1, TALLIED, TALLIED + 4])
@pytest.mark.parametrize("counted", [3, 200])
def test_tally(rng, before, counted):
    met = rng.integers(0, 5, 20 * GROUP).astype(np.uint16)
    tallies, same = rng.integers(0, 9, TALLIED * GROUP).astype(np.uint16), np.zeros(GROUP, np.uint16)
    assert_same(tally, met, 15, before, counted, tallies, same)


def test_add_products(rng):
    a, b = rng.normal(size=(3, 20, PANEL)), rng.normal(size=(4, 20, PANEL))
    args = a, 160, b, 320, 160, 20, np.zeros((30, 40)), 85, 40
    assert_same(add_products, *args, rtol=1e-12)
