"""Which dimensions each vector masks, and sums over the valid ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled, compiled_sums, inlined
from analysis.engine.vectors import Vectors

ROWS_AT_ONCE = 128
"""Vectors whose deviations are taken together: NumPy's copies of them stay in the cache."""

AVERAGED = 64
"""Vectors, at most, whose mean says where dimensions stand."""

SORTED_BY = 24
"""Dimensions by which outlier sets are sorted."""

_INFINITY, _NEGATIVE_INFINITY = np.array([np.inf, -np.inf], np.float32).view(np.int32)
"""As bits."""


def find_outliers(x: NDArray[np.float32], outlier_z: float) -> Vectors:
    """Vectors (float32 [N, D], C-contiguous, finite) with the dimensions where |z| > outlier_z masked.

    z is computed as NumPy does in float32, from the vector's own mean and standard deviation (ddof = 1). A constant
    vector has no z and masks nothing; nor does any where `outlier_z` is infinite.
    """
    dimension = _similar_first(x)
    survey = _survey(x, dimension, *_centres_and_scales(x), np.float32(outlier_z))
    arranged, masks, lowest, highest, n, middle, total, squares = survey
    set_bits, set_of = _distinct(masks)
    masked = np.unpackbits(set_bits.view(np.uint8), axis=1, bitorder="little", count=x.shape[1])
    order = _neighbours_first(arranged, masked, lowest, highest)
    owner, dims = np.divmod(np.flatnonzero(masked[order].view(np.bool_)), x.shape[1])
    set_start = np.searchsorted(owner, np.arange(len(set_bits) + 1)).astype(np.int64)
    set_of = np.argsort(order)[set_of]
    return Vectors(
        x=arranged,
        dimension=dimension,
        lowest=lowest,
        highest=highest,
        n=n,
        mean=middle,
        total=total,
        squares=squares,
        set_of=set_of,
        set_start=set_start,
        set_dims=dims,
        set_bits=set_bits[order],
    )


def _centres_and_scales(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What z is taken from, float32 [N] each: the mean of a vector and its standard deviation."""
    centre, scale = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
    with np.errstate(all="ignore"):
        for start in range(0, len(x), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            mean = x[part].mean(axis=1, keepdims=True)
            centre[part], scale[part] = mean[:, 0], x[part].std(axis=1, ddof=1, mean=mean)
    return centre, scale


def first_unusable(x: NDArray[np.float32], largest: float) -> int:
    """The first vector of float32 [N, D] with a value not below `largest` in magnitude, or NaN; -1 if none."""
    return int(_first_from(x.view(np.int32), np.float32(largest).view(np.int32)))


@compiled
def _first_from(x: NDArray[np.int32], least: np.int32) -> int:
    """Without their sign, bits of floats stand in the order of magnitudes, then infinity, then NaN."""
    for i in range(x.shape[0]):
        found = 0
        for bits in x[i]:
            found += int(np.int32(bits & np.int32(0x7FFFFFFF)) >= least)
        if found:
            return i
    return -1


def rearranged(vectors: Vectors, dimension: NDArray[np.int64]) -> Vectors:
    """The same vectors with their dimensions in another order: the one of vectors that they are to meet."""
    place = np.empty_like(dimension)
    place[dimension] = np.arange(dimension.size)
    bits = np.unpackbits(vectors.set_bits.view(np.uint8), axis=1, bitorder="little")
    masked = np.zeros_like(bits)
    masked[:, place[vectors.dimension]] = bits[:, : dimension.size]
    return vectors._replace(
        x=_padded(np.take(vectors.x, np.argsort(vectors.dimension)[dimension], axis=1)),
        dimension=dimension,
        set_dims=np.nonzero(masked)[1].astype(np.int64),
        set_bits=np.packbits(masked, axis=1, bitorder="little").view(np.uint64),
    )


def _distinct(masks: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct rows of uint64 [N, words], and int64 [N] which of them each row is."""
    rows = masks.view(f"V{masks.itemsize * masks.shape[1]}").reshape(-1)
    distinct, which = np.unique(rows, return_inverse=True)
    return distinct.view(np.uint64).reshape(len(distinct), masks.shape[1]), which.astype(np.int64)


def _similar_first(x: NDArray[np.float32]) -> NDArray[np.int64]:
    """An order of the dimensions in which neighbours mostly lie in the same bins: by their means over vectors.

    Marks share much of their mean vector. The order changes no count, and makes many words of bit rows 0.
    """
    if len(x) == 0:
        return np.arange(x.shape[1])
    some = x[:: -(-len(x) // AVERAGED)]
    return np.argsort(some.mean(axis=0, dtype=np.float64), kind="stable")


def _neighbours_first(
    x: NDArray[np.float32], masked: NDArray[np.uint8], lowest: NDArray[np.float32], highest: NDArray[np.float32]
) -> NDArray[np.int64]:
    """An order of the outlier sets in which neighbours mostly ask for the same binnings.

    Sets are sorted by whether they mask the dimension that is most often another vector's extreme, then the next.
    """
    dims = np.flatnonzero(masked.any(axis=0))
    values = x[:, dims]
    moves = ((values == lowest[:, None]) | (values == highest[:, None])).sum(axis=0)
    first = dims[np.argsort(-moves, kind="stable")[:SORTED_BY]]
    # In the order of a Gray code: where sets differ in few of these dimensions they stand together, at carries too.
    keys = np.bitwise_xor.accumulate(masked[:, first], axis=1)
    return np.lexsort(keys[:, ::-1].T) if first.size else np.arange(len(masked))


def _padded(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.pad(x, ((0, 0), (0, -x.shape[1] % 64)), constant_values=np.nan) if x.shape[1] % 64 else x


@compiled_sums
def _survey(
    x: NDArray[np.float32],
    dimension: NDArray[np.int64],
    centre: NDArray[np.float32],
    scale: NDArray[np.float32],
    outlier_z: np.float32,
) -> tuple[NDArray[Any], ...]:
    """Rearranges the vectors, padded with NaN to a multiple of 64, and says what there is to know of each.

    Masked dimensions as bits (d % 64 of word d // 64); extremes, number, mean and centred sums of the valid ones.
    """
    number, dims = x.shape
    masks = np.zeros((number, (dims + 63) // 64), np.uint64)
    arranged = np.empty((number, 64 * masks.shape[1]), np.float32)
    lowest, highest = np.empty(number, np.int32), np.empty(number, np.int32)
    valid, middle = np.zeros(number, np.int64), np.zeros(number)
    total, squares = np.zeros(number), np.zeros(number)
    as_bits = arranged.view(np.int32)
    for i in range(number):
        row, bits, origin, limit = arranged[i, :dims], as_bits[i], centre[i], _limit(scale[i], outlier_z)
        for d in range(dims):
            row[d] = x[i, np.uintp(dimension[d])]
        arranged[i, dims:] = np.nan
        count, low, high, first = 0, _in_order(_INFINITY), _in_order(_NEGATIVE_INFINITY), 0.0
        for d in range(dims):
            valid_here, place = _is_valid(row[d], origin, limit), _in_order(bits[d])
            count += valid_here
            low = min(low, place if valid_here else _in_order(_INFINITY))
            high = max(high, place if valid_here else _in_order(_NEGATIVE_INFINITY))
            first += np.float64(row[d] if valid_here else np.float32(0))
        average = first / max(count, 1)
        rest, square = 0.0, 0.0
        for d in range(dims):
            centred = row[d] - average if _is_valid(row[d], origin, limit) else 0.0
            rest += centred
            square += centred * centred
        valid[i], lowest[i], highest[i] = count, _in_order(low), _in_order(high)
        middle[i], total[i], squares[i] = average, rest, square
        for w in range(masks.shape[1]):
            masks[i, w] = _masked(row[64 * w : 64 * w + 64], origin, limit)
    return arranged, masks, lowest.view(np.float32), highest.view(np.float32), valid, middle, total, squares


@inlined
def _masked(values: NDArray[np.float32], centre: np.float32, limit: np.float32) -> np.uint64:
    """Up to 64 values as bits, set for those masked. Most words have none, which is seen first."""
    word, masked = np.uint64(0), 0
    for value in values:
        masked += not _is_valid(value, centre, limit)
    if masked:
        for d in range(values.size):
            word |= np.uint64(not _is_valid(values[d], centre, limit)) << np.uint64(d)
    return word


@inlined
def _in_order(bits: np.int32) -> np.int32:
    """Turns a float32's bits into an integer that stands in the same order, and back: extremes of integers vectorise.

    Floats are a sign and a magnitude; of negative ones the magnitude is turned round.
    """
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@inlined
def _limit(scale: np.float32, outlier_z: np.float32) -> np.float32:
    """The largest deviation from the centre whose z, rounded as NumPy rounds it, is not above `outlier_z`.

    One comparison then stands for a division: quotients of the same divisor, once rounded, are still in order.
    """
    limit = np.float32(outlier_z * scale)
    if outlier_z == np.inf:
        return np.float32(np.inf)
    if np.isnan(limit) or scale == 0:
        return np.float32(0) if scale == 0 else np.float32(np.inf)
    while limit / scale > outlier_z:
        limit = np.nextafter(limit, np.float32(-np.inf))
    while limit < np.inf and np.nextafter(limit, np.float32(np.inf)) / scale <= outlier_z:
        limit = np.nextafter(limit, np.float32(np.inf))
    return limit


@inlined
def _is_valid(value: np.float32, centre: np.float32, limit: np.float32) -> bool:
    """A function of its own: differences must be rounded as NumPy rounds them, and may be NaN, which is valid."""
    return not abs(np.float32(value - centre)) > limit
