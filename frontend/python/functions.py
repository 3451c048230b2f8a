"""The functions of arrays that a traced function may call, under the names of the Python array API standard 2024.12.

Those of neural networks are in `xmlc.frontend.python.nn`, control flow is in `xmlc.frontend.python.control`.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of, shape_text
from xmlc.frontend.python.array import (
    DEFAULT_INTEGER,
    Array,
    ArrayLike,
    as_array,
    as_float,
    binary,
    compare,
    divide,
    element_named,
    from_the_end,
    kind,
    matmul,
    modulo,
    reduce,
    reshape,
    together,
    unary,
    value_of,
)
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import active

Axis = int | Sequence[int] | None

pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "asarray",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "broadcast_to",
    "ceil",
    "clip",
    "concat",
    "cos",
    "cosh",
    "cumulative_max",
    "cumulative_prod",
    "cumulative_sum",
    "divide",
    "e",
    "einsum",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "flip",
    "floor",
    "floor_divide",
    "full",
    "full_like",
    "greater",
    "greater_equal",
    "inf",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "linspace",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "nan",
    "negative",
    "newaxis",
    "not_equal",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "permute_dims",
    "pi",
    "positive",
    "pow",
    "prod",
    "reciprocal",
    "remainder",
    "repeat",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sinh",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "topk",
    "tril",
    "triu",
    "trunc",
    "unstack",
    "var",
    "vecdot",
    "where",
    "zeros",
    "zeros_like",
]  # fmt: skip


# --- creation


def asarray(x: ArrayLike, dtype: Any = None) -> Array:
    """x as an array of the program: a number as a constant, an array from outside as a constant or a weight."""
    array = as_array(x)
    if dtype is None and array.weak:
        dtype = (bool, int, float)[kind(element_of(array.value))]
    return array if dtype is None else array.astype(dtype)


def sizes_of(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def full(shape: int | Sequence[int], fill: ArrayLike, dtype: Any = None) -> Array:
    """An array of `shape` that holds one value everywhere."""
    return broadcast_to(asarray(fill, dtype), sizes_of(shape))


def zeros(shape: int | Sequence[int], dtype: Any = float) -> Array:
    return full(shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: Any = float) -> Array:
    return full(shape, 1, dtype)


def full_like(x: ArrayLike, fill: ArrayLike, dtype: Any = None) -> Array:
    array = as_array(x)
    return full(array.shape, fill, array.dtype if dtype is None else dtype)


def zeros_like(x: ArrayLike, dtype: Any = None) -> Array:
    return full_like(x, 0, dtype)


def ones_like(x: ArrayLike, dtype: Any = None) -> Array:
    return full_like(x, 1, dtype)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Array:
    """start, start + step, … below stop; from 0 where only one bound is given."""
    start, stop = (0, start) if stop is None else (start, stop)
    whole = isinstance(start, int) and isinstance(stop, int) and isinstance(step, int)
    element = element_named((int if whole else float) if dtype is None else dtype)
    count = builtins.max(math.ceil((stop - start) / step), 0)
    places = F.iota((count,), 0, element)
    if step != 1:
        places = F.mul(places, F.scalar(places, step))
    return Array(F.add(places, F.scalar(places, start)) if start else places, active())


def linspace(start: float, stop: float, num: int, *, dtype: Any = float, endpoint: bool = True) -> Array:
    """`num` numbers at equal distances from start to stop, which is one of them if `endpoint`."""
    return asarray(np.linspace(start, stop, num, endpoint=endpoint), dtype)


def eye(rows: int, columns: int | None = None, *, k: int = 0, dtype: Any = float) -> Array:
    """Ones on the diagonal j = i + k, zeros elsewhere."""
    shape = (rows, rows if columns is None else columns)
    on = F.compare(F.add(F.iota(shape, 0, i64), F.constant(k, i64)), F.iota(shape, 1, i64), "eq")
    return Array(F.cast(on, element_named(dtype)), active())


def triangle(x: ArrayLike, k: int, predicate: str) -> Array:
    array = as_array(x)
    shape = array.shape[-2:]
    kept = F.compare(F.iota(shape, 1, i64), F.add(F.iota(shape, 0, i64), F.constant(k, i64)), predicate)
    return Array(F.select(kept, array.value, F.scalar(array.value, 0)), array.trace)


def tril(x: ArrayLike, *, k: int = 0) -> Array:
    """x with zeros above the diagonal j = i + k."""
    return triangle(x, k, "le")


def triu(x: ArrayLike, *, k: int = 0) -> Array:
    """x with zeros below the diagonal j = i + k."""
    return triangle(x, k, "ge")


def astype(x: ArrayLike, dtype: Any) -> Array:
    return as_array(x).astype(dtype)


# --- elementwise


def float_function(build: Callable[[SSAValue], SSAValue]) -> Callable[[ArrayLike], Array]:
    """A function of floats; of integers it computes in float32."""

    def call(x: ArrayLike) -> Array:
        return unary(build, as_float(x))

    call.__doc__ = build.__doc__
    return call


acos, acosh = float_function(F.acos), float_function(F.acosh)
asin, asinh = float_function(F.asin), float_function(F.asinh)
atan, atanh = float_function(F.atan), float_function(F.atanh)
cos, cosh, sin, sinh = map(float_function, (F.cos, F.cosh, F.sin, F.sinh))
tan, tanh, erf = map(float_function, (F.tan, F.tanh, F.erf))
exp, expm1, log, log1p = map(float_function, (F.exp, F.expm1, F.log, F.log1p))
sqrt, rsqrt = float_function(F.sqrt), float_function(F.rsqrt)


def negative(x: ArrayLike) -> Array:
    return unary(F.neg, x)


def positive(x: ArrayLike) -> Array:
    return as_array(x)


def abs(x: ArrayLike) -> Array:
    return unary(F.abs_, x)


def sign(x: ArrayLike) -> Array:
    return unary(F.sign, x)


def square(x: ArrayLike) -> Array:
    return unary(lambda v: F.mul(v, v), x)


def reciprocal(x: ArrayLike) -> Array:
    return divide(1, x)


def log2(x: ArrayLike) -> Array:
    return log(x) * (1 / math.log(2))


def log10(x: ArrayLike) -> Array:
    return log(x) * (1 / math.log(10))


def rounding(build: Callable[[SSAValue], SSAValue]) -> Callable[[ArrayLike], Array]:
    """A function that leaves integers as they are."""
    return lambda x: unary(build, x) if kind(element_of(value_of(x))) == 2 else as_array(x)


floor, ceil, round = rounding(F.floor), rounding(F.ceil), rounding(F.round_)


def trunc(x: ArrayLike) -> Array:
    """The nearest integer towards zero."""
    return where(as_array(x) < 0, ceil(x), floor(x))


def isnan(x: ArrayLike) -> Array:
    return unary(F.is_nan, as_float(x))


def isinf(x: ArrayLike) -> Array:
    return unary(F.is_inf, as_float(x))


def isfinite(x: ArrayLike) -> Array:
    return ~(isnan(x) | isinf(x))


def two(build: Callable[[SSAValue, SSAValue], SSAValue]) -> Callable[[ArrayLike, ArrayLike], Array]:
    """A function of two arrays that broadcast and meet in one type."""

    def call(x: ArrayLike, y: ArrayLike) -> Array:
        return binary(build, x, y)

    call.__doc__ = build.__doc__
    return call


add, subtract, multiply = two(F.add), two(F.sub), two(F.mul)
floor_divide, remainder, pow = two(F.floor_div), two(modulo), two(F.pow_)
maximum, minimum = two(F.max_), two(F.min_)
bitwise_and, bitwise_or, bitwise_xor = two(F.and_), two(F.or_), two(F.xor)
bitwise_left_shift, bitwise_right_shift = two(F.shift_left), two(F.shift_right)
logical_and, logical_or, logical_xor = two(F.and_), two(F.or_), two(F.xor)


def bitwise_invert(x: ArrayLike) -> Array:
    return unary(F.not_, x)


def logical_not(x: ArrayLike) -> Array:
    return unary(F.not_, x)


def atan2(x: ArrayLike, y: ArrayLike) -> Array:
    return binary(F.atan2, as_float(x), as_float(y))


def logaddexp(x: ArrayLike, y: ArrayLike) -> Array:
    """log(e^x + e^y), without overflow"""
    return maximum(x, y) + log1p(exp(-abs(subtract(x, y))))


def comparison(predicate: str) -> Callable[[ArrayLike, ArrayLike], Array]:
    return lambda x, y: compare(predicate, x, y)


equal, not_equal = comparison("eq"), comparison("ne")
less, less_equal, greater, greater_equal = map(comparison, ("lt", "le", "gt", "ge"))


def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike) -> Array:
    """x where the condition is true, y elsewhere."""
    a, b, weak = together(x, y)
    return Array(F.select(value_of(condition), a, b), active(), weak)


def clip(x: ArrayLike, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Array:
    """x, but at least `min` and at most `max`."""
    made = as_array(x)
    made = made if min is None else maximum(made, min)
    return made if max is None else minimum(made, max)


# --- shape


def permute_dims(x: ArrayLike, axes: Sequence[int]) -> Array:
    order = [axis % rank_of(value_of(x)) for axis in axes]
    return unary(lambda v: F.transpose(v, order), x)


def matrix_transpose(x: ArrayLike) -> Array:
    return as_array(x).mT


def moveaxis(x: ArrayLike, source: int, destination: int) -> Array:
    array = as_array(x)
    order = [i for i in range(array.ndim) if i != source % array.ndim]
    order.insert(destination % array.ndim, source % array.ndim)
    return permute_dims(array, order)


def expand_dims(x: ArrayLike, axis: int = 0) -> Array:
    array = as_array(x)
    shape = list(array.shape)
    shape.insert(axis % (array.ndim + 1), 1)
    return reshape(array, shape)


def squeeze(x: ArrayLike, axis: int | Sequence[int]) -> Array:
    """x without dimensions, which must have size 1."""
    array = as_array(x)
    axes = {each % array.ndim for each in sizes_of(axis)}
    if builtins.any(array.shape[each] != 1 for each in axes):
        raise CompileError(f"cannot leave out dimensions {axis} of {shape_text(array.shape)}", place=user_place())
    return reshape(array, [size for i, size in enumerate(array.shape) if i not in axes])


def broadcast_to(x: ArrayLike, shape: Sequence[int]) -> Array:
    return unary(lambda v: F.broadcast(v, tuple(shape)), x)


def together_all(arrays: Sequence[ArrayLike]) -> list[SSAValue]:
    """Arrays in the type in which they all meet."""
    if not arrays:
        raise CompileError("expected at least one array", place=user_place())
    meeting = as_array(arrays[0])
    for each in arrays[1:]:
        meeting = Array(together(meeting, each)[0], active(), meeting.weak and as_array(each).weak)
    return [F.cast(value_of(each), element_of(meeting.value)) for each in arrays]


def concat(arrays: Sequence[ArrayLike], axis: int | None = 0) -> Array:
    values = together_all(arrays)
    if axis is None:
        values, axis = [F.reshape(each, (math.prod(shape_of(each)),)) for each in values], 0
    return Array(F.concat(values, axis), active())


def stack(arrays: Sequence[ArrayLike], axis: int = 0) -> Array:
    return concat([expand_dims(each, axis) for each in arrays], axis)


def unstack(x: ArrayLike, axis: int = 0) -> tuple[Array, ...]:
    return tuple(moveaxis(x, axis, 0))


def split(x: ArrayLike, parts: int, axis: int = 0) -> list[Array]:
    """Equal parts along a dimension, whose size they must divide."""
    array = as_array(x)
    axis %= array.ndim
    if array.shape[axis] % parts:
        raise CompileError(f"cannot split {array.shape[axis]} into {parts} equal parts", place=user_place())
    size = array.shape[axis] // parts
    before = (slice(None),) * axis
    return [array[(*before, slice(k * size, (k + 1) * size))] for k in range(parts)]


def flip(x: ArrayLike, axis: Axis = None) -> Array:
    array = as_array(x)
    axes = range(array.ndim) if axis is None else sizes_of(axis)
    return unary(lambda v: F.reverse(v, tuple(axes)), array)


def roll(x: ArrayLike, shift: int, axis: int) -> Array:
    """x moved by `shift` places along a dimension; what leaves at one end comes in at the other."""
    array = as_array(x)
    axis %= array.ndim
    size = array.shape[axis]
    if not size or not shift % size:
        return array
    before = (slice(None),) * axis
    cut = size - shift % size
    return concat([array[(*before, slice(cut, None))], array[(*before, slice(None, cut))]], axis)


def tile(x: ArrayLike, repetitions: Sequence[int]) -> Array:
    array = as_array(x)
    rank = len(repetitions) if len(repetitions) > array.ndim else array.ndim
    grown = reshape(array, (*[1] * (rank - array.ndim), *array.shape))
    counts = (*[1] * (rank - len(repetitions)), *repetitions)
    return unary(lambda v: F.tile(v, counts), grown)


def repeat(x: ArrayLike, repeats: int, *, axis: int | None = None) -> Array:
    """Each element `repeats` times, next to each other."""
    array = as_array(x) if axis is not None else reshape(x, (-1,))
    axis = (axis or 0) % array.ndim
    shape = array.shape
    apart = broadcast_to(expand_dims(array, axis + 1), (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
    return reshape(apart, (*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]))


def pad(x: ArrayLike, widths: Sequence[tuple[int, int]], mode: str = "constant", value: ArrayLike = 0) -> Array:
    """x with (before, after) elements more in each dimension; mode constant, edge or reflect, as in NumPy."""
    array = as_array(x)
    low, high = [low for low, _ in widths], [high for _, high in widths]
    filling = F.cast(value_of(value), element_of(array.value)) if mode == "constant" else None
    return unary(lambda v: F.pad(v, low, high, mode, value=filling), array)


# --- reduction, order


def sum(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_sum, as_number(x), axis, keepdims)


def as_number(x: ArrayLike) -> Array:
    """x, truth values as integers."""
    array = as_array(x)
    return array if kind(element_of(array.value)) else Array(F.cast(array.value, DEFAULT_INTEGER), array.trace)


def prod(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_prod, as_number(x), axis, keepdims)


def max(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_max, x, axis, keepdims)


def min(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_min, x, axis, keepdims)


def mean(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_mean, as_float(x), axis, keepdims)


def var(x: ArrayLike, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    """The sum of squared distances from the mean over their number less `correction`."""
    array = as_float(x)
    squares = square(array - mean(array, axis=axis, keepdims=True))
    total = sum(squares, axis=axis, keepdims=keepdims)
    count = array.size if axis is None else math.prod(array.shape[i] for i in sizes_of(axis))
    return total / (count - correction)


def std(x: ArrayLike, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    return sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def any(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_any, astype(x, bool), axis, keepdims)


def all(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_all, astype(x, bool), axis, keepdims)


def extreme_index(build: Callable[..., SSAValue], x: ArrayLike, axis: int | None, keepdims: bool) -> Array:
    array = as_array(x)
    if axis is not None:
        return unary(lambda v: build(v, axis, keep_dims=keepdims), array)
    found = unary(lambda v: build(v, 0), reshape(array, (-1,)))
    return reshape(found, (1,) * array.ndim) if keepdims else found


def argmax(x: ArrayLike, *, axis: int | None = None, keepdims: bool = False) -> Array:
    return extreme_index(F.argmax, x, axis, keepdims)


def argmin(x: ArrayLike, *, axis: int | None = None, keepdims: bool = False) -> Array:
    return extreme_index(F.argmin, x, axis, keepdims)


def cumulative_sum(x: ArrayLike, *, axis: int = 0) -> Array:
    return unary(lambda v: F.cumulative_sum(v, axis), as_number(x))


def cumulative_prod(x: ArrayLike, *, axis: int = 0) -> Array:
    return unary(lambda v: F.cumulative_prod(v, axis), as_number(x))


def cumulative_max(x: ArrayLike, *, axis: int = 0) -> Array:
    return unary(lambda v: F.cumulative_max(v, axis), x)


def sort(x: ArrayLike, *, axis: int = -1, descending: bool = False) -> Array:
    return unary(lambda v: F.sort(v, axis, descending)[0], x)


def argsort(x: ArrayLike, *, axis: int = -1, descending: bool = False) -> Array:
    return unary(lambda v: F.sort(v, axis, descending)[1], x)


def topk(x: ArrayLike, k: int, *, axis: int = -1) -> tuple[Array, Array]:
    """The k largest in descending order, and where they are."""
    array = as_array(x)
    values, indices = F.topk(array.value, k, axis)
    return Array(values, array.trace), Array(indices, array.trace)


# --- by index


def take(x: ArrayLike, indices: ArrayLike, *, axis: int = 0) -> Array:
    """Whole slices of x along a dimension; a negative index counts from the end, one out of range is clamped."""
    array = as_array(x)
    places = from_the_end(value_of(indices), array.shape[axis])
    return unary(lambda v: F.gather(v, places, axis), array)


def take_along_axis(x: ArrayLike, indices: ArrayLike, *, axis: int = -1) -> Array:
    """Single elements of x along a dimension."""
    array = as_array(x)
    places = from_the_end(value_of(indices), array.shape[axis])
    return unary(lambda v: F.gather_elements(v, places, axis), array)


# --- products


def einsum(equation: str, *arrays: ArrayLike) -> Array:
    return Array(F.einsum(together_all(arrays), equation), active())


def vecdot(x: ArrayLike, y: ArrayLike, *, axis: int = -1) -> Array:
    return sum(multiply(x, y), axis=axis)


def outer(x: ArrayLike, y: ArrayLike) -> Array:
    return multiply(expand_dims(x, 1), y)


def tensordot(x: ArrayLike, y: ArrayLike, *, axes: int = 2) -> Array:
    """The sum over the last `axes` dimensions of x and the first of y."""
    a, b = as_array(x), as_array(y)
    kept, others = a.shape[: a.ndim - axes], b.shape[axes:]
    product = matmul(reshape(a, (math.prod(kept), -1)), reshape(b, (-1, math.prod(others))))
    return reshape(product, (*kept, *others))
