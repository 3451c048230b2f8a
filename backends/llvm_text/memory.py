"""Rows of `memref`: buffers are a pointer, sizes and strides that are known while printing where possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from xdsl.dialects import memref
from xdsl.dialects.builtin import ArrayAttr, DenseArrayBase, IntegerAttr, MemRefType, SymbolRefAttr
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.backends.llvm_text.control import Loop, close_loop, open_loop
from xmlc.backends.llvm_text.types import DYNAMIC, Unprintable, symbol
from xmlc.backends.llvm_text.writer import Buffer, Extent, Row, Writer
from xmlc.dialects.memref import PrefetchOp

CACHE_LINE = 64  # bytes: what allocations and constants are aligned to
# The attributes let LLVM remove an allocation that nobody reads.
ALIGNED_ALLOC = (
    'declare noalias ptr @aligned_alloc(i64 allocalign, i64) allockind("alloc,uninitialized,aligned") '
    'allocsize(1) "alloc-family"="malloc" nounwind'
)
FREE = 'declare void @free(ptr allocptr captures(none)) allockind("free") "alloc-family"="malloc" nounwind'


def memref_type(value: SSAValue) -> MemRefType[Attribute]:
    return cast("MemRefType[Attribute]", value.type)


def load(w: Writer, op: memref.LoadOp) -> None:
    source, *indices = op.operands
    buffer = w.buffers[source]
    text = f"load {buffer.element}, {buffer.pointer_kind} {w.address(buffer, indices)}"
    if buffer.is_bool:
        byte = w.emit(text)
        w.names[op.results[0]] = w.emit(f"icmp ne i8 {byte}, 0")
    else:
        w.names[op.results[0]] = w.emit(text)


def store(w: Writer, op: memref.StoreOp) -> None:
    value, target, *indices = op.operands
    buffer = w.buffers[target]
    text = w.names[value]
    address = w.address(buffer, indices)
    if buffer.is_bool:
        text = w.emit(f"zext i1 {text} to i8")
    w.lines.append(f"  store {buffer.element} {text}, {buffer.pointer_kind} {address}")


def prefetch(w: Writer, op: PrefetchOp) -> None:
    source, *indices = op.operands
    buffer = w.buffers[source]
    numbers = (int(bool(op.is_write.value.data)), op.locality.value.data, int(bool(op.is_data.value.data)))
    hints = ", ".join(f"i32 {number}" for number in numbers)
    offset = w.offset([w.extent(index) for index in indices], buffer.strides)
    # not `inbounds`: it may be memory after the buffer that is asked for
    place = w.emit(f"getelementptr {buffer.element}, {buffer.pointer_kind} {buffer.pointer}, i64 {offset}")
    w.lines.append(f"  call void @llvm.prefetch.{buffer.space}({buffer.pointer_kind} {place}, {hints})")


def alignment(op: Operation, least: int) -> int:
    stated = op.properties.get("alignment")
    return max(least, cast("IntegerAttr[Any]", stated).value.data) if stated is not None else least


def size_in_bytes(w: Writer, buffer: Buffer) -> Extent:
    total: Extent = buffer.bytes
    for size in buffer.sizes:
        total = w.multiply(total, size)
    return total


def alloca(w: Writer, op: memref.AllocaOp) -> None:
    """On the stack. A static one is set up once at the function's entry, even inside a loop."""
    pointer = w.new()
    buffer = w.buffer(memref_type(op.results[0]), pointer, [w.extent(size) for size in op.dynamic_sizes])
    total = size_in_bytes(w, buffer)
    text = f"  {pointer} = alloca i8, i64 {total}, align {alignment(op, CACHE_LINE)}"
    (w.entry if isinstance(total, int) else w.lines).append(text)
    w.buffers[op.results[0]] = buffer


def alloc(w: Writer, op: memref.AllocOp) -> None:
    """On the heap. `aligned_alloc` wants a size that is a multiple of the alignment."""
    pointer = w.new()
    buffer = w.buffer(memref_type(op.results[0]), pointer, [w.extent(size) for size in op.dynamic_sizes])
    unit = alignment(op, CACHE_LINE)
    total = w.add(size_in_bytes(w, buffer), unit - 1)
    whole = total & -unit if isinstance(total, int) else w.emit(f"and i64 {total}, {-unit}")
    w.helpers["@aligned_alloc"] = ALIGNED_ALLOC
    w.lines.append(f"  {pointer} = call ptr @aligned_alloc(i64 {unit}, i64 {whole})")
    w.buffers[op.results[0]] = buffer


def dealloc(w: Writer, op: memref.DeallocOp) -> None:
    w.helpers["@free"] = FREE
    w.lines.append(f"  call void @free(ptr {w.buffers[op.operands[0]].pointer})")


def get_global(w: Writer, op: memref.GetGlobalOp) -> None:
    name = cast("SymbolRefAttr", op.properties["name"]).string_value()
    w.buffers[op.results[0]] = w.buffer(memref_type(op.results[0]), symbol(name))


# Views: a new buffer on the same memory


def mixed(w: Writer, op: Operation, static: str, dynamic: Sequence[SSAValue]) -> list[Extent]:
    """A list of which some entries are in a property and the others are operands."""
    left = iter(dynamic)
    values = cast("DenseArrayBase[Any]", op.properties[static]).get_values()
    return [w.extent(next(left)) if value == DYNAMIC else int(value) for value in values]


def subview(w: Writer, op: memref.SubviewOp) -> None:
    """Moves to the offsets and multiplies the strides; drops unit sizes that the result type lacks."""
    source = w.buffers[op.operands[0]]
    offsets = mixed(w, op, "static_offsets", op.offsets)
    sizes = mixed(w, op, "static_sizes", op.sizes)
    strides = mixed(w, op, "static_strides", op.strides)
    pointer = w.step_to(source.pointer, source.element, w.offset(offsets, source.strides), source.pointer_kind)
    steps = [w.multiply(stride, step) for stride, step in zip(source.strides, strides)]
    kept = kept_dimensions(memref_type(op.results[0]), sizes, steps)
    w.buffers[op.results[0]] = replace(
        source, pointer=pointer, sizes=[sizes[i] for i in kept], strides=[steps[i] for i in kept]
    )


def kept_dimensions(result: MemRefType[Attribute], sizes: Sequence[Extent], strides: Sequence[Extent]) -> list[int]:
    """Which dimensions a rank-reducing subview keeps: unit sizes go, those whose stride does not match first."""
    wanted = [None if size == DYNAMIC else size for size in result.get_shape()]
    surplus = len(sizes) - len(wanted)
    if not surplus:
        return list(range(len(sizes)))
    steps = result.get_strides() or [None] * len(wanted)
    kept: list[int] = []
    for position, (size, stride) in enumerate(zip(sizes, strides)):
        place = len(kept)
        # A size that is known to be one is not what the type leaves open.
        fits = place < len(wanted) and (size != 1 if wanted[place] is None else wanted[place] == size)
        if fits and isinstance(stride, int) and isinstance(steps[place], int):
            # A unit dimension may be kept or dropped: only its stride tells.
            fits = size != 1 or stride == steps[place]
        must_keep = len(sizes) - position <= len(wanted) - place
        if fits or size != 1 or must_keep:
            kept.append(position)
    return kept


def view(w: Writer, op: memref.ViewOp) -> None:
    """Part of an arena of bytes, seen as a buffer of another type."""
    source, shift, *sizes = op.operands
    arena = w.buffers[source]
    pointer = w.step_to(arena.pointer, "i8", w.extent(shift), arena.pointer_kind)
    w.buffers[op.results[0]] = w.buffer(memref_type(op.results[0]), pointer, [w.extent(size) for size in sizes])


def same_memory(w: Writer, op: Operation) -> None:
    """A cast: what is known of the buffer stays known, and the result type may add to it."""
    source = w.buffers[op.operands[0]]
    shape = memref_type(op.results[0]).get_shape()
    sizes = [found if size == DYNAMIC else size for found, size in zip(source.sizes, shape)]
    w.buffers[op.results[0]] = replace(source, sizes=sizes)


def reinterpret(w: Writer, op: memref.ReinterpretCastOp) -> None:
    source = w.buffers[op.operands[0]]
    (offset,) = mixed(w, op, "static_offsets", op.offsets)
    w.buffers[op.results[0]] = replace(
        source,
        pointer=w.step_to(source.pointer, source.element, offset, source.pointer_kind),
        sizes=mixed(w, op, "static_sizes", op.sizes),
        strides=mixed(w, op, "static_strides", op.strides),
    )


def groups(op: Operation) -> list[list[int]]:
    """The reassociation of a reshape: which dimensions of the longer shape form one of the shorter."""
    outer = cast("ArrayAttr[ArrayAttr[IntegerAttr[Any]]]", op.properties["reassociation"])
    return [[index.value.data for index in group] for group in outer]


def collapse(w: Writer, op: memref.CollapseShapeOp) -> None:
    """Sizes multiply; the stride is that of the innermost dimension that has more than one element."""
    source = w.buffers[op.operands[0]]
    sizes: list[Extent] = []
    strides: list[Extent] = []
    for group in groups(op):
        total: Extent = 1
        for dimension in group:
            total = w.multiply(total, source.sizes[dimension])
        sizes.append(total)
        moving = [dimension for dimension in group if source.sizes[dimension] != 1] or group
        strides.append(source.strides[moving[-1]])
    w.buffers[op.results[0]] = replace(source, sizes=sizes, strides=strides)


def expand(w: Writer, op: memref.ExpandShapeOp) -> None:
    """Within a group strides grow from the group's own stride inwards to outwards."""
    source = w.buffers[op.operands[0]]
    sizes = mixed(w, op, "static_output_shape", op.operands[1:])
    strides: list[Extent] = [1] * len(sizes)
    for group, stride in zip(groups(op), source.strides):
        for dimension in reversed(group):
            strides[dimension] = stride
            if dimension != group[0]:
                stride = w.multiply(stride, sizes[dimension])
    w.buffers[op.results[0]] = replace(source, sizes=sizes, strides=strides)


def dimension(w: Writer, op: memref.DimOp) -> None:
    source, index = op.operands
    position = w.extent(index)
    if not isinstance(position, int):
        raise Unprintable("the dimension asked for is not a constant")
    w.names[op.results[0]] = str(w.buffers[source].sizes[position])


def rank(w: Writer, op: memref.RankOp) -> None:
    w.names[op.results[0]] = str(memref_type(op.operands[0]).get_num_dims())


# Copying


def copy(w: Writer, op: memref.CopyOp) -> None:
    """One `memcpy` for the dimensions that are contiguous on both sides, loops around it for the others."""
    source, target = (w.buffers[value] for value in op.operands)
    inner: Extent = 1
    outer = len(source.sizes)
    while outer and source.strides[outer - 1] == target.strides[outer - 1] == inner:
        outer -= 1
        size = source.sizes[outer] if isinstance(source.sizes[outer], int) else target.sizes[outer]
        inner = w.multiply(inner, size)
    loops: list[Loop] = []
    for size in source.sizes[:outer]:
        loops.append(open_loop(w, 0, size))
    indices = [loop.index for loop in loops]
    x, y = (
        w.step_to(side.pointer, side.element, w.offset(indices, side.strides), side.pointer_kind)
        for side in (source, target)
    )
    if inner == 1:
        element = w.emit(f"load {source.element}, {source.pointer_kind} {x}")
        w.lines.append(f"  store {source.element} {element}, {target.pointer_kind} {y}")
    else:
        size = w.multiply(inner, source.bytes)
        aligned_ = f"align {source.bytes}"
        sides = f"{target.pointer_kind} {aligned_} {y}, {source.pointer_kind} {aligned_} {x}"
        name = f"@llvm.memcpy.{target.space}.{source.space}.i64"
        w.lines.append(f"  call void {name}({sides}, i64 {size}, i1 false)")
    for loop in reversed(loops):
        close_loop(w, loop)


# kind of `memref.atomic_rmw`, as MLIR 22 numbers them, -> LLVM's operation; products have none
ATOMIC: tuple[str, ...] = (
    "fadd", "add", "and", "xchg", "fmaximum", "fmax", "max", "umax", "fminimum", "fmin", "min", "umin", "", "", "or",
    "xor",
)  # fmt: skip


def atomic(w: Writer, op: memref.AtomicRMWOp) -> None:
    value, target, *indices = op.operands
    buffer = w.buffers[target]
    number = cast("IntegerAttr[Any]", op.properties["kind"]).value.data
    name = ATOMIC[number] if number < len(ATOMIC) else ""
    if not name or buffer.is_bool or (name.startswith("f") and buffer.element == "i16"):
        raise Unprintable(f"kind {number} on {memref_type(target)} has no atomic instruction")
    address = f"{buffer.pointer_kind} {w.address(buffer, indices)}"
    w.names[op.results[0]] = w.emit(f"atomicrmw {name} {address}, {buffer.element} {w.names[value]} acq_rel")


def aligned(w: Writer, op: memref.AssumeAlignmentOp) -> None:
    source = op.operands[0]
    buffer, bytes_ = w.buffers[source], cast("IntegerAttr[Any]", op.properties["alignment"]).value.data
    pointer = f"{buffer.pointer_kind} {buffer.pointer}"
    w.lines.append(f'  call void @llvm.assume(i1 true) [ "align"({pointer}, i64 {bytes_}) ]')
    for result in op.results:
        w.buffers[result] = w.buffers[source]


def metadata(w: Writer, op: memref.ExtractStridedMetaDataOp) -> None:
    """The pointer already includes the offset: it is given as 0."""
    source = w.buffers[op.operands[0]]
    results: Iterator[SSAValue] = iter(op.results)
    w.buffers[next(results)] = replace(source, sizes=[], strides=[])
    for extent in (0, *source.sizes, *source.strides):
        w.names[next(results)] = str(extent)


ROWS: dict[type[Operation], Row] = {
    memref.LoadOp: load,
    memref.StoreOp: store,
    PrefetchOp: prefetch,
    memref.AllocaOp: alloca,
    memref.AllocOp: alloc,
    memref.DeallocOp: dealloc,
    memref.GetGlobalOp: get_global,
    memref.SubviewOp: subview,
    memref.ViewOp: view,
    memref.CastOp: same_memory,
    memref.MemorySpaceCastOp: same_memory,
    memref.ReinterpretCastOp: reinterpret,
    memref.CollapseShapeOp: collapse,
    memref.ExpandShapeOp: expand,
    memref.DimOp: dimension,
    memref.RankOp: rank,
    memref.CopyOp: copy,
    memref.AtomicRMWOp: atomic,
    memref.AssumeAlignmentOp: aligned,
    memref.ExtractStridedMetaDataOp: metadata,
}
