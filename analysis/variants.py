"""Edge variants: every binning that a vector needs against a set of partners.

The histogram of a pair spans the dimensions left by *both* vectors, so a vector's bin edges may move with its
partner. They move only when the partner leaves out this vector's smallest or largest value; otherwise the edges are
the vector's own. A vector therefore has a handful of *variants*, one for each (lowest, highest) that occurs. Each is
binned once, by NumPy's own rules, and a pair then only picks two of them.

Whatever depends on a vector and on its partner's left-out dimensions alone (variant, dimensions left, marginal
entropy, sums for the covariance) is a function of the partner's outlier *set*. Tokens of a layer share few sets, so
these `Views` are tabulated per (vector, set) instead of per pair.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from analysis.vector_code import at_least, at_most, trailing_zeros

ABSENT = 255
"""Code of a dimension that lies in no bin of a variant."""

COMPILED = {"nogil": True, "cache": True}


class Vectors(NamedTuple):
    """Vectors with their outliers found; N vectors of D dimensions, S distinct outlier sets."""

    x: np.ndarray  # float32 [N, D], padded with NaN to a multiple of 64 dimensions
    lowest: np.ndarray  # float32 [N], over the dimensions kept; +inf where none is
    highest: np.ndarray  # float32 [N]; -inf where none is kept
    kept: np.ndarray  # int64 [N], number of dimensions kept
    mean: np.ndarray  # float64 [N], over the dimensions kept
    total: np.ndarray  # float64 [N], sum of x - mean: what rounding left
    squares: np.ndarray  # float64 [N], sum of (x - mean)^2
    set_of: np.ndarray  # int64 [N], the vector's outlier set
    set_start: np.ndarray  # int64 [S + 1], into set_dims
    set_dims: np.ndarray  # int64, the left-out dimensions, ascending within a set


class Variants(NamedTuple):
    """Binned forms of vectors: V variants."""

    bits: np.ndarray  # uint64 [V, bins, words]: dimension d is bit d % 64 of word d // 64
    codes: np.ndarray  # uint8 [V, D]: the bin of each dimension, or ABSENT
    counts: np.ndarray  # int64 [V, bins]: dimensions per bin
    by_population: np.ndarray  # int64 [V, bins]: the bins, fullest first
    constant: np.ndarray  # bool [V]: all values equal
    row_start: np.ndarray  # int64 [V, bins + 1]: where a bin's words that are not 0 start in the next two
    words: np.ndarray  # uint64
    places: np.ndarray  # int64: which word of the row each is


class Views(NamedTuple):
    """What a vector looks like to partners of an outlier set: [vectors, sets] each."""

    variant: np.ndarray  # int64, into Variants
    left: np.ndarray  # int64, dimensions left in the pair
    margin: np.ndarray  # int64, sum of n log2 n over the marginal counts, in units of the table
    total: np.ndarray  # float64, sum of x - mean over the dimensions left
    squares: np.ndarray  # float64, sum of (x - mean)^2 over the dimensions left


def look(vectors, rows, partners, sets, bins, table):
    """Variants and views of the vectors `rows` against the outlier sets `sets` of `partners`.

    `rows` and `sets` are int64 index arrays; `table` is int64 [D + 1], n log2 n in fixed point.
    """
    variant, lowest, highest, owner = _find_variants(vectors, rows, partners.set_start, partners.set_dims, sets)
    variants = _bin_variants(vectors.x, owner, lowest, highest, bins)
    views = _tabulate(vectors, rows, partners.set_start, partners.set_dims, sets, variant, variants, table)
    return variants, views


@njit(**COMPILED)
def _find_variants(vectors, rows, set_start, set_dims, sets):
    """The (lowest, highest) of each vector without each set, numbered as they occur."""
    variant = np.empty((rows.size, sets.size), np.int64)
    capacity = 2 * rows.size + 16
    lowest, highest = np.empty(capacity, np.float32), np.empty(capacity, np.float32)
    owner = np.empty(capacity, np.int64)
    used = 0
    for r in range(rows.size):
        i = rows[r]
        first = used
        for s in range(sets.size):
            dims = set_dims[set_start[sets[s]] : set_start[sets[s] + 1]]
            low, high = _range_without(vectors.x[i], vectors.lowest[i], vectors.highest[i], dims)
            v = first
            while v < used and not (lowest[v] == low and highest[v] == high):
                v += 1
            if v == used:
                if used == capacity:
                    lowest, highest = np.append(lowest, lowest), np.append(highest, highest)
                    owner = np.append(owner, owner)
                    capacity *= 2
                lowest[v], highest[v], owner[v] = low, high, i
                used += 1
            variant[r, s] = v
    return variant, lowest[:used], highest[:used], owner[:used]


@njit(**COMPILED)
def _range_without(values, lowest, highest, dims):
    """Smallest and largest value left when `dims` go; a vector's own outliers lie outside [lowest, highest]."""
    moved = False
    for d in dims:
        moved |= values[d] == lowest or values[d] == highest
    if not moved:
        return lowest, highest
    low, high = np.float32(np.inf), np.float32(-np.inf)
    next_gone = 0
    for d in range(values.size):
        if next_gone < dims.size and dims[next_gone] == d:
            next_gone += 1
        elif lowest <= values[d] <= highest:
            low, high = min(low, values[d]), max(high, values[d])
    return low, high


@njit(**COMPILED)
def _edges(low, high, bins):
    """Bin edges as `numpy.linspace(low, high, bins + 1)` computes them in float32, empty ranges widened by 1."""
    if low == high:
        low, high = low - np.float32(0.5), high + np.float32(0.5)
    delta = np.float32(high - low)
    step = np.float32(delta / np.float32(bins))
    edges = np.empty(bins + 1, np.float32)
    for k in range(bins):
        offset = np.float32(k) * step
        if step == 0:
            offset = np.float32(np.float32(k) / np.float32(bins)) * delta
        edges[k] = np.float32(offset) + low
    edges[bins] = high
    return edges


@njit(**COMPILED)
def _bin_variants(x, owner, lowest, highest, bins):
    variants, words = owner.size, x.shape[1] // 64
    bits = np.zeros((variants, bins, words), np.uint64)
    codes = np.full((variants, x.shape[1]), ABSENT, np.uint8)
    counts = np.zeros((variants, bins), np.int64)
    by_population = np.empty((variants, bins), np.int64)
    for v in range(variants):
        if lowest[v] <= highest[v]:
            _bin(x[owner[v]], lowest[v], highest[v], bits[v], codes[v], counts[v])
        by_population[v] = np.argsort(-counts[v], kind="mergesort")
    row_start, row_words, places = _filled_words(bits)
    return Variants(bits, codes, counts, by_population, lowest == highest, row_start, row_words, places)


@njit(**COMPILED)
def _bin(values, low, high, bits, codes, counts):
    """Bins 64 dimensions at a time: bin b holds what is at least edge b and not at least edge b + 1, the last is closed.

    That is where `numpy.searchsorted(edges, value, side="right")` puts a value, ties on edges included.
    """
    bins = bits.shape[0]
    edges = _edges(low, high, bins)
    for w in range(bits.shape[1]):
        remaining = at_least(values, 64 * w, low) & at_most(values, 64 * w, high)
        for b in range(bins):
            above = at_least(values, 64 * w, edges[b + 1]) & remaining if b < bins - 1 else np.uint64(0)
            inside = remaining & ~above
            remaining = above
            bits[b, w] = inside
            while inside:
                d = 64 * w + trailing_zeros(inside)
                codes[d] = b
                counts[b] += 1
                inside &= inside - np.uint64(1)


@njit(**COMPILED)
def _filled_words(bits):
    """The words that are not 0, bin by bin."""
    variants, bins, words = bits.shape
    row_start = np.empty((variants, bins + 1), np.int64)
    filled, places = np.empty(bits.size, np.uint64), np.empty(bits.size, np.int64)
    end = 0
    for v in range(variants):
        for b in range(bins):
            row_start[v, b] = end
            for w in range(words):
                filled[end], places[end] = bits[v, b, w], w
                end += bits[v, b, w] != 0
        row_start[v, bins] = end
    return row_start, filled[:end], places[:end]


@njit(**COMPILED)
def _tabulate(vectors, rows, set_start, set_dims, sets, variant, variants, table):
    shape = (rows.size, sets.size)
    left, margin = np.empty(shape, np.int64), np.empty(shape, np.int64)
    total, squares = np.empty(shape), np.empty(shape)
    full = np.zeros(variants.counts.shape[0], np.int64)
    for v in range(full.size):
        for count in variants.counts[v]:
            full[v] += table[count]
    count = np.empty(variants.counts.shape[1], np.int64)
    for r in range(rows.size):
        i = rows[r]
        low, high, mean = vectors.lowest[i], vectors.highest[i], vectors.mean[i]
        for s in range(sets.size):
            v = variant[r, s]
            left[r, s], margin[r, s] = vectors.kept[i], full[v]
            total[r, s], squares[r, s] = vectors.total[i], vectors.squares[i]
            untouched = True
            for d in set_dims[set_start[sets[s]] : set_start[sets[s] + 1]]:
                value = vectors.x[i, d]
                if not low <= value <= high:
                    continue
                if untouched:
                    count[:] = variants.counts[v]
                    untouched = False
                left[r, s] -= 1
                total[r, s] -= value - mean
                squares[r, s] -= (value - mean) ** 2
                b = variants.codes[v, d]
                if b != ABSENT:
                    margin[r, s] -= table[count[b]] - table[count[b] - 1]
                    count[b] -= 1
    return Views(variant, left, margin, total, squares)
