"""Vector code that multiplies panels of vectors."""

from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import types
from numpy.typing import NDArray

from analysis.engine.simd.llvm import FLOAT64_2D, FLOAT64_3D, WORD, cgutils, element, item_at, lowers, splat

PANEL = 8
"""Vectors whose values of one dimension stand together: a 512-bit register of float64."""

_DOUBLES = ir.VectorType(ir.DoubleType(), PANEL)


def add_products(
    a: NDArray[np.float64], a_start: int, b: NDArray[np.float64], b_start: int, b_next: int, length: int,
    out: NDArray[np.float64], out_start: int, out_stride: int,
) -> None:  # fmt: skip
    """Adds the sums of products of PANEL vectors with 2 * PANEL others over `length` dimensions.

    `a` is float64 [length, PANEL], flat, from item `a_start`; `b` is two such panels, from `b_start` and `b_next` items
    after it. The sum of vectors r and c goes onto item `out_start + r * out_stride + c` of `out`. All sums stay in
    registers: 10 loads serve 16 multiplications of whole registers.
    """
    x, *ys = (
        array.reshape(-1)[start:][: length * PANEL].reshape(length, PANEL)
        for array, start in ((a, a_start), (b, b_start), (b, b_start + b_next))
    )
    sums = np.hstack([x.T @ y for y in ys])
    for r in range(PANEL):
        out.reshape(-1)[out_start + r * out_stride :][: 2 * PANEL] += sums[r]


@lowers(add_products)
def _add_products(
    typing_context: Any, a: Any, a_start: Any, b: Any, b_start: Any, b_next: Any, length: Any, out: Any,
    out_start: Any, out_stride: Any,
) -> Any:  # fmt: skip
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, a_start, b, b_start, b_next, length, out, out_start, out_stride = arguments
        a = element(context, builder, FLOAT64_3D, a, a_start)
        b = [element(context, builder, FLOAT64_3D, b, start) for start in (b_start, builder.add(b_start, b_next))]
        out = element(context, builder, FLOAT64_2D, out, out_start)
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_DOUBLES, [_DOUBLES] * 3), f"llvm.fmuladd.v{PANEL}f64"
        )
        sums = [[cgutils.alloca_once_value(builder, ir.Constant(_DOUBLES, None)) for _ in b] for _ in range(PANEL)]
        with cgutils.for_range(builder, length, intp=WORD) as loop:
            here = builder.mul(loop.index, ir.Constant(WORD, PANEL))
            columns = [builder.bitcast(builder.gep(panel, [here]), _DOUBLES.as_pointer()) for panel in b]
            columns = [builder.load(column, align=8) for column in columns]
            for row, of_row in enumerate(sums):
                value = splat(builder, builder.load(item_at(builder, builder.gep(a, [here]), row)), _DOUBLES)
                for column, total in zip(columns, of_row, strict=True):
                    builder.store(builder.call(multiply_add, [value, column, builder.load(total)]), total)
        for row, of_row in enumerate(sums):
            line = builder.gep(out, [builder.mul(out_stride, ir.Constant(WORD, row))])
            for k, total in enumerate(of_row):
                place = builder.bitcast(item_at(builder, line, k * PANEL), _DOUBLES.as_pointer())
                builder.store(builder.fadd(builder.load(place, align=8), builder.load(total)), place, align=8)
        return context.get_dummy_value()

    signature = types.void(
        FLOAT64_3D, types.int64, FLOAT64_3D, types.int64, types.int64, types.int64, FLOAT64_2D, types.int64,
        types.int64,
    )  # fmt: skip
    return signature, code
