"""What `memref` means: arrays written to in place; views share memory; every access is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.dialects import memref
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseIntOrFPElementsAttr, MemRefType, StridedLayoutAttr
from xdsl.ir import Attribute, Operation

from xmlc.dialects.memref import PrefetchOp
from xmlc.dialects.reference.access import dense, indices, mixed, viewed, window
from xmlc.dialects.reference.arith import REFERENCE as ARITH
from xmlc.dialects.reference.interpreter import Array, Frame, InterpreterError, dtype_of, uninitialized
from xmlc.dialects.reference.tensor import collapsed, dim, reassociation, reduced_shape, sized


def allocate(frame: Frame, op: memref.AllocOp | memref.AllocaOp) -> None:
    found = op.memref.type
    assert isinstance(found, MemRefType)
    shape = sized(found.get_shape(), tuple(frame.get(op.dynamic_sizes)))
    frame.set(op, uninitialized(shape, dtype_of(found)).copy())


def deallocate(frame: Frame, op: memref.DeallocOp) -> None:
    """The memory is spoilt, so that a later read shows."""
    array = frame[op.memref]
    array[...] = uninitialized(array.shape, array.dtype)


def load(op: memref.LoadOp, array: Array, *wanted: Any) -> Any:
    return array[indices(op, array, wanted)]


def store(frame: Frame, op: memref.StoreOp) -> None:
    array = frame[op.memref]
    array[indices(op, array, frame.get(op.indices))] = frame[op.value]


def copy(frame: Frame, op: memref.CopyOp) -> None:
    source, destination = frame[op.source], frame[op.destination]
    if source.shape != destination.shape:
        raise InterpreterError(op, f"cannot copy shape {source.shape} to {destination.shape}")
    if source is not destination and np.may_share_memory(source, destination) and np.shares_memory(source, destination):
        raise InterpreterError(op, "source and destination overlap")
    destination[...] = source


def subview(frame: Frame, op: memref.SubviewOp) -> None:
    source = frame[op.source]
    offsets = mixed(op.static_offsets, frame.get(op.offsets))
    sizes = mixed(op.static_sizes, frame.get(op.sizes))
    part = window(op, source, offsets, sizes, mixed(op.static_strides, frame.get(op.strides)))
    frame.set(op, viewed(op, part, reduced_shape(part.shape, op.result.type.get_shape())))


def view(op: memref.ViewOp, bytes: Array, offset: Any, *sizes: Any) -> Array:
    """Part of a buffer of bytes as an array of another element type, contiguous from byte `offset`."""
    found = op.result.type
    assert isinstance(found, MemRefType)
    dtype = dtype_of(found)
    shape = sized(found.get_shape(), sizes)
    length = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if not 0 <= offset <= offset + length <= bytes.size:
        raise InterpreterError(op, f"bytes {offset} to {offset + length} are out of bounds of {bytes.size} bytes")
    return bytes[int(offset) : int(offset) + length].view(dtype).reshape(shape)


def reinterpret_cast(frame: Frame, op: memref.ReinterpretCastOp) -> None:
    """Other sizes and strides over the memory of the source, counted from where its allocation starts."""
    source = frame[op.source]
    found: Any = op.source.type
    layout: Attribute = found.layout
    start = 0
    if isinstance(layout, StridedLayoutAttr):
        known = layout.get_offset()
        if known is None:
            raise InterpreterError(op, "the source's offset is not known")
        start = known
    (offset,) = mixed(op.static_offsets, frame.get(op.offsets))
    sizes = mixed(op.static_sizes, frame.get(op.sizes))
    strides = mixed(op.static_strides, frame.get(op.strides))
    item = source.itemsize
    owner: Array = source
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    memory = owner.reshape(-1).view(np.uint8)
    first = address(source) - address(memory) + (offset - start) * item
    last = first + sum((size - 1) * stride * item for size, stride in zip(sizes, strides))
    if 0 not in sizes and not (first >= 0 and last + item <= memory.size):
        raise InterpreterError(op, "the view reaches out of the memory of its source")
    frame.set(op, np.ndarray(sizes, source.dtype, memory.data, first, [stride * item for stride in strides]))


def address(array: Array) -> int:
    return array.__array_interface__["data"][0]


def collapse_shape(op: memref.CollapseShapeOp, x: Array) -> Array:
    return viewed(op, x, collapsed(reassociation(op), x.shape))


def expand_shape(op: memref.ExpandShapeOp, x: Array, *sizes: Any) -> Array:
    return viewed(op, x, mixed(op.static_output_shape, sizes))


def cast(op: memref.CastOp, x: Array) -> Array:
    wanted = op.dest.type
    if isinstance(wanted, MemRefType):
        shape: tuple[int, ...] = wanted.get_shape()
        if len(shape) != x.ndim or any(a not in (DYNAMIC_INDEX, b) for a, b in zip(shape, x.shape)):
            raise InterpreterError(op, f"the buffer has shape {x.shape}, the type says {wanted}")
    return x


def get_global(frame: Frame, op: memref.GetGlobalOp) -> None:
    """The one buffer of a global; of a constant one, read-only."""
    name = op.name_.root_reference.data
    found = frame.program.symbols.get(name)
    if not isinstance(found, memref.GlobalOp):
        raise InterpreterError(op, f"there is no global @{name}")
    constants = frame.program.constants
    if found not in constants:
        constants[found] = global_buffer(found)
    frame.set(op, constants[found])


def global_buffer(op: memref.GlobalOp) -> Array:
    found = op.type
    assert isinstance(found, MemRefType)
    if not isinstance(op.initial_value, DenseIntOrFPElementsAttr):
        return uninitialized(found.get_shape(), dtype_of(found)).copy()
    array = dense(op.initial_value)
    return array if op.constant is not None else array.copy()


def same(op: Operation, x: Array) -> Array:
    return x


def rank(op: memref.RankOp, x: Array) -> Any:
    return np.int64(x.ndim)


def metadata(op: memref.ExtractStridedMetaDataOp, x: Array) -> tuple[Any, ...]:
    """(the buffer itself, offset 0, sizes, strides in elements)"""
    strides = [np.int64(stride // x.itemsize) for stride in x.strides]
    return (x, np.int64(0), *map(np.int64, x.shape), *strides)


# by number, as memref.atomic_rmw encodes arith's AtomicRMWKind
ATOMIC = {
    0: "arith.addf",
    1: "arith.addi",
    2: "arith.andi",
    4: "arith.maximumf",
    5: "arith.maxnumf",
    6: "arith.maxsi",
    7: "arith.maxui",
    8: "arith.minimumf",
    9: "arith.minnumf",
    10: "arith.minsi",
    11: "arith.minui",
    12: "arith.mulf",
    13: "arith.muli",
    14: "arith.ori",
    15: "arith.xori",
}
"""Kind of memref.atomic_rmw, as MLIR 22 numbers them, -> the op that combines; kind ASSIGN takes the new value."""
ASSIGN = 3


def nothing(frame: Frame, op: PrefetchOp) -> None:
    """Caches are no part of what a program means."""


def atomic_rmw(frame: Frame, op: memref.AtomicRMWOp) -> None:
    """The result is the element as it was before."""
    array = frame[op.memref]
    where = indices(op, array, frame.get(op.indices))
    before, value = array[where], frame[op.value]
    kind = ATOMIC.get(op.kind.value.data)
    combine = next((row for each, row in ARITH.items() if each.name == kind), None)
    if combine is None and op.kind.value.data != ASSIGN:
        raise InterpreterError(op, f"unknown kind {op.kind.value.data}")
    array[where] = value if combine is None else combine(op, before, value)
    frame.set(op, before)


REFERENCE: dict[type[Operation], Callable[..., Any]] = {
    memref.LoadOp: load,
    memref.ViewOp: view,
    memref.CollapseShapeOp: collapse_shape,
    memref.ExpandShapeOp: expand_shape,
    memref.CastOp: cast,
    memref.MemorySpaceCastOp: same,
    memref.AssumeAlignmentOp: same,
    memref.DimOp: dim,
    memref.RankOp: rank,
    memref.ExtractStridedMetaDataOp: metadata,
}
EVALUATE = {
    memref.AllocOp: allocate,
    memref.AllocaOp: allocate,
    memref.DeallocOp: deallocate,
    memref.StoreOp: store,
    memref.CopyOp: copy,
    memref.SubviewOp: subview,
    memref.ReinterpretCastOp: reinterpret_cast,
    memref.GetGlobalOp: get_global,
    memref.AtomicRMWOp: atomic_rmw,
    PrefetchOp: nothing,
}
