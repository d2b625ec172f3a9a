"""Vector code that counts joint histograms: by bit rows, and by comparing the codes of a few dimensions."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import llvmlite.ir as ir
import numpy as np
from numba import types
from numpy.typing import NDArray

from analysis.engine.simd.llvm import (
    BITS,
    INT64,
    ONE,
    UINT16,
    UINT64,
    UINT64_2D,
    WORD,
    cgutils,
    element,
    item_at,
    lowers,
    shape_of,
    splat,
)

LANES = 8
"""Partners counted at a time: one 64-bit lane of a 512-bit register each."""

RANKS_AT_ONCE = 16
"""Bin rows of the partners whose sums fit into the registers."""

GROUP = 32
"""Partners whose codes are compared at once: a 512-bit register of 16-bit numbers."""

TALLIED = 8
"""Dimensions that meet fewer than so many earlier ones are tallied; of others, which are few, each is looked up."""

_LANES = ir.VectorType(WORD, LANES)
_CODES = ir.VectorType(ir.IntType(16), GROUP)


def add_joint_terms(
    words: NDArray[np.uint64], start: NDArray[np.int64], filled: NDArray[np.uint64], first_row: int, rows: int,
    partners: NDArray[np.uint64], offset: int, ranks: int, counts: NDArray[np.int64], table: NDArray[np.int64],
    terms: NDArray[np.int64],
) -> None:  # fmt: skip
    """Adds table[joint count] over the cells of `rows` bin rows of x with `ranks` bin rows of LANES partners at once.

    Bin row b of x, from `first_row` on, is uint64 from item `start[b]` of `words`, of which those count whose bit is
    set in `filled[b]`, uint64 [rows, masks]. The partners' rows are uint64 [words, ranks, LANES], flat, from
    `partners[offset]`. A word of x is spread over the lanes, and AND, population count and add take one word of all
    partners in one instruction each; the sums of all ranks stay in registers until the row ends. `terms`, int64
    [LANES], grows; `counts`, int64 [rows, ranks, LANES], flat, is scratch: counts are looked up when all are made,
    since a look-up right behind its count would wait for it.
    """
    _add_with_numpy(words.reshape(-1, 1), start, filled, first_row, rows, partners, offset, ranks, counts, table, terms)


def add_joint_terms_spread(
    words: NDArray[np.uint64], start: NDArray[np.int64], filled: NDArray[np.uint64], first_row: int, rows: int,
    partners: NDArray[np.uint64], offset: int, ranks: int, counts: NDArray[np.int64], table: NDArray[np.int64],
    terms: NDArray[np.int64],
) -> None:  # fmt: skip
    """The same where partners ask for several binnings of x: `words`, uint64 [entries, LANES], has a word a lane."""
    words = words.reshape(-1, LANES)
    _add_with_numpy(words, start, filled, first_row, rows, partners, offset, ranks, counts, table, terms)


def _add_with_numpy(
    words: NDArray[np.uint64], start: NDArray[np.int64], filled: NDArray[np.uint64], first_row: int, rows: int,
    partners: NDArray[np.uint64], offset: int, ranks: int, counts: NDArray[np.int64], table: NDArray[np.int64],
    terms: NDArray[np.int64],
) -> None:  # fmt: skip
    """Both forms of `add_joint_terms`, of uint64 `words` [entries, 1 or LANES]."""
    theirs = partners[offset:]
    for row in range(rows):
        found = np.zeros((ranks, LANES), np.int64)
        for place in _set_bits(filled[first_row + row]):
            y = theirs[place * ranks * LANES :][: ranks * LANES].reshape(ranks, LANES)
            found += np.bitwise_count(words[start[first_row + row] + place] & y)
        counts[row * ranks * LANES :][: ranks * LANES] = found.reshape(-1)
        terms += table[found].sum(axis=0)


def _set_bits(filled: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Which bits are set in uint64 [masks]."""
    return np.flatnonzero(np.unpackbits(filled.view(np.uint8), bitorder="little"))


def _joint_terms_code(spread: Any) -> Any:
    """The vector code of both forms of `add_joint_terms`."""

    def vector_code(
        typing_context: Any, words: Any, start: Any, filled: Any, first_row: Any, rows: Any, partners: Any,
        offset: Any, ranks: Any, counts: Any, table: Any, terms: Any,
    ) -> Any:  # fmt: skip
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            words, start, filled, first_row, rows, partners, offset, ranks, counts, table, terms = arguments
            masks = shape_of(context, builder, UINT64_2D, filled)[1]
            x = _Rows(
                element(context, builder, UINT64 if spread else BITS, words),
                element(context, builder, INT64, start, first_row),
                element(context, builder, UINT64_2D, filled, builder.mul(first_row, masks)),
                masks,
                spread,
            )
            arrays = (
                builder.bitcast(element(context, builder, UINT64, partners, offset), _LANES.as_pointer()),
                element(context, builder, INT64, counts),
                element(context, builder, INT64, table),
                element(context, builder, INT64, terms),
            )
            done = builder.append_basic_block("counted")
            switch = builder.switch(ranks, done)
            for width in range(1, RANKS_AT_ONCE + 1):
                block = builder.append_basic_block(f"ranks_{width}")
                switch.add_case(ir.Constant(WORD, width), block)
                builder.position_at_end(block)
                _joint_terms(builder, x, rows, width, *arrays)
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        signature = types.void(
            UINT64 if spread else BITS, INT64, UINT64_2D, types.int64, types.int64, UINT64, types.int64,
            types.int64, INT64, INT64, INT64,
        )  # fmt: skip
        return signature, code

    return vector_code


lowers(add_joint_terms)(_joint_terms_code(spread=False))
lowers(add_joint_terms_spread)(_joint_terms_code(spread=True))


class _Rows(NamedTuple):
    """The rows of x, as LLVM's values."""

    words: Any
    start: Any
    filled: Any
    masks: Any
    spread: bool


def spread_row(
    bits: NDArray[np.uint64], rows: NDArray[np.int64], lanes: NDArray[np.uint64], ways: int, filled: NDArray[np.uint64],
    row: int, words: NDArray[np.uint64], start: int,
) -> None:  # fmt: skip
    """Gathers a bin row of x where partners ask for several: a word a lane, of the way its lane asks for.

    Way k < `ways` has the uint64 `bits` from item `rows[k]`, int64, and the lanes that are all ones in `lanes`, uint64
    [ways, LANES], flat. Of `words`, uint64 [entries, LANES], flat, the entries from `start` on are written whose bits
    are set in `filled[row]`, uint64 [rows, masks].
    """
    for place in _set_bits(filled[row]):
        of_way = bits.reshape(-1)[rows[:ways] + place, None] & lanes.reshape(-1, LANES)[:ways]
        words.reshape(-1, LANES)[start + place] = np.bitwise_or.reduce(of_way)


@lowers(spread_row)
def _spread_row(
    typing_context: Any, bits: Any, rows: Any, lanes: Any, ways: Any, filled: Any, row: Any, words: Any, start: Any,
) -> Any:  # fmt: skip
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, rows, lanes, ways, filled, row, words, start = arguments
        masks = shape_of(context, builder, UINT64_2D, filled)[1]
        filled = element(context, builder, UINT64_2D, filled, builder.mul(row, masks))
        bits, rows = element(context, builder, BITS, bits), element(context, builder, INT64, rows)
        lanes = builder.bitcast(element(context, builder, UINT64, lanes), _LANES.as_pointer())
        words = builder.gep(builder.bitcast(element(context, builder, UINT64, words), _LANES.as_pointer()), [start])
        mixed = cgutils.alloca_once(builder, _LANES)

        def gather(place: Any) -> None:
            builder.store(ir.Constant(_LANES, None), mixed)
            with cgutils.for_range(builder, ways, intp=WORD) as way:
                item = builder.add(builder.load(builder.gep(rows, [way.index])), place)
                word = splat(builder, builder.load(builder.gep(bits, [item])), _LANES)
                of_way = builder.and_(word, builder.load(builder.gep(lanes, [way.index]), align=8))
                builder.store(builder.or_(builder.load(mixed), of_way), mixed)
            builder.store(builder.load(mixed), builder.gep(words, [place]), align=8)

        _for_set_bits(builder, filled, masks, gather)
        return context.get_dummy_value()

    signature = types.void(BITS, INT64, UINT64, types.int64, UINT64_2D, types.int64, UINT64, types.int64)
    return signature, code


def put_in_lane(
    bits: NDArray[np.uint64], start: int, length: int, partners: NDArray[np.uint64], place: int, stride: int
) -> None:
    """Copies `length` words of uint64 `bits` from item `start` to every `stride`-th item of `partners` from `place`."""
    partners[place + stride * np.arange(length)] = bits.reshape(-1)[start : start + length]


@lowers(put_in_lane)
def _put_in_lane(
    typing_context: Any, bits: Any, start: Any, length: Any, partners: Any, place: Any, stride: Any,
) -> Any:  # fmt: skip
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, start, length, partners, place, stride = arguments
        source = element(context, builder, BITS, bits, start)
        target = element(context, builder, UINT64, partners, place)
        with cgutils.for_range(builder, length, intp=WORD) as loop:
            word = builder.load(builder.gep(source, [loop.index]))
            # An atomic store (a plain one to the processor) keeps the compiler from joining stores to a scatter.
            place = builder.gep(target, [builder.mul(loop.index, stride)])
            builder.store_atomic(word, place, "monotonic", 8)
        return context.get_dummy_value()

    return types.void(BITS, types.int64, types.int64, UINT64, types.int64, types.int64), code


def tally(
    met: NDArray[np.uint16], k: int, before: int, counted: int, tallies: NDArray[np.uint16], same: NDArray[np.uint16]
) -> None:
    """Counts for GROUP partners how many of the `before` codes before code `k` are equal to it.

    `met` is uint16 [codes, GROUP], flat. Where code `k` is not below `counted`, the count is 0. Counts go to `same`,
    uint16 [GROUP]; where `before` < TALLIED, 1 is added to `tallies`, uint16 [TALLIED, GROUP], flat, at the count,
    unless that is 0.
    """
    codes = met.reshape(-1, GROUP)
    same[:] = np.where(codes[k] < counted, (codes[k - before : k] == codes[k]).sum(axis=0), 0)
    if before < TALLIED:
        for m in range(1, before + 1):
            tallies.reshape(-1, GROUP)[m] += same == m


@lowers(tally)
def _tally(typing_context: Any, met: Any, k: Any, before: Any, counted: Any, tallies: Any, same: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        met, k, before, counted, tallies, same = arguments
        met, tallies, same = (
            builder.bitcast(element(context, builder, UINT16, array), _CODES.as_pointer())
            for array in (met, tallies, same)
        )
        own = builder.load(builder.gep(met, [k]), align=2)
        equal = cgutils.alloca_once_value(builder, ir.Constant(_CODES, None))
        with cgutils.for_range(builder, before, intp=WORD) as loop:
            other = builder.load(builder.gep(met, [builder.sub(builder.sub(k, loop.index), ONE)]), align=2)
            met_here = builder.zext(builder.icmp_unsigned("==", own, other), _CODES)
            builder.store(builder.add(builder.load(equal), met_here), equal)
        below = builder.icmp_unsigned("<", own, splat(builder, builder.trunc(counted, ir.IntType(16)), _CODES))
        count = builder.select(below, builder.load(equal), ir.Constant(_CODES, None))
        builder.store(count, same, align=2)
        with builder.if_then(builder.icmp_signed("<", before, ir.Constant(WORD, TALLIED))):
            last = builder.add(before, ONE)
            with cgutils.for_range(builder, last, ONE, intp=WORD) as loop:
                number = splat(builder, builder.trunc(loop.index, ir.IntType(16)), _CODES)
                place = builder.gep(tallies, [loop.index])
                more = builder.zext(builder.icmp_unsigned("==", count, number), _CODES)
                builder.store(builder.add(builder.load(place, align=2), more), place, align=2)
        return context.get_dummy_value()

    signature = types.void(UINT16, types.int64, types.int64, types.int64, UINT16, UINT16)
    return signature, code


def _joint_terms(
    builder: Any, x: Any, rows: Any, ranks: Any, partners: Any, counts: Any, table: Any, terms: Any
) -> None:
    with cgutils.for_range(builder, rows, intp=WORD) as row:
        of_row = builder.gep(counts, [builder.mul(row.index, ir.Constant(WORD, ranks * LANES))])
        _count_row(builder, row.index, ranks, x, partners, of_row)
    totals = [cgutils.alloca_once(builder, WORD) for _ in range(LANES)]
    for lane, total in enumerate(totals):
        builder.store(builder.load(item_at(builder, terms, lane)), total)
    cells = builder.mul(rows, ir.Constant(WORD, ranks))
    with cgutils.for_range(builder, cells, intp=WORD) as cell:
        first = builder.gep(counts, [builder.mul(cell.index, ir.Constant(WORD, LANES))])
        for lane, total in enumerate(totals):
            # An atomic load (a plain one to the processor) keeps the compiler from joining the look-ups to a gather.
            count = builder.load_atomic(item_at(builder, first, lane), "monotonic", 8)
            builder.store(builder.add(builder.load(total), builder.load(builder.gep(table, [count]))), total)
    for lane, total in enumerate(totals):
        builder.store(builder.load(total), item_at(builder, terms, lane))


def _count_row(builder: Any, row: Any, ranks: Any, x: Any, partners: Any, counts: Any) -> None:
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

    def count(place: Any) -> None:
        word = builder.load(builder.gep(words, [place]), align=8)
        word = word if x.spread else splat(builder, word, _LANES)
        partner = builder.gep(partners, [builder.mul(place, ir.Constant(WORD, ranks))])
        for rank, total in enumerate(sums):
            both = builder.and_(word, builder.load(item_at(builder, partner, rank), align=8))
            builder.store(builder.add(builder.load(total), builder.call(population, [both])), total)

    _for_set_bits(builder, builder.gep(x.filled, [builder.mul(row, x.masks)]), x.masks, count)
    counts = builder.bitcast(counts, _LANES.as_pointer())
    for rank, total in enumerate(sums):
        builder.store(builder.load(total), item_at(builder, counts, rank), align=8)


def _for_set_bits(builder: Any, filled: Any, masks: Any, body: Any) -> None:
    """Runs `body(place)` for every bit that is set in uint64 [masks], from the lowest on."""
    rest = cgutils.alloca_once(builder, WORD)
    with cgutils.for_range(builder, masks, intp=WORD) as loop:
        builder.store(builder.load(builder.gep(filled, [loop.index])), rest)
        first = builder.shl(loop.index, ir.Constant(WORD, 6))
        with _while_set(builder, rest) as mask:
            place = builder.add(first, builder.cttz(mask, ir.Constant(ir.IntType(1), 1)))
            builder.store(builder.and_(mask, builder.sub(mask, ONE)), rest)
            body(place)


@contextlib.contextmanager
def _while_set(builder: Any, variable: Any) -> Iterator[Any]:
    """A loop for as long as the variable is not 0; gives its value."""
    test, body, done = (builder.append_basic_block(name) for name in ("test", "body", "done"))
    builder.branch(test)
    builder.position_at_end(test)
    value = builder.load(variable)
    builder.cbranch(builder.icmp_unsigned("!=", value, ir.Constant(WORD, 0)), body, done)
    builder.position_at_end(body)
    yield value
    builder.branch(test)
    builder.position_at_end(done)
