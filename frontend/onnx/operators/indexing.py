"""ONNX operators that pick or place elements by index, or by their order."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import TO_NUMPY, is_unsigned
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.dialects.sizes import is_symbolic
from xmlc.frontend.onnx.operators.shaping import positive
from xmlc.frontend.onnx.tensors import Array
from xmlc.frontend.onnx.unsupported import Unsupported
from xmlc.frontend.onnx.values import Value


def from_front(indices: Value, size: int) -> SSAValue:
    """Indices of which negative ones count from the end, as indices that all count from the front."""
    if indices.array is not None and (indices.array >= 0).all():
        return indices.tensor()
    if indices.array is not None and not is_symbolic((size,)):
        wrapped = np.where(indices.array < 0, indices.array + size, indices.array)
        return Value(indices.facts, indices.name, array=wrapped.astype(indices.array.dtype)).tensor()
    found = indices.tensor()
    if is_unsigned(element_of(found)):
        return found
    return F.select(F.compare(found, F.scalar(found, 0), "lt"), F.add(found, size_like(found, size)), found)


def size_like(value: SSAValue, size: int) -> SSAValue:
    """A size as a scalar of a value's element type."""
    if is_symbolic((size,)):
        return F.cast(F.reshape(F.sizes([size]), ()), element_of(value))
    return F.scalar(value, size)


def Gather(x: SSAValue, indices: Value, *, axis: int = 0) -> SSAValue:
    (axis,) = positive((axis,), rank_of(x))
    return F.gather(x, from_front(indices, shape_of(x)[axis]), axis)


def GatherElements(x: SSAValue, indices: Value, *, axis: int = 0) -> SSAValue:
    (axis,) = positive((axis,), rank_of(x))
    return F.gather_elements(x, from_front(indices, shape_of(x)[axis]), axis)


def GatherND(x: SSAValue, indices: Value, *, batch_dims: int = 0) -> SSAValue:
    return F.gather_nd(x, tuples_from_front(indices, shape_of(x)[batch_dims:]), batch_dims)


def tuples_from_front(indices: Value, shape: tuple[int, ...]) -> SSAValue:
    """Index tuples along the last axis, each part counted from the front of its dimension."""
    found = indices.tensor()
    shape, element = shape[: shape_of(found)[-1]], element_of(found)
    sizes = F.cast(F.sizes(shape), element) if is_symbolic(shape) else F.constant(np.array(shape, TO_NUMPY[element]))
    return F.select(F.compare(found, F.scalar(found, 0), "lt"), F.add(found, sizes), found)


COMBINE = {"none": "set", "add": "add", "mul": "mul", "max": "max", "min": "min"}


def Scatter(x: SSAValue, indices: Value, updates: SSAValue, *, axis: int = 0) -> SSAValue:
    return ScatterElements(x, indices, updates, axis=axis)


def ScatterElements(
    x: SSAValue, indices: Value, updates: SSAValue, *, axis: int = 0, reduction: str = "none"
) -> SSAValue:
    (axis,) = positive((axis,), rank_of(x))
    return F.scatter_elements(x, from_front(indices, shape_of(x)[axis]), updates, axis, COMBINE[reduction])


def ScatterND(x: SSAValue, indices: Value, updates: SSAValue, *, reduction: str = "none") -> SSAValue:
    return F.scatter_nd(x, tuples_from_front(indices, shape_of(x)), updates, COMBINE[reduction])


def TensorScatter(
    past: SSAValue, update: SSAValue, write: SSAValue | None = None, *, axis: int = -2, mode: str = "linear"
) -> SSAValue:
    """past with update[b] written from position write[b] of `axis` on; circular positions wrap around."""
    shape = shape_of(update)
    (axis,) = positive((axis,), len(shape))
    position = F.iota(shape, axis, i64)
    if write is not None:
        starts = F.reshape(F.cast(write, i64), (shape[0], *[1] * (len(shape) - 1)))
        position = F.add(position, starts)
    if mode == "circular":
        position = F.rem(position, F.scalar(position, shape_of(past)[axis]))
    return F.scatter_elements(past, position, update, axis, "set")


def OneHot(indices: SSAValue, depth: Array, values: SSAValue, *, axis: int = -1) -> SSAValue:
    """values are what stands elsewhere and at the index; an index out of range gives a row without one."""
    count = int(depth.reshape(()))
    whole = F.cast(indices, i64)
    wrapped = F.select(F.compare(whole, F.scalar(whole, 0), "lt"), F.add(whole, F.scalar(whole, count)), whole)
    off = F.reshape(F.slice_(values, (0,), (1,)), ())
    on = F.reshape(F.slice_(values, (1,), (1,)), ())
    return F.one_hot(wrapped, off, on, count, axis)


def Compress(x: SSAValue, condition: Array, *, axis: int | None = None) -> SSAValue:
    """What the condition, known at import, selects along the axis or of the flattened tensor."""
    if axis is None:
        x, axis = F.reshape(x, (int(np.prod(shape_of(x))),)), 0
    (kept,) = np.nonzero(condition)
    return F.gather(x, F.constant(kept.astype(np.int64)), positive((axis,), rank_of(x))[0])


def NonZero(x: Value) -> Array:
    """The number of elements, and so the result's shape, is a value: it must be known at import."""
    if x.array is None:
        raise Unsupported("the shape of the result depends on the values of a tensor")
    return np.array(np.nonzero(x.array), np.int64).reshape(x.array.ndim, -1)


def ReverseSequence(x: SSAValue, lengths: SSAValue, *, batch_axis: int = 1, time_axis: int = 0) -> SSAValue:
    """The first lengths[b] elements of each sequence in reverse order, the others as they are."""
    shape = shape_of(x)
    time = F.iota(shape, time_axis, i64)
    spread = [1] * len(shape)
    spread[batch_axis] = shape[batch_axis]
    length = F.reshape(F.cast(lengths, i64), spread)
    mirrored = F.sub(F.sub(length, F.scalar(length, 1)), time)
    source = F.select(F.compare(time, length, "lt"), mirrored, time)
    return F.gather_elements(x, source, time_axis)


# --- by order


def TopK(x: SSAValue, *, k: int, axis: int = -1) -> tuple[SSAValue, SSAValue]:
    """Before opset 10 k is an attribute."""
    return F.topk(x, k, axis)


def TopK_10(x: SSAValue, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[SSAValue, SSAValue]:
    """Always sorted, which `sorted = 0` allows."""
    return F.topk(x, int(k.reshape(())), axis, smallest=not largest)


def ArgMax(x: SSAValue, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> SSAValue:
    if not select_last_index:
        return F.argmax(x, axis, bool(keepdims))
    return last_index(F.argmax(F.reverse(x, (axis,)), axis, bool(keepdims)), x, axis)


def ArgMin(x: SSAValue, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> SSAValue:
    if not select_last_index:
        return F.argmin(x, axis, bool(keepdims))
    return last_index(F.argmin(F.reverse(x, (axis,)), axis, bool(keepdims)), x, axis)


def last_index(index: SSAValue, x: SSAValue, axis: int) -> SSAValue:
    """The index before its axis was reversed."""
    return F.sub(F.scalar(index, shape_of(x)[axis] - 1), index)


def Hardmax(x: SSAValue, *, axis: int = 1) -> SSAValue:
    """Before opset 13 the axes from `axis` on count as one."""
    shape = shape_of(x)
    (axis,) = positive((axis,), len(shape))
    flat = F.reshape(x, (int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))))
    return F.reshape(Hardmax_13(flat, axis=1), shape)


def Hardmax_13(x: SSAValue, *, axis: int = -1) -> SSAValue:
    """1 at the first largest element along the axis, 0 elsewhere."""
    (axis,) = positive((axis,), rank_of(x))
    return F.one_hot(F.argmax(x, axis), F.scalar(x, 0), F.scalar(x, 1), shape_of(x)[axis], axis)
