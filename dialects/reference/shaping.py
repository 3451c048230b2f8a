"""What the ops of `ml` mean that make tensors, change their shape, or move their elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import shaping as ml
from xmlc.dialects.ml.types import element_of, shape_of

Array = NDArray[Any]


def constant(op: ml.ConstantOp) -> Array:
    return op.array()


def sizes(op: ml.SizesOp) -> Array:
    return np.array(op.values(), np.int64)


def iota(op: ml.IotaOp) -> Array:
    shape, axis = shape_of(op.out), op.axis.value.data
    line = np.arange(shape[axis]).astype(TO_NUMPY[element_of(op.out)])
    return np.broadcast_to(line.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape)


def broadcast(op: ml.BroadcastOp, x: Array) -> Array:
    return np.broadcast_to(x, shape_of(op.out))


def reshape(op: ml.ReshapeOp, x: Array) -> Array:
    return x.reshape(shape_of(op.out))


def transpose(op: ml.TransposeOp, x: Array) -> Array:
    return x.transpose(op.permutation.get_values())


def concat(op: ml.ConcatOp, *inputs: Array) -> Array:
    return np.concatenate(inputs, op.axis.value.data)


def slice_(op: ml.SliceOp, x: Array) -> Array:
    lists = zip(op.starts.get_values(), op.size_list(), op.strides.get_values())
    return x[np.ix_(*[start + stride * np.arange(size) for start, size, stride in lists])]


def pad(op: ml.PadOp, x: Array, value: Array | None = None) -> Array:
    widths = list(zip(op.low.get_values(), op.high.get_values()))
    if value is None:
        return np.pad(x, widths, op.mode.data.value) if widths else x
    result = np.full(shape_of(op.out), value, x.dtype)
    result[tuple(slice(low, low + size) for (low, _), size in zip(widths, x.shape))] = x
    return result


def reverse(op: ml.ReverseOp, x: Array) -> Array:
    return np.flip(x, tuple(op.axes.get_values()))


def tile(op: ml.TileOp, x: Array) -> Array:
    return np.tile(x, tuple(op.repeats.get_values()))


def clamped(indices: Array, size: int) -> Array:
    """Indices as int64, moved to the nearest that is in range of a dimension."""
    return np.clip(indices.astype(np.int64), 0, max(size - 1, 0))


def gather(op: ml.GatherOp, x: Array, indices: Array) -> Array:
    axis = op.axis.value.data
    return np.take(x, clamped(indices, x.shape[axis]), axis)


def gather_elements(op: ml.GatherElementsOp, x: Array, indices: Array) -> Array:
    axis = op.axis.value.data
    grid = [np.asarray(places) for places in np.indices(indices.shape)]
    grid[axis] = clamped(indices, x.shape[axis])
    return x[tuple(grid)]


def gather_nd(op: ml.GatherNdOp, x: Array, indices: Array) -> Array:
    batch, depth = op.batch.value.data, indices.shape[-1]
    places = np.indices(indices.shape[:-1])[:batch]
    taken = [clamped(indices[..., k], x.shape[batch + k]) for k in range(depth)]
    return x[(*places, *taken)] if batch + depth else np.broadcast_to(x, shape_of(op.out))


COMBINE: dict[ml.Combine, Callable[[Any, Any], Any]] = {
    ml.Combine.SET: lambda old, new: new,
    ml.Combine.ADD: np.add,
    ml.Combine.MUL: np.multiply,
    ml.Combine.MAX: np.maximum,
    ml.Combine.MIN: np.minimum,
}


def scatter_elements(op: ml.ScatterElementsOp, x: Array, indices: Array, updates: Array) -> Array:
    axis, combine, result = op.axis.value.data, COMBINE[op.combine.data], x.copy()
    places = clamped(indices, x.shape[axis])
    for i in np.ndindex(indices.shape):
        target = (*i[:axis], places[i], *i[axis + 1 :])
        result[target] = combine(result[target], updates[i])
    return result


def scatter_nd(op: ml.ScatterNdOp, x: Array, indices: Array, updates: Array) -> Array:
    combine, result = COMBINE[op.combine.data], x.copy()
    for i in np.ndindex(indices.shape[:-1]):
        target = tuple(int(clamped(indices[(*i, k)], x.shape[k])) for k in range(indices.shape[-1]))
        result[target] = combine(result[target], updates[i])
    return result


def one_hot(op: ml.OneHotOp, indices: Array, off: Array, on: Array) -> Array:
    axis = op.axis.value.data
    classes = np.arange(op.depth.value.data).reshape([-1] + [1] * (indices.ndim - axis))
    return np.where(np.expand_dims(indices.astype(np.int64), axis) == classes, on, off)


REFERENCE: dict[type[Operation], Callable[..., Array]] = {
    ml.ConstantOp: constant,
    ml.SizesOp: sizes,
    ml.IotaOp: iota,
    ml.BroadcastOp: broadcast,
    ml.ReshapeOp: reshape,
    ml.TransposeOp: transpose,
    ml.ConcatOp: concat,
    ml.SliceOp: slice_,
    ml.PadOp: pad,
    ml.ReverseOp: reverse,
    ml.TileOp: tile,
    ml.GatherOp: gather,
    ml.GatherElementsOp: gather_elements,
    ml.GatherNdOp: gather_nd,
    ml.ScatterElementsOp: scatter_elements,
    ml.ScatterNdOp: scatter_nd,
    ml.OneHotOp: one_hot,
}
