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
from numpy.typing import NDArray

from analysis.compilation import compiled, inlined
from analysis.scratch import Scratch
from analysis.vector_code import bin_word, lowest_bit

ABSENT = 255
"""Code of a dimension that lies in no bin of a variant."""

EXTREMES = 8
"""How many of its lowest and highest dimensions a vector lists; where a partner leaves out all, it is scanned."""


class Vectors(NamedTuple):
    """Vectors with their outliers found; N vectors of D dimensions, S distinct outlier sets."""

    x: NDArray[np.float32]  # float32 [N, D], dimensions rearranged, padded with NaN to a multiple of 64
    dimension: NDArray[np.int64]  # int64 [D], which dimension stands at each place; below, dimensions are such places
    lowest: NDArray[np.float32]  # float32 [N], over the dimensions kept; +inf where none is
    highest: NDArray[np.float32]  # float32 [N]; -inf where none is kept
    kept: NDArray[np.int64]  # int64 [N], number of dimensions kept
    mean: NDArray[np.float64]  # float64 [N], over the dimensions kept
    total: NDArray[np.float64]  # float64 [N], sum of x - mean: what rounding left
    squares: NDArray[np.float64]  # float64 [N], sum of (x - mean)^2
    set_of: NDArray[np.int64]  # int64 [N], the vector's outlier set
    set_start: NDArray[np.int64]  # int64 [S + 1], into set_dims
    set_dims: NDArray[np.int64]  # int64, the left-out dimensions, ascending within a set
    set_bits: NDArray[np.uint64]  # uint64 [S, words], the same as bits: dimension d is bit d % 64 of word d // 64

    def left_out(self, outlier_set: int) -> NDArray[np.int64]:
        """The dimensions of an outlier set, as numbered before they were rearranged."""
        return self.dimension[self.set_dims[self.set_start[outlier_set] : self.set_start[outlier_set + 1]]]


class Variants(NamedTuple):
    """Binned forms of vectors: V variants."""

    bits: NDArray[np.uint64]  # uint64 [V, bins, words]: dimension d is bit d % 64 of word d // 64
    codes: NDArray[np.uint8]  # uint8 [V, D]: the bin of each dimension, or ABSENT
    counts: NDArray[np.int64]  # int64 [V, bins]: dimensions per bin
    by_population: NDArray[np.int64]  # int64 [V, bins]: the bins, fullest first
    constant: NDArray[np.bool_]  # bool [V]: all values equal


class Views(NamedTuple):
    """What a vector looks like to partners of an outlier set: [vectors, sets] each."""

    variant: NDArray[np.int64]  # int64, into Variants
    left: NDArray[np.int64]  # int64, dimensions left in the pair
    margin: NDArray[np.int64]  # int64, sum of n log2 n over the marginal counts, in units of the table
    total: NDArray[np.float64]  # float64, sum of x - mean over the dimensions left
    squares: NDArray[np.float64]  # float64, sum of (x - mean)^2 over the dimensions left


def look(
    vectors: Vectors,
    rows: NDArray[np.int64],
    partners: Vectors,
    sets: NDArray[np.int64],
    bins: int,
    table: NDArray[np.int64],
    memory: Scratch | None = None,
    side: str = "",
) -> tuple[Variants, Views]:
    """Variants and views of the vectors `rows` against the outlier sets `sets` of `partners`.

    `rows` and `sets` are int64 index arrays; `table` is int64 [D + 1], n log2 n in fixed point. The variants lie in
    `memory`, where it is given, under names that begin with `side`.
    """
    memory = memory or Scratch()
    own = _binned(vectors.x, rows, vectors.lowest[rows], vectors.highest[rows], bins, memory, "own")
    variant, owner, lowest, highest = _find_variants(vectors, rows, own, partners.set_bits, sets)
    variants = _binned(vectors.x, owner, lowest, highest, bins, memory, side)
    return variants, _tabulate(vectors, rows, partners.set_start, partners.set_dims, sets, variant, variants, table)


@compiled
def _find_variants(
    vectors: Vectors, rows: NDArray[np.int64], own: Variants, set_bits: NDArray[np.uint64], sets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """The (lowest, highest) of each vector without each set, numbered as they occur."""
    variant = np.empty((rows.size, sets.size), np.int64)
    lowest, highest = np.empty(variant.size, np.float32), np.empty(variant.size, np.float32)
    owner = np.empty(variant.size, np.int64)
    extremes = np.empty((2, EXTREMES), np.int64)
    known = np.empty((EXTREMES + 1, EXTREMES + 1), np.int64)
    x, bits, codes = vectors.x, own.bits, own.codes
    used = 0
    for r in range(rows.size):
        i, first = rows[r], used
        _list_extremes(x[i], bits[r], extremes)
        known[:] = -1
        for s in range(sets.size):
            # How many of the extremes go on either side settles the variant: no branch to miss.
            low_gone = _leading_gone(extremes, 0, set_bits, sets[s])
            high_gone = _leading_gone(extremes, 1, set_bits, sets[s])
            v = known[low_gone, high_gone]
            if v < 0:
                low, high = _range_without(x, i, codes, r, extremes, low_gone, high_gone, set_bits, sets[s])
                v = first
                while v < used and not (lowest[v] == low and highest[v] == high):
                    v += 1
                if v == used:
                    lowest[v], highest[v], owner[v] = low, high, i
                    used += 1
                if max(low_gone, high_gone) < EXTREMES:
                    known[low_gone, high_gone] = v
            variant[r, s] = v
    return variant, owner[:used].copy(), lowest[:used].copy(), highest[:used].copy()


@inlined
def _list_extremes(values: NDArray[np.float32], bits: NDArray[np.uint64], extremes: NDArray[np.int64]) -> None:
    """The dimensions of the lowest values, ascending, and of the highest, descending; -1 where there are fewer.

    They lie in the outermost bins, so few values are looked at.
    """
    bins = bits.shape[0]
    extremes[:] = -1
    for side in range(2):
        found = 0
        for step in range(bins):
            if found >= EXTREMES:
                break
            for w in range(bits.shape[1]):
                word = bits[step if side == 0 else bins - 1 - step, w]
                while word:
                    d = 64 * w + lowest_bit(word)
                    word &= word - np.uint64(1)
                    found += 1
                    for place in range(EXTREMES):
                        other = extremes[side, place]
                        if other < 0 or (values[d] < values[other] if side == 0 else values[d] > values[other]):
                            extremes[side, place], d = d, other
                            if other < 0:
                                break


@inlined
def _leading_gone(extremes: NDArray[np.int64], side: int, set_bits: NDArray[np.uint64], outlier_set: int) -> int:
    """How many extremes of a side go before the first that stays; EXTREMES where all go."""
    stay = np.uint64(1) << np.uint64(EXTREMES)
    for place in range(EXTREMES):
        d = extremes[side, place]
        stays = d >= 0 and not _contains(set_bits, outlier_set, max(d, 0))
        stay |= np.uint64(stays) << np.uint64(place)
    return int(lowest_bit(stay))


@inlined
def _range_without(
    x: NDArray[np.float32],
    i: int,
    own_codes: NDArray[np.uint8],
    r: int,
    extremes: NDArray[np.int64],
    low_gone: int,
    high_gone: int,
    set_bits: NDArray[np.uint64],
    outlier_set: int,
) -> tuple[np.float32, np.float32]:
    """Smallest and largest value left when the dimensions of a set go, of which so many are the vector's extremes."""
    if max(low_gone, high_gone) < EXTREMES:
        return x[i, extremes[0, low_gone]], x[i, extremes[1, high_gone]]
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for d in range(x.shape[1]):
        if own_codes[r, d] != ABSENT and not _contains(set_bits, outlier_set, d):
            low, high = min(low, x[i, d]), max(high, x[i, d])
    return low, high


@inlined
def _contains(set_bits: NDArray[np.uint64], outlier_set: int, d: int) -> bool:
    return (set_bits[outlier_set, d >> 6] >> np.uint64(d & 63)) & np.uint64(1) != 0


def _binned(
    x: NDArray[np.float32],
    owner: NDArray[np.int64],
    lowest: NDArray[np.float32],
    highest: NDArray[np.float32],
    bins: int,
    memory: Scratch,
    name: str,
) -> Variants:
    bits = memory.array(f"{name} bits", (len(owner), bins, x.shape[1] // 64), np.uint64)
    codes = memory.array(f"{name} codes", (len(owner), x.shape[1]), np.uint8)
    counts, by_population = _bin(x, owner, lowest, highest, bits, codes)
    return Variants(bits, codes, counts, by_population, lowest == highest)


@compiled
def _bin(
    x: NDArray[np.float32],
    owner: NDArray[np.int64],
    lowest: NDArray[np.float32],
    highest: NDArray[np.float32],
    bits: NDArray[np.uint64],
    codes: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bins vector `owner[v]` between `lowest[v]` and `highest[v]`, 64 dimensions at a time.

    A value belongs to the last edge that it reaches, and what reaches the last edge to the last bin: that is where
    `numpy.histogram2d` puts it (`searchsorted(edges, value, side="right")`, last bin closed), ties included.
    """
    number, bins, words = bits.shape
    counts = np.zeros((number, bins), np.int64)
    by_population = np.empty((number, bins), np.int64)
    edges = np.empty(bins + 1, np.float32)
    for v in range(number):
        values, vector_codes, vector_counts = x[owner[v]], codes[v], counts[v]
        _edges(lowest[v], highest[v], edges)
        for w in range(words):
            bin_word(values, 64 * w, lowest[v], highest[v], edges, bits, v * bins * words + w, words, vector_codes,
                     vector_counts)  # fmt: skip
        _order(counts[v], by_population[v])
    return counts, by_population


@inlined
def _edges(low: np.float32, high: np.float32, edges: NDArray[np.float32]) -> None:
    """Bin edges as `numpy.linspace(low, high, bins + 1)` computes them in float32, an empty range widened by 1."""
    bins = edges.size - 1
    if low == high:
        low, high = low - np.float32(0.5), high + np.float32(0.5)
    delta = np.float32(high - low)
    step = np.float32(delta / np.float32(bins))
    for k in range(bins):
        offset = np.float32(np.float32(k) * step)
        if step == 0:
            offset = np.float32(np.float32(np.float32(k) / np.float32(bins)) * delta)
        edges[k] = np.float32(offset + low)
    edges[bins] = high


@inlined
def _order(counts: NDArray[np.int64], by_population: NDArray[np.int64]) -> None:
    """Fills `by_population` with the bins, fullest first, by insertion."""
    for b in range(counts.size):
        place = b
        while place > 0 and counts[by_population[place - 1]] < counts[b]:
            by_population[place] = by_population[place - 1]
            place -= 1
        by_population[place] = b


@compiled
def _tabulate(
    vectors: Vectors,
    rows: NDArray[np.int64],
    set_start: NDArray[np.int64],
    set_dims: NDArray[np.int64],
    sets: NDArray[np.int64],
    variant: NDArray[np.int64],
    variants: Variants,
    table: NDArray[np.int64],
) -> Views:
    shape = (rows.size, sets.size)
    left, margin = np.empty(shape, np.int64), np.empty(shape, np.int64)
    total, squares = np.empty(shape), np.empty(shape)
    x, codes, counts = vectors.x, variants.codes, variants.counts
    own_kept, own_total, own_squares = vectors.kept, vectors.total, vectors.squares
    own_lowest, own_highest, own_mean = vectors.lowest, vectors.highest, vectors.mean
    full = np.zeros(counts.shape[0], np.int64)
    for v in range(full.size):
        for b in range(counts.shape[1]):
            full[v] += table[counts[v, b]]
    remaining = np.empty(counts.shape[1], np.int64)
    for r in range(rows.size):
        i = rows[r]
        low, high, mean = own_lowest[i], own_highest[i], own_mean[i]
        for s in range(sets.size):
            v, n, terms, sum_left, squares_left = variant[r, s], own_kept[i], np.int64(0), own_total[i], own_squares[i]
            for k in range(set_start[sets[s]], set_start[sets[s] + 1]):
                d = set_dims[k]
                value = x[i, d]
                if not low <= value <= high:
                    continue
                if n == own_kept[i]:
                    remaining[:] = counts[v]
                n -= 1
                sum_left -= value - mean
                squares_left -= (value - mean) ** 2
                b = codes[v, d]
                if b != ABSENT:
                    terms += table[remaining[b]] - table[remaining[b] - 1]
                    remaining[b] -= 1
            left[r, s], margin[r, s] = n, full[v] - terms
            total[r, s], squares[r, s] = sum_left, squares_left
    return Views(variant, left, margin, total, squares)
