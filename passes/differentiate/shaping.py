"""Gradients of the ops that move elements: the cotangent moves back, and adds up where an element was used twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from xdsl.dialects.builtin import i64
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml import shaping as ml
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.passes.decompose.operands import inverse_of, slice_along, zeros

Value = SSAValue
Pulled = tuple[Value | None, ...]


def sum_to(x: Value, shape: Sequence[int]) -> Value:
    """x summed over the dimensions along which `shape` was stretched to x's."""
    found, added = shape_of(x), rank_of(x) - len(shape)
    axes = [i for i, size in enumerate(found) if i < added or shape[i - added] != size]
    return F.reshape(F.reduce_sum(x, axes), tuple(shape)) if axes else x


def broadcast(op: ml.BroadcastOp, g: Value) -> Pulled:
    return (sum_to(g, shape_of(op.x)),)


def reshape(op: ml.ReshapeOp, g: Value) -> Pulled:
    return (F.reshape(g, shape_of(op.x)),)


def transpose(op: ml.TransposeOp, g: Value) -> Pulled:
    return (F.transpose(g, inverse_of(op.permutation.get_values())),)


def concat(op: ml.ConcatOp, g: Value) -> Pulled:
    axis, start = op.axis.value.data, 0
    parts: list[Value] = []
    for each in op.inputs:
        size = shape_of(each)[axis]
        parts.append(slice_along(g, axis, start, size))
        start += size
    return tuple(parts)


def spread(x: Value, axis: int, stride: int) -> Value:
    """x with stride - 1 zeros between neighbours along `axis`."""
    shape = shape_of(x)
    if stride == 1 or shape[axis] == 0:
        return x
    apart = F.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    high = [stride - 1 if i == axis + 1 else 0 for i in range(len(shape) + 1)]
    apart = F.pad(apart, [0] * len(high), high, value=F.scalar(x, 0))
    merged = F.reshape(apart, (*shape[:axis], shape[axis] * stride, *shape[axis + 1 :]))
    return slice_along(merged, axis, 0, (shape[axis] - 1) * stride + 1)


def unsliced(g: Value, shape: Sequence[int], starts: Sequence[int], strides: Sequence[int]) -> Value:
    """A tensor of `shape` that holds g at starts + i * strides, and 0 elsewhere."""
    if 0 in shape_of(g):
        return zeros(shape, g)
    backwards = [axis for axis, stride in enumerate(strides) if stride < 0]
    first = [start + (n - 1) * s if s < 0 else start for start, n, s in zip(starts, shape_of(g), strides)]
    g = F.reverse(g, backwards) if backwards else g
    for axis, stride in enumerate(strides):
        g = spread(g, axis, abs(stride))
    high = [size - start - n for size, start, n in zip(shape, first, shape_of(g))]
    return F.pad(g, first, high, value=F.scalar(g, 0)) if any(first) or any(high) else g


def slice_(op: ml.SliceOp, g: Value) -> Pulled:
    return (unsliced(g, shape_of(op.x), op.starts.get_values(), op.strides.get_values()),)


def pad(op: ml.PadOp, g: Value) -> Pulled:
    """The middle of g, and what the padding repeats added to it; the padding value gets the sum of the rest."""
    low, shape = op.low.get_values(), shape_of(op.x)
    if op.value is not None:
        middle = F.slice_(g, low, shape)
        return middle, F.sub(F.reduce_sum(g), F.reduce_sum(middle))
    for axis, (before, size) in enumerate(zip(low, shape)):
        g = folded(op, g, axis, before, size)
    return (g,)


def folded(op: ml.PadOp, g: Value, axis: int, before: int, size: int) -> Value:
    """g with the margins along one axis added to the elements that they repeat."""
    after = shape_of(g)[axis] - before - size
    total = slice_along(g, axis, before, size)
    shape = shape_of(total)

    def added(total: Value, margin: Value, start: int) -> Value:
        starts = [start if i == axis else 0 for i in range(len(shape))]
        return F.add(total, unsliced(margin, shape, starts, [1] * len(shape)))

    for margin, width, near in ((0, before, 0), (before + size, after, size - 1)):
        if not width:
            continue
        piece = slice_along(g, axis, margin, width)
        if op.mode.data is ml.PadMode.EDGE:
            total = added(total, F.reduce_sum(piece, (axis,), keep_dims=True), near)
        else:
            total = added(total, F.reverse(piece, (axis,)), 1 if near == 0 else size - 1 - width)
    return total


def reverse(op: ml.ReverseOp, g: Value) -> Pulled:
    return (F.reverse(g, op.axes.get_values()),)


# --- by index


def gather(op: ml.GatherOp, g: Value) -> Pulled:
    """g's slices added to zeros where they were taken from"""
    axis, shape, taken = op.axis.value.data, shape_of(op.x), rank_of(op.indices)
    first = (axis, *[i for i in range(len(shape)) if i != axis])
    moved = (*range(axis, axis + taken), *range(axis), *range(axis + taken, rank_of(g)))
    rest = [size for i, size in enumerate(shape) if i != axis]
    count = prod(shape_of(op.indices))
    updates = F.reshape(F.transpose(g, moved), (count, *rest))
    total = F.scatter_nd(zeros([shape[axis], *rest], g), F.reshape(op.indices, (count, 1)), updates, "add")
    return F.transpose(total, inverse_of(first)), None


def gather_elements(op: ml.GatherElementsOp, g: Value) -> Pulled:
    """g's elements added to zeros where they were taken from"""
    return F.scatter_elements(zeros(shape_of(op.x), g), op.indices, g, op.axis.value.data, "add"), None


def gather_nd(op: ml.GatherNdOp, g: Value) -> Pulled:
    """g's slices added to zeros where they were taken from"""
    indices, batch = F.cast(op.indices, i64), op.batch.value.data
    shape = shape_of(indices)
    counters = [F.iota((*shape[:-1], 1), axis, i64) for axis in range(batch)]
    full = F.concat([*counters, indices], len(shape) - 1) if counters else indices
    return F.scatter_nd(zeros(shape_of(op.x), g), full, g, "add"), None


def scatter_elements(op: ml.ScatterElementsOp, g: Value) -> Pulled:
    axis = op.axis.value.data

    def scatter(x: Value, updates: Value, combine: ml.Combine) -> Value:
        return F.scatter_elements(x, op.indices, updates, axis, combine)

    return scattered(op, g, scatter, lambda x: F.gather_elements(x, op.indices, axis))


def scatter_nd(op: ml.ScatterNdOp, g: Value) -> Pulled:
    def scatter(x: Value, updates: Value, combine: ml.Combine) -> Value:
        return F.scatter_nd(x, op.indices, updates, combine)

    return scattered(op, g, scatter, lambda x: F.gather_nd(x, op.indices))


def scattered(
    op: ml.ScatterElementsOp | ml.ScatterNdOp,
    g: Value,
    scatter: Callable[[Value, Value, ml.Combine], Value],
    gather: Callable[[Value], Value],
) -> Pulled:
    """What reaches x and the updates, given the scatter itself and the gather from the same places."""
    match op.combine.data:
        case ml.Combine.ADD:
            return g, None, gather(g)
        case ml.Combine.SET:
            kept = scatter(g, zeros(shape_of(op.updates), g), ml.Combine.SET)
            return kept, None, F.select(last_written(op, scatter, gather), gather(g), F.scalar(g, 0))
        case ml.Combine.MUL:
            ones = F.broadcast(F.scalar(g, 1), shape_of(op.x))
            factors = scatter(ones, op.updates, ml.Combine.MUL)
            return F.mul(g, factors), None, F.div(gather(F.mul(g, op.out)), op.updates)
        case ml.Combine.MAX | ml.Combine.MIN:
            kept = F.cast(F.compare(op.x, op.out, "eq"), element_of(g))
            won = F.cast(F.compare(op.updates, gather(op.out), "eq"), element_of(g))
            share = F.div(g, scatter(kept, won, ml.Combine.ADD))
            return F.mul(kept, share), None, F.mul(won, gather(share))


def last_written(
    op: ml.ScatterElementsOp | ml.ScatterNdOp,
    scatter: Callable[[Value, Value, ml.Combine], Value],
    gather: Callable[[Value], Value],
) -> Value:
    """Which updates no later one overwrites: each writes its number, and those that read theirs again are the last."""
    shape = shape_of(op.updates)
    numbers = F.reshape(F.iota((prod(shape),), 0, i64), shape)
    return F.compare(gather(scatter(zeros(shape_of(op.x), numbers), numbers, ml.Combine.SET)), numbers, "eq")


def one_hot(op: ml.OneHotOp, g: Value) -> Pulled:
    """The sum of g over what is off, and over what is on"""
    hot = F.one_hot(op.indices, F.scalar(g, 0), F.scalar(g, 1), op.depth.value.data, op.axis.value.data)
    on = F.reduce_sum(F.mul(g, hot))
    return None, F.sub(F.reduce_sum(g), on), on


GRADIENTS: dict[type[Operation], Callable[..., Pulled]] = {
    ml.BroadcastOp: broadcast,
    ml.ReshapeOp: reshape,
    ml.TransposeOp: transpose,
    ml.ConcatOp: concat,
    ml.SliceOp: slice_,
    ml.PadOp: pad,
    ml.ReverseOp: reverse,
    ml.GatherOp: gather,
    ml.GatherElementsOp: gather_elements,
    ml.GatherNdOp: gather_nd,
    ml.ScatterElementsOp: scatter_elements,
    ml.ScatterNdOp: scatter_nd,
    ml.OneHotOp: one_hot,
}

CONSTANT: frozenset[type[Operation]] = frozenset({ml.ConstantOp, ml.IotaOp, ml.SizesOp})
