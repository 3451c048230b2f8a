"""Rows of `grouped`: one instruction where the processor has it, else the products and sums it stands for."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import VectorType
from xdsl.ir import Attribute, Operation

from xmlc.backends.llvm_text.types import lanes_of, like
from xmlc.backends.llvm_text.writer import Row, Writer
from xmlc.dialects.grouped import DotOp

# feature, element of the factors, bits of a vector -> LLVM's intrinsic
INTRINSICS: dict[tuple[str, str, int], str] = {
    ("avx512bf16", "bf16", 512): "llvm.x86.avx512bf16.dpbf16ps.512",
    ("avx512bf16", "bf16", 256): "llvm.x86.avx512bf16.dpbf16ps.256",
    ("avx512bf16", "bf16", 128): "llvm.x86.avx512bf16.dpbf16ps.128",
    ("avx512vnni", "i8", 512): "llvm.x86.avx512.vpdpbusd.512",
    ("avx512vnni", "i8", 256): "llvm.x86.avx512.vpdpbusd.256",
    ("avx512vnni", "i8", 128): "llvm.x86.avx512.vpdpbusd.128",
    ("avxvnni", "i8", 256): "llvm.x86.avx512.vpdpbusd.256",
    ("avxvnni", "i8", 128): "llvm.x86.avx512.vpdpbusd.128",
    ("avx512bw", "i16", 512): "llvm.x86.avx512.pmaddw.d.512",
    ("avx2", "i16", 256): "llvm.x86.avx2.pmadd.wd",
    ("sse2", "i16", 128): "llvm.x86.sse2.pmadd.wd",
}


def dot_row(features: frozenset[str]) -> Row:
    """The row of `grouped.dot` for a processor with these features."""
    known = {(element, bits): name for (feature, element, bits), name in INTRINSICS.items() if feature in features}

    def row(w: Writer, op: DotOp) -> None:
        sums, x, y = (w.names[operand] for operand in op.operands)
        total, factor = w.kind(op.sums.type), w.kind(op.x.type)
        element = str(cast("VectorType[Attribute]", op.x.type).element_type)
        name = known.get((element, 32 * (lanes_of(total) or 1)))
        unsigned = op.unsigned_x is not None
        if name is None or unsigned != (element == "i8"):
            w.names[op.out] = spelled_out(w, op, unsigned)
        elif element == "i16":  # LLVM makes it and the addition one instruction where there is one
            product = w.emit(f"call {total} @{name}({factor} {x}, {factor} {y})")
            w.names[op.out] = w.emit(f"add {total} {product}, {sums}")
        elif element == "bf16":
            halves = like(factor, "bfloat")
            left, right = (w.emit(f"bitcast {factor} {value} to {halves}") for value in (x, y))
            w.names[op.out] = w.emit(f"call {total} @{name}({total} {sums}, {halves} {left}, {halves} {right})")
        else:
            w.names[op.out] = w.emit(f"call {total} @{name}({total} {sums}, {factor} {x}, {factor} {y})")

    return row


def spelled_out(w: Writer, op: DotOp, unsigned: bool) -> str:
    """Every g-th lane of the factors, widened, multiplied and added, g times."""
    total, factor = w.kind(op.sums.type), w.kind(op.x.type)
    lanes, group = lanes_of(total) or 1, op.group
    is_float = "float" in total
    kept = f"<{lanes} x {factor.split(' x ')[1]}"
    sums = w.names[op.sums]
    for place in range(group):
        numbers = ", ".join(f"i32 {lane * group + place}" for lane in range(lanes))
        wide: list[str] = []
        for operand, extension in ((op.x, "zext" if unsigned else "sext"), (op.y, "sext")):
            text = f"shufflevector {factor} {w.names[operand]}, {factor} poison, <{lanes} x i32> <{numbers}>"
            part = w.emit(text)
            if not is_float:
                wide.append(w.emit(f"{extension} {kept} {part} to {total}"))
            elif "i16" in kept:
                kind = "widen.f16" if w.is_half(operand.type) else "widen.bf16"
                wide.append(w.emit(f"call {total} {w.helper(kind, kept)}({kept} {part})"))
            else:
                wide.append(w.emit(f"fpext {kept} {part} to {total}"))
        if is_float:
            name = f"@llvm.fma.{w.mangled(total)}"
            sums = w.emit(f"call {total} {name}({total} {wide[0]}, {total} {wide[1]}, {total} {sums})")
        else:
            product = w.emit(f"mul {total} {wide[0]}, {wide[1]}")
            sums = w.emit(f"add {total} {product}, {sums}")
    return sums


ROWS: dict[type[Operation], Row] = {DotOp: dot_row(frozenset())}
"""The rows for any processor."""
