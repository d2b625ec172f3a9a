"""The inner loops that a compiler does not find by itself, written as LLVM vector code.

All are portable LLVM IR: the compiler lowers the same vectors to AVX-512, AVX2 or NEON for the machine it runs on.
"""

import contextlib
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

PANEL = 8
"""Vectors whose values of one dimension stand together: a 512-bit register of float64."""

_WORD = ir.IntType(64)
_LANES = ir.VectorType(_WORD, LANES)
_BYTES = ir.VectorType(ir.IntType(8), 64)
_FLOATS = ir.VectorType(ir.FloatType(), 64)
_ONE = ir.Constant(_WORD, 1)
_DOUBLES = ir.VectorType(ir.DoubleType(), PANEL)
_BITS = types.Array(types.uint64, 3, "C")
_FLOAT64_2D = types.Array(types.float64, 2, "C")
_FLOAT64_3D = types.Array(types.float64, 3, "C")
_FLOAT32 = types.Array(types.float32, 1, "C")
_INT64 = types.Array(types.int64, 1, "C")
_UINT64 = types.Array(types.uint64, 1, "C")
_UINT64_2D = types.Array(types.uint64, 2, "C")
_UINT8 = types.Array(types.uint8, 1, "C")


def _add_joint_terms(spread):
    """The two forms of `add_joint_terms`, of the same code."""

    def add(typing_context, words, start, filled, first_row, rows, partners, offset, ranks, counts, table, terms):
        def code(context, builder, signature, arguments):
            words, start, filled, first_row, rows, partners, offset, ranks, counts, table, terms = arguments
            masks = cgutils.unpack_tuple(builder, make_array(_UINT64_2D)(context, builder, filled).shape)[1]
            x = _Rows(
                _element(context, builder, _UINT64 if spread else _BITS, words),
                _element(context, builder, _INT64, start, first_row),
                _element(context, builder, _UINT64_2D, filled, builder.mul(first_row, masks)),
                masks,
                spread,
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
                _joint_terms(builder, x, rows, width, *arrays)
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        signature = types.void(
            _UINT64 if spread else _BITS, _INT64, _UINT64_2D, types.int64, types.int64, _UINT64, types.int64,
            types.int64, _INT64, _INT64, _INT64,
        )  # fmt: skip
        return signature, code

    return intrinsic(add)


add_joint_terms = _add_joint_terms(spread=False)
"""Adds table[joint count] over the cells of `rows` bin rows of x with `ranks` bin rows of LANES partners at once.

`add_joint_terms(words, start, filled, first_row, rows, partners, offset, ranks, counts, table, terms)`: bin row b of x,
from `first_row` on, is uint64 from item `start[b]` of `words`, of which those count whose bit is set in `filled[b]`,
uint64 [rows, masks]. The partners' rows are uint64 [words, ranks, LANES], flat, from `partners[offset]`. A word of x is
spread over the lanes, and AND, population count and add take one word of all partners in one instruction each; the sums
of all ranks stay in registers until the row ends. `terms`, int64 [LANES], grows; `counts`, int64 [rows, ranks, LANES],
flat, is scratch: counts are looked up when all are made, since a look-up right behind its count would wait for it.
"""

add_joint_terms_spread = _add_joint_terms(spread=True)
"""The same where x is not binned alike for all partners: `words` is uint64 [entries, LANES], flat, a word a lane."""


class _Rows(NamedTuple):
    """The rows of x, as LLVM's values."""

    words: Any
    start: Any
    filled: Any
    masks: Any
    spread: bool


@intrinsic
def spread_row(typing_context, bits, rows, lanes, ways, filled, row, words, start):
    """Gathers a bin row of x where partners ask for several: a word a lane, of the way its lane asks for.

    Way k < `ways` has the uint64 `bits` from item `rows[k]`, int64, and the lanes that are all ones in `lanes`, uint64
    [ways, LANES], flat. Of `words`, uint64 [entries, LANES], flat, the entries from `start` on are written whose bits are
    set in `filled[row]`, uint64 [rows, masks].
    """

    def code(context, builder, signature, arguments):
        bits, rows, lanes, ways, filled, row, words, start = arguments
        masks = cgutils.unpack_tuple(builder, make_array(_UINT64_2D)(context, builder, filled).shape)[1]
        filled = _element(context, builder, _UINT64_2D, filled, builder.mul(row, masks))
        bits, rows = _element(context, builder, _BITS, bits), _element(context, builder, _INT64, rows)
        lanes = builder.bitcast(_element(context, builder, _UINT64, lanes), _LANES.as_pointer())
        words = builder.gep(builder.bitcast(_element(context, builder, _UINT64, words), _LANES.as_pointer()), [start])
        mixed = cgutils.alloca_once(builder, _LANES)

        def gather(place):
            builder.store(ir.Constant(_LANES, None), mixed)
            with cgutils.for_range(builder, ways, intp=_WORD) as way:
                item = builder.add(builder.load(builder.gep(rows, [way.index])), place)
                word = _splat(builder, builder.load(builder.gep(bits, [item])), _LANES)
                of_way = builder.and_(word, builder.load(builder.gep(lanes, [way.index]), align=8))
                builder.store(builder.or_(builder.load(mixed), of_way), mixed)
            builder.store(builder.load(mixed), builder.gep(words, [place]), align=8)

        _for_set_bits(builder, filled, masks, gather)
        return context.get_dummy_value()

    signature = types.void(
        _BITS, _INT64, _UINT64, types.int64, _UINT64_2D, types.int64, _UINT64, types.int64
    )
    return signature, code


@intrinsic
def put_in_lane(typing_context, bits, start, length, partners, place, stride):
    """Copies `length` words of uint64 `bits` from item `start` to every `stride`-th item of `partners` from `place` on."""

    def code(context, builder, signature, arguments):
        bits, start, length, partners, place, stride = arguments
        source = _element(context, builder, _BITS, bits, start)
        target = _element(context, builder, _UINT64, partners, place)
        with cgutils.for_range(builder, length, intp=_WORD) as loop:
            word = builder.load(builder.gep(source, [loop.index]))
            # An atomic store (a plain one to the processor) keeps the compiler from joining stores to a scatter.
            place = builder.gep(target, [builder.mul(loop.index, stride)])
            builder.store_atomic(word, place, "monotonic", 8)
        return context.get_dummy_value()

    return types.void(_BITS, types.int64, types.int64, _UINT64, types.int64, types.int64), code


@intrinsic
def codes_of_word(typing_context, values, start, lowest, highest, first_edge, step, codes, counts):
    """The bins of the 64 float32 `values` from `start` that lie from `lowest` to `highest`: uint8 from `codes[start]`.

    There are as many bins as `counts` has items, of width `step` from `first_edge` on; a value outside is 255. Edge k is
    k * step + first_edge, each operation rounded to float32, as `numpy.linspace` has it. A guess is made by a division
    and put right by comparing with the edge above it: it is a little low on purpose, so that it is either right or one
    below. For that, neither rounding may move an edge by 1/16 of a bin, which `analysis.variants` sees to.
    """

    def code(context, builder, signature, arguments):
        values, start, lowest, highest, first_edge, step, codes, counts = arguments
        values = builder.bitcast(_element(context, builder, _FLOAT32, values, start), _FLOATS.as_pointer())
        values = builder.load(values, align=4)
        bins = cgutils.unpack_tuple(builder, make_array(_INT64)(context, builder, counts).shape)[0]
        one, low_by = ir.Constant(ir.FloatType(), 1.0), ir.Constant(_FLOATS, [-0.125] * 64)
        per_value = _splat(builder, builder.fdiv(one, step), _FLOATS)
        top = _splat(builder, builder.uitofp(builder.sub(bins, _ONE), ir.FloatType()), _FLOATS)
        first, width = _splat(builder, first_edge, _FLOATS), _splat(builder, step, _FLOATS)
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
        place = builder.bitcast(_element(context, builder, _UINT8, codes, start), _BYTES.as_pointer())
        builder.store(found, place, align=1)
        return context.get_dummy_value()

    signature = types.void(
        _FLOAT32, types.int64, types.float32, types.float32, types.float32, types.float32, _UINT8, _INT64
    )
    return signature, code


@intrinsic
def put_bits(typing_context, codes, start, bits, offset, stride, counts):
    """Turns the 64 uint8 `codes` from `start` into a word of each bin: bit d is set where code d is the bin.

    Bin b's uint64 goes to `bits[offset + b * stride]` and its population onto int64 `counts[b]`. A code that is no bin
    sets no bit.
    """

    def code(context, builder, signature, arguments):
        codes, start, bits, offset, stride, counts = arguments
        codes = builder.load(
            builder.bitcast(_element(context, builder, _UINT8, codes, start), _BYTES.as_pointer()), align=1
        )
        bins = cgutils.unpack_tuple(builder, make_array(_INT64)(context, builder, counts).shape)[0]
        counts, bits = _element(context, builder, _INT64, counts), _element(context, builder, _BITS, bits, offset)
        with cgutils.for_range(builder, bins, intp=_WORD) as loop:
            this_bin = _splat(builder, builder.trunc(loop.index, ir.IntType(8)), _BYTES)
            word = builder.bitcast(builder.icmp_unsigned("==", codes, this_bin), _WORD)
            builder.store(word, builder.gep(bits, [builder.mul(loop.index, stride)]))
            count = builder.gep(counts, [loop.index])
            builder.store(builder.add(builder.load(count), builder.ctpop(word)), count)
        return context.get_dummy_value()

    signature = types.void(_UINT8, types.int64, _BITS, types.int64, types.int64, _INT64)
    return signature, code


@intrinsic
def add_products(typing_context, a, a_start, b, b_start, b_next, length, out, out_start, out_stride):
    """Adds the sums of products of PANEL vectors with 2 * PANEL others over `length` dimensions.

    `a` is float64 [length, PANEL], flat, from item `a_start`; `b` is two such panels, from `b_start` and `b_next` items
    after it. The sum of vectors r and c goes onto item `out_start + r * out_stride + c` of `out`. All sums stay in
    registers: 10 loads serve 16 multiplications of whole registers.
    """

    def code(context, builder, signature, arguments):
        a, a_start, b, b_start, b_next, length, out, out_start, out_stride = arguments
        a = _element(context, builder, _FLOAT64_3D, a, a_start)
        b = [_element(context, builder, _FLOAT64_3D, b, start) for start in (b_start, builder.add(b_start, b_next))]
        out = _element(context, builder, _FLOAT64_2D, out, out_start)
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_DOUBLES, [_DOUBLES] * 3), f"llvm.fmuladd.v{PANEL}f64"
        )
        sums = [[cgutils.alloca_once_value(builder, ir.Constant(_DOUBLES, None)) for _ in b] for _ in range(PANEL)]
        with cgutils.for_range(builder, length, intp=_WORD) as loop:
            here = builder.mul(loop.index, ir.Constant(_WORD, PANEL))
            columns = [builder.bitcast(builder.gep(panel, [here]), _DOUBLES.as_pointer()) for panel in b]
            columns = [builder.load(column, align=8) for column in columns]
            for row, of_row in enumerate(sums):
                value = _splat(builder, builder.load(_at(builder, builder.gep(a, [here]), row)), _DOUBLES)
                for column, total in zip(columns, of_row, strict=True):
                    builder.store(builder.call(multiply_add, [value, column, builder.load(total)]), total)
        for row, of_row in enumerate(sums):
            line = builder.gep(out, [builder.mul(out_stride, ir.Constant(_WORD, row))])
            for k, total in enumerate(of_row):
                place = builder.bitcast(_at(builder, line, k * PANEL), _DOUBLES.as_pointer())
                builder.store(builder.fadd(builder.load(place, align=8), builder.load(total)), place, align=8)
        return context.get_dummy_value()

    signature = types.void(
        _FLOAT64_3D, types.int64, _FLOAT64_3D, types.int64, types.int64, types.int64, _FLOAT64_2D, types.int64,
        types.int64,
    )  # fmt: skip
    return signature, code


@intrinsic
def lowest_bit(typing_context, word):
    """Place of the lowest bit that is set in a uint64 that is not 0."""

    def code(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), code


def _joint_terms(builder, x, rows, ranks, partners, counts, table, terms):
    with cgutils.for_range(builder, rows, intp=_WORD) as row:
        of_row = builder.gep(counts, [builder.mul(row.index, ir.Constant(_WORD, ranks * LANES))])
        _count_row(builder, row.index, ranks, x, partners, of_row)
    totals = [cgutils.alloca_once(builder, _WORD) for _ in range(LANES)]
    for lane, total in enumerate(totals):
        builder.store(builder.load(_at(builder, terms, lane)), total)
    cells = builder.mul(rows, ir.Constant(_WORD, ranks))
    with cgutils.for_range(builder, cells, intp=_WORD) as cell:
        first = builder.gep(counts, [builder.mul(cell.index, ir.Constant(_WORD, LANES))])
        for lane, total in enumerate(totals):
            # An atomic load (a plain one to the processor) keeps the compiler from joining the look-ups to a gather.
            count = builder.load_atomic(_at(builder, first, lane), "monotonic", 8)
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
    start = builder.load(builder.gep(x.start, [row]))
    if x.spread:
        words = builder.gep(builder.bitcast(x.words, _LANES.as_pointer()), [start])
    else:
        words = builder.gep(x.words, [start])

    def count(place):
        word = builder.load(builder.gep(words, [place]), align=8)
        word = word if x.spread else _splat(builder, word, _LANES)
        partner = builder.gep(partners, [builder.mul(place, ir.Constant(_WORD, ranks))])
        for rank, total in enumerate(sums):
            both = builder.and_(word, builder.load(_at(builder, partner, rank), align=8))
            builder.store(builder.add(builder.load(total), builder.call(population, [both])), total)

    _for_set_bits(builder, builder.gep(x.filled, [builder.mul(row, x.masks)]), x.masks, count)
    counts = builder.bitcast(counts, _LANES.as_pointer())
    for rank, total in enumerate(sums):
        builder.store(builder.load(total), _at(builder, counts, rank), align=8)


def _for_set_bits(builder, filled, masks, body):
    """Runs `body(place)` for every bit that is set in uint64 [masks], from the lowest on."""
    rest = cgutils.alloca_once(builder, _WORD)
    with cgutils.for_range(builder, masks, intp=_WORD) as loop:
        builder.store(builder.load(builder.gep(filled, [loop.index])), rest)
        first = builder.shl(loop.index, ir.Constant(_WORD, 6))
        with _while_set(builder, rest) as mask:
            place = builder.add(first, builder.cttz(mask, ir.Constant(ir.IntType(1), 1)))
            builder.store(builder.and_(mask, builder.sub(mask, _ONE)), rest)
            body(place)


@contextlib.contextmanager
def _while_set(builder, variable):
    """A loop for as long as the variable is not 0; gives its value."""
    test, body, done = (builder.append_basic_block(name) for name in ("test", "body", "done"))
    builder.branch(test)
    builder.position_at_end(test)
    value = builder.load(variable)
    builder.cbranch(builder.icmp_unsigned("!=", value, ir.Constant(_WORD, 0)), body, done)
    builder.position_at_end(body)
    yield value
    builder.branch(test)
    builder.position_at_end(done)


def _at(builder, pointer, index):
    return builder.gep(pointer, [ir.Constant(_WORD, index)])


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
