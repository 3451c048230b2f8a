"""Folds along dimensions, and their running values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import is_unsigned, u64
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, shape_text
from xmlc.frontend.python.array import (
    DEFAULT_INTEGER,
    Array,
    ArrayLike,
    as_array,
    as_float,
    kind,
    reduce,
    reshape,
    unary,
)
from xmlc.frontend.python.functions.creation import astype, full
from xmlc.frontend.python.functions.elementwise import not_equal, sqrt, square, subtract
from xmlc.frontend.python.functions.shapes import Axis, axes_in, concat
from xmlc.frontend.python.places import user_place

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "cumulative_max",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]


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
