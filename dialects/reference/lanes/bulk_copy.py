"""Copies by the tensor memory engine: boxes of tensors that maps describe, and runs of bytes.

They are made as late as PTX allows: what is loaded when somebody waits for its mbarrier, what is stored when its group
is waited for, or the kernel ends. So a kernel that does not wait, or overwrites what is still to be stored, is seen.
Not modelled: that ordinary stores need `fence.proxy.async` before the engine sees them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from xdsl.ir import Operation, SSAValue

from xmlc.dialects.nvvm import bulk_copy
from xmlc.dialects.nvvm.tensor_map import MAP_BYTES, TensorMap, swizzled
from xmlc.dialects.reference.interpreter import Array
from xmlc.dialects.reference.lanes.frame import Group, KernelProgram, ThreadError, ThreadFrame, Threads
from xmlc.dialects.reference.lanes.memory import Memory, View, fetch, located, put
from xmlc.dialects.reference.lanes.pointers import OFFSET_BITS, WINDOW, pointed_at, window

LINE = 16
"""Bytes: what a run of bytes, and its addresses, are multiples of."""
BOX_ALIGNMENT = 128
"""Bytes: what the address of a box in shared memory is a multiple of."""


@dataclass
class Engine:
    """The copies of a group of blocks that have not been made."""

    loads: list[tuple[tuple[int, int], Callable[[], None]]] = field(
        default_factory=list[tuple[tuple[int, int], Callable[[], None]]]
    )
    """Each with the mbarrier that it ends at: the block in the group, and the pointer."""
    stores: dict[int, list[Callable[[], None]]] = field(default_factory=dict[int, list[Callable[[], None]]])
    """Thread -> those of no group yet."""
    groups: dict[int, list[list[Callable[[], None]]]] = field(default_factory=dict[int, list[list[Callable[[], None]]]])

    def load_for(self, place: tuple[int, int]) -> bool:
        """Make the first load that ends at an mbarrier; False if there is none."""
        found = next((i for i, (each, _) in enumerate(self.loads) if each == place), None)
        if found is None:
            return False
        self.loads.pop(found)[1]()
        return True

    def finish(self) -> None:
        """The kernel ends: what is left is made."""
        while self.loads:
            self.loads.pop(0)[1]()
        for groups in [*self.groups.values(), *([each] for each in self.stores.values())]:
            for each in [each for group in groups for each in group]:
                each()


def engine_of(group: Group) -> Engine:
    return group.state.setdefault("engine", Engine())


def alone(frame: ThreadFrame, number: int) -> ThreadFrame:
    """A frame of one thread, by its number in the group."""
    assert isinstance(frame.program, KernelProgram)
    return ThreadFrame(frame.program, Threads(frame.threads.group, np.array([number])))


def each_thread(frame: ThreadFrame, *operands: SSAValue) -> list[tuple[ThreadFrame, list[int]]]:
    """The threads one by one, with what each has of the operands."""
    spread = [frame.spread(each).tolist() for each in operands]
    return [
        (alone(frame, number), [each[lane] for each in spread])
        for lane, number in enumerate(frame.threads.number.tolist())
    ]


def map_at(frame: ThreadFrame, op: Operation, pointer: SSAValue, lane: int) -> TensorMap:
    """The tensor map that a pointer of a lane is to. Raises ThreadError where there is none."""
    inner = frame.picked(np.arange(frame.threads.count) == lane)
    view = pointed_at(inner, op, pointer, np.uint8, MAP_BYTES)
    data = view.memory.copies[0, int(np.ravel(view.offset)[0]) :][:MAP_BYTES]
    try:
        return TensorMap.from_bytes(data.tobytes())
    except ValueError as error:
        raise ThreadError(op, f"{inner.threads.name(0)}: {error}") from error


def tensor_of(frame: ThreadFrame, op: Operation, tensor_map: TensorMap) -> tuple[Memory, int]:
    """The memory of a mapped tensor, and where in it the tensor begins."""
    for start, memory in frame.threads.launch.global_memories.items():
        if start <= tensor_map.address < start + memory.copies.shape[1]:
            return memory, tensor_map.address - start
    raise ThreadError(op, f"{frame.threads.name(0)}: the kernel was not given the tensor of the map")


@dataclass(frozen=True)
class Box:
    """A box at some coordinates: for each of its elements where it is in the tensor, and whether it is inside."""

    places: Array
    """In bytes from the start of the tensor."""
    inside: Array

    @classmethod
    def at(cls, tensor_map: TensorMap, first: list[int]) -> Box:
        size = tensor_map.dtype.itemsize
        places, inside = np.zeros((), np.int64), np.ones((), np.bool_)
        for start, extent, length, stride in reversed(
            list(zip(first, tensor_map.box, tensor_map.sizes, (size, *tensor_map.strides)))
        ):
            index = start + np.arange(extent)
            places = places[..., None] + index * stride
            inside = inside[..., None] & (index >= 0) & (index < length)
        return cls(places.reshape(-1), inside.reshape(-1))


def global_bytes(memory: Memory) -> View:
    return View(memory, np.dtype(np.uint8), 0, (memory.copies.shape[1],), (1,))


def shared_places(frame: ThreadFrame, op: Operation, pointer: int, count: int, swizzle: int) -> tuple[View, Array]:
    """The bytes of shared memory from a pointer on, in the order in which a swizzle has them."""
    group, start = frame.threads.group, pointer & WINDOW
    number = pointer >> OFFSET_BITS
    memory, base = group.pointed[number], window(group, number)
    if swizzle and start % BOX_ALIGNMENT:
        raise ThreadError(op, f"{frame.threads.name(0)}: a box begins at no multiple of {BOX_ALIGNMENT} bytes")
    return global_bytes(memory), (swizzled(start + np.arange(count), swizzle) - base)[np.newaxis]


def load_box(frame: ThreadFrame, op: bulk_copy.LoadBoxOp) -> None:
    masks = None if op.multicast_mask is None else frame.spread(op.multicast_mask).tolist()
    operands = (op.dst_mem, op.mbar, *op.coordinates)
    for lane, (thread, (target, barrier, *first)) in enumerate(each_thread(frame, *operands)):
        tensor_map = map_at(frame, op, op.tma_descriptor, lane)
        cluster = frame.threads.launch.order.cluster
        own = int(thread.threads.block[0])
        blocks = [own]
        if masks is not None:
            blocks = [own // cluster * cluster + block for block in range(cluster) if masks[lane] >> block & 1]
        for block in blocks:
            receiver = alone(frame, block * frame.threads.launch.threads + int(thread.threads.thread[0]))

            def load(
                receiver: ThreadFrame = receiver,
                tensor_map: TensorMap = tensor_map,
                place: tuple[int, int] = (block, barrier),
                target: int = target,
                first: list[int] = first,
            ) -> None:
                memory, base = tensor_of(receiver, op, tensor_map)
                box, size = Box.at(tensor_map, first), tensor_map.dtype.itemsize
                nothing = np.nan if tensor_map.fills_nan else 0
                values = np.full(len(box.places), nothing).astype(tensor_map.dtype).view(np.uint8).reshape(-1, size)
                wanted = (base + box.places[box.inside])[:, None] + np.arange(size)
                if wanted.size:
                    view = global_bytes(memory)
                    places = located(receiver, op, view, [wanted.reshape(1, -1)])
                    values[box.inside] = fetch(receiver, op, view, places).reshape(-1, size)
                written(receiver, op, target, values.reshape(-1), tensor_map.swizzle)
                arrived(receiver, op, place, tensor_map.box_bytes)

            engine_of(frame.threads.group).loads.append(((block, barrier), load))


def written(frame: ThreadFrame, op: Operation, target: int, values: Array, swizzle: int) -> None:
    view, places = shared_places(frame, op, target, len(values), swizzle)
    put(frame, op, view, located(frame, op, view, [places]), values[np.newaxis])


def arrived(frame: ThreadFrame, op: Operation, place: tuple[int, int], count: int) -> None:
    """Bytes that were written count at their mbarrier."""
    barriers: dict[tuple[int, int], Any] = frame.threads.group.state.setdefault("mbarriers", {})
    if place not in barriers:
        raise ThreadError(op, f"{frame.threads.name(0)}: there is no mbarrier here: it has not been made")
    barriers[place].bytes -= count
    barriers[place].end()


def load_bytes(frame: ThreadFrame, op: bulk_copy.LoadBytesOp) -> None:
    operands = (op.dst_mem, op.mbar, op.size)
    for lane, (thread, (target, barrier, count)) in enumerate(each_thread(frame, *operands)):
        inner = frame.picked(np.arange(frame.threads.count) == lane)
        source = pointed_at(inner, op, op.src_mem, np.uint8, count)
        expect_lines(thread, op, target, int(np.ravel(source.offset)[0]), count)
        place = (int(thread.threads.block[0]), barrier)

        def load(
            thread: ThreadFrame = thread,
            source: View = source,
            place: tuple[int, int] = place,
            target: int = target,
            count: int = count,
        ) -> None:
            values = fetch(thread, op, source, located(thread, op, source, [np.arange(count)[np.newaxis]]))
            written(thread, op, target, values.reshape(-1), 0)
            arrived(thread, op, place, count)

        engine_of(frame.threads.group).loads.append((place, load))


def expect_lines(frame: ThreadFrame, op: Operation, *numbers: int) -> None:
    if any(each % LINE for each in numbers):
        message = f"addresses and sizes of a run of bytes are multiples of {LINE}"
        raise ThreadError(op, f"{frame.threads.name(0)}: {message}")


def taken(frame: ThreadFrame, op: Operation, source: int, count: int, swizzle: int) -> Array:
    """Bytes of shared memory that are about to be stored."""
    view, places = shared_places(frame, op, source, count, swizzle)
    return fetch(frame, op, view, located(frame, op, view, [places])).reshape(-1)


def store_box(frame: ThreadFrame, op: bulk_copy.StoreBoxOp) -> None:
    for lane, (thread, (source, *first)) in enumerate(each_thread(frame, op.src_mem, *op.coordinates)):
        tensor_map = map_at(frame, op, op.tma_descriptor, lane)

        def store(
            thread: ThreadFrame = thread,
            tensor_map: TensorMap = tensor_map,
            source: int = source,
            first: list[int] = first,
        ) -> None:
            memory, base = tensor_of(thread, op, tensor_map)
            box, size = Box.at(tensor_map, first), tensor_map.dtype.itemsize
            values = taken(thread, op, source, tensor_map.box_bytes, tensor_map.swizzle).reshape(-1, size)
            places = (base + box.places[box.inside])[:, None] + np.arange(size)
            view = global_bytes(memory)
            where = located(thread, op, view, [places.reshape(1, -1)])
            put(thread, op, view, where, values[box.inside].reshape(1, -1))

        engine_of(frame.threads.group).stores.setdefault(int(thread.threads.number[0]), []).append(store)


def store_bytes(frame: ThreadFrame, op: bulk_copy.StoreBytesOp) -> None:
    for lane, (thread, (source, count)) in enumerate(each_thread(frame, op.src_mem, op.size)):
        inner = frame.picked(np.arange(frame.threads.count) == lane)
        target = pointed_at(inner, op, op.dst_mem, np.uint8, count)
        expect_lines(thread, op, source & WINDOW, int(np.ravel(target.offset)[0]), count)

        def store(
            thread: ThreadFrame = thread, target: View = target, source: int = source, count: int = count
        ) -> None:
            values = taken(thread, op, source, count, 0)
            place = located(thread, op, target, [np.arange(count)[np.newaxis]])
            put(thread, op, target, place, values[np.newaxis])

        engine_of(frame.threads.group).stores.setdefault(int(thread.threads.number[0]), []).append(store)


def commit(frame: ThreadFrame, op: bulk_copy.CommitStoresOp) -> None:
    engine = engine_of(frame.threads.group)
    for number in frame.threads.number.tolist():
        engine.groups.setdefault(number, []).append(engine.stores.pop(number, []))


def wait(frame: ThreadFrame, op: bulk_copy.WaitStoresOp) -> None:
    engine = engine_of(frame.threads.group)
    for number in frame.threads.number.tolist():
        groups = engine.groups.get(number, [])
        ending = max(0, len(groups) - op.group.value.data)
        for each in [each for group in groups[:ending] for each in group]:
            each()
        del groups[:ending]


def nothing(frame: ThreadFrame, op: Operation) -> None:
    """Maps are read where they are, and stores are seen at once."""


EVALUATE = {
    bulk_copy.LoadBoxOp: load_box,
    bulk_copy.LoadBytesOp: load_bytes,
    bulk_copy.StoreBoxOp: store_box,
    bulk_copy.StoreBytesOp: store_bytes,
    bulk_copy.CommitStoresOp: commit,
    bulk_copy.WaitStoresOp: wait,
    bulk_copy.PrefetchMapOp: nothing,
    bulk_copy.FenceProxyOp: nothing,
}
