"""Sums of products of all pairs within one group of vectors: half of what a matrix product would make.

BLAS makes a product of a matrix with itself from square blocks, many of which lie on both sides of the diagonal for a
few hundred vectors. Here blocks are 4 x 4, and only those on and above the diagonal are made.
"""

import numpy as np
from numpy.typing import NDArray

from analysis.compilation import compiled_products

LONGEST_PIECE = 640
"""Dimensions: of 200 vectors they take a megabyte."""


@compiled_products
def products_within(x: NDArray[np.float64], out: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fills and returns `out`, float64 [N, N]: entry (i, j) is the sum over d of x[i, d] * x[j, d] where i <= j.

    Elsewhere `out` holds no result.

    Sixteen sums stay in vector registers, a lane for every eighth dimension (on AVX-512): eight loads serve sixteen
    multiplications. Long vectors are taken a piece at a time, since all of a few hundred do not fit the second-level
    cache. At the end of a group that 4 does not divide, its last vector stands in for those that are not there.
    """
    dims = x.shape[1]
    out[:] = 0.0
    pieces = max(1, -(-dims // LONGEST_PIECE))
    for piece in range(pieces):
        _add_products(x, dims * piece // pieces, dims * (piece + 1) // pieces, out)
    return out


@compiled_products
def _add_products(x: NDArray[np.float64], start: int, stop: int, out: NDArray[np.float64]) -> None:
    """Adds the sums over dimensions `start` to `stop`."""
    number = x.shape[0]
    last = number - 1
    for i in range(0, number, 4):
        i1, i2, i3 = min(i + 1, last), min(i + 2, last), min(i + 3, last)
        a0, a1, a2, a3 = x[i, start:stop], x[i1, start:stop], x[i2, start:stop], x[i3, start:stop]
        for j in range(i, number, 4):
            j1, j2, j3 = min(j + 1, last), min(j + 2, last), min(j + 3, last)
            b0, b1, b2, b3 = x[j, start:stop], x[j1, start:stop], x[j2, start:stop], x[j3, start:stop]
            s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
            s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
            for d in range(stop - start):
                u0, u1, u2, u3 = a0[d], a1[d], a2[d], a3[d]
                v0, v1, v2, v3 = b0[d], b1[d], b2[d], b3[d]
                s00, s01, s02, s03 = s00 + u0 * v0, s01 + u0 * v1, s02 + u0 * v2, s03 + u0 * v3
                s10, s11, s12, s13 = s10 + u1 * v0, s11 + u1 * v1, s12 + u1 * v2, s13 + u1 * v3
                s20, s21, s22, s23 = s20 + u2 * v0, s21 + u2 * v1, s22 + u2 * v2, s23 + u2 * v3
                s30, s31, s32, s33 = s30 + u3 * v0, s31 + u3 * v1, s32 + u3 * v2, s33 + u3 * v3
            # All sums so far are taken before any is put back: at the group's end some are the same entry.
            s00, s01, s02, s03 = s00 + out[i, j], s01 + out[i, j1], s02 + out[i, j2], s03 + out[i, j3]
            s10, s11, s12, s13 = s10 + out[i1, j], s11 + out[i1, j1], s12 + out[i1, j2], s13 + out[i1, j3]
            s20, s21, s22, s23 = s20 + out[i2, j], s21 + out[i2, j1], s22 + out[i2, j2], s23 + out[i2, j3]
            s30, s31, s32, s33 = s30 + out[i3, j], s31 + out[i3, j1], s32 + out[i3, j2], s33 + out[i3, j3]
            out[i, j], out[i, j1], out[i, j2], out[i, j3] = s00, s01, s02, s03
            out[i1, j], out[i1, j1], out[i1, j2], out[i1, j3] = s10, s11, s12, s13
            out[i2, j], out[i2, j1], out[i2, j2], out[i2, j3] = s20, s21, s22, s23
            out[i3, j], out[i3, j1], out[i3, j2], out[i3, j3] = s30, s31, s32, s33
