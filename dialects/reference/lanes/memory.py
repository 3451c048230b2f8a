"""Memory as threads see it: global memory, the shared memory of each block, the private memory of each thread.

A memref is a `View`: a memory, and for each lane where in it. Every access is checked against the bounds of the view
and of the memory, and against those of other threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from xdsl.dialects import memref
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseIntOrFPElementsAttr, MemRefType, StridedLayoutAttr
from xdsl.ir import Attribute, Operation

from xmlc.dialects import gpu
from xmlc.dialects.reference.access import dense
from xmlc.dialects.reference.arith import REFERENCE as ARITH
from xmlc.dialects.reference.interpreter import Array, InterpreterError, dtype_of, uninitialized
from xmlc.dialects.reference.lanes.frame import ThreadError, ThreadFrame, Threads
from xmlc.dialects.reference.lanes.races import MANY, Accesses, Order, Race
from xmlc.dialects.reference.memref import ASSIGN, ATOMIC, address
from xmlc.dialects.reference.tensor import reassociation

ALIGNMENT = 16
"""Bytes: the size of a memory of ours is a multiple of it, so that it can be seen as elements of any type."""


class Memory:
    """Bytes, in one copy that all threads see, or one for each block or thread."""

    def __init__(self, name: str, space: gpu.AddressSpace, copies: Array, order: Order | None):
        """`copies` is an array of bytes, a row for each copy; accesses are compared where there is an `order`."""
        self.name = name
        self.space = space
        self.copies = copies
        self.order = order
        self.typed: dict[np.dtype[Any], Array] = {}
        self.accesses: dict[int, Accesses] = {}

    def elements(self, dtype: np.dtype[Any]) -> Array:
        """The memory as elements of a type, a row for each copy."""
        if dtype not in self.typed:
            whole = self.copies.shape[1] // dtype.itemsize * dtype.itemsize
            self.typed[dtype] = self.copies[:, :whole].view(dtype)
        return self.typed[dtype]

    def copy_of(self, threads: Threads) -> Any:
        """The row of each lane: one number where they all have the same."""
        if len(self.copies) == 1:
            return 0
        return threads.block if self.space is gpu.AddressSpace.Workgroup else threads.number

    def accesses_of(self, dtype: np.dtype[Any]) -> Accesses | None:
        if self.order is None:
            return None
        if dtype.itemsize not in self.accesses:
            self.accesses[dtype.itemsize] = Accesses(self.elements(dtype).size, self.order)
        return self.accesses[dtype.itemsize]


@dataclass(frozen=True)
class View:
    """A memref: elements of a type, from byte `offset` of a memory on; all but the type may differ between lanes."""

    memory: Memory
    dtype: np.dtype[Any]
    offset: Any
    sizes: tuple[Any, ...]
    strides: tuple[Any, ...]
    """In elements."""
    copy: Any = None
    """The row of the memory for each lane, where it is another block's."""

    def copy_of(self, threads: Threads) -> Any:
        """The row of the memory for each lane: one number where they all have the same."""
        return self.memory.copy_of(threads) if self.copy is None else self.copy

    def pick(self, mask: Array) -> View:
        def some(number: Any) -> Any:
            return number[mask] if np.ndim(number) else number

        return replace(
            self,
            offset=some(self.offset),
            sizes=tuple(map(some, self.sizes)),
            strides=tuple(map(some, self.strides)),
            copy=some(self.copy),
        )


def contiguous(sizes: Sequence[Any]) -> tuple[Any, ...]:
    """The strides of elements that lie one behind the other, the last index fastest."""
    strides: list[Any] = [1]
    for size in reversed(sizes[1:]):
        strides.insert(0, strides[0] * size)
    return tuple(strides[: len(sizes)])


def shared_memory(frame: ThreadFrame, name: str, size: int) -> Memory:
    """Fresh shared memory for each block of the frame's group."""
    group = frame.threads.group
    size = -(-size // ALIGNMENT) * ALIGNMENT
    return Memory(
        name, gpu.AddressSpace.Workgroup, np.full((group.count, size), 0xA5, np.uint8), frame.threads.launch.order
    )


def located(frame: ThreadFrame, op: Operation, view: View, where: Sequence[Any]) -> Any:
    """The element of the memory for each index into a view: a number, or an array that starts with the lanes.

    Raises ThreadError for one that is out of bounds.
    """
    assert len(where) == len(view.sizes)
    item = view.dtype.itemsize
    shaped = [np.asarray(each) for each in where]
    axes = max((each.ndim for each in shaped), default=0)
    place: Any = aligned(op, frame, view.offset, item)
    place = lanes_first(place, axes)
    for axis, (index, size, stride) in enumerate(zip(shaped, view.sizes, view.strides)):
        index = lanes_first(index, axes) if index.ndim == 1 else index
        outside = (index < 0) | (index >= lanes_first(size, axes))
        if np.any(outside):
            lane, found = first_lane(outside, index)
            bound = np.broadcast_to(size, frame.threads.count)[lane] if np.ndim(size) else size
            message = f"index {found} is out of bounds of dimension {axis}, of size {bound}"
            raise ThreadError(op, f"{frame.threads.name(lane)}: {message}")
        place = place + index * lanes_first(stride, axes)
    length = view.memory.copies.shape[1] // item
    outside = (place < 0) | (place >= length)
    if np.any(outside):
        lane, found = first_lane(outside, place)
        name = view.memory.name
        raise ThreadError(op, f"{frame.threads.name(lane)}: element {found} is out of {name}, which has {length}")
    return place


def lanes_first(value: Any, axes: int) -> Any:
    """A number for each lane as an array with more axes, after that of the lanes."""
    found = np.asarray(value)
    return found.reshape(-1, *(1,) * (axes - 1)) if found.ndim == 1 and axes > 1 else found


def first_lane(mask: Any, values: Any) -> tuple[int, Any]:
    """The first lane for which a mask holds somewhere, and the value there."""
    full = np.broadcast_to(values, np.shape(mask))
    if np.ndim(mask) == 0:
        return 0, full[()]
    spot = np.argwhere(mask)[0]
    return int(spot[0]) if np.shape(mask)[0] > 1 else 0, full[tuple(spot)]


def aligned(op: Operation, frame: ThreadFrame, offset: Any, item: int) -> Any:
    """A byte offset counted in elements. Raises ThreadError if it lies within one."""
    wrong = np.asarray(offset) % item != 0
    if np.any(wrong):
        lane, found = first_lane(wrong, offset)
        raise ThreadError(op, f"{frame.threads.name(lane)}: byte {found} is not aligned to elements of {item} bytes")
    return np.asarray(offset) // item


def note(frame: ThreadFrame, op: Operation, view: View, place: Any, values: Any, kind: str, active: Any = None) -> None:
    """Compare a read, a write or an atomic access with those of other threads. Raises ThreadError for a race.

    `active` says which lanes, or which elements of them, take part.
    """
    memory = view.memory
    accesses = memory.accesses_of(view.dtype)
    if accesses is None:
        return
    threads = frame.threads
    length = memory.elements(view.dtype).shape[1]
    row = np.asarray(view.copy_of(threads)) * length
    place = np.asarray(place)
    shape = (threads.count, *place.shape[1:])
    places = np.broadcast_to(lanes_first(row, place.ndim) + place, shape)
    who = np.broadcast_to(lanes_first(threads.global_number, place.ndim), shape)
    written = None if values is None else np.broadcast_to(values, shape)
    chosen: Any = slice(None) if active is None else np.broadcast_to(active, shape).reshape(-1)
    places, who = places.reshape(-1)[chosen], who.reshape(-1)[chosen]
    if kind == "read":
        race = accesses.note_read(places, who)
    else:
        given = None if written is None or kind == "atomic" else written.reshape(-1)[chosen]
        race = accesses.note_write(op, places, who, given, atomic=kind == "atomic")
    if race is not None:
        raise ThreadError(op, told(frame, view, race, int(who[race.lane]), race.place % length, kind))


def told(frame: ThreadFrame, view: View, race: Race, thread: int, place: int, kind: str) -> str:
    """A race as a message."""
    launch = frame.threads.launch
    did = {"read": "reads", "write": "writes", "atomic": "writes"}[kind]
    other = "other threads" if race.other == MANY else launch.name(race.other)
    verb = "write" if race.other_writes else "read"
    verb += "" if race.other == MANY else "s"
    by = f" ({race.other_op.name})" if race.other_op is not None else ""
    return (
        f"data race: {launch.name(thread)} {did} element {place} of {view.memory.name}, which {other} {verb}{by} "
        "with no barrier between"
    )


def fetch(frame: ThreadFrame, op: Operation, view: View, place: Any, kind: str = "read") -> Any:
    """The elements at places."""
    note(frame, op, view, place, None, kind)
    return view.memory.elements(view.dtype)[lanes_first(view.copy_of(frame.threads), np.ndim(place)), place]


def put(frame: ThreadFrame, op: Operation, view: View, place: Any, values: Any, active: Any = None) -> None:
    """Write the elements at places; where `active` is given, those for which it holds."""
    note(frame, op, view, place, values, "write", active)
    copy = lanes_first(view.copy_of(frame.threads), np.ndim(place))
    target = view.memory.elements(view.dtype)
    if not target.flags.writeable:
        raise InterpreterError(op, f"writes to {view.memory.name}, which is read-only")
    if active is None:
        if np.ndim(place) == 0 and np.ndim(copy) == 0 and np.ndim(values):
            values = values[-1]
        target[copy, place] = values
    else:
        shape = np.broadcast_shapes(np.shape(active), np.shape(place), np.shape(copy), np.shape(values))
        mask = np.broadcast_to(active, shape)
        parts = [np.broadcast_to(each, shape)[mask] for each in (copy, place, values)]
        target[parts[0], parts[1]] = parts[2]


def load(frame: ThreadFrame, op: memref.LoadOp) -> None:
    view = frame[op.memref]
    frame.set(op, fetch(frame, op, view, located(frame, op, view, frame.get(op.indices))))


def store(frame: ThreadFrame, op: memref.StoreOp) -> None:
    view = frame[op.memref]
    put(frame, op, view, located(frame, op, view, frame.get(op.indices)), frame[op.value])


def atomic_rmw(frame: ThreadFrame, op: memref.AtomicRMWOp) -> None:
    """Lane after lane, in order; the result is the element as it was before."""
    view = frame[op.memref]
    place = located(frame, op, view, frame.get(op.indices))
    note(frame, op, view, place, None, "atomic")
    count = frame.threads.count
    places = np.broadcast_to(place, count)
    copies = np.broadcast_to(view.copy_of(frame.threads), count)
    values = frame.spread(op.value)
    kind = ATOMIC.get(op.kind.value.data)
    combine = next((row for each, row in ARITH.items() if each.name == kind), None)
    if combine is None and op.kind.value.data != ASSIGN:
        raise InterpreterError(op, f"unknown kind {op.kind.value.data}")
    target = view.memory.elements(view.dtype)
    before = np.empty(count, view.dtype)
    for lane in range(count):
        where = copies[lane], places[lane]
        before[lane] = target[where]
        target[where] = values[lane] if combine is None else combine(op, before[lane], values[lane])
    frame.threads.launch.order.atomic(frame.threads.global_number)
    frame.set(op, before)


def alloca(frame: ThreadFrame, op: memref.AllocaOp) -> None:
    """Memory for each thread, or for each block if its space is `workgroup`."""
    found = op.memref.type
    assert isinstance(found, MemRefType)
    sizes = found.get_shape()
    if DYNAMIC_INDEX in sizes:
        raise InterpreterError(op, "memory of a kernel has a fixed size")
    dtype = dtype_of(found)
    count = prod(sizes)
    if found.memory_space == gpu.WORKGROUP:
        memories = frame.threads.group.memories
        if op not in memories:
            memories[op] = shared_memory(frame, "shared memory", count * dtype.itemsize)
        memory = memories[op]
    else:
        threads = frame.threads.group.count * frame.threads.launch.threads
        rows = np.tile(uninitialized((count,), dtype).view(np.uint8), (threads, 1))
        memory = Memory("private memory", gpu.AddressSpace.Private, rows, None)
    frame.set(op, View(memory, dtype, 0, sizes, contiguous(sizes)))


def get_global(frame: ThreadFrame, op: memref.GetGlobalOp) -> None:
    name = op.name_.root_reference.data
    found = frame.program.symbols.get(name)
    if not isinstance(found, memref.GlobalOp):
        raise InterpreterError(op, f"there is no global @{name} in the gpu.module")
    kind = found.type
    assert isinstance(kind, MemRefType)
    dtype, sizes = dtype_of(kind), kind.get_shape()
    if kind.memory_space == gpu.WORKGROUP:
        memories = frame.threads.group.memories
        if found not in memories:
            memories[found] = shared_memory(frame, f"@{name}", prod(sizes) * dtype.itemsize)
        memory = memories[found]
    else:
        constants = frame.program.constants
        if found not in constants:
            constants[found] = constant_memory(found, name)
        memory = constants[found]
    frame.set(op, View(memory, dtype, 0, sizes, contiguous(sizes)))


def constant_memory(op: memref.GlobalOp, name: str) -> Memory:
    if op.constant is None or not isinstance(op.initial_value, DenseIntOrFPElementsAttr):
        raise InterpreterError(op, "a global that is not shared memory must be constant and have a value")
    array = np.ascontiguousarray(dense(op.initial_value)).reshape(1, -1)
    return Memory(f"@{name}", gpu.AddressSpace.Global, array.view(np.uint8), None)


def dynamic_shared_memory(frame: ThreadFrame, op: gpu.DynamicSharedMemoryOp) -> None:
    memories = frame.threads.group.memories
    size = frame.threads.launch.dynamic
    if None not in memories:
        memories[None] = shared_memory(frame, "dynamic shared memory", size)
    frame.set(op, View(memories[None], np.dtype(np.int8), 0, (size,), (1,)))


def peer_memory(frame: ThreadFrame, op: gpu.PeerMemoryOp) -> None:
    threads, cluster = frame.threads, frame.threads.launch.order.cluster
    block = frame.spread(op.block).astype(np.int64)
    if np.any((block < 0) | (block >= cluster)):
        raise ThreadError(op, f"{threads.name(0)}: there is no block {block.max()} in a cluster of {cluster}")
    frame.set(op, replace(frame[op.source], copy=threads.block // cluster * cluster + block))


def bytes_as(frame: ThreadFrame, op: memref.ViewOp) -> None:
    source = frame[op.source]
    found = op.result.type
    assert isinstance(found, MemRefType)
    dtype = dtype_of(found)
    given = iter(frame.get(op.sizes))
    sizes = tuple(next(given) if size == DYNAMIC_INDEX else size for size in found.get_shape())
    (shift,) = frame.get([op.byte_shift])
    end = shift + prod(sizes) * dtype.itemsize
    wrong = (np.asarray(shift) < 0) | (np.asarray(end) > source.sizes[0])
    if np.any(wrong):
        lane, last = first_lane(wrong, end)
        limit = source.sizes[0]
        raise ThreadError(op, f"{frame.threads.name(lane)}: byte {last} is out of bounds of {limit} bytes")
    frame.set(op, View(source.memory, dtype, source.offset + shift, sizes, contiguous(sizes)))


def subview(frame: ThreadFrame, op: memref.SubviewOp) -> None:
    source = frame[op.source]
    offsets = filled(op.static_offsets.get_values(), frame.get(op.offsets))
    sizes = filled(op.static_sizes.get_values(), frame.get(op.sizes))
    steps = filled(op.static_strides.get_values(), frame.get(op.strides))
    offset = source.offset
    for start, stride in zip(offsets, source.strides):
        offset = offset + start * stride * source.dtype.itemsize
    strides = [step * stride for step, stride in zip(steps, source.strides)]
    found = op.result.type
    assert isinstance(found, MemRefType)
    kept = kept_axes([int(each) if np.ndim(each) == 0 else -1 for each in sizes], found.get_shape())
    frame.set(
        op,
        View(
            source.memory,
            source.dtype,
            offset,
            tuple(sizes[axis] for axis in kept),
            tuple(strides[axis] for axis in kept),
        ),
    )


def kept_axes(sizes: Sequence[int], shape: Sequence[int]) -> list[int]:
    """The axes of a slice that are left when some of size 1 are dropped so that it has a shape."""
    kept: list[int] = []
    for axis, size in enumerate(sizes):
        if len(kept) < len(shape) and shape[len(kept)] in (size, DYNAMIC_INDEX):
            kept.append(axis)
    return kept


def filled(static: Sequence[int], dynamic: Sequence[Any]) -> list[Any]:
    """Static numbers with the dynamic ones filled in, in order; those may differ between lanes."""
    remaining = iter(dynamic)
    return [next(remaining) if each == DYNAMIC_INDEX else each for each in static]


def reinterpret_cast(frame: ThreadFrame, op: memref.ReinterpretCastOp) -> None:
    """Other sizes and strides, counted from where the memory of the source begins."""
    source = frame[op.source]
    kind: Any = op.source.type
    layout: Attribute = kind.layout
    start = 0
    if isinstance(layout, StridedLayoutAttr):
        known = layout.get_offset()
        if known is None:
            raise InterpreterError(op, "the source's offset is not known")
        start = known
    (offset,) = filled(op.static_offsets.get_values(), frame.get(op.offsets))
    sizes = filled(op.static_sizes.get_values(), frame.get(op.sizes))
    strides = filled(op.static_strides.get_values(), frame.get(op.strides))
    byte = source.offset + (offset - start) * source.dtype.itemsize
    frame.set(op, View(source.memory, source.dtype, byte, tuple(sizes), tuple(strides)))


def collapse_shape(frame: ThreadFrame, op: memref.CollapseShapeOp) -> None:
    """Neighbouring axes as one; their elements must lie one behind the other."""
    source = frame[op.src]
    sizes: list[Any] = []
    strides: list[Any] = []
    for axes in reassociation(op):
        long = [axis for axis in axes if np.any(np.asarray(source.sizes[axis]) != 1)] or list(axes[-1:])
        for outer, inner in pairwise(long):
            if np.any(source.strides[outer] != source.strides[inner] * source.sizes[inner]):
                raise InterpreterError(
                    op, f"strides {source.strides} of sizes {source.sizes} are not those of one axis"
                )
        sizes.append(prod([source.sizes[axis] for axis in axes], start=np.int64(1)))
        strides.append(source.strides[long[-1]] if long else 1)
    frame.set(op, replace(source, sizes=tuple(sizes), strides=tuple(strides)))


def expand_shape(frame: ThreadFrame, op: memref.ExpandShapeOp) -> None:
    """Each axis as several."""
    source = frame[op.src]
    sizes = filled(op.static_output_shape.get_values(), frame.get(op.output_shape))
    strides: list[Any] = []
    for axes, stride in zip(reassociation(op), source.strides):
        strides += [stride * each for each in contiguous([sizes[axis] for axis in axes])]
    strides += [1] * (len(sizes) - len(strides))  # an array of rank 0 becomes one of sizes 1
    frame.set(op, replace(source, sizes=tuple(sizes), strides=tuple(strides)))


def same(frame: ThreadFrame, op: Operation) -> None:
    frame.set(op, frame[op.operands[0]])


def dim(frame: ThreadFrame, op: memref.DimOp) -> None:
    frame.set(op, np.int64(frame[op.source].sizes[int(frame.same(op, op.index))]))


def global_view(array: Array, memory: Memory, owner: Array) -> View:
    """An array of the host as a kernel sees it."""
    strides = tuple(stride // array.itemsize for stride in array.strides)
    return View(memory, array.dtype, address(array) - address(owner), array.shape, strides)


EVALUATE = {
    memref.LoadOp: load,
    memref.StoreOp: store,
    memref.AtomicRMWOp: atomic_rmw,
    memref.AllocaOp: alloca,
    memref.GetGlobalOp: get_global,
    memref.ViewOp: bytes_as,
    memref.SubviewOp: subview,
    memref.ReinterpretCastOp: reinterpret_cast,
    memref.CollapseShapeOp: collapse_shape,
    memref.ExpandShapeOp: expand_shape,
    memref.CastOp: same,
    memref.MemorySpaceCastOp: same,
    memref.AssumeAlignmentOp: same,
    memref.DimOp: dim,
    gpu.DynamicSharedMemoryOp: dynamic_shared_memory,
    gpu.PeerMemoryOp: peer_memory,
}
