"""Batches of ops that move elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.dialects.builtin import i64
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml import shaping as ml
from xmlc.dialects.ml.attributes import integer, integers
from xmlc.dialects.ml.types import rank_of, shape_of
from xmlc.passes.batch.batching import Batching, along, merged, moved, over, same


def broadcast(batching: Batching, op: ml.BroadcastOp) -> Sequence[SSAValue]:
    shape = shape_of(op.out)
    return (F.broadcast(batching.aligned(op.x, len(shape)), (batching.size, *shape)),)


def transpose(batching: Batching, op: ml.TransposeOp) -> Sequence[SSAValue]:
    return (F.transpose(batching.full(op.x), (0, *[axis + 1 for axis in op.permutation.get_values()])),)


def slice_(batching: Batching, op: ml.SliceOp) -> Sequence[SSAValue]:
    starts, strides = op.starts.get_values(), op.strides.get_values()
    sizes = (batching.size, *op.size_list())
    return (F.slice_(batching.full(op.x), (0, *starts), sizes, (1, *strides)),)


def pad(batching: Batching, op: ml.PadOp) -> Sequence[SSAValue] | None:
    if op.value is not None and batching.of(op.value).is_batched:
        return None
    value = None if op.value is None else batching.of(op.value).value
    margins = (0, *op.low.get_values()), (0, *op.high.get_values())
    return (F.pad(batching.full(op.x), *margins, mode=op.mode.data, value=value),)


def gather(batching: Batching, op: ml.GatherOp) -> Sequence[SSAValue]:
    """One gather from the slices of all batches in a row, by indices (clamped as the op does) counted through"""
    axis, taken = op.axis.value.data, rank_of(op.indices)
    x, indices = batching.of(op.x), batching.of(op.indices)
    if not indices.is_batched:
        return (F.gather(x.value, indices.value, axis + 1),)
    if not x.is_batched:
        return (moved(F.gather(x.value, indices.value, axis), axis, 0),)
    first = moved(x.value, axis + 1, 1)
    slices = shape_of(first)[1]
    starts = F.mul(F.iota((batching.size, *[1] * taken), 0, i64), F.constant(slices, i64))
    places = F.clamp(F.cast(indices.value, i64), F.constant(0, i64), F.constant(slices - 1, i64))
    made = F.gather(merged(first), F.add(places, starts), 0)
    rank = rank_of(made)
    order = (0, *range(taken + 1, taken + 1 + axis), *range(1, taken + 1), *range(taken + 1 + axis, rank))
    return (F.transpose(made, order),)


def gather_nd(batching: Batching, op: ml.GatherNdOp) -> Sequence[SSAValue]:
    return batching.create(op, batching.fulls(op.operands), batch=integer(op.batch.value.data + 1))


def scatter_nd(batching: Batching, op: ml.ScatterNdOp) -> Sequence[SSAValue]:
    """Indices begin with the number of the element of the batch"""
    x, indices, updates = batching.fulls(op.operands)
    counters = F.broadcast(
        F.reshape(F.iota((batching.size,), 0, i64), (batching.size, *[1] * (rank_of(indices) - 1))),
        (*shape_of(indices)[:-1], 1),
    )
    numbered = F.concat([counters, F.cast(indices, i64)], -1)
    return (F.scatter_nd(x, numbered, updates, op.combine.data),)


def one_hot(batching: Batching, op: ml.OneHotOp) -> Sequence[SSAValue] | None:
    if batching.of(op.off).is_batched or batching.of(op.on).is_batched:
        return None
    operands = [batching.full(op.indices), batching.of(op.off).value, batching.of(op.on).value]
    return batching.create(op, operands, axis=integer(op.axis.value.data + 1))


def tile(batching: Batching, op: ml.TileOp) -> Sequence[SSAValue]:
    return batching.create(op, batching.fulls(op.operands), repeats=integers((1, *op.repeats.get_values())))


ROWS: dict[type[Operation], Callable[[Batching, Any], Sequence[SSAValue] | None]] = {
    ml.BroadcastOp: broadcast,
    ml.ReshapeOp: same,
    ml.TransposeOp: transpose,
    ml.ConcatOp: along,
    ml.SliceOp: slice_,
    ml.PadOp: pad,
    ml.ReverseOp: over,
    ml.TileOp: tile,
    ml.GatherOp: gather,
    ml.GatherElementsOp: along,
    ml.GatherNdOp: gather_nd,
    ml.ScatterElementsOp: along,
    ml.ScatterNdOp: scatter_nd,
    ml.OneHotOp: one_hot,
}
