"""Sums of products."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import shape_text
from xmlc.frontend.python.array import Array, ArrayLike, as_array, matmul, reshape
from xmlc.frontend.python.functions.elementwise import multiply
from xmlc.frontend.python.functions.reduction import sum
from xmlc.frontend.python.functions.shapes import axes_in, expand_dims, permute_dims, together_all
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import active

__all__ = [
    "einsum",
    "matmul",
    "outer",
    "tensordot",
    "vecdot",
]


def einsum(equation: str, *arrays: ArrayLike) -> Array:
    return Array(F.einsum(together_all(arrays), equation), active())


def vecdot(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Array:
    """The sum of products along a dimension."""
    if as_array(x1).shape[axis] != as_array(x2).shape[axis]:
        raise CompileError("vectors of one product have the same length", place=user_place())
    products = multiply(x1, x2)
    return sum(products, axis=axis, dtype=products.dtype)


def outer(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    return multiply(expand_dims(x1, axis=1), x2)


def tensordot(x1: ArrayLike, x2: ArrayLike, /, *, axes: int | Sequence[Sequence[int]] = 2) -> Array:
    """The sum of products over dimensions of x1 and of x2; a number means the last of x1 and the first of x2."""
    a, b = as_array(x1), as_array(x2)
    if isinstance(axes, int):
        axes = (range(a.ndim - axes, a.ndim), range(axes))
    left, right = axes_in(axes[0], a.ndim), axes_in(axes[1], b.ndim)
    rows, columns = [i for i in range(a.ndim) if i not in left], [i for i in range(b.ndim) if i not in right]
    kept, others = [a.shape[i] for i in rows], [b.shape[i] for i in columns]
    inner = math.prod(a.shape[i] for i in left)
    if [a.shape[i] for i in left] != [b.shape[i] for i in right]:
        raise CompileError(
            f"cannot sum over dimensions {left} of {shape_text(a.shape)} and {right} of {shape_text(b.shape)}",
            place=user_place(),
        )
    product = matmul(
        reshape(permute_dims(a, (*rows, *left)), (math.prod(kept), inner)),
        reshape(permute_dims(b, (*right, *columns)), (inner, math.prod(others))),
    )
    return reshape(product, (*kept, *others))
