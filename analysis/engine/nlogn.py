"""n log2 n and other weights by the number of dimensions, tabulated: counts are integers up to D."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Terms(NamedTuple):
    """What is needed for n = 0 .. D dimensions, by n.

    `table` is in fixed point: sums of its entries are exact and do not depend on their order, so MI is exactly 0 where
    it must be, however the pairs are cut.
    """

    table: NDArray[np.int64]  # int64 [D + 1], n log2 n in units of 2^-shift bits
    per_dimension: NDArray[np.float64]  # float64 [D + 1], bits of one unit of the table by n; NaN for 0
    per_degree: NDArray[np.float64]  # float64 [D + 1], 1 / (n - 1); NaN for 0 and 1


@lru_cache(maxsize=8)
def terms(dimensions: int) -> Terms:
    """The terms for vectors of D dimensions. The shift leaves room for the largest sum and three bits."""
    counts = np.arange(dimensions + 1, dtype=np.float64)
    values = counts * np.log2(np.maximum(counts, 1.0))
    shift = 61 - int(np.ceil(np.log2(values[-1])))
    table = np.rint(np.ldexp(values, shift)).astype(np.int64)
    with np.errstate(divide="ignore"):
        per_dimension, per_degree = 2.0**-shift / counts, 1 / (counts - 1)
    per_dimension[0] = per_degree[:2] = np.nan
    for array in (table, per_dimension, per_degree):
        array.flags.writeable = False
    return Terms(table, per_dimension, per_degree)
