"""What `vector` means: arrays of the vector's shape; loads and stores are checked against the buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from xdsl.dialects import arith, math, vector
from xdsl.dialects.builtin import MemRefType, VectorType
from xdsl.ir import Operation
from xdsl.ir.affine import AffineDimExpr

from xmlc.dialects.reference.access import indices, mixed, window
from xmlc.dialects.reference.arith import REFERENCE as ARITH
from xmlc.dialects.reference.arith import where as choose
from xmlc.dialects.reference.interpreter import Array, Frame, InterpreterError, dtype_of
from xmlc.dialects.reference.math import REFERENCE as MATH


def part(op: Operation, base: Array, start: Sequence[Any], shape: tuple[int, ...]) -> Array:
    """The view of `shape` over the last dimensions of `base`, from `start` on."""
    sizes = (1,) * (base.ndim - len(shape)) + shape
    found = window(op, base, [int(each) for each in start], sizes, [1] * base.ndim)
    return found[(0,) * (base.ndim - len(shape))]


def load(op: vector.LoadOp, base: Array, *start: Any) -> Array:
    return part(op, base, start, op.result.type.get_shape()).copy()


def store(frame: Frame, op: vector.StoreOp) -> None:
    value = frame[op.vector]
    part(op, frame[op.base], frame.get(op.indices), value.shape)[...] = value


def masked_load(op: vector.MaskedLoadOp, base: Array, *operands: Any) -> Array:
    *start, mask, otherwise = operands
    result = otherwise.copy()
    for lane in np.flatnonzero(mask):
        result[lane] = base[indices(op, base, (*start[:-1], start[-1] + lane))]
    return result


def masked_store(frame: Frame, op: vector.MaskedStoreOp) -> None:
    base, start, value = frame[op.base], frame.get(op.indices), frame[op.value_to_store]
    for lane in np.flatnonzero(frame[op.mask]):
        base[indices(op, base, (*start[:-1], start[-1] + lane))] = value[lane]


def broadcast(op: vector.BroadcastOp, x: Any) -> Array:
    return np.broadcast_to(x, op.vector.type.get_shape()).astype(dtype_of(op.vector.type))


def fused_multiply_add(op: vector.FMAOp, a: Array, b: Array, c: Array) -> Array:
    return MATH[math.FmaOp](op, a, b, c)


def extract(op: vector.ExtractOp, x: Array, *dynamic: Any) -> Any:
    where = mixed(op.static_position, dynamic)
    indices(op, x[(...,) + (0,) * (x.ndim - len(where))], where)
    return x[tuple(where)]


def insert(op: vector.InsertOp, value: Any, x: Array, *dynamic: Any) -> Array:
    where = mixed(op.static_position, dynamic)
    indices(op, x[(...,) + (0,) * (x.ndim - len(where))], where)
    result = x.copy()
    result[tuple(where)] = value
    return result


def shuffle(op: vector.ShuffleOp, a: Array, b: Array) -> Array:
    """Elements of a followed by b, picked by the mask; -1 picks anything."""
    return np.concatenate([np.atleast_1d(a), np.atleast_1d(b)])[list(op.mask.get_values())]


def create_mask(op: vector.CreateMaskOp, *sizes: Any) -> Array:
    """True at every index below the sizes."""
    found = op.mask_vector.type
    assert isinstance(found, VectorType)
    shape: tuple[int, ...] = found.get_shape()
    grids = np.indices(shape, sparse=True)
    return reduce(np.logical_and, [grid < size for grid, size in zip(grids, sizes)], np.ones(shape, np.bool_))


REDUCTIONS: dict[str, type[Operation]] = {
    "add": arith.AddiOp,
    "mul": arith.MuliOp,
    "minui": arith.MinUIOp,
    "minsi": arith.MinSIOp,
    "maxui": arith.MaxUIOp,
    "maxsi": arith.MaxSIOp,
    "and": arith.AndIOp,
    "or": arith.OrIOp,
    "xor": arith.XOrIOp,
    "minnumf": arith.MinnumfOp,
    "maxnumf": arith.MaxnumfOp,
    "minimumf": arith.MinimumfOp,
    "maximumf": arith.MaximumfOp,
}
FLOAT_REDUCTIONS: dict[str, type[Operation]] = {"add": arith.AddfOp, "mul": arith.MulfOp}


def reduction(op: vector.ReductionOp, x: Array, *accumulator: Any) -> Any:
    """Elements are combined one by one, in order, from the accumulator if there is one."""
    kind = op.kind.data.value
    integer = x.dtype == np.bool_ or np.issubdtype(x.dtype, np.integer)
    combine = ARITH[REDUCTIONS[kind] if integer or kind not in FLOAT_REDUCTIONS else FLOAT_REDUCTIONS[kind]]
    return reduce(lambda a, b: combine(op, a, b), [*accumulator, *x])


def bitcast(op: vector.BitcastOp, x: Array) -> Array:
    return np.ascontiguousarray(x).view(dtype_of(op.result.type))


def _points(op: Any, source: Array, start: Sequence[Any], shape: tuple[int, ...], mask: Any) -> tuple[Any, Array]:
    """(indices into the source, lanes that are inside) of a transfer; lanes outside point to element 0."""
    index: list[Any] = [np.asarray(each) for each in start]
    grids = np.indices(shape, sparse=True)
    for axis, expression in enumerate(op.permutation_map.data.results):
        if isinstance(expression, AffineDimExpr):
            index[expression.position] = index[expression.position] + grids[axis]
    inside = np.ones(shape, np.bool_)
    for axis, (each, size) in enumerate(zip(index, source.shape)):
        inside = inside & (each >= 0) & (each < size)
        if not np.any((each >= 0) & (each < size)) and np.ndim(each) == 0:
            raise InterpreterError(op, f"index {each} is out of bounds of dimension {axis}, of size {size}")
    for axis, flag in enumerate(op.in_bounds.data):
        if flag.value.data and not np.all(inside) and mask is None and axis == len(op.in_bounds.data) - 1:
            raise InterpreterError(op, "a transfer marked in_bounds is out of bounds")
    if mask is not None:
        inside = inside & mask
    return tuple(np.where(inside, each, 0) for each in index), inside


def transfer_read(frame: Frame, op: vector.TransferReadOp) -> None:
    source = frame[op.source]
    mask = None if op.mask is None else frame[op.mask]
    where, inside = _points(op, source, frame.get(op.indices), op.result.type.get_shape(), mask)
    frame.set(op, choose(inside, source[where], frame[op.padding]))


def transfer_write(frame: Frame, op: vector.TransferWriteOp) -> None:
    value, target = frame[op.vector], frame[op.source]
    mask = None if op.mask is None else frame[op.mask]
    where, inside = _points(op, target, frame.get(op.indices), value.shape, mask)
    if not isinstance(op.source.type, MemRefType):
        target = target.copy()
    target[tuple(each[inside] for each in where)] = value[inside]
    frame.set(op, *([target] if op.result is not None else []))


REFERENCE: dict[type[Operation], Callable[..., Any]] = {
    vector.LoadOp: load,
    vector.MaskedLoadOp: masked_load,
    vector.BroadcastOp: broadcast,
    vector.FMAOp: fused_multiply_add,
    vector.ExtractOp: extract,
    vector.InsertOp: insert,
    vector.ShuffleOp: shuffle,
    vector.CreateMaskOp: create_mask,
    vector.ReductionOp: reduction,
    vector.BitcastOp: bitcast,
}
EVALUATE = {
    vector.StoreOp: store,
    vector.MaskedStoreOp: masked_store,
    vector.TransferReadOp: transfer_read,
    vector.TransferWriteOp: transfer_write,
}
