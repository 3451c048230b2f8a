"""Rows of `amx`: LLVM's intrinsics on values of type x86_amx. It gives tiles their registers, and configures these at
the start of each function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.ir import Operation, SSAValue

from xmlc.backends.llvm_text.writer import Row, Writer
from xmlc.dialects import amx

TILE = "x86_amx"
PREFIX = "@llvm.x86."
INTEGERS = {(False, False): "tdpbssd", (False, True): "tdpbsud", (True, False): "tdpbusd", (True, True): "tdpbuud"}
"""Whether the left and the right factor are unsigned -> the instruction."""


def shape(kind: amx.TileType) -> str:
    """Rows, and bytes of a row."""
    return f"i16 {kind.rows}, i16 {kind.row_bytes}"


def tile(value: SSAValue) -> amx.TileType:
    return cast(amx.TileType, value.type)


def zero(w: Writer, op: amx.TileZeroOp) -> None:
    w.names[op.res] = w.emit(f"call {TILE} {PREFIX}tilezero.internal({shape(tile(op.res))})")


def place(w: Writer, base: SSAValue, indices: Sequence[SSAValue]) -> str:
    """The address of a tile, and the bytes from one of its rows to the next."""
    buffer = w.buffers[base]
    apart = w.multiply(buffer.strides[-2], buffer.bytes)
    return f"{buffer.pointer_kind} {w.address(buffer, indices)}, i64 {apart}"


def load(w: Writer, op: amx.TileLoadOp) -> None:
    arguments = f"{shape(tile(op.res))}, {place(w, op.base, op.indices)}"
    w.names[op.res] = w.emit(f"call {TILE} {PREFIX}tileloadd64.internal({arguments})")


def store(w: Writer, op: amx.TileStoreOp) -> None:
    arguments = f"{shape(tile(op.val))}, {place(w, op.base, op.indices)}, {TILE} {w.names[op.val]}"
    w.lines.append(f"  call void {PREFIX}tilestored64.internal({arguments})")


def product(w: Writer, op: amx.ProductOp) -> None:
    name = "tdpbf16ps"
    if isinstance(op, amx.TileMulIOp):
        name = INTEGERS[op.is_unsigned_lhs is not None, op.is_unsigned_rhs is not None]
    steps = tile(op.lhs).row_bytes
    factors = ", ".join(f"{TILE} {w.names[each]}" for each in (op.acc, op.lhs, op.rhs))
    w.names[op.res] = w.emit(f"call {TILE} {PREFIX}{name}.internal({shape(tile(op.acc))}, i16 {steps}, {factors})")


ROWS: dict[type[Operation], Row] = {
    amx.TileZeroOp: zero,
    amx.TileLoadOp: load,
    amx.TileStoreOp: store,
    amx.TileMulFOp: product,
    amx.TileMulIOp: product,
}
