"""What `tensor` means: values, so every insertion makes a new array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.dialects import tensor
from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType
from xdsl.ir import Operation

from xmlc.dialects.reference.access import indices, mixed, window
from xmlc.dialects.reference.interpreter import Array, Frame, InterpreterError, Lanes, dtype_of, uninitialized


def sized(shape: tuple[int, ...], dynamic: tuple[Any, ...]) -> list[int]:
    """A type's shape with its `?` filled in, in order."""
    remaining = iter(dynamic)
    return [int(next(remaining)) if size == DYNAMIC_INDEX else size for size in shape]


def empty(op: tensor.EmptyOp, *sizes: Any) -> Array:
    found = op.tensor.type
    return uninitialized(sized(found.get_shape(), sizes), dtype_of(found))


def splat(op: tensor.SplatOp, value: Any, *sizes: Any) -> Array:
    return np.full(sized(op.result.type.get_shape(), sizes), value, dtype_of(op.result.type))


def from_elements(op: tensor.FromElementsOp, *elements: Any) -> Array:
    return np.array(elements, dtype_of(op.result.type)).reshape(op.result.type.get_shape())


def extract(op: tensor.ExtractOp, x: Array, *wanted: Any) -> Any:
    return x[indices(op, x, wanted)]


def insert(op: tensor.InsertOp, scalar: Any, x: Array, *wanted: Any) -> Array:
    result = x.copy()
    result[indices(op, x, wanted)] = scalar
    return result


def _window(frame: Frame, op: tensor.ExtractSliceOp | tensor.InsertSliceOp, array: Array) -> Array:
    offsets = mixed(op.static_offsets, frame.get(op.offsets))
    sizes = mixed(op.static_sizes, frame.get(op.sizes))
    return window(op, array, offsets, sizes, mixed(op.static_strides, frame.get(op.strides)))


def drop_unit_dimensions(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The shape with the first dimensions of size 1 dropped until it has this rank."""
    kept = list(shape)
    while len(kept) > rank and 1 in kept:
        kept.remove(1)
    return tuple(kept)


def extract_slice(frame: Frame, op: tensor.ExtractSliceOp) -> None:
    part = _window(frame, op, frame[op.source])
    frame.set(op, part.reshape(reduced_shape(part.shape, op.result.type.get_shape())))


def reduced_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """The run-time shape of a slice whose type may have dropped unit dimensions."""
    if len(shape) == len(wanted):
        return shape
    return wanted if DYNAMIC_INDEX not in wanted else drop_unit_dimensions(shape, len(wanted))


def insert_slice(frame: Frame, op: tensor.InsertSliceOp) -> None:
    result = frame[op.dest].copy()
    part = _window(frame, op, result)
    part[...] = frame[op.source].reshape(part.shape)
    frame.set(op, result)


def collapsed(groups: list[list[int]], shape: tuple[int, ...]) -> list[int]:
    """The sizes of the groups of dimensions."""
    return [int(np.prod([shape[axis] for axis in group], dtype=np.int64)) for group in groups]


def reassociation(op: Any) -> list[list[int]]:
    return [[int(axis.value.data) for axis in group.data] for group in op.reassociation.data]


def collapse_shape(op: tensor.CollapseShapeOp, x: Array) -> Array:
    return x.reshape(collapsed(reassociation(op), x.shape))


def expand_shape(op: tensor.ExpandShapeOp, x: Array, *sizes: Any) -> Array:
    return x.reshape(mixed(op.static_output_shape, sizes))


def reshape(op: tensor.ReshapeOp, x: Array, shape: Array) -> Array:
    return x.reshape(tuple(shape))


def cast(op: tensor.CastOp, x: Array) -> Array:
    wanted = op.dest.type
    if isinstance(wanted, TensorType):
        shape: tuple[int, ...] = wanted.get_shape()
        if len(shape) != x.ndim or any(a not in (DYNAMIC_INDEX, b) for a, b in zip(shape, x.shape)):
            raise InterpreterError(op, f"the value has shape {x.shape}, the type says {wanted}")
    return x


def dim(op: tensor.DimOp, x: Array, axis: Any) -> Any:
    if not 0 <= axis < x.ndim:
        raise InterpreterError(op, f"dimension {axis} is out of range for rank {x.ndim}")
    return np.int64(x.shape[int(axis)])


def concat(op: tensor.ConcatOp, *parts: Array) -> Array:
    return np.concatenate(parts, axis=op.dim.value.data)


def pad(frame: Frame, op: tensor.PadOp) -> None:
    """The region gives every padding element from its indices, here evaluated at all of them at once."""
    source = frame[op.source]
    low = mixed(op.static_low, frame.get(op.low))
    high = mixed(op.static_high, frame.get(op.high))
    if min((*low, *high), default=0) < 0:
        raise InterpreterError(op, "negative padding")
    shape = tuple(a + size + b for a, size, b in zip(low, source.shape, high))
    coordinates = [grid.astype(np.int64) for grid in np.indices(shape, sparse=True)]
    (padding,) = Frame(frame.program, frame.values, Lanes(shape, coordinates)).run(op.region, *coordinates)
    result = np.empty(shape, source.dtype)
    result[...] = padding
    result[tuple(slice(a, a + size) for a, size in zip(low, source.shape))] = source
    frame.set(op, result)


REFERENCE: dict[type[Operation], Callable[..., Any]] = {
    tensor.EmptyOp: empty,
    tensor.SplatOp: splat,
    tensor.FromElementsOp: from_elements,
    tensor.ExtractOp: extract,
    tensor.InsertOp: insert,
    tensor.CollapseShapeOp: collapse_shape,
    tensor.ExpandShapeOp: expand_shape,
    tensor.ReshapeOp: reshape,
    tensor.CastOp: cast,
    tensor.DimOp: dim,
    tensor.ConcatOp: concat,
}
EVALUATE = {tensor.ExtractSliceOp: extract_slice, tensor.InsertSliceOp: insert_slice, tensor.PadOp: pad}
