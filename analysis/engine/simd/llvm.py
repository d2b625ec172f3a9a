"""What the modules of vector code share: LLVM's types, Numba's arrays, and where their elements are.

The inner loops that a compiler does not find by itself are written as LLVM vector code, in `counting`, `binning` and
`products`. It is portable: the compiler lowers the same vectors to AVX-512, AVX2 or NEON, whatever is at hand. Each
piece stands below the function that it is a form of: called from Python, that one does the same with NumPy.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir
import numba.core.cgutils
from numba import types
from numba.core.typing.templates import infer, infer_global, make_intrinsic_template
from numba.np import arrayobj

# What builds code has LLVM's values, which have no types here.
cgutils: Any = numba.core.cgutils
_make_array: Any = arrayobj.make_array
_infer: Any = infer
_infer_global: Any = infer_global
_make_template: Any = make_intrinsic_template


def lowers(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes the vector code below what compiled code runs where it calls `function`.

    The vector code is written as for `numba.extending.intrinsic`: it takes the typing context and the argument types,
    and gives a signature and the function that builds the code.
    """

    def register(vector_code: Callable[..., Any]) -> Callable[..., Any]:
        template = _make_template(function, vector_code, function.__name__)
        _infer(template)
        _infer_global(function, types.Function(template))
        return vector_code

    return register


WORD = ir.IntType(64)
ONE = ir.Constant(WORD, 1)

BITS = types.Array(types.uint64, 3, "C")
FLOAT32 = types.Array(types.float32, 1, "C")
FLOAT64_2D = types.Array(types.float64, 2, "C")
FLOAT64_3D = types.Array(types.float64, 3, "C")
INT64 = types.Array(types.int64, 1, "C")
UINT8 = types.Array(types.uint8, 1, "C")
UINT16 = types.Array(types.uint16, 1, "C")
UINT64 = types.Array(types.uint64, 1, "C")
UINT64_2D = types.Array(types.uint64, 2, "C")


def item_at(builder: Any, pointer: Any, index: Any) -> Any:
    """Pointer to an item at a fixed distance."""
    return builder.gep(pointer, [ir.Constant(WORD, index)])


def element(context: Any, builder: Any, array_type: Any, array: Any, index: Any = None) -> Any:
    """Pointer to the first element of an array, or to element `index`."""
    data = _make_array(array_type)(context, builder, array).data
    return data if index is None else builder.gep(data, [index])


def splat(builder: Any, scalar: Any, vector_type: Any) -> Any:
    """The scalar in every lane."""
    one = builder.insert_element(ir.Constant(vector_type, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), None)
    return builder.shuffle_vector(one, ir.Constant(vector_type, ir.Undefined), zeros)


def shape_of(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """The lengths of an array's dimensions."""
    return cgutils.unpack_tuple(builder, _make_array(array_type)(context, builder, array).shape)
