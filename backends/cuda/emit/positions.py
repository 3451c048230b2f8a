"""Rows of `gpu`: where a thread is, and what it exchanges with the other threads of its block."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from xdsl.dialects import arith, math, memref
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Operation

from xmlc.backends.llvm_text import arithmetic, memory
from xmlc.backends.llvm_text.types import Unprintable, element_of, like
from xmlc.backends.llvm_text.writer import Row, Writer
from xmlc.dialects import gpu
from xmlc.dialects.nvvm.intrinsics import exp2_intrinsic

WHOLE_WARP = -1
STACK_ALIGNMENT = 16


def special_register(name: str, limit: int) -> Row:
    """`%tid.x` and its kin: an i32 below `limit`, widened to i64."""

    def row(w: Writer, op: Any) -> None:
        dimension = op.dimension.data.value if "dimension" in op.properties else ""
        call = f"@llvm.nvvm.read.ptx.sreg.{name}{'.' + dimension if dimension else ''}()"
        number = w.emit(f"call range(i32 0, {limit}) i32 {call}")
        w.names[op.results[0]] = w.emit(f"zext nneg i32 {number} to i64")

    return row


def barrier(w: Writer, op: gpu.BarrierOp) -> None:
    w.lines.append("  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)")


# mode -> name of the intrinsic, last operand for groups of `width` lanes
CLAMP = {"xor": ("bfly", 31), "up": ("up", 0), "down": ("down", 31), "idx": ("idx", 31)}


def shuffle(w: Writer, op: gpu.ShuffleOp) -> None:
    """A 32-bit shuffle for each half of a 64-bit value; shorter values are widened."""
    width = w.extent(op.width)
    if not isinstance(width, int):
        raise Unprintable("the width of a shuffle must be a constant")
    name, last = CLAMP[op.mode.data.value]
    clamp = ((gpu.WARP - width) << 8) | last
    kind, text, offset = w.kind(op.value.type), w.names[op.value], w.names[op.offset]

    def moved(word: str) -> str:
        call = f"@llvm.nvvm.shfl.sync.{name}.i32(i32 {WHOLE_WARP}, i32 {word}, i32 {offset}, i32 {clamp})"
        return w.emit(f"call i32 {call}")

    bits = {"float": 32, "double": 64, "half": 16}.get(kind) or int(kind[1:])
    word = text if kind == f"i{bits}" else w.emit(f"bitcast {kind} {text} to i{bits}")
    if bits == 64:
        pair = w.emit(f"bitcast i64 {word} to <2 x i32>")
        result = "poison"
        for half in range(2):
            part = moved(w.emit(f"extractelement <2 x i32> {pair}, i64 {half}"))
            result = w.emit(f"insertelement <2 x i32> {result}, i32 {part}, i64 {half}")
        result = w.emit(f"bitcast <2 x i32> {result} to i64")
    elif bits == 32:
        result = moved(word)
    else:
        result = w.emit(f"trunc i32 {moved(w.emit(f'zext i{bits} {word} to i32'))} to i{bits}")
    w.names[op.shuffle_result] = result if kind == f"i{bits}" else w.emit(f"bitcast i{bits} {result} to {kind}")
    w.names[op.valid] = "true"  # groups are whole: no lane reads outside of its own


PEER = "ptr addrspace(7)"


def dynamic_shared(w: Writer, op: gpu.DynamicSharedMemoryOp) -> None:
    w.helpers["@xmlc_dynamic_shared"] = "@xmlc_dynamic_shared = external addrspace(3) global [0 x i8], align 1024"
    w.buffers[op.result] = w.buffer(op.result.type, "@xmlc_dynamic_shared", [0])


def peer_memory(w: Writer, op: gpu.PeerMemoryOp) -> None:
    """The same place in another block of the cluster."""
    source = w.buffers[op.source]
    mapped = (
        f"call {PEER} @llvm.nvvm.mapa.shared.cluster({source.pointer_kind} {source.pointer}, i32 {w.names[op.block]})"
    )
    w.buffers[op.result] = replace(source, pointer=w.emit(mapped), pointer_kind=PEER)


def alloca(w: Writer, op: memref.AllocaOp) -> None:
    """A thread's own memory; LLVM keeps it in registers where it can."""
    pointer = w.new()
    buffer = w.buffer(memory.memref_type(op.results[0]), pointer)
    total = memory.size_in_bytes(w, buffer)
    if not isinstance(total, int):
        raise Unprintable("a thread's own buffer must have a known size")
    w.entry.append(f"  {pointer} = alloca i8, i64 {total}, align {STACK_ALIGNMENT}")
    w.buffers[op.results[0]] = replace(buffer, pointer_kind="ptr")


# kind of `memref.atomic_rmw` -> LLVM's operation
ATOMIC = memory.ATOMIC


def atomic(w: Writer, op: memref.AtomicRMWOp) -> None:
    """Seen by the whole device, in no order with other memory accesses."""
    value, target, *indices = op.operands
    buffer = w.buffers[target]
    number = cast("IntegerAttr[Any]", op.properties["kind"]).value.data
    name = ATOMIC[number] if number < len(ATOMIC) else ""
    if not name or buffer.is_bool or buffer.element == "i16":
        raise Unprintable(f"kind {number} on {memory.memref_type(target)} has no atomic instruction")
    place = f"{buffer.pointer_kind} {w.address(buffer, indices)}"
    text = f'atomicrmw {name} {place}, {buffer.element} {w.names[value]} syncscope("device") monotonic'
    w.names[op.results[0]] = w.emit(text)


def truncate_float(w: Writer, op: arith.TruncFOp) -> None:
    """To bf16 there is an instruction; elsewhere as on every target."""
    value, result = op.operands[0], op.results[0]
    kind, into = w.kind(value.type), w.kind(result.type)
    if element_of(kind) != "float" or element_of(into) != "i16" or w.is_half(result.type):
        arithmetic.truncate_float(w, op)
        return
    narrow = w.emit(f"fptrunc {kind} {w.names[value]} to {like(kind, 'bfloat')}")
    w.names[result] = w.emit(f"bitcast {like(kind, 'bfloat')} {narrow} to {into}")


def narrow_arithmetic(name: str) -> Row:
    """Sums and products of bf16 have instructions too."""
    wide = arithmetic.float_instruction(name)

    def row(w: Writer, op: Operation) -> None:
        kind = w.kind(op.results[0].type)
        if element_of(kind) != "i16" or w.is_half(op.results[0].type):
            wide(w, op)
            return
        narrow = like(kind, "bfloat")
        operands = [w.emit(f"bitcast {kind} {w.names[each]} to {narrow}") for each in op.operands]
        result = w.emit(f"{name} {w.flags(op)}{narrow} {', '.join(operands)}")
        w.names[op.results[0]] = w.emit(f"bitcast {narrow} {result} to {kind}")

    return row


def compare_floats(w: Writer, op: arith.CmpfOp) -> None:
    """So have comparisons."""
    kind = w.kind(op.lhs.type)
    if element_of(kind) != "i16" or w.is_half(op.lhs.type):
        arithmetic.compare_floats(w, op)
        return
    narrow = like(kind, "bfloat")
    x, y = (w.emit(f"bitcast {kind} {w.names[each]} to {narrow}") for each in (op.lhs, op.rhs))
    predicate = arithmetic.CMPF[op.predicate.value.data]
    w.lines.append(f"  {w.bind(op.results[0])} = fcmp {w.flags(op)}{predicate} {narrow} {x}, {y}")


def exp2(w: Writer, op: math.Exp2Op) -> None:
    """An instruction, for f32."""
    value = op.operands[0]
    kind = w.kind(value.type)
    if kind != "float":
        raise Unprintable(f"2**x on {value.type} has no instruction")
    w.names[op.results[0]] = w.emit(f"call float @{exp2_intrinsic(op)}(float {w.names[value]})")


THREADS, BLOCKS, WIDE_BLOCKS = 1024, 65535, 2**31 - 1


def sized(name: str, limits: dict[str, int]) -> Row:
    """A special register whose limit depends on the dimension."""
    rows = {dimension: special_register(name, limit + 1) for dimension, limit in limits.items()}

    def row(w: Writer, op: Any) -> None:
        rows[op.dimension.data.value](w, op)

    return row


GRID = {"x": WIDE_BLOCKS - 1, "y": BLOCKS, "z": BLOCKS}
BLOCK = dict.fromkeys("xyz", THREADS)

ROWS: dict[type[Operation], Row] = {
    gpu.ThreadIdOp: sized("tid", BLOCK),
    gpu.BlockIdOp: sized("ctaid", GRID),
    gpu.BlockDimOp: sized("ntid", BLOCK),
    gpu.GridDimOp: sized("nctaid", GRID),
    gpu.LaneIdOp: special_register("laneid", gpu.WARP),
    gpu.BarrierOp: barrier,
    gpu.ShuffleOp: shuffle,
    gpu.DynamicSharedMemoryOp: dynamic_shared,
    gpu.PeerMemoryOp: peer_memory,
    memref.AllocaOp: alloca,
    memref.AtomicRMWOp: atomic,
    arith.TruncFOp: truncate_float,
    arith.CmpfOp: compare_floats,
    arith.AddfOp: narrow_arithmetic("fadd"),
    arith.SubfOp: narrow_arithmetic("fsub"),
    arith.MulfOp: narrow_arithmetic("fmul"),
    math.Exp2Op: exp2,
}
