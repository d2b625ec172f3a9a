"""The inner loops that a compiler does not find by itself, written as LLVM vector code.

All are portable LLVM IR: the compiler lowers the same vectors to AVX-512, AVX2 or NEON for the machine it runs on.
"""

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

LANES = 8
"""Partners counted at a time: one 64-bit lane of a 512-bit register each."""

WORD = ir.IntType(64)
_LANES = ir.VectorType(WORD, LANES)
_FLOATS = ir.VectorType(ir.FloatType(), 64)
RANKS_AT_ONCE = 16
"""Bin rows of the partners whose sums fit into the registers."""


@intrinsic
def at_least(typing_context, values, start, threshold):
    """uint64 mask of the 64 float32 `values` from `start`: bit k is set where values[start + k] >= threshold."""

    return _comparison(">=")


@intrinsic
def at_most(typing_context, values, start, threshold):
    """The same with values[start + k] <= threshold."""
    return _comparison("<=")


@intrinsic
def trailing_zeros(typing_context, word):
    """Place of the lowest bit that is set in a uint64 that is not 0."""

    def code(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), code


@intrinsic
def count_row(typing_context, words, indices, start, stop, partners, ranks, counts):
    """Joint counts of one bin row of x with the first `ranks` bin rows of LANES partners at once.

    The row is its words that are not 0, `words[start:stop]`, with their places `indices`. `partners` is uint64
    [words, ranks, LANES], flat; `counts` int64 [ranks, LANES], flat, is overwritten. A word of x is spread over all
    lanes, and AND, population count and add do one word of all partners in one instruction each; the sums of all
    ranks stay in registers until the row ends.
    """

    def code(context, builder, signature, arguments):
        arrays = [_element(context, builder, signature.args[k], arguments[k]) for k in (0, 1, 4, 6)]
        done = builder.append_basic_block("counted")
        switch = builder.switch(arguments[5], done)
        for ranks in range(1, RANKS_AT_ONCE + 1):
            block = builder.append_basic_block(f"ranks_{ranks}")
            switch.add_case(ir.Constant(WORD, ranks), block)
            builder.position_at_end(block)
            _count_row(context, builder, arrays, arguments[2], arguments[3], ranks)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    word_array = types.Array(types.uint64, 1, "C")
    return types.void(
        word_array, types.Array(types.int64, 1, "C"), types.int64, types.int64, word_array, types.int64,
        types.Array(types.int64, 1, "C"),
    ), code  # fmt: skip


def _comparison(operator):
    def code(context, builder, signature, arguments):
        pointer = _element(context, builder, signature.args[0], arguments[0], arguments[1])
        floats = builder.load(builder.bitcast(pointer, _FLOATS.as_pointer()), align=4)
        return builder.bitcast(builder.fcmp_ordered(operator, floats, _splat(builder, arguments[2], _FLOATS)), WORD)

    return types.uint64(types.Array(types.float32, 1, "C"), types.int64, types.float32), code


def _count_row(context, builder, arrays, start, stop, ranks):
    words, indices, partners, counts = arrays
    sums = [cgutils.alloca_once_value(builder, ir.Constant(_LANES, None)) for _ in range(ranks)]
    for total in sums:
        builder.store(ir.Constant(_LANES, None), total)
    population = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_LANES, [_LANES]), f"llvm.ctpop.v{LANES}i64"
    )
    partners = builder.bitcast(partners, _LANES.as_pointer())
    with cgutils.for_range(builder, stop, start, intp=WORD) as loop:
        word = _splat(builder, builder.load(builder.gep(words, [loop.index])), _LANES)
        first = builder.mul(builder.load(builder.gep(indices, [loop.index])), ir.Constant(WORD, ranks))
        for rank, total in enumerate(sums):
            place = builder.add(first, ir.Constant(WORD, rank))
            both = builder.and_(word, builder.load(builder.gep(partners, [place]), align=8))
            builder.store(builder.add(builder.load(total), builder.call(population, [both])), total)
    counts = builder.bitcast(counts, _LANES.as_pointer())
    for rank, total in enumerate(sums):
        builder.store(builder.load(total), builder.gep(counts, [ir.Constant(WORD, rank)]), align=8)


def _element(context, builder, array_type, array, index=None):
    """Pointer to the first element of an array, or to element `index`."""
    data = make_array(array_type)(context, builder, array).data
    return data if index is None else builder.gep(data, [index])


def _splat(builder, scalar, vector_type):
    one = builder.insert_element(ir.Constant(vector_type, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), None)
    return builder.shuffle_vector(one, ir.Constant(vector_type, ir.Undefined), zeros)
