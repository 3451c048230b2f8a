"""Gradients of the ops that fold, scan or order elements."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from xdsl.dialects.builtin import i64
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml import reduction as ml
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.passes.decompose.operands import inverse_of, slice_along, zeros
from xmlc.passes.differentiate.shaping import Pulled

Value = SSAValue


def stretched(op: ml.ReduceOp, value: Value) -> Value:
    """What a reduction gave, or its cotangent, at every element of x that went into it."""
    shape = shape_of(op.x)
    axes = op.axes.get_values()
    return F.broadcast(F.reshape(value, ml.reduced_shape(shape, axes, keep_dims=True)), shape)


def reduce_sum(op: ml.ReduceSumOp, g: Value) -> Pulled:
    return (stretched(op, g),)


def reduce_mean(op: ml.ReduceMeanOp, g: Value) -> Pulled:
    count = max(1, prod(shape_of(op.x)[axis] for axis in op.axes.get_values()))
    return (stretched(op, F.div(g, F.scalar(g, count))),)


def reduce_extreme(op: ml.ReduceMaxOp | ml.ReduceMinOp, g: Value) -> Pulled:
    """g in equal shares to the elements that the result is"""
    won = F.cast(F.compare(op.x, stretched(op, op.out), "eq"), element_of(g))
    count = F.reduce_sum(won, op.axes.get_values(), keep_dims=op.keep_dims is not None)
    return (F.mul(won, stretched(op, F.div(g, count))),)


def reduce_prod(op: ml.ReduceProdOp, g: Value) -> Pulled:
    """g times the product of all others: of those before and of those after, so that no zero is divided by"""
    axes, rank, shape = op.axes.get_values(), rank_of(op.x), shape_of(op.x)
    kept = [i for i in range(rank) if i not in axes]
    order = (*kept, *axes)
    lines = F.reshape(F.transpose(op.x, order), (*[shape[i] for i in kept], prod(shape[i] for i in axes)))
    before = F.cumulative_prod(lines, len(kept), exclusive=True)
    after = F.cumulative_prod(lines, len(kept), exclusive=True, reverse=True)
    others = F.reshape(F.mul(before, after), [shape[i] for i in order])
    return (F.mul(stretched(op, g), F.transpose(others, inverse_of(order))),)


# --- scans


def cumulative_sum(op: ml.CumulativeSumOp, g: Value) -> Pulled:
    """The sum of g in the other direction"""
    axis = op.axis.value.data
    return (F.cumulative_sum(g, axis, exclusive=op.exclusive is not None, reverse=op.reverse is None),)


def in_scan_order(rule: Callable[[Value, Value, int], Value]) -> Callable[..., Pulled]:
    """The gradient of a scan from `rule(x, g, axis)`, that of one from the first element on, itself included.

    A scan from the last element on is one of what was reversed; an exclusive one differs by a shift of its result.
    """

    def gradient(op: ml.CumulativeProdOp | ml.CumulativeMaxOp, g: Value) -> Pulled:
        axis, x = op.axis.value.data, op.x
        if not shape_of(x)[axis]:
            return (g,)
        backwards = op.reverse is not None
        if backwards:
            x, g = F.reverse(x, (axis,)), F.reverse(g, (axis,))
        if op.exclusive is not None:
            g = earlier(g, axis)
        result = rule(x, g, axis)
        return (F.reverse(result, (axis,)) if backwards else result,)

    return gradient


def cumulative_prod(x: Value, g: Value, axis: int) -> Value:
    """p[i] * s[i], p[i] the product of what precedes x[i], s[i] = g[i] + x[i + 1] * s[i + 1]: nothing is divided."""
    before = F.cumulative_prod(x, axis, exclusive=True)
    order = (axis, *[i for i in range(rank_of(x)) if i != axis])
    factors, given = F.transpose(earlier(x, axis), order), F.transpose(g, order)

    def step(carried: list[Value], slices: list[Value]) -> tuple[list[Value], list[Value]]:
        total = F.add(slices[1], F.mul(slices[0], carried[0]))
        return [total], [total]

    start = zeros(shape_of(given)[1:], given)
    _, (sums,) = F.scan(step, [start], [factors, given], reverse=True)
    return F.mul(before, F.transpose(sums, inverse_of(order)))


def earlier(x: Value, axis: int) -> Value:
    """x moved one place towards the start of `axis`, 0 at the end."""
    size = shape_of(x)[axis]
    high = [1 if i == axis else 0 for i in range(rank_of(x))]
    return F.pad(slice_along(x, axis, 1, size - 1), [0] * rank_of(x), high, value=F.scalar(x, 0))


def cumulative_max(x: Value, g: Value, axis: int) -> Value:
    """g[i] to the latest element that the maximum at i is"""
    places = F.iota(shape_of(x), axis, i64)
    record = F.compare(x, F.cumulative_max(x, axis), "eq")
    holder = F.cumulative_max(F.select(record, places, F.scalar(places, 0)), axis)
    return F.scatter_elements(zeros(shape_of(x), g), holder, g, axis, "add")


# --- order


def ordered(op: ml.SortOp | ml.TopKOp, g: Value | None, indices: Value | None) -> Pulled:
    """g to where each element came from"""
    if g is None:
        return (None,)
    return (F.scatter_elements(zeros(shape_of(op.x), g), op.indices, g, op.axis.value.data, "add"),)


GRADIENTS: dict[type[Operation], Callable[..., Pulled]] = {
    ml.ReduceSumOp: reduce_sum,
    ml.ReduceMeanOp: reduce_mean,
    ml.ReduceMaxOp: reduce_extreme,
    ml.ReduceMinOp: reduce_extreme,
    ml.ReduceProdOp: reduce_prod,
    ml.CumulativeSumOp: cumulative_sum,
    ml.CumulativeProdOp: in_scan_order(cumulative_prod),
    ml.CumulativeMaxOp: in_scan_order(cumulative_max),
    ml.SortOp: ordered,
    ml.TopKOp: ordered,
}

CONSTANT: frozenset[type[Operation]] = frozenset({ml.ReduceAnyOp, ml.ReduceAllOp, ml.ArgMaxOp, ml.ArgMinOp})
