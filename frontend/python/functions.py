"""The functions of arrays that a traced function may call, under the names of the Python array API standard 2024.12.

Those of neural networks are in `xmlc.frontend.python.nn`, control flow is in `xmlc.frontend.python.control`.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex, cast

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import is_float, is_unsigned, u64
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import broadcast_shapes, element_of, rank_of, shape_of, shape_text
from xmlc.dialects.sizes import Size
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
    index,
    kind,
    matmul,
    modulo,
    reduce,
    reshape,
    size_of,
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
    "at",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "broadcast_arrays",
    "broadcast_to",
    "ceil",
    "clip",
    "concat",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "count_nonzero",
    "cumulative_max",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "divide",
    "e",
    "einsum",
    "empty",
    "empty_like",
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
    "hypot",
    "imag",
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
    "meshgrid",
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
    "real",
    "reciprocal",
    "remainder",
    "repeat",
    "replaced",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "searchsorted",
    "sign",
    "signbit",
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


def asarray(x: ArrayLike, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Array:
    """x as an array of the program: a number as a constant, an array from outside as a constant or a weight."""
    array = as_array(x)
    if dtype is None and array.weak:
        dtype = (bool, int, float)[kind(element_of(array.value))]
    return array if dtype is None else array.astype(dtype)


def sizes_of(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (size_of(shape),) if isinstance(shape, SupportsIndex) else tuple(map(size_of, shape))


def full(shape: int | Sequence[int], fill_value: ArrayLike, *, dtype: Any = None, device: Any = None) -> Array:
    """An array of `shape` that holds one value everywhere."""
    return broadcast_to(asarray(fill_value, dtype=dtype), sizes_of(shape))


def zeros(shape: int | Sequence[int], *, dtype: Any = None, device: Any = None) -> Array:
    return full(shape, 0, dtype=float if dtype is None else dtype)


def ones(shape: int | Sequence[int], *, dtype: Any = None, device: Any = None) -> Array:
    return full(shape, 1, dtype=float if dtype is None else dtype)


def full_like(x: ArrayLike, /, fill_value: ArrayLike, *, dtype: Any = None, device: Any = None) -> Array:
    array = as_array(x)
    return full(array.shape, fill_value, dtype=array.dtype if dtype is None else dtype)


def zeros_like(x: ArrayLike, /, *, dtype: Any = None, device: Any = None) -> Array:
    return full_like(x, 0, dtype=dtype)


def ones_like(x: ArrayLike, /, *, dtype: Any = None, device: Any = None) -> Array:
    return full_like(x, 1, dtype=dtype)


empty, empty_like = zeros, zeros_like


def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None
) -> Array:
    """start, start + step, … below stop; from 0 where only one bound is given."""
    start, stop = (0, start) if stop is None else (start, stop)
    whole = isinstance(start, int | Size) and isinstance(stop, int | Size) and isinstance(step, int)
    element = element_named((int if whole else float) if dtype is None else dtype)
    count = -((start - stop) // step) if whole else math.ceil((stop - start) / step)
    count = builtins.max(count, 0)
    wide = element if is_float(element) else i64
    places = F.iota((cast(int, count),), 0, wide)
    if step != 1:
        places = F.mul(places, F.scalar(places, step))
    places = F.add(places, F.scalar(places, start)) if start else places
    return Array(F.cast(places, element), active())


def linspace(
    start: float, stop: float, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Array:
    """`num` numbers at equal distances from start to stop, which is one of them if `endpoint`."""
    return asarray(np.linspace(start, stop, num, endpoint=endpoint), dtype=float if dtype is None else dtype)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Array:
    """Ones on the diagonal j = i + k, zeros elsewhere."""
    shape = (n_rows, n_rows if n_cols is None else n_cols)
    k = builtins.max(-shape[0], builtins.min(k, shape[1]))  # beyond these there is no diagonal
    on = F.compare(F.add(F.iota(shape, 0, i64), F.constant(k, i64)), F.iota(shape, 1, i64), "eq")
    return Array(F.cast(on, element_named(float if dtype is None else dtype)), active())


def meshgrid(*arrays: ArrayLike, indexing: str = "xy") -> list[Array]:
    """The coordinates of the grid that vectors span; with "xy" the second one runs along the first dimension."""
    if indexing not in ("xy", "ij"):
        raise CompileError(f"indexing is 'xy' or 'ij', found {indexing!r}", place=user_place())
    count = len(arrays)
    places = list(range(count))
    if indexing == "xy" and count > 1:
        places[:2] = [1, 0]
    shaped = [reshape(x, [-1 if i == place else 1 for i in range(count)]) for place, x in zip(places, arrays)]
    return broadcast_arrays(*shaped)


def triangle(x: ArrayLike, k: int, predicate: str) -> Array:
    array = as_array(x)
    shape = array.shape[-2:]
    kept = F.compare(F.iota(shape, 1, i64), F.add(F.iota(shape, 0, i64), F.constant(k, i64)), predicate)
    return Array(F.select(kept, array.value, F.scalar(array.value, 0)), array.trace)


def tril(x: ArrayLike, /, *, k: int = 0) -> Array:
    """x with zeros above the diagonal j = i + k."""
    return triangle(x, k, "le")


def triu(x: ArrayLike, /, *, k: int = 0) -> Array:
    """x with zeros below the diagonal j = i + k."""
    return triangle(x, k, "ge")


def astype(x: ArrayLike, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
    return as_array(x).astype(dtype)


# --- elementwise


def float_function(build: Callable[[SSAValue], SSAValue]) -> Callable[[ArrayLike], Array]:
    """A function of floats; of integers it computes in float32."""

    def call(x: ArrayLike, /) -> Array:
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


def negative(x: ArrayLike, /) -> Array:
    return unary(F.neg, x)


def positive(x: ArrayLike, /) -> Array:
    return as_array(x)


def abs(x: ArrayLike, /) -> Array:
    return unary(F.abs_, x)


def sign(x: ArrayLike, /) -> Array:
    return unary(F.sign, x)


def square(x: ArrayLike, /) -> Array:
    return unary(lambda v: F.mul(v, v), x)


def reciprocal(x: ArrayLike, /) -> Array:
    return divide(1, x)


def log2(x: ArrayLike, /) -> Array:
    return log(x) * (1 / math.log(2))


def log10(x: ArrayLike, /) -> Array:
    return log(x) * (1 / math.log(10))


def rounding(build: Callable[[SSAValue], SSAValue]) -> Callable[[ArrayLike], Array]:
    """A function that leaves integers as they are."""

    def call(x: ArrayLike, /) -> Array:
        return unary(build, x) if kind(element_of(value_of(x))) == 2 else as_array(x)

    return call


floor, ceil, round = rounding(F.floor), rounding(F.ceil), rounding(F.round_)


def trunc(x: ArrayLike, /) -> Array:
    """The nearest integer towards zero."""
    if kind(element_of(value_of(x))) < 2:
        return as_array(x)
    return where(as_array(x) < 0, ceil(x), floor(x))


def isnan(x: ArrayLike, /) -> Array:
    return unary(F.is_nan, as_float(x))


def isinf(x: ArrayLike, /) -> Array:
    return unary(F.is_inf, as_float(x))


def isfinite(x: ArrayLike, /) -> Array:
    return ~(isnan(x) | isinf(x))


def signbit(x: ArrayLike, /) -> Array:
    """Whether the sign of a number is negative, that of a zero too."""
    array = as_array(x)
    return (array < 0) | ((array == 0) & (divide(1, array) < 0))


def real(x: ArrayLike, /) -> Array:
    return as_array(x)


def imag(x: ArrayLike, /) -> Array:
    return zeros_like(x)


def conj(x: ArrayLike, /) -> Array:
    return as_array(x)


def two(build: Callable[[SSAValue, SSAValue], SSAValue]) -> Callable[[ArrayLike, ArrayLike], Array]:
    """A function of two arrays that broadcast and meet in one type."""

    def call(x1: ArrayLike, x2: ArrayLike, /) -> Array:
        return binary(build, x1, x2)

    call.__doc__ = build.__doc__
    return call


add, subtract, multiply = two(F.add), two(F.sub), two(F.mul)
floor_divide, remainder, pow = two(F.floor_div), two(modulo), two(F.pow_)
maximum, minimum = two(F.max_), two(F.min_)
bitwise_and, bitwise_or, bitwise_xor = two(F.and_), two(F.or_), two(F.xor)
bitwise_left_shift, bitwise_right_shift = two(F.shift_left), two(F.shift_right)
logical_and, logical_or, logical_xor = two(F.and_), two(F.or_), two(F.xor)


def bitwise_invert(x: ArrayLike, /) -> Array:
    return unary(F.not_, x)


def logical_not(x: ArrayLike, /) -> Array:
    return unary(F.not_, x)


def atan2(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    return binary(F.atan2, as_float(x1), as_float(x2))


def copysign(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """|x1| with the sign of x2."""
    size, sign = together_all([as_float(x1), as_float(x2)])
    size = F.abs_(size)
    return Array(F.select(signbit(Array(sign, active())).value, F.neg(size), size), active())


def hypot(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """sqrt(x1^2 + x2^2), without overflow on the way; infinite where either is."""
    a, b = abs(as_float(x1)), abs(as_float(x2))
    larger, smaller = maximum(a, b), minimum(a, b)
    ratio = smaller / where(larger == 0, 1, larger)
    return where(isinf(a) | isinf(b), inf, larger * sqrt(1 + ratio * ratio))


def logaddexp(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """log(e^x1 + e^x2), without overflow"""
    distance = where(equal(x1, x2), 0, abs(subtract(x1, x2)))
    return maximum(x1, x2) + log1p(exp(-distance))


def comparison(predicate: str) -> Callable[[ArrayLike, ArrayLike], Array]:
    def call(x1: ArrayLike, x2: ArrayLike, /) -> Array:
        return compare(predicate, x1, x2)

    return call


equal, not_equal = comparison("eq"), comparison("ne")
less, less_equal, greater, greater_equal = map(comparison, ("lt", "le", "gt", "ge"))


def where(condition: ArrayLike, x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """x1 where the condition is true, x2 elsewhere."""
    a, b, weak = together(x1, x2)
    return Array(F.select(value_of(condition), a, b), active(), weak)


def clip(x: ArrayLike, /, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Array:
    """x, but at least `min` and at most `max`; it keeps its type."""
    array = as_array(x)
    made = array if min is None else maximum(array, min)
    made = made if max is None else minimum(made, max)
    return Array(F.cast(made.value, element_of(array.value)), array.trace, array.weak)


# --- shape


def permute_dims(x: ArrayLike, /, axes: Sequence[int]) -> Array:
    rank = rank_of(value_of(x))
    order = axes_in(axes, rank)
    if len(order) != rank:
        raise CompileError(f"an array of {rank} dimensions has no order {tuple(axes)}", place=user_place())
    return unary(lambda v: F.transpose(v, order), x)


def axes_in(axes: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes in [0, rank), in their order. CompileError where one is out of range or stands there twice."""
    found = sizes_of(axes)
    if not builtins.all(-rank <= axis < rank for axis in found) or len({axis % rank for axis in found}) < len(found):
        raise AxisError(
            f"axes {found} are not distinct dimensions of an array that has {rank}",
            place=user_place(),
            hint=f"an axis is at least {-rank} and below {rank}",
        )
    return tuple([axis % rank for axis in found])


class AxisError(CompileError, ValueError, IndexError):
    """Dimensions that an array does not have, or that do not fit: the standard asks for either of the two errors."""


def transposed(x: ArrayLike, /) -> Array:
    """x.T"""
    return as_array(x).T


def matrix_transpose(x: ArrayLike, /) -> Array:
    return as_array(x).mT


def moveaxis(x: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int], /) -> Array:
    array = as_array(x)
    sources, destinations = axes_in(source, array.ndim), axes_in(destination, array.ndim)
    if len(sources) != len(destinations):
        raise CompileError(f"cannot move axes {sources} to {destinations}: there must be as many", place=user_place())
    order = [i for i in range(array.ndim) if i not in sources]
    for to, which in sorted(zip(destinations, sources)):
        order.insert(to, which)
    return permute_dims(array, order)


def expand_dims(x: ArrayLike, /, axis: int = 0) -> Array:
    array = as_array(x)
    (place,) = axes_in(axis, array.ndim + 1)
    return reshape(array, (*array.shape[:place], 1, *array.shape[place:]))


def broadcast_arrays(*arrays: ArrayLike) -> list[Array]:
    """Arrays stretched to the shape that they broadcast to."""
    shape = broadcast_shapes(*[shape_of(value_of(each)) for each in arrays])
    return [broadcast_to(each, shape) for each in arrays]


def squeeze(x: ArrayLike, /, axis: int | Sequence[int]) -> Array:
    """x without dimensions, which must have size 1."""
    array = as_array(x)
    axes = axes_in(axis, array.ndim)
    if builtins.any(array.shape[each] != 1 for each in axes):
        raise AxisError(f"cannot leave out dimensions {axis} of {shape_text(array.shape)}", place=user_place())
    return reshape(array, [size for i, size in enumerate(array.shape) if i not in axes])


def broadcast_to(x: ArrayLike, /, shape: Sequence[int]) -> Array:
    return unary(lambda v: F.broadcast(v, tuple(shape)), x)


def together_all(arrays: Sequence[ArrayLike]) -> list[SSAValue]:
    """Arrays in the type in which they all meet."""
    if not arrays:
        raise CompileError("expected at least one array", place=user_place())
    meeting = as_array(arrays[0])
    for each in arrays[1:]:
        meeting = Array(together(meeting, each)[0], active(), meeting.weak and as_array(each).weak)
    return [F.cast(value_of(each), element_of(meeting.value)) for each in arrays]


def concat(arrays: Sequence[ArrayLike], /, *, axis: int | None = 0) -> Array:
    values = together_all(arrays)
    if axis is None:
        values, axis = [F.reshape(each, (math.prod(shape_of(each)),)) for each in values], 0
    return Array(F.concat(values, axis), active())


def stack(arrays: Sequence[ArrayLike], /, *, axis: int = 0) -> Array:
    return concat([expand_dims(each, axis=axis) for each in arrays], axis=axis)


def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Array, ...]:
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


def flip(x: ArrayLike, /, *, axis: Axis = None) -> Array:
    array = as_array(x)
    axes = range(array.ndim) if axis is None else axes_in(axis, array.ndim)
    return unary(lambda v: F.reverse(v, tuple(axes)), array)


def roll(x: ArrayLike, /, shift: int | Sequence[int], *, axis: Axis = None) -> Array:
    """x moved by `shift` places along dimensions; what leaves at one end comes in at the other."""
    array = as_array(x)
    if axis is None:
        return reshape(roll(reshape(array, (-1,)), shift, axis=0), array.shape)
    axes = [operator.index(each) for each in sizes_of(axis)]
    shifts = sizes_of(shift) * (len(axes) if isinstance(shift, int) else 1)
    for each, by in zip([each % array.ndim for each in axes], shifts, strict=True):
        size = array.shape[each]
        if size and by % size:
            before, cut = (slice(None),) * each, size - by % size
            array = concat([array[(*before, slice(cut, None))], array[(*before, slice(None, cut))]], axis=each)
    return array


def tile(x: ArrayLike, repetitions: Sequence[int], /) -> Array:
    array = as_array(x)
    rank = builtins.max(len(repetitions), array.ndim)
    grown = reshape(array, (*[1] * (rank - array.ndim), *array.shape))
    counts = (*[1] * (rank - len(repetitions)), *repetitions)
    return unary(lambda v: F.tile(v, counts), grown)


def repeat(x: ArrayLike, repeats: int, /, *, axis: int | None = None) -> Array:
    """Each element `repeats` times, next to each other."""
    array = as_array(x) if axis is not None else reshape(x, (-1,))
    (axis,) = axes_in(axis or 0, array.ndim)
    shape = array.shape
    apart = broadcast_to(expand_dims(array, axis=axis + 1), (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
    return reshape(apart, (*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]))


def pad(x: ArrayLike, widths: Sequence[tuple[int, int]], mode: str = "constant", value: ArrayLike = 0) -> Array:
    """x with (before, after) elements more in each dimension; mode constant, edge or reflect, as in NumPy."""
    array = as_array(x)
    low, high = [low for low, _ in widths], [high for _, high in widths]
    filling = F.cast(value_of(value), element_of(array.value)) if mode == "constant" else None
    return unary(lambda v: F.pad(v, low, high, mode, value=filling), array)


# --- reduction, order


def sum(x: ArrayLike, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_sum, to_accumulate(x, dtype), axis, keepdims)


def to_accumulate(x: ArrayLike, dtype: Any) -> Array:
    """x in the type that sums and products of it have: the one given, else at least 64 bits for integers."""
    array = as_array(x)
    if dtype is not None:
        return array.astype(dtype)
    element = element_of(array.value)
    if kind(element) == 2:
        return array
    return Array(F.cast(array.value, u64 if is_unsigned(element) else DEFAULT_INTEGER), array.trace, array.weak)


def prod(x: ArrayLike, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_prod, to_accumulate(x, dtype), axis, keepdims)


def max(x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_max, not_empty(x, axis), axis, keepdims)


def min(x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_min, not_empty(x, axis), axis, keepdims)


def not_empty(x: ArrayLike, axis: Axis) -> Array:
    """x, which has elements along the dimensions: there is no largest of none."""
    array = as_array(x)
    if 0 in [array.shape[i] for i in (range(array.ndim) if axis is None else axes_in(axis, array.ndim))]:
        raise CompileError(f"there is no largest or smallest element in {shape_text(array.shape)}", place=user_place())
    return array


def mean(x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_mean, as_float(x), axis, keepdims)


def var(x: ArrayLike, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    """The sum of squared distances from the mean over their number less `correction`."""
    array = as_float(x)
    squares = square(array - mean(array, axis=axis, keepdims=True))
    total = sum(squares, axis=axis, keepdims=keepdims)
    count = array.size if axis is None else math.prod(array.shape[i] for i in axes_in(axis, array.ndim))
    return total / (count - correction)


def std(x: ArrayLike, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    return sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def any(x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_any, astype(x, bool), axis, keepdims)


def all(x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return reduce(F.reduce_all, astype(x, bool), axis, keepdims)


def count_nonzero(x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False) -> Array:
    return sum(astype(x, bool), axis=axis, keepdims=keepdims)


def extreme_index(build: Callable[..., SSAValue], x: ArrayLike, axis: int | None, keepdims: bool) -> Array:
    array = not_empty(x, axis)
    if axis is not None:
        return unary(lambda v: build(v, axis, keep_dims=keepdims), array)
    found = unary(lambda v: build(v, 0), reshape(array, (-1,)))
    return reshape(found, (1,) * array.ndim) if keepdims else found


def argmax(x: ArrayLike, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    return extreme_index(F.argmax, x, axis, keepdims)


def argmin(x: ArrayLike, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    return extreme_index(F.argmin, x, axis, keepdims)


def running(build: Callable[[SSAValue, int], SSAValue], x: Array, axis: int | None, first: int | None) -> Array:
    """A fold of what comes up to each place along a dimension, after `first` if there is one."""
    if axis is None:
        if x.ndim > 1:
            raise CompileError(f"name the axis of an array of {x.ndim} dimensions", place=user_place())
        x, axis = reshape(x, (-1,)), 0
    place = axes_in(axis, x.ndim)[0]
    found = unary(lambda v: build(v, place), x)
    if first is None:
        return found
    shape = (*x.shape[:place], 1, *x.shape[place + 1 :])
    return concat([full(shape, first, dtype=found.dtype), found], axis=place)


def cumulative_sum(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Array:
    return running(F.cumulative_sum, to_accumulate(x, dtype), axis, 0 if include_initial else None)


def cumulative_prod(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Array:
    return running(F.cumulative_prod, to_accumulate(x, dtype), axis, 1 if include_initial else None)


def cumulative_max(x: ArrayLike, /, *, axis: int | None = None) -> Array:
    return running(F.cumulative_max, as_array(x), axis, None)


def diff(
    x: ArrayLike, /, *, axis: int = -1, n: int = 1, prepend: ArrayLike | None = None, append: ArrayLike | None = None
) -> Array:
    """The differences of neighbours along a dimension, n times, after arrays are joined to its ends."""
    array = as_array(x)
    (place,) = axes_in(axis, array.ndim)
    array = concat([each for each in (prepend, array, append) if each is not None], axis=place)
    before = (slice(None),) * place
    for _ in range(n):
        later, earlier = array[(*before, slice(1, None))], array[(*before, slice(None, -1))]
        array = not_equal(later, earlier) if array.dtype == np.bool_ else subtract(later, earlier)
    return array


def sort(x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    return unary(lambda v: F.sort(v, axis, descending)[0], x)


def argsort(x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    return unary(lambda v: F.sort(v, axis, descending)[1], x)


def searchsorted(x1: ArrayLike, x2: ArrayLike, /, *, side: str = "left", sorter: ArrayLike | None = None) -> Array:
    """Where each element of x2 belongs in the sorted vector x1: before those equal to it, or after with "right".

    A binary search, for all elements at once: it halves the places that are left as often as x1's length asks for.
    """
    if side not in ("left", "right"):
        raise CompileError(f"side is 'left' or 'right', found {side!r}", place=user_place())
    line = as_array(x1) if sorter is None else take(x1, sorter)
    first, second, _ = together(line, x2)
    rows, wanted = Array(first, active()), Array(second, active())
    size = line.shape[0]
    low = zeros(wanted.shape, dtype=int)
    high = full(wanted.shape, size)
    goes_right = less_equal if side == "right" else less
    for _ in range(size.bit_length()):
        middle = (low + high) >> 1
        found = (low < high) & goes_right(take(rows, middle.reshape(-1)).reshape(wanted.shape), wanted)
        low, high = where(found, middle + 1, low), where(found, high, middle)
    return low


def topk(x: ArrayLike, k: int, *, axis: int = -1) -> tuple[Array, Array]:
    """The k largest in descending order, and where they are."""
    array = as_array(x)
    values, indices = F.topk(array.value, k, axis)
    return Array(values, array.trace), Array(indices, array.trace)


# --- by index


def take(x: ArrayLike, indices: ArrayLike, /, *, axis: int | None = None) -> Array:
    """Whole slices of x along a dimension; a negative index counts from the end, one out of range is clamped."""
    array = as_array(x)
    if axis is None and array.ndim != 1:
        raise CompileError(f"name the axis of an array of {array.ndim} dimensions", place=user_place())
    (place,) = axes_in(axis or 0, array.ndim)
    places = from_the_end(value_of(indices), array.shape[place])
    return unary(lambda v: F.gather(v, places, place), array)


def take_along_axis(x: ArrayLike, indices: ArrayLike, /, *, axis: int = -1) -> Array:
    """Single elements of x along a dimension."""
    array, given = as_array(x), as_array(indices)
    (place,) = axes_in(axis, array.ndim)
    others = [array.shape[i] if i != place else 1 for i in range(array.ndim)]
    wanted = broadcast_shapes(others, [given.shape[i] if i != place else 1 for i in range(given.ndim)])
    array = broadcast_to(array, (*wanted[:place], array.shape[place], *wanted[place + 1 :]))
    given = broadcast_to(given, (*wanted[:place], given.shape[place], *wanted[place + 1 :]))
    places = from_the_end(given.value, array.shape[place])
    return unary(lambda v: F.gather_elements(v, places, place), array)


@dataclass(frozen=True)
class Slice:
    """start:stop:step as part of an index that can be compared and hashed."""

    start: int | None
    stop: int | None
    step: int | None

    @property
    def slice(self) -> builtins.slice:
        return builtins.slice(self.start, self.stop, self.step)


def at(x: ArrayLike, /, *key: Any) -> Array:
    """x[key]"""
    return index(as_array(x), tuple([each.slice if isinstance(each, Slice) else each for each in key]))


def replaced(x: ArrayLike, value: ArrayLike, /, *key: Any) -> Array:
    """x with x[key] = value"""
    array = as_array(x)
    places = at(reshape(Array(F.iota((array.size,), 0, i64), array.trace), array.shape), *key)
    given = F.broadcast(F.cast(value_of(value), element_of(array.value)), places.shape)
    flat, where, updates = [F.reshape(v, (math.prod(shape_of(v)),)) for v in (array.value, places.value, given)]
    return reshape(Array(F.scatter_elements(flat, where, updates, 0), array.trace), array.shape)


# --- products


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


def name_functions(names: Sequence[str], module: Mapping[str, Any]) -> None:
    """Give the functions of a module that others have made the names they have there."""
    for name in names:
        if callable(module[name]):
            module[name].__name__ = module[name].__qualname__ = name


name_functions(__all__, globals())
