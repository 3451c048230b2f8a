"""Rows of `vector`, on vectors of one dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from xdsl.dialects import vector
from xdsl.dialects.builtin import ArrayAttr, BoolAttr, DenseArrayBase, IntegerAttr, VectorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineMap

from xmlc.backends.llvm_text.arithmetic import computing, float_intrinsic, narrowed, operand
from xmlc.backends.llvm_text.types import BYTES, DYNAMIC, Unprintable, element_of, lanes_of, like
from xmlc.backends.llvm_text.writer import Buffer, Row, Writer
from xmlc.dialects.avx512 import LookUpOp, ScaleOp

# A vector of i1 is one byte a lane in memory.


def read(w: Writer, buffer: Buffer, address: str, kind: str, alignment: int = 0) -> str:
    """Load a vector of LLVM type `kind` from consecutive elements, aligned to one of them unless more is known."""
    in_memory = like(kind, buffer.element)
    text = w.emit(f"load {in_memory}, {buffer.pointer_kind} {address}, align {alignment or buffer.bytes}")
    return w.emit(f"icmp ne {in_memory} {text}, zeroinitializer") if buffer.is_bool else text


NONTEMPORAL = "!{i32 1}"
STREAMS = BoolAttr.from_bool(True)


def write(
    w: Writer, buffer: Buffer, address: str, kind: str, text: str, alignment: int = 0, streams: bool = False
) -> None:
    """Store a vector to consecutive elements; `streams`: past the caches, which needs its whole alignment."""
    in_memory = like(kind, buffer.element)
    if buffer.is_bool:
        text = w.emit(f"zext {kind} {text} to {in_memory}")
    place = f"{buffer.pointer_kind} {address}, align {alignment or buffer.bytes}"
    if streams:
        place += f", !nontemporal {w.node(NONTEMPORAL)}"
    w.lines.append(f"  store {in_memory} {text}, {place}")


def masked_read(w: Writer, buffer: Buffer, address: str, kind: str, mask: str, other: str) -> str:
    """Load lanes whose mask bit is set, take the others from `other`."""
    in_memory, bits = like(kind, buffer.element), like(kind, "i1")
    if buffer.is_bool:
        other = w.emit(f"zext {kind} {other} to {in_memory}")
    name = f"@llvm.masked.load.{w.mangled(in_memory)}.{buffer.space}"
    pointer = f"{buffer.pointer_kind} align {buffer.bytes} {address}"
    text = w.emit(f"call {in_memory} {name}({pointer}, {bits} {mask}, {in_memory} {other})")
    return w.emit(f"icmp ne {in_memory} {text}, zeroinitializer") if buffer.is_bool else text


def masked_write(w: Writer, buffer: Buffer, address: str, kind: str, mask: str, text: str) -> None:
    in_memory, bits = like(kind, buffer.element), like(kind, "i1")
    if buffer.is_bool:
        text = w.emit(f"zext {kind} {text} to {in_memory}")
    if buffer.element in NARROWED:
        text = unfused(w, in_memory, text)
    name = f"@llvm.masked.store.{w.mangled(in_memory)}.{buffer.space}"
    pointer = f"{buffer.pointer_kind} align {buffer.bytes} {address}"
    w.lines.append(f"  call void {name}({in_memory} {text}, {pointer}, {bits} {mask})")


NARROWED = ("i8", "i16", "i32")
"""Elements that wider ones may have been truncated to."""


def unfused(w: Writer, kind: str, text: str) -> str:
    """The same vector of integers, behind a fence that LLVM does not fuse operations across: such are for floats.

    LLVM 22 fuses a truncation with the masked store of it; for AVX-512, where it finds that the mask has one lane, it
    then stores that lane as wide as it was, over what lies behind it.
    """
    lanes, element = lanes_of(kind), element_of(kind)
    assert lanes is not None
    words = -(-lanes * BYTES[element] // BYTES["float"])
    whole = words * BYTES["float"] // BYTES[element]
    floats = "float" if words == 1 else f"<{words} x float>"
    filled = with_lanes(w, kind, text, whole)
    number = w.emit(f"bitcast <{whole} x {element}> {filled} to {floats}")
    fenced = w.emit(f"call {floats} @llvm.arithmetic.fence.{w.mangled(floats)}({floats} {number})")
    return with_lanes(w, f"<{whole} x {element}>", w.emit(f"bitcast {floats} {fenced} to <{whole} x {element}>"), lanes)


def with_lanes(w: Writer, kind: str, text: str, count: int) -> str:
    """The first lanes of a vector, `count` of them; there is nothing of use in those that it does not have."""
    lanes = lanes_of(kind)
    assert lanes is not None
    if count == lanes:
        return text
    picked = ", ".join(f"i32 {place}" if place < lanes else "i32 poison" for place in range(count))
    return w.emit(f"shufflevector {kind} {text}, {kind} poison, <{count} x i32> <{picked}>")


def unit_stride(buffer: Buffer) -> Buffer:
    if buffer.strides and buffer.strides[-1] != 1:
        raise Unprintable("the innermost dimension of the memref is not contiguous")
    return buffer


def load(w: Writer, op: vector.LoadOp) -> None:
    base, *indices = op.operands
    buffer = unit_stride(w.buffers[base])
    address, kind = w.address(buffer, indices), w.kind(op.results[0].type)
    w.names[op.results[0]] = read(w, buffer, address, kind, stated_alignment(op))


def store(w: Writer, op: vector.StoreOp) -> None:
    value, base, *indices = op.operands
    buffer = unit_stride(w.buffers[base])
    streams = op.properties.get("nontemporal") == STREAMS
    write(w, buffer, w.address(buffer, indices), w.kind(value.type), w.names[value], stated_alignment(op), streams)


def stated_alignment(op: Operation) -> int:
    """The bytes that an access says its address is a multiple of; 0 where it says nothing."""
    stated = op.attributes.get("alignment")
    return cast("IntegerAttr[Any]", stated).value.data if stated is not None else 0


def masked_load(w: Writer, op: vector.MaskedLoadOp) -> None:
    base, *indices, mask, other = op.operands
    buffer = unit_stride(w.buffers[base])
    address, kind = w.address(buffer, indices), w.kind(op.results[0].type)
    w.names[op.results[0]] = masked_read(w, buffer, address, kind, w.names[mask], w.names[other])


def masked_store(w: Writer, op: vector.MaskedStoreOp) -> None:
    base, *indices, mask, value = op.operands
    buffer = unit_stride(w.buffers[base])
    masked_write(w, buffer, w.address(buffer, indices), w.kind(value.type), w.names[mask], w.names[value])


def splat(w: Writer, kind: str, text: str) -> str:
    """A vector that holds a scalar in every lane."""
    element = element_of(kind)
    if text[0] != "%":
        return f"splat ({element} {text})"
    first = w.emit(f"insertelement {kind} poison, {element} {text}, i64 0")
    return w.emit(f"shufflevector {kind} {first}, {kind} poison, {like(kind, 'i32')} zeroinitializer")


def broadcast(w: Writer, op: vector.BroadcastOp) -> None:
    value, result = op.operands[0], op.results[0]
    kind, source = w.kind(result.type), w.kind(value.type)
    text = w.names[value]
    if source[0] == "<":
        if source != kind:  # one lane to many
            lanes = like(kind, "i32")
            text = w.emit(f"shufflevector {source} {text}, {source} poison, {lanes} zeroinitializer")
        w.names[result] = text
    else:
        w.names[result] = splat(w, kind, text)


def create_mask(w: Writer, op: vector.CreateMaskOp) -> None:
    """The first n lanes. Compared as i32, which is half the work, after limiting n to the lane count."""
    if len(op.operands) != 1:
        raise Unprintable("a mask has one dimension here")
    w.names[op.results[0]] = first_lanes(w, w.names[op.operands[0]], w.kind(op.results[0].type))


def first_lanes(w: Writer, count: str, mask: str) -> str:
    lanes = lanes_of(mask)
    numbers = like(mask, "i32")
    positive = w.emit(f"call i64 @llvm.smax.i64(i64 {count}, i64 0)")
    limited = w.emit(f"call i64 @llvm.smin.i64(i64 {positive}, i64 {lanes})")
    limit = splat(w, numbers, w.emit(f"trunc i64 {limited} to i32"))
    steps = ", ".join(f"i32 {lane}" for lane in range(lanes or 1))
    return w.emit(f"icmp slt {numbers} <{steps}>, {limit}")


def position(w: Writer, op: Operation, dynamic: Sequence[SSAValue]) -> str | None:
    """The lane that an insertion or extraction names; None where it takes the whole vector."""
    static = cast("DenseArrayBase[Any]", op.properties["static_position"]).get_values()
    if not static:
        return None
    return w.names[dynamic[0]] if static[0] == DYNAMIC else str(static[0])


def extract(w: Writer, op: vector.ExtractOp) -> None:
    source, *dynamic = op.operands
    result = op.results[0]
    kind, text = w.kind(source.type), w.names[source]
    lane = position(w, op, dynamic)
    if lane is None and isinstance(result.type, VectorType):
        w.names[result] = text
    else:
        w.names[result] = w.emit(f"extractelement {kind} {text}, i64 {lane or 0}")


def insert(w: Writer, op: vector.InsertOp) -> None:
    value, into, *dynamic = op.operands
    kind = w.kind(into.type)
    lane = position(w, op, dynamic)
    if lane is None and isinstance(value.type, VectorType):
        w.names[op.results[0]] = w.names[value]
    else:
        scalar = f"{element_of(kind)} {w.names[value]}"
        w.names[op.results[0]] = w.emit(f"insertelement {kind} {w.names[into]}, {scalar}, i64 {lane or 0}")


def shuffle(w: Writer, op: vector.ShuffleOp) -> None:
    """Lanes of two vectors by number; -1 is a lane nobody reads. Different lengths: the shorter is padded."""
    (kind1, text1), (kind2, text2) = ((w.kind(value.type), w.names[value]) for value in op.operands)
    lanes1, lanes2 = lanes_of(kind1) or 1, lanes_of(kind2) or 1
    longest = max(lanes1, lanes2)
    whole = f"<{longest} x {element_of(kind1)}>"
    text1, text2 = padded(w, kind1, text1, longest), padded(w, kind2, text2, longest)
    mask = cast("DenseArrayBase[Any]", op.properties["mask"]).get_values()
    moved = [lane if lane < lanes1 else lane - lanes1 + longest for lane in mask]
    lanes = ", ".join("i32 poison" if lane < 0 else f"i32 {lane}" for lane in moved)
    text = f"shufflevector {whole} {text1}, {whole} {text2}, <{len(moved)} x i32> <{lanes}>"
    w.names[op.results[0]] = w.emit(text)


def padded(w: Writer, kind: str, text: str, lanes: int) -> str:
    own = lanes_of(kind) or 1
    if own == lanes:
        return text
    numbers = ", ".join(f"i32 {lane}" if lane < own else "i32 poison" for lane in range(lanes))
    return w.emit(f"shufflevector {kind} {text}, {kind} poison, <{lanes} x i32> <{numbers}>")


def bitcast(w: Writer, op: vector.BitcastOp) -> None:
    source, result = op.operands[0], op.results[0]
    kind, into = w.kind(source.type), w.kind(result.type)
    text = w.names[source]
    w.names[result] = text if kind == into else w.emit(f"bitcast {kind} {text} to {into}")


# kind of `vector.reduction` -> reduction intrinsic, how an accumulator is combined with its result
REDUCTIONS: dict[str, tuple[str, str]] = {
    "add": ("add", "add"),
    "mul": ("mul", "mul"),
    "and": ("and", "and"),
    "or": ("or", "or"),
    "xor": ("xor", "xor"),
    "minsi": ("smin", "llvm.smin"),
    "maxsi": ("smax", "llvm.smax"),
    "minui": ("umin", "llvm.umin"),
    "maxui": ("umax", "llvm.umax"),
    "minimumf": ("fminimum", "llvm.minimum"),
    "maximumf": ("fmaximum", "llvm.maximum"),
    "minnumf": ("fmin", "llvm.minnum"),
    "maxnumf": ("fmax", "llvm.maxnum"),
}
# the floating-point ones take the accumulator as their first operand; without one, their neutral element
SEQUENTIAL: dict[str, str] = {"add": "-0.0", "mul": "1.0"}


def reduction(w: Writer, op: vector.ReductionOp) -> None:
    source, *accumulators = op.operands
    result = op.results[0]
    kind, name = computing_kind(w, source), str(op.kind.data)
    scalar, flags = element_of(kind), w.flags(op)
    is_float = scalar in ("float", "double", "half")
    texts = [operand(w, value) if is_float else w.names[value] for value in (source, *accumulators)]
    text, accumulator = texts[0], texts[1] if accumulators else None
    if is_float and name in SEQUENTIAL:
        start = accumulator or SEQUENTIAL[name]
        intrinsic = f"@llvm.vector.reduce.f{name}.{w.mangled(kind)}"
        text = w.emit(f"call {flags}{scalar} {intrinsic}({scalar} {start}, {kind} {text})")
    else:
        intrinsic, combine = REDUCTIONS[name]
        flags = flags if is_float else ""
        text = w.emit(f"call {flags}{scalar} @llvm.vector.reduce.{intrinsic}.{w.mangled(kind)}({kind} {text})")
        if accumulator is not None and combine.startswith("llvm."):
            call = f"@{combine}.{w.mangled(scalar)}({scalar} {accumulator}, {scalar} {text})"
            text = w.emit(f"call {flags}{scalar} {call}")
        elif accumulator is not None:
            text = w.emit(f"{combine} {scalar} {accumulator}, {text}")
    if is_float and w.kind(result.type) == "i16":
        text = narrowed(w, result.type, text)
    w.names[result] = text


def computing_kind(w: Writer, source: SSAValue) -> str:
    """The LLVM type a vector is reduced in: integers of 16 bits stay, soft floats of 16 bits become f32."""
    element: Attribute = cast("VectorType[Attribute]", source.type).element_type
    return computing(w, source) if element.name in ("bf16", "f16") else w.kind(source.type)


# Transfers: loads and stores that may reach over the edge of the buffer


def transfer_mask(w: Writer, op: Any, buffer: Buffer, indices: Sequence[SSAValue], kind: str) -> str | None:
    """The lanes inside the buffer and the op's own mask; None where every lane is."""
    permutation = cast("AffineMap", op.permutation_map.data)
    rank = len(buffer.sizes)
    if permutation != AffineMap.minor_identity(rank, 1):
        raise Unprintable(f"the map {permutation} is not the identity on the last dimension")
    unit_stride(buffer)
    in_bounds = cast("ArrayAttr[BoolAttr] | None", op.properties.get("in_bounds"))
    own = w.names[op.mask] if op.mask is not None else None
    if in_bounds is not None and all(flag.value.data for flag in in_bounds):
        return own
    left = w.subtract(buffer.sizes[-1], w.extent(indices[-1]))
    bits = like(kind, "i1")
    inside = first_lanes(w, str(left), bits)
    return inside if own is None else w.emit(f"and {bits} {inside}, {own}")


def transfer_read(w: Writer, op: vector.TransferReadOp) -> None:
    buffer, result = w.buffers[op.source], op.results[0]
    kind = w.kind(result.type)
    mask = transfer_mask(w, op, buffer, op.indices, kind)
    address = w.address(buffer, op.indices)
    if mask is None:
        w.names[result] = read(w, buffer, address, kind)
    else:
        other = splat(w, kind, w.names[op.padding])
        w.names[result] = masked_read(w, buffer, address, kind, mask, other)


def transfer_write(w: Writer, op: vector.TransferWriteOp) -> None:
    buffer, kind = w.buffers[op.source], w.kind(op.vector.type)
    mask = transfer_mask(w, op, buffer, op.indices, kind)
    address = w.address(buffer, op.indices)
    if mask is None:
        write(w, buffer, address, kind, w.names[op.vector])
    else:
        masked_write(w, buffer, address, kind, mask, w.names[op.vector])


def scale(w: Writer, op: ScaleOp) -> None:
    """LLVM's intrinsic takes a mask, all of it here, and for the widest vectors a way of rounding: the current one."""
    kind = w.kind(op.x.type)
    lanes = lanes_of(kind) or 1
    mask = "i16 -1, i32 4" if lanes == WIDEST else "i8 -1"
    operands = f"{kind} {w.names[op.x]}, {kind} {w.names[op.k]}, {kind} zeroinitializer, {mask}"
    w.names[op.out] = w.emit(f"call {kind} @llvm.x86.avx512.mask.scalef.ps.{32 * lanes}({operands})")


WIDEST = 16


def look_up(w: Writer, op: LookUpOp) -> None:
    kind, numbers = w.kind(op.table.type), w.kind(op.k.type)
    operands = f"{kind} {w.names[op.table]}, {numbers} {w.names[op.k]}"
    w.names[op.out] = w.emit(f"call {kind} @llvm.x86.avx512.permvar.sf.512({operands})")


ROWS: dict[type[Operation], Row] = {
    ScaleOp: scale,
    LookUpOp: look_up,
    vector.LoadOp: load,
    vector.StoreOp: store,
    vector.MaskedLoadOp: masked_load,
    vector.MaskedStoreOp: masked_store,
    vector.BroadcastOp: broadcast,
    vector.CreateMaskOp: create_mask,
    vector.ExtractOp: extract,
    vector.InsertOp: insert,
    vector.ShuffleOp: shuffle,
    vector.BitcastOp: bitcast,
    vector.FMAOp: float_intrinsic("fma"),
    vector.ReductionOp: reduction,
    vector.TransferReadOp: transfer_read,
    vector.TransferWriteOp: transfer_write,
}
