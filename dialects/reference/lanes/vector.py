"""What `vector` means in a kernel: each lane has a vector of its own; arrays may start with an axis of lanes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from xdsl.dialects import vector
from xdsl.dialects.builtin import DYNAMIC_INDEX, VectorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr

from xmlc.dialects.reference.arith import REFERENCE as ARITH
from xmlc.dialects.reference.interpreter import Array, dtype_of
from xmlc.dialects.reference.lanes.frame import ThreadError, ThreadFrame, rank, varies
from xmlc.dialects.reference.lanes.memory import fetch, lanes_first, located, put
from xmlc.dialects.reference.vector import FLOAT_REDUCTIONS, REDUCTIONS


def shape_of(type: Attribute) -> tuple[int, ...]:
    assert isinstance(type, VectorType)
    return type.get_shape()


def offsets(shape: Sequence[int]) -> list[Array]:
    """For each axis of a vector the indices along it, with an axis of lanes of size 1 in front."""
    return [grid[np.newaxis] for grid in np.indices(shape, sparse=True)]


def indices(start: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    """The index of every element of a vector over the last axes of a memref, from `start` on; lanes come first."""
    axes = len(shape) + 1
    where = [np.asarray(each).reshape(-1, *(1,) * (axes - 1)) for each in start]
    first = len(start) - len(shape)
    return [*where[:first], *(each + grid for each, grid in zip(where[first:], offsets(shape)))]


def load(frame: ThreadFrame, op: vector.LoadOp) -> None:
    view, shape = frame[op.base], shape_of(op.result.type)
    place = located(frame, op, view, indices(frame.get(op.indices), shape))
    found = fetch(frame, op, view, np.broadcast_to(place, (place.shape[0], *shape)))
    frame.set(op, whole(frame, found, shape))


def whole(frame: ThreadFrame, found: Array, shape: Sequence[int]) -> Array:
    """What was read, without the axis of lanes if they all read the same: one lane is left as it is."""
    return found[0] if found.shape[0] == 1 and frame.threads.count != 1 else found.reshape(-1, *shape)


def store(frame: ThreadFrame, op: vector.StoreOp) -> None:
    view, shape = frame[op.base], shape_of(op.vector.type)
    place = located(frame, op, view, indices(frame.get(op.indices), shape))
    put(frame, op, view, np.broadcast_to(place, (frame.threads.count, *shape)), frame.spread(op.vector))


def masked_load(frame: ThreadFrame, op: vector.MaskedLoadOp) -> None:
    shape = shape_of(op.result.type)
    mask, otherwise = frame.spread(op.mask), frame.spread(op.pass_thru)
    where = indices(frame.get(op.indices), shape)
    frame.set(op, read_some(frame, op, op.base, where, mask, otherwise))


def read_some(
    frame: ThreadFrame, op: Operation, base: SSAValue, where: Sequence[Any], mask: Array, otherwise: Array
) -> Array:
    """Elements where the mask holds, `otherwise` elsewhere; only the former are accessed."""
    result = np.array(np.broadcast_to(otherwise, mask.shape))
    lanes, *axes = np.nonzero(mask)
    if lanes.size:
        inner = frame.picked(lanes)
        index = [np.broadcast_to(each, mask.shape)[(lanes, *axes)] for each in where]
        view = inner[base]
        result[(lanes, *axes)] = fetch(inner, op, view, located(inner, op, view, index))
    return result


def write_some(
    frame: ThreadFrame, op: Operation, base: SSAValue, where: Sequence[Any], mask: Array, values: Array
) -> None:
    """Write elements where the mask holds."""
    lanes, *axes = np.nonzero(mask)
    if lanes.size:
        inner = frame.picked(lanes)
        index = [np.broadcast_to(each, mask.shape)[(lanes, *axes)] for each in where]
        view = inner[base]
        put(inner, op, view, located(inner, op, view, index), np.broadcast_to(values, mask.shape)[(lanes, *axes)])


def masked_store(frame: ThreadFrame, op: vector.MaskedStoreOp) -> None:
    mask, values = frame.spread(op.mask), frame.spread(op.value_to_store)
    where = indices(frame.get(op.indices), shape_of(op.value_to_store.type))
    write_some(frame, op, op.base, where, mask, values)


def transfer(frame: ThreadFrame, op: Any, type: Attribute) -> tuple[list[Any], Array]:
    """(the indices of each element of a transfer, whether it is inside and the mask holds)"""
    shape = shape_of(type)
    axes = len(shape) + 1
    view = frame[op.source]
    where = [np.asarray(each).reshape(-1, *(1,) * (axes - 1)) for each in frame.get(op.indices)]
    for grid, expression in zip(offsets(shape), op.permutation_map.data.results):
        if isinstance(expression, AffineDimExpr):
            where[expression.position] = where[expression.position] + grid
    inside = np.ones((frame.threads.count, *shape), np.bool_)
    for each, size in zip(where, view.sizes):
        inside &= (each >= 0) & (each < lanes_first(size, axes))
    promised = all(flag.value.data for flag in op.in_bounds.data)
    if op.mask is not None:
        inside &= frame.spread(op.mask)
    elif promised and not inside.all():
        lane = int(np.argwhere(~inside)[0][0])
        raise ThreadError(op, f"{frame.threads.name(lane)}: a transfer marked in_bounds is out of bounds")
    return where, inside


def transfer_read(frame: ThreadFrame, op: vector.TransferReadOp) -> None:
    where, inside = transfer(frame, op, op.result.type)
    padding = lanes_first(frame[op.padding], inside.ndim)
    frame.set(op, read_some(frame, op, op.source, where, inside, padding))


def transfer_write(frame: ThreadFrame, op: vector.TransferWriteOp) -> None:
    where, inside = transfer(frame, op, op.vector.type)
    write_some(frame, op, op.source, where, inside, frame.spread(op.vector))


def broadcast(frame: ThreadFrame, op: vector.BroadcastOp) -> None:
    source = frame[op.source]
    shape, own = shape_of(op.vector.type), rank(op.source.type)
    if not varies(source, op.source.type):
        frame.set(op, np.broadcast_to(source, shape).astype(dtype_of(op.vector.type)))
        return
    kept: tuple[int, ...] = source.shape[1:]
    wide = source.reshape(len(source), *(1,) * (len(shape) - own), *kept)
    frame.set(op, np.broadcast_to(wide, (len(source), *shape)).copy())


def extract(frame: ThreadFrame, op: vector.ExtractOp) -> None:
    found = frame[op.vector]
    where = position(frame, op, op.static_position.get_values(), op.dynamic_position, shape_of(op.vector.type))
    if any(map(np.ndim, where)):
        frame.set(op, frame.spread(op.vector)[(np.arange(frame.threads.count), *where)])
    elif varies(found, op.vector.type):
        frame.set(op, found[(slice(None), *where)])
    else:
        frame.set(op, found[where])


def insert(frame: ThreadFrame, op: vector.InsertOp) -> None:
    value, target = frame[op.source], frame[op.dest]
    where = position(frame, op, op.static_position.get_values(), op.dynamic_position, shape_of(op.dest.type))
    by_lane = any(map(np.ndim, where))
    if by_lane or varies(value, op.source.type) or varies(target, op.dest.type):
        result = np.array(frame.spread(op.dest))
        first: Any = np.arange(len(result)) if by_lane else slice(None)
        result[(first, *where)] = frame.spread(op.source)
    else:
        result = target.copy()
        result[where] = value
    frame.set(op, result)


def position(
    frame: ThreadFrame, op: Operation, static: Sequence[int], dynamic: Sequence[SSAValue], shape: Sequence[int]
) -> tuple[Any, ...]:
    """Indices into a vector, which may differ between lanes. Raises ThreadError for one that is out of bounds."""
    given = iter(frame.get(dynamic))
    where = tuple(next(given) if each == DYNAMIC_INDEX else each for each in static)
    for index, size in zip(where, shape):
        if np.any((np.asarray(index) < 0) | (np.asarray(index) >= size)):
            raise ThreadError(op, f"an index of {np.max(index)} is out of bounds of a vector of size {size}")
    return where


def shuffle(frame: ThreadFrame, op: vector.ShuffleOp) -> None:
    """Elements of one vector followed by the other, picked by the mask; -1 picks anything."""
    picked = list(op.mask.get_values())
    a, b = frame.get((op.v1, op.v2))
    if varies(a, op.v1.type) or varies(b, op.v2.type):
        a, b = frame.spread(op.v1), frame.spread(op.v2)
        if rank(op.v1.type) == 0:
            a, b = a[:, np.newaxis], b[:, np.newaxis]
        frame.set(op, np.concatenate([a, b], 1)[:, picked])
    else:
        frame.set(op, np.concatenate([np.atleast_1d(a), np.atleast_1d(b)])[picked])


def create_mask(frame: ThreadFrame, op: vector.CreateMaskOp) -> None:
    """True at every index below the sizes."""
    shape = shape_of(op.mask_vector.type)
    axes = len(shape) + 1
    sizes = [lanes_first(each, axes) for each in frame.get(op.mask_dim_sizes)]
    parts = [grid < size for grid, size in zip(offsets(shape), sizes)]
    lanes = max((part.shape[0] for part in parts), default=1)
    result = reduce(np.logical_and, parts, np.ones((lanes, *shape), np.bool_))
    frame.set(op, result if any(np.ndim(each) for each in frame.get(op.mask_dim_sizes)) else result[0])


def reduction(frame: ThreadFrame, op: vector.ReductionOp) -> None:
    """Elements are combined one by one, in order, from the accumulator if there is one."""
    x = frame[op.vector]
    kind = op.kind.data.value
    integer = x.dtype == np.bool_ or np.issubdtype(x.dtype, np.integer)
    combine = ARITH[REDUCTIONS[kind] if integer or kind not in FLOAT_REDUCTIONS else FLOAT_REDUCTIONS[kind]]
    elements = [x[..., i] for i in range(x.shape[-1])]
    first = [] if op.acc is None else [frame[op.acc]]
    frame.set(op, reduce(lambda a, b: combine(op, np.asarray(a)[()], np.asarray(b)[()]), [*first, *elements]))


def bitcast(frame: ThreadFrame, op: vector.BitcastOp) -> None:
    frame.set(op, np.ascontiguousarray(frame[op.source]).view(dtype_of(op.result.type)))


EVALUATE = {
    vector.LoadOp: load,
    vector.StoreOp: store,
    vector.MaskedLoadOp: masked_load,
    vector.MaskedStoreOp: masked_store,
    vector.TransferReadOp: transfer_read,
    vector.TransferWriteOp: transfer_write,
    vector.BroadcastOp: broadcast,
    vector.ExtractOp: extract,
    vector.InsertOp: insert,
    vector.ShuffleOp: shuffle,
    vector.CreateMaskOp: create_mask,
    vector.ReductionOp: reduction,
    vector.BitcastOp: bitcast,
}
