"""ONNX operators that fold a tensor along axes, at once or step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import f64
from xdsl.ir import Attribute, SSAValue

from xmlc.dialects.dtypes import is_bool, is_float
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of
from xmlc.frontend.onnx.operators.shaping import integers, positive
from xmlc.frontend.onnx.tensors import Array

Reduce = Callable[[SSAValue, Sequence[int], bool], SSAValue]


def reduced(
    reduce: Reduce,
    x: SSAValue,
    axes: Sequence[int] | None,
    keepdims: int,
    noop_with_empty_axes: int,
) -> SSAValue:
    """No axes mean all of them, or none where `noop_with_empty_axes` says so."""
    named = tuple(axes or ())
    if not named and not noop_with_empty_axes:
        named = tuple(range(rank_of(x)))
    return reduce(x, positive(named, rank_of(x)), bool(keepdims))


def sum_of(x: SSAValue, axes: Sequence[int], keep: bool) -> SSAValue:
    return F.reduce_sum(x, axes, keep)


def mean_of(x: SSAValue, axes: Sequence[int], keep: bool) -> SSAValue:
    return F.reduce_mean(x, axes, keep)


def product_of(x: SSAValue, axes: Sequence[int], keep: bool) -> SSAValue:
    return F.reduce_prod(x, axes, keep)


def largest_of(x: SSAValue, axes: Sequence[int], keep: bool) -> SSAValue:
    return F.reduce_any(x, axes, keep) if is_bool(element_of(x)) else F.reduce_max(x, axes, keep)


def smallest_of(x: SSAValue, axes: Sequence[int], keep: bool) -> SSAValue:
    return F.reduce_all(x, axes, keep) if is_bool(element_of(x)) else F.reduce_min(x, axes, keep)


def l1_of(x: SSAValue, axes: Sequence[int], keep: bool) -> SSAValue:
    return F.reduce_sum(F.abs_(x), axes, keep)


def squares_of(x: SSAValue, axes: Sequence[int], keep: bool) -> SSAValue:
    return F.reduce_sum(F.mul(x, x), axes, keep)


def in_floats(function: Callable[[SSAValue], SSAValue], x: SSAValue) -> SSAValue:
    """A function of floats applied to any numbers: integers are converted to float64 and back."""
    element: Attribute = element_of(x)
    if is_float(element):
        return function(x)
    return F.cast(function(F.cast(x, f64)), element)


def l2_of(x: SSAValue, axes: Sequence[int], keep: bool) -> SSAValue:
    return in_floats(lambda y: F.sqrt(squares_of(y, axes, keep)), x)


def log_sum_of(x: SSAValue, axes: Sequence[int], keep: bool) -> SSAValue:
    return in_floats(lambda y: F.log(F.reduce_sum(y, axes, keep)), x)


def log_sum_exp_of(x: SSAValue, axes: Sequence[int], keep: bool) -> SSAValue:
    """log(sum e^x), shifted by the largest element so that it cannot overflow"""

    def stable(y: SSAValue) -> SSAValue:
        top = F.reduce_max(y, axes, True)
        zero = F.scalar(y, 0.0)
        finite = F.select(F.compare(F.abs_(top), F.scalar(y, np.inf), "lt"), top, zero)
        total = F.reduce_sum(F.exp(F.sub(y, finite)), axes, keep)
        shift = finite if keep else F.reduce_max(finite, axes, False)
        return F.add(F.log(total), shift)

    return in_floats(stable, x)


# Before opset 18 (13 for ReduceSum) the axes are an attribute.


def ReduceSum(x: SSAValue, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> SSAValue:
    return reduced(sum_of, x, axes, keepdims, 0)


def ReduceMean(x: SSAValue, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> SSAValue:
    return reduced(mean_of, x, axes, keepdims, 0)


def ReduceProd(x: SSAValue, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> SSAValue:
    return reduced(product_of, x, axes, keepdims, 0)


def ReduceMax(x: SSAValue, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> SSAValue:
    return reduced(largest_of, x, axes, keepdims, 0)


def ReduceMin(x: SSAValue, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> SSAValue:
    return reduced(smallest_of, x, axes, keepdims, 0)


def ReduceL1(x: SSAValue, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> SSAValue:
    return reduced(l1_of, x, axes, keepdims, 0)


def ReduceL2(x: SSAValue, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> SSAValue:
    return reduced(l2_of, x, axes, keepdims, 0)


def ReduceSumSquare(x: SSAValue, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> SSAValue:
    return reduced(squares_of, x, axes, keepdims, 0)


def ReduceLogSum(x: SSAValue, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> SSAValue:
    return reduced(log_sum_of, x, axes, keepdims, 0)


def ReduceLogSumExp(x: SSAValue, *, axes: tuple[int, ...] | None = None, keepdims: int = 1) -> SSAValue:
    return reduced(log_sum_exp_of, x, axes, keepdims, 0)


def named(axes: Array | None) -> tuple[int, ...] | None:
    return None if axes is None else integers(axes)


def ReduceSum_13(
    x: SSAValue, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> SSAValue:
    return reduced(sum_of, x, named(axes), keepdims, noop_with_empty_axes)


def ReduceMean_18(
    x: SSAValue, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> SSAValue:
    return reduced(mean_of, x, named(axes), keepdims, noop_with_empty_axes)


def ReduceProd_18(
    x: SSAValue, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> SSAValue:
    return reduced(product_of, x, named(axes), keepdims, noop_with_empty_axes)


def ReduceMax_18(
    x: SSAValue, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> SSAValue:
    return reduced(largest_of, x, named(axes), keepdims, noop_with_empty_axes)


def ReduceMin_18(
    x: SSAValue, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> SSAValue:
    return reduced(smallest_of, x, named(axes), keepdims, noop_with_empty_axes)


def ReduceL1_18(
    x: SSAValue, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> SSAValue:
    return reduced(l1_of, x, named(axes), keepdims, noop_with_empty_axes)


def ReduceL2_18(
    x: SSAValue, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> SSAValue:
    return reduced(l2_of, x, named(axes), keepdims, noop_with_empty_axes)


def ReduceSumSquare_18(
    x: SSAValue, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> SSAValue:
    return reduced(squares_of, x, named(axes), keepdims, noop_with_empty_axes)


def ReduceLogSum_18(
    x: SSAValue, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> SSAValue:
    return reduced(log_sum_of, x, named(axes), keepdims, noop_with_empty_axes)


def ReduceLogSumExp_18(
    x: SSAValue, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> SSAValue:
    return reduced(log_sum_exp_of, x, named(axes), keepdims, noop_with_empty_axes)


# --- step by step


def CumSum(x: SSAValue, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> SSAValue:
    return F.cumulative_sum(x, int(axis.reshape(())), bool(exclusive), bool(reverse))


def CumProd(x: SSAValue, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> SSAValue:
    return F.cumulative_prod(x, int(axis.reshape(())), bool(exclusive), bool(reverse))
