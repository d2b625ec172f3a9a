"""Vector code that bins vectors: 64 dimensions at a time, from values to codes and from codes to bit rows."""

from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import types
from numpy.typing import NDArray

from analysis.engine.simd.llvm import BITS, FLOAT32, INT64, ONE, UINT8, WORD, cgutils, element, lowers, shape_of, splat

_BYTES = ir.VectorType(ir.IntType(8), 64)
_FLOATS = ir.VectorType(ir.FloatType(), 64)


def codes_of_word(
    values: NDArray[np.float32], start: int, lowest: np.float32, highest: np.float32, first_edge: np.float32,
    step: np.float32, codes: NDArray[np.uint8], counts: NDArray[np.int64],
) -> None:  # fmt: skip
    """The bins of the 64 float32 `values` from `start` that lie from `lowest` to `highest`: uint8 from `codes[start]`.

    There are as many bins as `counts` has items, of width `step` from `first_edge` on; a value outside is 255. Edge k
    is k * step + first_edge, each operation rounded to float32, as `numpy.linspace` has it. A guess is made by a
    division and put right by comparing with the edge above it: it is an eighth of a bin low on purpose, so that it is
    either right or one below. For that, rounding may move no edge by 1/16 of a bin, which `analysis.engine.binning`
    sees to.
    """
    here = values[start : start + 64]
    inner_edges = np.arange(1, counts.size, dtype=np.float32) * step + first_edge
    found = np.searchsorted(inner_edges, here, side="right")
    codes[start : start + 64] = np.where((lowest <= here) & (here <= highest), found, 255)


@lowers(codes_of_word)
def _codes_of_word(
    typing_context: Any, values: Any, start: Any, lowest: Any, highest: Any, first_edge: Any, step: Any, codes: Any,
    counts: Any,
) -> Any:  # fmt: skip
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, start, lowest, highest, first_edge, step, codes, counts = arguments
        values = builder.bitcast(element(context, builder, FLOAT32, values, start), _FLOATS.as_pointer())
        values = builder.load(values, align=4)
        bins = shape_of(context, builder, INT64, counts)[0]
        one, low_by = ir.Constant(ir.FloatType(), 1.0), ir.Constant(_FLOATS, [-0.125] * 64)
        per_value = splat(builder, builder.fdiv(one, step), _FLOATS)
        top = splat(builder, builder.uitofp(builder.sub(bins, ONE), ir.FloatType()), _FLOATS)
        first, width = splat(builder, first_edge, _FLOATS), splat(builder, step, _FLOATS)
        guess = builder.fadd(builder.fmul(builder.fsub(values, first), per_value), low_by)
        floor = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_FLOATS, [_FLOATS]), "llvm.floor.v64f32")
        guess = builder.call(floor, [guess])
        following = builder.fadd(guess, ir.Constant(_FLOATS, [1.0] * 64))
        edge = builder.fadd(builder.fmul(following, width), first)
        found = builder.select(builder.fcmp_ordered(">=", values, edge), following, guess)
        found = builder.select(builder.fcmp_ordered("<", found, top), found, top)
        inside = builder.and_(_compare(builder, ">=", values, lowest), _compare(builder, "<=", values, highest))
        # Outside, a guess may be anything, and what no integer can hold must not be turned into one.
        found = builder.select(inside, found, ir.Constant(_FLOATS, [255.0] * 64))
        found = builder.trunc(builder.fptosi(found, ir.VectorType(ir.IntType(32), 64)), _BYTES)
        place = builder.bitcast(element(context, builder, UINT8, codes, start), _BYTES.as_pointer())
        builder.store(found, place, align=1)
        return context.get_dummy_value()

    signature = types.void(
        FLOAT32, types.int64, types.float32, types.float32, types.float32, types.float32, UINT8, INT64
    )
    return signature, code


def put_bits(
    codes: NDArray[np.uint8], start: int, bits: NDArray[np.uint64], offset: int, stride: int, counts: NDArray[np.int64]
) -> None:
    """Turns the 64 uint8 `codes` from `start` into a word of each bin: bit d is set where code d is the bin.

    Bin b's uint64 goes to `bits[offset + b * stride]` and its population onto int64 `counts[b]`. A code that is not
    a bin sets no bit.
    """
    for b in range(counts.size):
        in_bin = codes[start : start + 64] == b
        bits.reshape(-1)[offset + b * stride] = np.packbits(in_bin, bitorder="little").view(np.uint64)[0]
        counts[b] += in_bin.sum()


@lowers(put_bits)
def _put_bits(typing_context: Any, codes: Any, start: Any, bits: Any, offset: Any, stride: Any, counts: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        codes, start, bits, offset, stride, counts = arguments
        codes = builder.load(
            builder.bitcast(element(context, builder, UINT8, codes, start), _BYTES.as_pointer()), align=1
        )
        bins = shape_of(context, builder, INT64, counts)[0]
        counts, bits = element(context, builder, INT64, counts), element(context, builder, BITS, bits, offset)
        with cgutils.for_range(builder, bins, intp=WORD) as loop:
            this_bin = splat(builder, builder.trunc(loop.index, ir.IntType(8)), _BYTES)
            word = builder.bitcast(builder.icmp_unsigned("==", codes, this_bin), WORD)
            builder.store(word, builder.gep(bits, [builder.mul(loop.index, stride)]))
            count = builder.gep(counts, [loop.index])
            builder.store(builder.add(builder.load(count), builder.ctpop(word)), count)
        return context.get_dummy_value()

    signature = types.void(UINT8, types.int64, BITS, types.int64, types.int64, INT64)
    return signature, code


def lowest_bit(word: np.uint64) -> int:
    """Place of the lowest bit that is set in a uint64 that is not 0."""
    return (int(word) & -int(word)).bit_length() - 1


@lowers(lowest_bit)
def _lowest_bit(typing_context: Any, word: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), code


def _compare(builder: Any, operator: Any, values: Any, threshold: Any) -> Any:
    return builder.fcmp_ordered(operator, values, splat(builder, threshold, _FLOATS))
