"""Shape arithmetic on sizes that are known only when the program runs: what ops mean on arrays of symbolic sizes.

Such an array stands for a tensor of 64-bit integers: its elements are ints and `Size`s, its NumPy type is `object`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects.dtypes import INTEGERS
from xmlc.dialects.ml import elementwise, shaping
from xmlc.dialects.ml.elementwise import Predicate
from xmlc.dialects.ml.types import element_of
from xmlc.dialects.reference import shaping as moving
from xmlc.dialects.sizes import UnknownSize, is_symbolic
from xmlc.frontend.onnx.tensors import Array


def is_of_sizes(array: Array) -> bool:
    """Whether elements of an array may be symbolic sizes."""
    return array.dtype == object


def known_if_constant(array: Array) -> Array:
    """The array as plain integers where no element is symbolic."""
    return array if not is_of_sizes(array) or is_symbolic(array.ravel().tolist()) else array.astype(np.int64)


def array_of_sizes(shape: Sequence[int]) -> Array:
    """The sizes of a shape as an array."""
    made = np.empty(len(shape), object)
    made[:] = shape
    return known_if_constant(made)


def on_elements(function: Callable[..., Any], count: int) -> Callable[..., Array]:
    """The row of an elementwise op: `function` of `count` Python objects at every index."""
    of_arrays = np.frompyfunc(function, count, 1)

    def row(op: Operation, *operands: Array) -> Array:
        return np.asarray(of_arrays(*operands), object)

    return row


def total(x: Any, y: Any) -> Any:
    return x + y


def difference(x: Any, y: Any) -> Any:
    return x - y


def product(x: Any, y: Any) -> Any:
    return x * y


def chosen(condition: Any, x: Any, y: Any) -> Any:
    return x if condition else y


def divided(x: Any, y: Any) -> Any:
    """x / y rounded towards zero, which for these is down."""
    if x < 0 or y <= 0:
        raise UnknownSize(f"{x} / {y} is not rounded down")
    return x // y


def equal(x: Any, y: Any) -> bool:
    if x == y:
        return True
    if x < y or y < x:
        return False
    raise UnknownSize(f"whether {x} is {y} depends on a size known only at run time")


PREDICATES: dict[Predicate, Callable[[Any, Any], bool]] = {
    Predicate.EQ: equal,
    Predicate.NE: lambda x, y: not equal(x, y),
    Predicate.LT: lambda x, y: x < y,
    Predicate.LE: lambda x, y: x <= y,
    Predicate.GT: lambda x, y: x > y,
    Predicate.GE: lambda x, y: x >= y,
}


def compare(op: elementwise.CompareOp, x: Array, y: Array) -> Array:
    """Where the predicate provably holds; UnknownSize where it may or may not."""
    return np.asarray(np.frompyfunc(PREDICATES[op.predicate.data], 2, 1)(x, y)).astype(bool)


def cast(op: elementwise.CastOp, x: Array) -> Array:
    """Sizes fit any type of integers that a model counts in."""
    if element_of(op.out) not in INTEGERS:
        raise UnknownSize(f"a size known only at run time becomes {element_of(op.out)}")
    return x


ON_SIZES: dict[type[Operation], Callable[..., Any]] = {
    shaping.BroadcastOp: moving.broadcast,
    shaping.ConcatOp: moving.concat,
    shaping.GatherOp: moving.REFERENCE[shaping.GatherOp],
    shaping.ReshapeOp: moving.reshape,
    shaping.ReverseOp: moving.reverse,
    shaping.SliceOp: moving.slice_,
    shaping.TransposeOp: moving.transpose,
    elementwise.AddOp: on_elements(total, 2),
    elementwise.SubOp: on_elements(difference, 2),
    elementwise.MulOp: on_elements(product, 2),
    elementwise.DivOp: on_elements(divided, 2),
    elementwise.MaxOp: on_elements(max, 2),
    elementwise.MinOp: on_elements(min, 2),
    elementwise.SelectOp: on_elements(chosen, 3),
    elementwise.CompareOp: compare,
    elementwise.CastOp: cast,
}
"""Op -> its meaning on sizes, of which some may be symbolic."""
