"""Joint entropies over the emptier bins of one side: by comparing the codes of their few dimensions.

Where a bin of x holds a handful of dimensions, its row of the joint histogram with y is told by which of them lie in
the same bin of y: a dimension that meets m earlier ones of its bin there adds what n log2 n grows by as n goes from m
to m + 1. Codes of GROUP partners are compared at once, so that a bin of two dimensions costs one comparison for all of
them, where bit rows would cost two words and a look-up for every bin of y and every partner.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.binning import Variants
from analysis.engine.compilation import compiled, inlined
from analysis.engine.simd.binning import lowest_bit
from analysis.engine.simd.counting import GROUP, TALLIED, tally

LISTED = 64
"""Added to the codes of dimensions in bins that are listed; bins are below, and ABSENT is above twice that."""


class Lists(NamedTuple):
    """The dimensions of V variants that lie in their emptier bins of two dimensions or more, bin after bin."""

    start: NDArray[np.int64]  # int64 [V + 1], where a variant's dimensions start in the next two
    dims: NDArray[np.uint16]  # uint16
    earlier: NDArray[np.uint16]  # uint16, how many dimensions of the same bin stand before


@compiled
def list_dimensions(variants: Variants, ranks: int) -> Lists:
    """Lists the dimensions in the bins of each variant but its fullest `ranks`, and marks their codes as LISTED."""
    bits, counts, by_population = variants.bits, variants.counts, variants.by_population
    number = counts.shape[0]
    size = 0
    for v in range(number):
        for b in by_population[v, ranks:]:
            size += counts[v, b]
    start, dims, earlier = np.empty(number + 1, np.int64), np.empty(size, np.uint16), np.empty(size, np.uint16)
    end = 0
    for v in range(number):
        start[v] = end
        for b in by_population[v, ranks:]:
            if counts[v, b] < 2:
                break
            first, w = end, 0
            while end - first < counts[v, b]:
                word = bits[v, b, w]
                while word:
                    d = 64 * w + lowest_bit(word)
                    dims[end], earlier[end], variants.codes[v, d] = d, end - first, b | LISTED
                    word &= word - np.uint64(1)
                    end += 1
                w += 1
    start[number] = end
    return Lists(start, dims, earlier)


@compiled
def sparse_terms(
    lists: Lists,
    chosen_x: NDArray[np.int64],
    set_x: NDArray[np.int64],
    codes: NDArray[np.uint8],
    below: int,
    by_set_y: NDArray[np.int64],
    set_y: NDArray[np.int64],
    triangle: int,
    table: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Writes the sum of n log2 n over the cells of the listed bins of x with the bins of y.

    Of y, codes `below` LISTED are those of its fullest bins, and below twice that those of all.

    x is binned as `chosen_x` [X, sets of y] says, y as `by_set_y` [sets of x, Y]; `out` is int64 [X, Y] in units of
    `table`, int64 [D + 1]. `triangle`: 1 for pairs with x < y alone, -1 for those with x > y, 0 for all; elsewhere
    `out` is left as it is.
    """
    steps = table[1:] - table[:-1]
    longest = 0
    for v in range(lists.start.size - 1):
        longest = max(longest, lists.start[v + 1] - lists.start[v])
    met, tallies = np.empty(max(1, longest) * GROUP, np.uint16), np.empty(TALLIED * GROUP, np.uint16)
    same = np.empty(GROUP, np.uint16)
    dims, earlier = lists.dims, lists.earlier
    for x in range(set_x.size):
        chosen, chosen_of_y, line = chosen_x[x], by_set_y[np.uintp(set_x[x])], out[x]
        low, high = x + 1 if triangle > 0 else 0, x if triangle < 0 else set_y.size
        while low < high:
            variant, end = chosen[np.uintp(set_y[np.uintp(low)])], low + 1
            while end < min(low + GROUP, high) and chosen[np.uintp(set_y[np.uintp(end)])] == variant:
                end += 1
            first, last = lists.start[variant], lists.start[variant + 1]
            _gather(dims, first, last, codes, chosen_of_y, low, end, met)
            _compare(earlier, first, last, met, below, steps, tallies, same, line, low, end)
            low = end


@inlined
def _gather(
    dims: NDArray[np.uint16],
    first: int,
    last: int,
    codes: NDArray[np.uint8],
    partners: NDArray[np.int64],
    low: int,
    end: int,
    met: NDArray[np.uint16],
) -> None:
    """Fills uint16 [dims, GROUP], flat: the codes of partners `low` to `end` of some dimensions."""
    for y in range(np.uintp(low), np.uintp(end)):
        row, place = codes[np.uintp(partners[y])], y - np.uintp(low)
        for k in range(np.uintp(first), np.uintp(last)):
            met[place] = row[np.uintp(dims[k])]
            place += np.uintp(GROUP)


@inlined
def _compare(
    earlier: NDArray[np.uint16],
    first: int,
    last: int,
    met: NDArray[np.uint16],
    below: int,
    steps: NDArray[np.int64],
    tallies: NDArray[np.uint16],
    same: NDArray[np.uint16],
    out: NDArray[np.int64],
    low: int,
    end: int,
) -> None:
    """Writes the sums of partners `low` to `end`, from how many dimensions meet m earlier ones, for each m."""
    most = np.int64(0)
    for k in range(np.uintp(first), np.uintp(last)):
        most = max(most, np.int64(earlier[k]))
    number = min(most + 1, np.int64(TALLIED))
    for place in range(np.uintp(number * GROUP)):
        tallies[place] = 0
    for y in range(np.uintp(low), np.uintp(end)):
        out[y] = 0
    for k in range(np.uintp(first), np.uintp(last)):
        before = np.int64(earlier[k])
        if before > 0:
            tally(met, k - first, before, below, tallies, same)
            if before >= TALLIED:
                for y in range(np.uintp(low), np.uintp(end)):
                    out[y] += steps[np.uintp(same[y - np.uintp(low)])]
    for m in range(1, number):
        of_m = np.uintp(m * GROUP) - np.uintp(low)
        for y in range(np.uintp(low), np.uintp(end)):
            out[y] += steps[m] * np.int64(tallies[of_m + y])
