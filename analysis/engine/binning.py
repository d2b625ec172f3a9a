"""Binnings: every one that a vector needs against the outlier sets of its partners.

The histogram of a pair spans its valid dimensions, so a vector's bin edges may move with its partner. They move only
where the partner masks this vector's smallest or largest value; otherwise the edges are the vector's own. A vector
therefore has a handful of binnings, one for each (lowest, highest) that occurs. Each is made once, by NumPy's own
rules, and a pair then only picks two of them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled, inlined
from analysis.engine.scratch import SideScratch
from analysis.engine.simd.binning import codes_of_word, lowest_bit, put_bits
from analysis.engine.vectors import ABSENT, Binnings, Chosen, OutlierSets, Vectors

EXTREMES = 8
"""How many of its lowest and highest dimensions a vector lists; where a partner masks all, it is scanned."""

FINEST_STEP, FINEST_SHARE = np.float32(2.0**-100), np.float32(2.0**-18)
"""Bins this wide, and as wide as this share of the largest value, are found by a division.

Rounding moves an edge by less than half a unit in the last place of the largest value and of 64 bins, 1/60 of a bin.
"""

SLOT_BITS = 6
SLOTS = 1 << SLOT_BITS
"""Of a table of what sets mask of a vector; more than most vectors need."""

ALWAYS_GONE = -2
"""In the place of an extreme that a vector of few dimensions does not have."""


class Ranges(NamedTuple):
    """Binnings to be made: vector `owner[v]` between `lowest[v]` and `highest[v]`."""

    owner: NDArray[np.int64]
    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]


def outlier_sets(partners: Vectors, sets: NDArray[np.int64]) -> OutlierSets:
    """The outlier sets `sets` (int64, indices) of `partners`."""
    owner = np.repeat(np.arange(len(sets)), partners.set_start[sets + 1] - partners.set_start[sets])
    parts = [partners.set_dims[partners.set_start[s] : partners.set_start[s + 1]] for s in sets]
    dims, place = np.unique(np.concatenate([np.empty(0, np.int64), *parts]), return_inverse=True)
    masks = np.zeros((len(sets), -(-dims.size // 64)), np.uint64)
    np.bitwise_or.at(masks, (owner, place >> 6), np.uint64(1) << (place & 63).astype(np.uint64))
    return OutlierSets(dims, masks)


def find_binnings(
    vectors: Vectors, members: NDArray[np.int64], sets: OutlierSets, bins: int, scratch: SideScratch
) -> tuple[Binnings, Chosen]:
    """Every binning of the vectors `members` (int64 [R]) that a partner of one of the `sets` needs, and which is which.

    The first R binnings are the vectors' own. The binnings lie in `scratch`.
    """
    own = Ranges(members, vectors.lowest[members], vectors.highest[members])
    binnings = _bin_all(vectors.x, bins, own, scratch)
    chosen, moved = _find_ranges(vectors, members, binnings, sets)
    return _bin_more(binnings, vectors.x, moved, scratch), chosen


@compiled
def valid_dimensions(vectors: Vectors, i: int, sets: OutlierSets, valid: NDArray[np.uint64]) -> None:
    """Which of the dimensions that the sets mask are valid in vector `i`: fills uint64 [words], as the sets' masks."""
    valid[:] = 0
    low, high = vectors.lowest[i], vectors.highest[i]
    for u in range(sets.dims.size):
        valid[u >> 6] |= np.uint64(low <= vectors.x[i, sets.dims[u]] <= high) << np.uint64(u & 63)


@compiled
def _find_ranges(
    vectors: Vectors, members: NDArray[np.int64], own: Binnings, sets: OutlierSets
) -> tuple[Chosen, Ranges]:
    """The range of each vector without each set where it is not its own, numbered as they occur after the vectors' own.

    Most sets mask the same dimensions of a vector as an earlier one; what was found for that one then serves.
    """
    shape = (members.size, sets.masks.shape[0])
    chosen, same_as = np.empty(shape, np.int64), np.empty(shape, np.int64)
    valid, first_in_slot = np.empty(sets.masks.shape[1], np.uint64), np.empty(SLOTS, np.int64)
    lowest, highest = np.empty(chosen.size, np.float32), np.empty(chosen.size, np.float32)
    owner = np.empty(chosen.size, np.int64)
    extremes, places = np.empty((2, EXTREMES), np.int64), np.empty((2, EXTREMES), np.int64)
    known = np.empty((EXTREMES + 1, EXTREMES + 1), np.int64)
    place_of = np.full(vectors.x.shape[1], -1)
    for u in range(sets.dims.size):
        place_of[sets.dims[u]] = u
    used = 0
    for r in range(shape[0]):
        i, first = members[r], used
        _list_extremes(vectors.x[i], own.bits[r], extremes)
        for side in range(2):
            for k in range(EXTREMES):
                d = extremes[side, k]
                places[side, k] = ALWAYS_GONE if d < 0 else place_of[d]
        known[:] = -1
        first_in_slot[:] = -1
        valid_dimensions(vectors, i, sets, valid)
        for s in range(shape[1]):
            slot = _slot(sets.masks[s], valid)
            other = first_in_slot[slot]
            if other >= 0 and _masks_the_same(sets.masks[s], sets.masks[other], valid):
                chosen[r, s], same_as[r, s] = chosen[r, other], other
                continue
            first_in_slot[slot] = same_as[r, s] = s
            # How many of the extremes go on either side settles the binning.
            low_gone, high_gone = _leading_gone(places, 0, sets.masks, s), _leading_gone(places, 1, sets.masks, s)
            v = known[low_gone, high_gone]
            if v < 0:
                low, high = _range_without(vectors, i, own.codes[r], extremes, low_gone, high_gone, place_of, sets, s)
                v = first
                while v < used and not (lowest[v] == low and highest[v] == high):
                    v += 1
                if low == vectors.lowest[i] and high == vectors.highest[i]:
                    v = r - shape[0]
                elif v == used:
                    lowest[v], highest[v], owner[v] = low, high, i
                    used += 1
                v += shape[0]
                if max(low_gone, high_gone) < EXTREMES:
                    known[low_gone, high_gone] = v
            chosen[r, s] = v
    return Chosen(chosen, same_as), Ranges(owner[:used].copy(), lowest[:used].copy(), highest[:used].copy())


@inlined
def _slot(mask: NDArray[np.uint64], valid: NDArray[np.uint64]) -> int:
    """A slot of SLOTS for the dimensions of a vector that a set masks."""
    mixed = np.uint64(0)
    for w in range(mask.size):
        mixed = (mixed ^ (mask[w] & valid[w])) * np.uint64(0x9E3779B97F4A7C15)
    return int(mixed >> np.uint64(64 - SLOT_BITS))


@inlined
def _masks_the_same(mask: NDArray[np.uint64], other: NDArray[np.uint64], valid: NDArray[np.uint64]) -> bool:
    different = np.uint64(0)
    for w in range(mask.size):
        different |= (mask[w] ^ other[w]) & valid[w]
    return bool(different == 0)


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
def _leading_gone(places: NDArray[np.int64], side: int, masks: NDArray[np.uint64], s: int) -> int:
    """How many extremes of a side go before the first that stays; EXTREMES where all go."""
    gone = 0
    while gone < EXTREMES and _is_gone(places[side, gone], masks, s):
        gone += 1
    return gone


@inlined
def _is_gone(place: int, masks: NDArray[np.uint64], s: int) -> bool:
    if place < 0:
        return place == ALWAYS_GONE
    return bool((masks[s, place >> 6] >> np.uint64(place & 63)) & np.uint64(1) != 0)


@inlined
def _range_without(
    vectors: Vectors,
    i: int,
    own_codes: NDArray[np.uint8],
    extremes: NDArray[np.int64],
    low_gone: int,
    high_gone: int,
    place_of: NDArray[np.int64],
    sets: OutlierSets,
    s: int,
) -> tuple[np.float32, np.float32]:
    """Smallest and largest value left when the dimensions of a set go, of which so many are the vector's extremes."""
    x = vectors.x[i]
    if max(low_gone, high_gone) < EXTREMES:
        return x[extremes[0, low_gone]], x[extremes[1, high_gone]]
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for d in range(x.size):
        if own_codes[d] != ABSENT and not _is_gone(place_of[d], sets.masks, s):
            low, high = min(low, x[d]), max(high, x[d])
    return low, high


def _bin_all(x: NDArray[np.float32], bins: int, ranges: Ranges, scratch: SideScratch) -> Binnings:
    number, width = len(ranges.owner), x.shape[1]
    bits = scratch.bits.array((number, bins, width // 64), np.uint64)
    codes = scratch.codes.array((number, width), np.uint8)
    counts, by_rank = _bin(x, ranges, bits, codes)
    return Binnings(bits, codes, counts, by_rank, ranges.lowest == ranges.highest)


def _bin_more(known: Binnings, x: NDArray[np.float32], ranges: Ranges, scratch: SideScratch) -> Binnings:
    """The binnings `known` and then those of `ranges`, in the same memory."""
    first, number = len(known.bits), len(known.bits) + len(ranges.owner)
    bits = scratch.bits.array((number, *known.bits.shape[1:]), np.uint64)
    codes = scratch.codes.array((number, x.shape[1]), np.uint8)
    for array, before in ((bits, known.bits), (codes, known.codes)):
        if array.base is not before.base:
            array[:first] = before
    counts, by_rank = _bin(x, ranges, bits[first:], codes[first:])
    return Binnings(
        bits,
        codes,
        np.concatenate([known.counts, counts]),
        np.concatenate([known.by_rank, by_rank]),
        np.concatenate([known.constant, ranges.lowest == ranges.highest]),
    )


@compiled
def _bin(
    x: NDArray[np.float32], ranges: Ranges, bits: NDArray[np.uint64], codes: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bins each vector between its lowest and highest: fills bit rows and codes, returns counts and bins by rank.

    A value belongs to the last edge that it reaches, and what reaches the last edge to the last bin: that is where
    `numpy.histogram2d` puts it (`searchsorted(edges, value, side="right")`, last bin closed), ties included.
    """
    number, bins, words = bits.shape
    owner, lowest, highest = ranges.owner, ranges.lowest, ranges.highest
    counts = np.zeros((number, bins), np.int64)
    by_rank = np.empty((number, bins), np.int64)
    for v in range(number):
        values, low, high = x[owner[v]], lowest[v], highest[v]
        if low == high:
            first, last = low - np.float32(0.5), high + np.float32(0.5)
        else:
            first, last = low, high
        step = np.float32(np.float32(last - first) / np.float32(bins))
        if step >= FINEST_STEP and step >= FINEST_SHARE * max(abs(first), abs(last)):
            for w in range(words):
                codes_of_word(values, 64 * w, low, high, first, step, codes[v], counts[v])
        else:
            _search(values, low, high, first, last, bins, codes[v])
        for w in range(words):
            put_bits(codes[v], 64 * w, bits, v * bins * words + w, words, counts[v])
        _order(counts[v], by_rank[v])
    return counts, by_rank


@inlined
def _search(
    values: NDArray[np.float32],
    low: np.float32,
    high: np.float32,
    first: np.float32,
    last: np.float32,
    bins: int,
    codes: NDArray[np.uint8],
) -> None:
    """The bin of each value, edge by edge: for bins that are little wider than the rounding of their values."""
    edges = np.empty(bins + 1, np.float32)
    _edges(first, last, edges)
    for d in range(values.size):
        codes[d] = ABSENT
        if low <= values[d] <= high:
            code = 0
            while code < bins - 1 and values[d] >= edges[code + 1]:
                code += 1
            codes[d] = code


@inlined
def _edges(low: np.float32, high: np.float32, edges: NDArray[np.float32]) -> None:
    """Bin edges as `numpy.linspace(low, high, bins + 1)` computes them in float32."""
    bins = edges.size - 1
    delta = np.float32(high - low)
    step = np.float32(delta / np.float32(bins))
    for k in range(bins):
        offset = np.float32(np.float32(k) * step)
        if step == 0:
            offset = np.float32(np.float32(np.float32(k) / np.float32(bins)) * delta)
        edges[k] = np.float32(offset + low)
    edges[bins] = high


@inlined
def _order(counts: NDArray[np.int64], by_rank: NDArray[np.int64]) -> None:
    """Fills `by_rank` with the bins, fullest first, by insertion."""
    for b in range(counts.size):
        place = b
        while place > 0 and counts[by_rank[place - 1]] < counts[b]:
            by_rank[place] = by_rank[place - 1]
            place -= 1
        by_rank[place] = b
