"""The inner loops that a compiler does not find by itself, written as LLVM vector code.

All are portable LLVM IR: the compiler lowers the same vectors to AVX-512, AVX2 or NEON for the machine it runs on.
"""

from typing import Any, NamedTuple

import llvmlite.ir as ir
import numba.extending
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import make_array

# mypy: disallow_untyped_defs=False
# Functions below build code: their values are LLVM's, which have no types here.

intrinsic: Any = numba.extending.intrinsic

LANES = 8
"""Partners counted at a time: one 64-bit lane of a 512-bit register each."""

RANKS_AT_ONCE = 16
"""Bin rows of the partners whose sums fit into the registers."""

_WORD = ir.IntType(64)
_LANES = ir.VectorType(_WORD, LANES)
_FLOATS = ir.VectorType(ir.FloatType(), 64)
_BYTES = ir.VectorType(ir.IntType(8), 64)
_ONE = ir.Constant(_WORD, 1)
_BITS = types.Array(types.uint64, 3, "C")
_FLOAT32 = types.Array(types.float32, 1, "C")
_INT64 = types.Array(types.int64, 1, "C")
_UINT64 = types.Array(types.uint64, 1, "C")
_UINT16 = types.Array(types.uint16, 1, "C")
_UINT8 = types.Array(types.uint8, 1, "C")


@intrinsic
def add_joint_terms(typing_context, row_start, first_rows, masks, variants, rows, words, places, partners, offset,
                    ranks, counts, table, terms):  # fmt: skip
    """Adds table[joint count] over the cells of `rows` bin rows of x with `ranks` bin rows of LANES partners at once.

    x is binned in one of the ways k < `variants` for each partner: the lanes that are -1 in `masks`, int64
    [variants, LANES], flat, and not 0, and rows `first_rows[k]`, int64, and after. Row b of x is its words that are not
    0, from `row_start[b]` to `row_start[b + 1]` in `words`, with their `places` in the row. The partners' rows are
    uint64 [words, ranks, LANES], flat, from `partners[offset]`. A word of x is spread over its lanes, and AND,
    population count and add take one word of all partners in one instruction each; the sums of all ranks stay in
    registers until the row ends, whichever way x is binned. `terms`, int64 [LANES], grows; `counts`, int64
    [ranks, LANES], flat, is scratch.
    """

    def code(context, builder, signature, arguments):
        (row_start, first_rows, masks, variants, rows, words, places, partners, offset, ranks, counts, table,
         terms) = arguments  # fmt: skip
        x = _Rows(
            _element(context, builder, _INT64, row_start),
            _element(context, builder, _INT64, first_rows),
            builder.bitcast(_element(context, builder, _INT64, masks), _LANES.as_pointer()),
            variants,
            _element(context, builder, _UINT64, words),
            _element(context, builder, _UINT16, places),
        )
        arrays = (
            builder.bitcast(_element(context, builder, _UINT64, partners, offset), _LANES.as_pointer()),
            _element(context, builder, _INT64, counts),
            _element(context, builder, _INT64, table),
            _element(context, builder, _INT64, terms),
        )
        done = builder.append_basic_block("counted")
        switch = builder.switch(ranks, done)
        for width in range(1, RANKS_AT_ONCE + 1):
            block = builder.append_basic_block(f"ranks_{width}")
            switch.add_case(ir.Constant(_WORD, width), block)
            builder.position_at_end(block)
            _joint_terms(builder, rows, width, x, *arrays)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    signature = types.void(
        _INT64, _INT64, _INT64, types.int64, types.int64, _UINT64, _UINT16, _UINT64, types.int64, types.int64, _INT64,
        _INT64, _INT64,
    )  # fmt: skip
    return signature, code


class _Rows(NamedTuple):
    """The rows of x, as LLVM's values."""

    start: Any
    first: Any
    masks: Any
    variants: Any
    words: Any
    places: Any


@intrinsic
def bin_word(typing_context, values, start, lowest, highest, edges, bits, offset, stride, codes, counts):
    """Bins the 64 float32 `values` from `start` that lie from `lowest` to `highest`, between float32 `edges`.

    Bin b's uint64 goes to `bits[offset + b * stride]` and its population onto int64 `counts[b]`; the uint8
    `codes[start + k]` is the bin, or 255 for a value outside. A value lies in bin b where it reaches edge b and not
    edge b + 1; what reaches the last edge lies in the last bin. The values and codes stay in registers throughout.
    """

    def code(context, builder, signature, arguments):
        values, start, lowest, highest, edges, bits, offset, stride, codes, counts = arguments
        values = builder.bitcast(_element(context, builder, _FLOAT32, values, start), _FLOATS.as_pointer())
        values = builder.load(values, align=4)
        inside = builder.and_(_compare(builder, ">=", values, lowest), _compare(builder, "<=", values, highest))
        last = builder.sub(cgutils.unpack_tuple(builder, make_array(_INT64)(context, builder, counts).shape)[0], _ONE)
        edges, counts = _element(context, builder, _FLOAT32, edges), _element(context, builder, _INT64, counts)
        bits = _element(context, builder, _BITS, bits, offset)
        reached = cgutils.alloca_once_value(builder, builder.bitcast(inside, _WORD))
        bins = cgutils.alloca_once_value(builder, ir.Constant(_BYTES, None))
        with cgutils.for_range(builder, last, intp=_WORD) as loop:
            edge = builder.load(builder.gep(edges, [builder.add(loop.index, _ONE)]))
            flags = builder.and_(_compare(builder, ">=", values, edge), inside)
            above = builder.bitcast(flags, _WORD)
            _put_row(
                builder, builder.and_(builder.load(reached), builder.not_(above)), loop.index, bits, stride, counts
            )
            builder.store(builder.add(builder.load(bins), builder.zext(flags, _BYTES)), bins)
            builder.store(above, reached)
        _put_row(builder, builder.load(reached), last, bits, stride, counts)
        bins = builder.select(inside, builder.load(bins), ir.Constant(_BYTES, [255] * 64))
        place = builder.bitcast(_element(context, builder, _UINT8, codes, start), _BYTES.as_pointer())
        builder.store(bins, place, align=1)
        return context.get_dummy_value()

    signature = types.void(
        _FLOAT32, types.int64, types.float32, types.float32, _FLOAT32, _BITS, types.int64, types.int64, _UINT8, _INT64
    )
    return signature, code


@intrinsic
def lowest_bit(typing_context, word):
    """Place of the lowest bit that is set in a uint64 that is not 0."""

    def code(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), code


def _joint_terms(builder, rows, ranks, x, partners, counts, table, terms):
    totals = [cgutils.alloca_once(builder, _WORD) for _ in range(LANES)]
    for lane, total in enumerate(totals):
        builder.store(builder.load(_at(builder, terms, lane)), total)
    with cgutils.for_range(builder, rows, intp=_WORD) as row:
        _count_row(builder, row.index, ranks, x, partners, counts)
        for cell in range(ranks * LANES):
            # An atomic load (a plain one to the processor) keeps the compiler from joining the look-ups to
            # a gather: scalar ones run beside the vector instructions of the next row.
            count = builder.load_atomic(_at(builder, counts, cell), "monotonic", 8)
            total = totals[cell % LANES]
            builder.store(builder.add(builder.load(total), builder.load(builder.gep(table, [count]))), total)
    for lane, total in enumerate(totals):
        builder.store(builder.load(total), _at(builder, terms, lane))


def _count_row(builder, row, ranks, x, partners, counts):
    sums = [cgutils.alloca_once(builder, _LANES) for _ in range(ranks)]
    for total in sums:
        builder.store(ir.Constant(_LANES, None), total)
    population = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_LANES, [_LANES]), f"llvm.ctpop.v{LANES}i64"
    )
    with cgutils.for_range(builder, x.variants, intp=_WORD) as variant:
        bounds = builder.gep(x.start, [builder.add(builder.load(builder.gep(x.first, [variant.index])), row)])
        mask = builder.load(builder.gep(x.masks, [variant.index]), align=8)
        start, stop = builder.load(bounds), builder.load(_at(builder, bounds, 1))
        with cgutils.for_range(builder, stop, start, intp=_WORD) as loop:
            word = _splat(builder, builder.load(builder.gep(x.words, [loop.index])), _LANES)
            word = builder.and_(word, mask)
            place = builder.zext(builder.load(builder.gep(x.places, [loop.index])), _WORD)
            partner = builder.gep(partners, [builder.mul(place, ir.Constant(_WORD, ranks))])
            for rank, total in enumerate(sums):
                both = builder.and_(word, builder.load(_at(builder, partner, rank), align=8))
                builder.store(builder.add(builder.load(total), builder.call(population, [both])), total)
    counts = builder.bitcast(counts, _LANES.as_pointer())
    for rank, total in enumerate(sums):
        builder.store(builder.load(total), _at(builder, counts, rank), align=8)


def _at(builder, pointer, index):
    return builder.gep(pointer, [ir.Constant(_WORD, index)])


def _put_row(builder, word, row, bits, stride, counts):
    builder.store(word, builder.gep(bits, [builder.mul(row, stride)]))
    count = builder.gep(counts, [row])
    builder.store(builder.add(builder.load(count), builder.ctpop(word)), count)


def _compare(builder, operator, values, threshold):
    return builder.fcmp_ordered(operator, values, _splat(builder, threshold, _FLOATS))


def _element(context, builder, array_type, array, index=None):
    """Pointer to the first element of an array, or to element `index`."""
    data = make_array(array_type)(context, builder, array).data
    return data if index is None else builder.gep(data, [index])


def _splat(builder, scalar, vector_type):
    one = builder.insert_element(ir.Constant(vector_type, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), None)
    return builder.shuffle_vector(one, ir.Constant(vector_type, ir.Undefined), zeros)
