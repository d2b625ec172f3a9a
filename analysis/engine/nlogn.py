"""n log2 n and other weights by the number of dimensions, tabulated: counts are integers up to D."""

from functools import lru_cache

import numpy as np

from analysis.engine.vectors import NLogN


@lru_cache(maxsize=8)
def n_log_n(dimensions: int) -> NLogN:
    """The table for vectors of D dimensions.

    It is in fixed point: sums of its entries are exact and do not depend on their order, so MI is exactly 0 where it
    must be, however the pairs are cut. A unit is 2^-shift; the shift leaves room for the largest sum and three bits.
    """
    counts = np.arange(dimensions + 1, dtype=np.float64)
    values = counts * np.log2(np.maximum(counts, 1.0))
    shift = 61 - int(np.ceil(np.log2(values[-1])))
    units = np.rint(np.ldexp(values, shift)).astype(np.int64)
    with np.errstate(divide="ignore"):
        bits_per_unit, per_degree = 2.0**-shift / counts, 1 / (counts - 1)
    bits_per_unit[0] = per_degree[:2] = np.nan
    for array in (units, bits_per_unit, per_degree):
        array.flags.writeable = False
    return NLogN(units, bits_per_unit, per_degree)
