"""Joint terms over the sparse bins of one side: by comparing the codes of their few dimensions.

Where a bin of x holds a handful of dimensions, its row of the joint histogram with y is told by which of them lie in
the same bin of y: a dimension that meets m earlier ones of its bin there adds what n log2 n grows by as n goes from m
to m + 1. Codes of GROUP partners are compared at once, so that a bin of two dimensions costs one comparison for all of
them, where bit rows would cost two words and a look-up for every bin of y and every partner.
"""

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled, inlined
from analysis.engine.simd.binning import lowest_bit
from analysis.engine.simd.counting import GROUP, TALLIED, tally
from analysis.engine.vectors import Binned, Binnings, SparseBins

LISTED = 64
"""Added to the codes of dimensions in bins that are listed; bins are below, and ABSENT is not below twice that."""


@compiled
def list_dimensions(binnings: Binnings, ranks: int) -> SparseBins:
    """Lists the dimensions in the bins of each binning beyond `ranks`, the sparse ones; marks their codes as LISTED."""
    bits, codes, counts, by_rank = binnings.bits, binnings.codes, binnings.counts, binnings.by_rank
    number = counts.shape[0]
    size = 0
    for v in range(number):
        for b in by_rank[v, ranks:]:
            size += counts[v, b]
    start, dims, earlier = np.empty(number + 1, np.int64), np.empty(size, np.uint16), np.empty(size, np.uint16)
    end = 0
    for v in range(number):
        start[v] = end
        for b in by_rank[v, ranks:]:
            if counts[v, b] < 2:
                break
            first, w = end, 0
            while end - first < counts[v, b]:
                word = bits[v, b, w]
                while word:
                    d = 64 * w + lowest_bit(word)
                    dims[end], earlier[end], codes[v, d] = d, end - first, b | LISTED
                    word &= word - np.uint64(1)
                    end += 1
                w += 1
    start[number] = end
    return SparseBins(start, dims, earlier)


@compiled
def sparse_terms(
    x_bins: SparseBins,
    x: Binned,
    y: Binned,
    below: int,
    triangle: int,
    table: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Writes the joint terms of the cells of x's sparse bins with the bins of y: int64 `out` [X, Y], in units.

    Of y, codes `below` LISTED are those of the bins that are not sparse, and below twice that those of all. `triangle`:
    1 for pairs with x < y alone, -1 for those with x > y, 0 for all; elsewhere `out` is left as it is.
    """
    chosen_x, set_x, by_set_y, set_y, codes = x.chosen, x.set_of, y.by_set, y.set_of, y.binnings.codes
    steps = table[1:] - table[:-1]
    start, dims, earlier = x_bins.start, x_bins.dims, x_bins.earlier
    longest = 0
    for v in range(start.size - 1):
        longest = max(longest, start[v + 1] - start[v])
    met, tallies = np.empty(max(1, longest) * GROUP, np.uint16), np.empty(TALLIED * GROUP, np.uint16)
    same = np.empty(GROUP, np.uint16)
    for r in range(set_x.size):
        chosen, chosen_of_y, line = chosen_x[r], by_set_y[np.uintp(set_x[r])], out[r]
        low, high = r + 1 if triangle > 0 else 0, r if triangle < 0 else set_y.size
        while low < high:
            binning, end = chosen[np.uintp(set_y[np.uintp(low)])], low + 1
            while end < min(low + GROUP, high) and chosen[np.uintp(set_y[np.uintp(end)])] == binning:
                end += 1
            first, last = start[binning], start[binning + 1]
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
            tally(met, k - first, int(before), below, tallies, same)
            if before >= TALLIED:
                for y in range(np.uintp(low), np.uintp(end)):
                    out[y] += steps[np.uintp(same[y - np.uintp(low)])]
    for m in range(1, number):
        of_m = np.uintp(m * GROUP) - np.uintp(low)
        for y in range(np.uintp(low), np.uintp(end)):
            out[y] += steps[m] * np.int64(tallies[of_m + y])
