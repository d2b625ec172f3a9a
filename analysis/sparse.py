"""Joint entropies over the emptier bins of one side: by comparing the codes of their few dimensions.

Where a bin of x holds a handful of dimensions, its row of the joint histogram with y is told by which of them lie in
the same bin of y. A bin of two dimensions then costs one comparison, where bit rows would cost two words and a look-up
for every bin of y. How many of the pairs of up to SMALL dimensions agree settles how they are shared out among bins:
of five, for example, four pairs agree only where three lie in one bin and two in another.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.compilation import compiled, inlined
from analysis.variants import Variants
from analysis.vector_code import lowest_bit

SMALL = 5
"""Dimensions of a bin, at most, for which the number of agreeing pairs is enough: of six, three pairs or one triple."""


class Lists(NamedTuple):
    """The dimensions of V variants that lie in their emptier bins of two dimensions or more, from the fullest on."""

    start: NDArray[np.int64]  # int64 [V], where a variant's dimensions start in `dims`
    large: NDArray[np.int64]  # int64 [V], how many of its bins have more than SMALL dimensions
    small: NDArray[np.int64]  # int64 [V, SMALL + 1], how many of its bins have so many dimensions
    dims: NDArray[np.uint16]  # uint16; before each large bin stands its number of dimensions


@compiled
def list_dimensions(variants: Variants, ranks: int) -> Lists:
    """The dimensions in the bins of each variant but its fullest `ranks`."""
    bits, counts, by_population = variants.bits, variants.counts, variants.by_population
    number, _, words = bits.shape
    start, large = np.zeros(number, np.int64), np.zeros(number, np.int64)
    small = np.zeros((number, SMALL + 1), np.int64)
    size = 0
    for v in range(number):
        for b in by_population[v, ranks:]:
            size += counts[v, b] + 1
    dims, end = np.empty(size, np.uint16), 0
    for v in range(number):
        start[v] = end
        for b in by_population[v, ranks:]:
            count = counts[v, b]
            if count > SMALL:
                large[v] += 1
                dims[end] = count
                end += 1
            else:
                small[v, count] += 1
            if count > 1:
                for w in range(words):
                    word = bits[v, b, w]
                    while word:
                        dims[end] = 64 * w + lowest_bit(word)
                        word &= word - np.uint64(1)
                        end += 1
    return Lists(start, large, small, dims)


@compiled
def fullest(variants: Variants, ranks: int) -> NDArray[np.uint8]:
    """uint8 [V, 256]: 1 for the codes of each variant's fullest `ranks` bins, 0 for others and ABSENT."""
    number = variants.counts.shape[0]
    counted = np.zeros((number, 256), np.uint8)
    for v in range(number):
        for b in variants.by_population[v, :ranks]:
            counted[v, b] = 1
    return counted


@compiled
def sparse_terms(
    lists: Lists,
    by_set_x: NDArray[np.int64],
    set_x: NDArray[np.int64],
    codes: NDArray[np.uint8],
    counted: NDArray[np.uint8],
    chosen_y: NDArray[np.int64],
    set_y: NDArray[np.int64],
    triangle: int,
    table: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Writes the sum of n log2 n over the cells of the listed bins of x with the `counted` bins of y (uint8 [V, 256]).

    x is binned as `by_set_x` [sets of y, X] says, y as `chosen_y` [Y, sets of x]; `out` is int64 [Y, X] in units of
    `table`, int64 [D + 1]. `triangle`: 1 for pairs with y < x alone, -1 for those with y > x, 0 for all; elsewhere
    `out` is left as it is. The codes of a y stay in the first-level cache while the lists of all x go by.
    """
    dims, agreeing, steps = lists.dims, _by_agreeing_pairs(table), table[1:] - table[:-1]
    for y in range(set_y.size):
        chosen, chosen_of_x, line = chosen_y[y], by_set_x[np.uintp(set_y[y])], out[y]
        low, high = y + 1 if triangle > 0 else 0, y if triangle < 0 else set_x.size
        for x in range(np.uintp(low), np.uintp(high)):
            v, other = np.uintp(chosen_of_x[x]), np.uintp(chosen[np.uintp(set_x[x])])
            row, counts = codes[other], counted[other]
            k, small, terms = np.uintp(lists.start[v]), lists.small[v], np.int64(0)
            for _ in range(lists.large[v]):
                size = np.uintp(dims[k])
                terms += _large_bin(dims, k + np.uintp(1), size, row, counts, steps)
                k += size + np.uintp(1)
            # The compiler unrolls each of these for its own size.
            for _ in range(small[5]):
                terms += agreeing[_agreeing_pairs(dims, k, np.uintp(5), row, counts)]
                k += np.uintp(5)
            for _ in range(small[4]):
                terms += agreeing[_agreeing_pairs(dims, k, np.uintp(4), row, counts)]
                k += np.uintp(4)
            for _ in range(small[3]):
                terms += agreeing[_agreeing_pairs(dims, k, np.uintp(3), row, counts)]
                k += np.uintp(3)
            pairs = np.uintp(0)
            for _ in range(small[2]):
                pairs += _agreeing_pairs(dims, k, np.uintp(2), row, counts)
                k += np.uintp(2)
            line[x] = terms + np.int64(pairs) * agreeing[1]


@inlined
def _agreeing_pairs(
    dims: NDArray[np.uint16], first: np.uintp, size: np.uintp, row: NDArray[np.uint8], counts: NDArray[np.uint8]
) -> np.uintp:
    """How many pairs of the `size` dimensions from `dims[first]` lie in the same counted bin of y."""
    pairs = np.uintp(0)
    for i in range(np.uintp(1), size):
        code, same = row[dims[first + i]], np.uintp(0)
        for j in range(i):
            same += np.uintp(row[dims[first + j]] == code)
        pairs += same * np.uintp(counts[code])
    return pairs


@compiled
def _by_agreeing_pairs(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [11]: the sum of n log2 n by how many pairs of up to SMALL dimensions agree."""
    terms = np.zeros(11, np.int64)
    for shared_out in ((2, 0), (2, 2), (3, 0), (3, 2), (4, 0), (5, 0)):
        pairs, total = 0, np.int64(0)
        for n in shared_out:
            pairs += n * (n - 1) // 2
            total += table[min(n, table.size - 1)]
        terms[pairs] = total
    return terms


@inlined
def _large_bin(
    dims: NDArray[np.uint16],
    first: np.uintp,
    size: np.uintp,
    row: NDArray[np.uint8],
    counts: NDArray[np.uint8],
    steps: NDArray[np.int64],
) -> np.int64:
    """Sum of n log2 n: a dimension that meets m earlier ones of its bin in y's bin adds what n going from m up adds."""
    terms = np.int64(0)
    for i in range(np.uintp(1), size):
        code, same = row[dims[first + i]], np.uintp(0)
        for j in range(i):
            same += np.uintp(row[dims[first + j]] == code)
        terms += steps[same * np.uintp(counts[code])]
    return terms
