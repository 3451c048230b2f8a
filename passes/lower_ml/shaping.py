"""Ops of `ml` that make or move elements, as loop nests that only read and write.

Most of them are a matter of affine maps: which element of the input goes where. Fusion then makes them free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, i64
from xdsl.dialects.tensor import FromElementsOp
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.dtypes import is_float, is_unsigned, storage_type
from xmlc.dialects.ml import shaping as ml
from xmlc.dialects.ml.types import element_of, rank_of, shape_of, tensor
from xmlc.dialects.sizes import is_symbolic
from xmlc.passes.lower_ml.combine import COMBINE
from xmlc.passes.lower_ml.structured import (
    as_index,
    broadcast_map,
    build_index,
    clamped,
    copied,
    dim,
    empty,
    extract,
    filled,
    identity,
    index,
    insert,
    loop_index,
    loops,
    parallel,
    placed,
    reshaped,
    stored,
    table,
)
from xmlc.passes.number import build


def constant(op: ml.ConstantOp) -> SSAValue:
    value: DenseIntOrFPElementsAttr = op.value  # pyright: ignore
    type = stored(op.out.type)
    if type != op.out.type:
        value = DenseIntOrFPElementsAttr(type, value.data)  # pyright: ignore
    return build(arith.ConstantOp, (), type, value=value)


def sizes(op: ml.SizesOp) -> SSAValue:
    """The sizes as integers"""
    elements = [build(arith.IndexCastOp, (index(size),), i64) for size in op.values()]
    return build(FromElementsOp, tuple(elements), stored(op.out.type))


def iota(op: ml.IotaOp) -> SSAValue:
    """out[i] = i[axis]"""
    type = stored(op.out.type)

    def body() -> SSAValue:
        return from_index(loop_index(op.axis.value.data), type.element_type)

    return parallel([], type, body)


def from_index(value: SSAValue, element: Attribute) -> SSAValue:
    """An index as an element: integers wrap around, floats round."""
    if not is_float(element):
        return build(arith.IndexCastOp, (value,), element)
    wide = build(arith.IndexCastOp, (value,), i64)
    return build(arith.SIToFPOp, (wide,), element)


def broadcast(op: ml.BroadcastOp, x: SSAValue) -> SSAValue:
    type = stored(op.out.type)
    return parallel([(x, broadcast_map(shape_of(x), shape_of(op.out)))], type, same)


def reshape(op: ml.ReshapeOp, x: SSAValue) -> SSAValue:
    return reshaped(x, shape_of(op.out))


def transpose(op: ml.TransposeOp, x: SSAValue) -> SSAValue:
    """out[i] = x[j], with j[permutation[k]] = i[k]"""
    order = op.permutation.get_values()
    source = tuple(dim(order.index(axis)) for axis in range(len(order)))
    return parallel([(x, source)], stored(op.out.type), same)


def concat(op: ml.ConcatOp, *inputs: SSAValue) -> SSAValue:
    """Each input is copied to its place in the result."""
    axis, rank = op.axis.value.data, rank_of(op.out)
    result = empty(shape_of(op.out), storage_type(element_of(op.out)))
    start = 0
    for each in inputs:
        result = placed(each, result, [start if i == axis else 0 for i in range(rank)])
        start += shape_of(each)[axis]
    return result


def slice_(op: ml.SliceOp, x: SSAValue) -> SSAValue:
    return sliced(x, op.starts.get_values(), op.size_list(), op.strides.get_values())


def sliced(x: SSAValue, starts: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> SSAValue:
    """out[i] = x[starts + i * strides]"""
    type = tensor(sizes, element_of(x))
    source = [dim(i) * stride + start for i, (start, stride) in enumerate(zip(starts, strides))]
    if all(n == whole or read != dim(i) for i, (n, whole, read) in enumerate(zip(sizes, shape_of(x), source))):
        return parallel([(x, tuple(source))], type, same)
    # linalg wants a dimension that is read as it is to be read whole, so the indices are computed instead

    def body() -> SSAValue:
        return extract(x, [shifted(loop_index(i), *pair) for i, pair in enumerate(zip(starts, strides))])

    return parallel([], type, body)


def same(element: SSAValue) -> SSAValue:
    return element


def shifted(i: SSAValue, start: int, stride: int) -> SSAValue:
    """start + i * stride, as an index"""
    scaled = i if stride == 1 else build_index(arith.MuliOp, i, index(stride))
    return scaled if start == 0 else build_index(arith.AddiOp, scaled, index(start))


def reverse(op: ml.ReverseOp, x: SSAValue) -> SSAValue:
    """out[i] = x[size - 1 - i] along the axes"""
    axes, shape = op.axes.get_values(), shape_of(x)
    if is_symbolic([shape[axis] for axis in axes]):

        def body() -> SSAValue:
            places = [(loop_index(i), size) for i, size in enumerate(shape)]
            return extract(
                x,
                [
                    build_index(arith.SubiOp, index(size - 1), place) if i in axes else place
                    for i, (place, size) in enumerate(places)
                ],
            )

        return parallel([], stored(op.out.type), body)
    source = tuple(dim(i) * -1 + (size - 1) if i in axes else dim(i) for i, size in enumerate(shape))
    return parallel([(x, source)], stored(op.out.type), same)


def pad(op: ml.PadOp, x: SSAValue, value: SSAValue | None = None) -> SSAValue:
    """A value around x, or by table: which element of each dimension stands at each index."""
    low, high, shape = op.low.get_values(), op.high.get_values(), shape_of(x)
    if value is not None:
        return padded(x, low, high, extract(value, ()))
    mode = op.mode.data.value
    sources = [np.pad(np.arange(n), (a, b), mode) for n, a, b in zip(shape, low, high)]  # pyright: ignore
    return taken(x, sources)


def padded(x: SSAValue, low: Sequence[int], high: Sequence[int], value: SSAValue) -> SSAValue:
    """x with a scalar around it; a negative width takes elements away."""
    if any(width < 0 for width in (*low, *high)):
        starts, ends = ([max(-width, 0) for width in widths] for widths in (low, high))
        sizes = [max(n - a - b, 0) for a, n, b in zip(starts, shape_of(x), ends)]
        x = sliced(x, starts, sizes, [1] * len(sizes))
        low, high = ([max(width, 0) for width in widths] for widths in (low, high))
    if not any(low) and not any(high):
        return x
    return placed(x, filled([a + n + b for a, n, b in zip(low, shape_of(x), high)], value), low)


def taken(x: SSAValue, sources: Sequence[np.ndarray[tuple[int], np.dtype[np.int64]]]) -> SSAValue:
    """out[i, j, …] = x[sources[0][i], sources[1][j], …]; dimensions that stay as they are need no table."""
    moved = [i for i, (n, source) in enumerate(zip(shape_of(x), sources)) if not np.array_equal(source, np.arange(n))]
    tables = [(table(sources[i].astype(np.int64)), (dim(i),)) for i in moved]

    def body(*places: SSAValue) -> SSAValue:
        at = [loop_index(i) for i in range(rank_of(x))]
        for i, place in zip(moved, places):
            at[i] = as_index(place)
        return extract(x, at)

    return parallel(tables, tensor([len(source) for source in sources], element_of(x)), body)


# --- by index


def place_of_index(op: Operation, position: int, value: SSAValue, size: int) -> SSAValue:
    """An element of the integer operand at `position` as an index that is in range."""
    return clamped(as_index(value, signed=not is_unsigned(element_of(op.operands[position]))), size)


def gather(op: ml.GatherOp, x: SSAValue, indices: SSAValue) -> SSAValue:
    """out[a, i, b] = x[a, indices[i], b]"""
    axis, depth, type = op.axis.value.data, rank_of(indices), stored(op.out.type)
    rank = rank_of(op.out)

    def body(place: SSAValue) -> SSAValue:
        before = [loop_index(i) for i in range(axis)]
        after = [loop_index(i) for i in range(axis + depth, rank)]
        return extract(x, [*before, place_of_index(op, 1, place, shape_of(x)[axis]), *after])

    return parallel([(indices, tuple(dim(axis + i) for i in range(depth)))], type, body)


def gather_elements(op: ml.GatherElementsOp, x: SSAValue, indices: SSAValue) -> SSAValue:
    """out[a, i, b] = x[a, indices[a, i, b], b]"""
    axis, rank = op.axis.value.data, rank_of(op.out)

    def body(place: SSAValue) -> SSAValue:
        at = [loop_index(i) for i in range(rank)]
        at[axis] = place_of_index(op, 1, place, shape_of(x)[axis])
        return extract(x, at)

    return parallel([(indices, identity(rank))], stored(op.out.type), body)


def gather_nd(op: ml.GatherNdOp, x: SSAValue, indices: SSAValue) -> SSAValue:
    """out[b, i, s] = x[b, indices[b, i, :], s]"""
    batch, depth, outer = op.batch.value.data, shape_of(indices)[-1], rank_of(indices) - 1
    rank = rank_of(op.out)

    def body() -> SSAValue:
        where = [loop_index(i) for i in range(outer)]
        places = [
            place_of_index(op, 1, extract(indices, [*where, index(k)]), shape_of(x)[batch + k]) for k in range(depth)
        ]
        return extract(x, [*where[:batch], *places, *[loop_index(i) for i in range(outer, rank)]])

    return parallel([], stored(op.out.type), body)


def combined(op: ml.ScatterElementsOp | ml.ScatterNdOp, old: SSAValue, new: SSAValue) -> SSAValue:
    """What a scatter leaves where an update falls."""
    name = op.combine.data.value
    return new if name == "set" else COMBINE[name](old, new, is_unsigned(element_of(op.x)))


def scatter_elements(op: ml.ScatterElementsOp, x: SSAValue, indices: SSAValue, updates: SSAValue) -> SSAValue:
    """One update after the other, in row-major order"""
    axis, state = op.axis.value.data, [copy_of(x)]
    with loops(shape_of(indices), state) as at:
        place = place_of_index(op, 1, extract(indices, at), shape_of(x)[axis])
        target = [*at[:axis], place, *at[axis + 1 :]]
        state[0] = insert(combined(op, extract(state[0], target), extract(updates, at)), state[0], target)
    return state[0]


def scatter_nd(op: ml.ScatterNdOp, x: SSAValue, indices: SSAValue, updates: SSAValue) -> SSAValue:
    """One update after the other, in row-major order"""
    outer, depth, state = rank_of(indices) - 1, shape_of(indices)[-1], [copy_of(x)]
    with loops(shape_of(updates), state) as at:
        where = at[:outer]
        places = [place_of_index(op, 1, extract(indices, [*where, index(k)]), shape_of(x)[k]) for k in range(depth)]
        target = [*places, *at[outer:]]
        state[0] = insert(combined(op, extract(state[0], target), extract(updates, at)), state[0], target)
    return state[0]


def copy_of(x: SSAValue) -> SSAValue:
    """A tensor of the same elements, to be written over."""
    rank = rank_of(x)
    target = empty(shape_of(x), element_of(x))
    return copied(x, identity(rank), target, identity(rank), rank)


def one_hot(op: ml.OneHotOp, indices: SSAValue, off: SSAValue, on: SSAValue) -> SSAValue:
    """out[a, k, b] = on where indices[a, b] == k, off elsewhere"""
    axis, rank, type = op.axis.value.data, rank_of(op.out), stored(op.out.type)
    around = tuple(dim(i) for i in range(rank) if i != axis)
    unsigned = is_unsigned(element_of(op.indices))

    def body(found: SSAValue, without: SSAValue, with_: SSAValue) -> SSAValue:
        same = arith.CmpiOp(as_index(found, signed=not unsigned), loop_index(axis), "eq").result
        return build(arith.SelectOp, (same, with_, without), type.element_type)

    return parallel([(indices, around), (off, ()), (on, ())], type, body)


LOWER: dict[type[Operation], Callable[..., SSAValue]] = {
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
    ml.GatherOp: gather,
    ml.GatherElementsOp: gather_elements,
    ml.GatherNdOp: gather_nd,
    ml.ScatterElementsOp: scatter_elements,
    ml.ScatterNdOp: scatter_nd,
    ml.OneHotOp: one_hot,
}
