"""Which dimensions each vector leaves out, and sums over the rest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.compilation import compiled, compiled_sums, inlined
from analysis.variants import Vectors

ROWS_AT_ONCE = 32
"""Vectors whose deviations are taken together: NumPy's copies of them stay in the cache."""

AVERAGED = 64
"""Vectors, at most, whose mean says where dimensions stand."""

SORTED_BY = 24
"""Dimensions by which outlier sets are sorted."""


def find_outliers(x: NDArray[np.float32], outlier_z: float) -> Vectors:
    """Vectors (float32 [N, D], C-contiguous, finite) with the dimensions where |z| > outlier_z left out.

    z is computed as NumPy does in float32, from the vector's own mean and standard deviation (ddof = 1). A constant
    vector has no z and leaves nothing out.
    """
    mean, deviation = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
    with np.errstate(all="ignore"):
        for start in range(0, len(x), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            part_mean = x[part].mean(axis=1, keepdims=True)
            mean[part], deviation[part] = part_mean[:, 0], x[part].std(axis=1, ddof=1, mean=part_mean)
    dimension = _similar_first(x)
    x = np.take(x, dimension, axis=1)
    survey = _survey(x, mean, deviation, np.float32(outlier_z))
    masks, lowest, highest, kept, middle, total, squares = survey
    rows = [mask.tobytes() for mask in masks]
    distinct = sorted(set(rows))
    number = {mask: k for k, mask in enumerate(distinct)}
    set_of = np.array([number[mask] for mask in rows], np.int64)
    set_bits = np.frombuffer(b"".join(distinct), np.uint64).reshape(len(distinct), masks.shape[1])
    left_out = np.unpackbits(set_bits.view(np.uint8), axis=1, bitorder="little", count=x.shape[1])
    order = _neighbours_first(x, left_out, lowest, highest)
    owner, dims = np.nonzero(left_out[order])
    set_start = np.searchsorted(owner, np.arange(len(distinct) + 1)).astype(np.int64)
    set_of = np.argsort(order)[set_of]
    return Vectors(
        x=_padded(x),
        dimension=dimension,
        lowest=lowest,
        highest=highest,
        kept=kept,
        mean=middle,
        total=total,
        squares=squares,
        set_of=set_of,
        set_start=set_start,
        set_dims=dims.astype(np.int64),
        set_bits=set_bits[order],
    )


def rearranged(vectors: Vectors, dimension: NDArray[np.int64]) -> Vectors:
    """The same vectors with their dimensions in another order: the one of vectors that they are to meet."""
    place = np.empty_like(dimension)
    place[dimension] = np.arange(dimension.size)
    bits = np.unpackbits(vectors.set_bits.view(np.uint8), axis=1, bitorder="little")
    left_out = np.zeros_like(bits)
    left_out[:, place[vectors.dimension]] = bits[:, : dimension.size]
    return vectors._replace(
        x=_padded(np.take(vectors.x, np.argsort(vectors.dimension)[dimension], axis=1)),
        dimension=dimension,
        set_dims=np.nonzero(left_out)[1].astype(np.int64),
        set_bits=np.packbits(left_out, axis=1, bitorder="little").view(np.uint64),
    )


def _similar_first(x: NDArray[np.float32]) -> NDArray[np.int64]:
    """An order of the dimensions in which neighbours mostly lie in the same bins: by their means over vectors.

    Tokens share much of their mean vector. The order changes no count, and makes many words of bit rows 0.
    """
    if len(x) == 0:
        return np.arange(x.shape[1])
    some = x[:: -(-len(x) // AVERAGED)]
    return np.argsort(some.mean(axis=0, dtype=np.float64), kind="stable")


def _neighbours_first(
    x: NDArray[np.float32], left_out: NDArray[np.uint8], lowest: NDArray[np.float32], highest: NDArray[np.float32]
) -> NDArray[np.int64]:
    """An order of the outlier sets in which neighbours mostly ask for the same variants.

    Sets are sorted by whether they leave out the dimension that is most often another vector's extreme, then the next.
    """
    dims = np.flatnonzero(left_out.any(axis=0))
    values = x[:, dims]
    moves = ((values == lowest[:, None]) | (values == highest[:, None])).sum(axis=0)
    first = dims[np.argsort(-moves, kind="stable")[:SORTED_BY]]
    # In the order of a Gray code: where sets differ in few of these dimensions they stand together, at carries too.
    keys = np.bitwise_xor.accumulate(left_out[:, first], axis=1)
    return np.lexsort(keys[:, ::-1].T) if first.size else np.arange(len(left_out))


def _padded(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.pad(x, ((0, 0), (0, -x.shape[1] % 64)), constant_values=np.nan) if x.shape[1] % 64 else x


@compiled_sums
def _survey(
    x: NDArray[np.float32], mean: NDArray[np.float32], deviation: NDArray[np.float32], outlier_z: np.float32
) -> tuple[NDArray[Any], ...]:
    """Left-out dimensions as bits (d % 64 of word d // 64); extremes, number, mean and centred sums of the rest."""
    number, dims = x.shape
    masks = np.zeros((number, (dims + 63) // 64), np.uint64)
    lowest, highest = np.empty(number, np.float32), np.empty(number, np.float32)
    kept, middle = np.zeros(number, np.int64), np.zeros(number)
    total, squares = np.zeros(number), np.zeros(number)
    keep = np.empty(dims, np.bool_)
    for i in range(number):
        row, row_mean, row_deviation = x[i], mean[i], deviation[i]
        count, low, high, first = 0, np.float32(np.inf), np.float32(-np.inf), 0.0
        _mark(row, row_mean, row_deviation, outlier_z, keep)
        for d in range(dims):
            value, kept_here = row[d], keep[d]
            count += kept_here
            low = min(low, value if kept_here else np.float32(np.inf))
            high = max(high, value if kept_here else np.float32(-np.inf))
            first += np.float64(value) * kept_here
        centre_of_kept = first / max(count, 1)
        rest, square = 0.0, 0.0
        for d in range(dims):
            centred = (row[d] - centre_of_kept) * keep[d]
            rest += centred
            square += centred * centred
        kept[i], lowest[i], highest[i] = count, low, high
        middle[i], total[i], squares[i] = centre_of_kept, rest, square
        if count < dims:
            for d in range(dims):
                if not keep[d]:
                    masks[i, d >> 6] |= np.uint64(1) << np.uint64(d & 63)
    return masks, lowest, highest, kept, middle, total, squares


@inlined
def _mark(
    row: NDArray[np.float32],
    mean: np.float32,
    deviation: np.float32,
    outlier_z: np.float32,
    keep: NDArray[np.bool_],
) -> None:
    """A function of its own, since z may be NaN (0 / 0 keeps a dimension) and must be rounded as NumPy rounds it."""
    for d in range(row.size):
        keep[d] = not abs((row[d] - mean) / deviation) > outlier_z


@compiled
def centre(vectors: Vectors, rows: NDArray[np.int64], centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fills float64 [R, D]: the vectors `rows` less their means, 0 in dimensions that they leave out and in padding."""
    dims = vectors.x.shape[1]
    for r in range(rows.size):
        row, mean = vectors.x[rows[r]], vectors.mean[rows[r]]
        for d in range(dims):
            centred[r, d] = row[d] - mean if row[d] == row[d] else 0.0
        outlier_set = vectors.set_of[rows[r]]
        for k in range(vectors.set_start[outlier_set], vectors.set_start[outlier_set + 1]):
            centred[r, vectors.set_dims[k]] = 0.0
    return centred
