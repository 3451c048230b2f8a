"""What the ops of `ml` mean that fold, scan or order elements along dimensions.

Floating-point sums and products are accumulated in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import reduction as ml
from xmlc.dialects.ml.types import element_of
from xmlc.dialects.reference.elementwise import divide, wide

Array = NDArray[Any]


def lowest(dtype: np.dtype[Any]) -> Any:
    """-inf, or the smallest integer: what a maximum starts from."""
    return np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf


def highest(dtype: np.dtype[Any]) -> Any:
    return np.iinfo(dtype).max if dtype.kind in "iu" else np.inf


def fold(function: Callable[..., Any]) -> Callable[..., Array]:
    """The row of a reduction: `function(x, axis=…, keepdims=…)` of the widened operand."""

    def evaluate(op: ml.ReduceOp, x: Array) -> Array:
        axes = tuple(op.axes.get_values())
        result = function(wide(x), axis=axes, keepdims=op.keep_dims is not None)
        return np.asarray(result).astype(TO_NUMPY[element_of(op.out)])

    return evaluate


def sum_(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    return np.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def prod(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    return np.prod(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def max_(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    return np.max(x, axis=axis, keepdims=keepdims, initial=lowest(x.dtype))


def min_(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    return np.min(x, axis=axis, keepdims=keepdims, initial=highest(x.dtype))


WIDEST = {"i": np.dtype(np.int64), "u": np.dtype(np.uint64)}
"""Kind of integers -> the type their means are computed in, where sums of smaller types do not wrap around."""


def mean(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    count = int(np.prod([x.shape[i] for i in axis], dtype=np.int64))
    total = np.asarray(np.sum(x, axis=axis, keepdims=keepdims, dtype=WIDEST.get(x.dtype.kind, x.dtype)))
    return divide(total, np.asarray(count).astype(total.dtype))


def arg(function: Callable[..., Any]) -> Callable[..., Array]:
    """The row of argmax or argmin: NumPy's, which also takes the first of equals and treats NaN as extreme."""

    def evaluate(op: ml.ArgReduceOp, x: Array) -> Array:
        return np.asarray(function(wide(x), axis=op.axis.value.data, keepdims=op.keep_dims is not None), np.int64)

    return evaluate


def cumulative(function: Callable[..., Any], neutral: Callable[[np.dtype[Any]], Any]) -> Callable[..., Array]:
    """The row of a scan: `function(x, axis, dtype)`, shifted by the neutral element when exclusive."""

    def evaluate(op: ml.CumulativeOp, x: Array) -> Array:
        axis = op.axis.value.data
        line = np.moveaxis(wide(x), axis, 0)
        line = line[::-1] if op.reverse else line
        result = function(line, axis=0, dtype=line.dtype)
        if op.exclusive:
            first = np.full((min(1, len(line)), *line.shape[1:]), neutral(line.dtype), line.dtype)
            result = np.concatenate([first, result[:-1]])
        result = result[::-1] if op.reverse else result
        return np.moveaxis(result, 0, axis).astype(x.dtype)

    return evaluate


def order(x: Array, axis: int, descending: bool) -> Array:
    """The stable order of elements along an axis, NaN as the largest."""
    if not descending:
        return np.argsort(wide(x), axis=axis, kind="stable")
    backwards = np.argsort(np.flip(wide(x), axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(backwards, axis)


def sort(op: ml.SortOp, x: Array) -> tuple[Array, Array]:
    axis = op.axis.value.data
    indices = order(x, axis, op.descending is not None)
    return np.take_along_axis(x, indices, axis), indices.astype(np.int64)


def topk(op: ml.TopKOp, x: Array) -> tuple[Array, Array]:
    axis, k = op.axis.value.data, op.k.value.data
    indices = np.take(order(x, axis, op.smallest is None), np.arange(k), axis)
    return np.take_along_axis(x, indices, axis), indices.astype(np.int64)


REFERENCE: dict[type[Operation], Callable[..., Any]] = {
    ml.ReduceSumOp: fold(sum_),
    ml.ReduceProdOp: fold(prod),
    ml.ReduceMaxOp: fold(max_),
    ml.ReduceMinOp: fold(min_),
    ml.ReduceMeanOp: fold(mean),
    ml.ReduceAnyOp: fold(np.any),
    ml.ReduceAllOp: fold(np.all),
    ml.ArgMaxOp: arg(np.argmax),
    ml.ArgMinOp: arg(np.argmin),
    ml.CumulativeSumOp: cumulative(np.cumsum, lambda dtype: 0),
    ml.CumulativeProdOp: cumulative(np.cumprod, lambda dtype: 1),
    ml.CumulativeMaxOp: cumulative(np.maximum.accumulate, lowest),
    ml.SortOp: sort,
    ml.TopKOp: topk,
}
