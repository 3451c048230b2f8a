"""Rows of `nvvm`: each op is the call of an intrinsic, or lines of PTX, as `xmlc.dialects.nvvm.spelling` says."""

from __future__ import annotations

from typing import cast

from xdsl.dialects import llvm, memref
from xdsl.dialects.builtin import MemRefType, NoneAttr
from xdsl.dialects.llvm import LLVMStructType
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.backends.llvm_text.types import Unprintable
from xmlc.backends.llvm_text.writer import Row, Writer
from xmlc.dialects.nvvm.spelling import SPELLING, Assembly, Intrinsic


def argument(w: Writer, given: SSAValue | int | str) -> str:
    if isinstance(given, SSAValue):
        return f"{w.kind(given.type)} {w.names[given]}"
    return given if isinstance(given, str) else f"i32 {given}"


def instruction(w: Writer, op: Operation) -> None:
    spelled = SPELLING[type(op)](op)
    if isinstance(spelled, Assembly):
        assembly(w, op, spelled)
    else:
        intrinsic(w, op, spelled)


def intrinsic(w: Writer, op: Operation, spelled: Intrinsic) -> None:
    arguments = ", ".join(argument(w, each) for each in spelled.arguments)
    returns = spelled.returns or (w.kind(op.results[0].type) if op.results else "void")
    if not op.results:
        w.lines.append(f"  call {returns} @{spelled.name}({arguments})")
        return
    name = w.emit(f"call {returns} @{spelled.name}({arguments})")
    w.names[op.results[0]] = (
        name if spelled.element is None else w.emit(f"extractvalue {returns} {name}, {spelled.element}")
    )


def assembly(w: Writer, op: Operation, spelled: Assembly) -> None:
    """A line of inline assembly; the members of a struct that it changes are results, and arguments tied to them."""
    arguments = [argument(w, each) for each in spelled.arguments]
    text = spelled.text.replace("\n", "\\0A")
    if spelled.tied is None:
        letters = spelled.constraints
        w.lines.append(f'  call void asm sideeffect "{text}", "{letters},~{{memory}}"({", ".join(arguments)})')
        return
    struct = cast("LLVMStructType", spelled.tied.type)
    whole, kinds = w.kind(struct), [w.kind(each) for each in struct.types]
    members = [w.emit(f"extractvalue {whole} {w.names[spelled.tied]}, {i}") for i in range(len(kinds))]
    given = ", ".join([*(f"{kind} {each}" for kind, each in zip(kinds, members)), *arguments])
    outputs = ["=f" if kind == "float" else "=r" for kind in kinds]
    letters = ",".join([*outputs, *map(str, range(len(kinds))), spelled.constraints])
    w.names[op.results[0]] = w.emit(f'call {whole} asm sideeffect "{text}", "{letters},~{{memory}}"({given})')


def extract_value(w: Writer, op: llvm.ExtractValueOp) -> None:
    where = ", ".join(map(str, op.position.get_values()))
    w.names[op.res] = w.emit(f"extractvalue {w.kind(op.container.type)} {w.names[op.container]}, {where}")


def call_intrinsic(w: Writer, op: llvm.CallIntrinsicOp) -> None:
    """An instruction without an op of its own."""
    arguments = ", ".join(f"{w.kind(each.type)} {w.names[each]}" for each in op.args)
    (result,) = op.results
    w.names[result] = w.emit(f"call {w.kind(result.type)} @{op.intrin.data}({arguments})")


def pointer_of(w: Writer, op: memref.ExtractAlignedPointerAsIndexOp) -> None:
    """The address of a whole buffer in its memory space. A part of one has no row: MLIR means the whole's."""
    source = cast("MemRefType[Attribute]", op.source.type)
    if not isinstance(source.layout, NoneAttr):
        raise Unprintable(f"{source} is part of a buffer: ask for the pointer of the whole")
    buffer = w.buffers[op.source]
    w.names[op.aligned_pointer] = w.emit(f"ptrtoint {buffer.pointer_kind} {buffer.pointer} to i64")


def zero(w: Writer, op: llvm.ZeroOp) -> None:
    w.names[op.res] = "zeroinitializer"


def to_pointer(w: Writer, op: llvm.IntToPtrOp) -> None:
    kind, target = w.kind(op.input.type), w.kind(op.output.type)
    w.names[op.output] = w.emit(f"inttoptr {kind} {w.names[op.input]} to {target}")


def load(w: Writer, op: llvm.LoadOp) -> None:
    """A load that sees what other blocks of the device write while this one runs."""
    if op.ordering.value.data != MONOTONIC or op.alignment is None:
        raise Unprintable("an llvm.load in a kernel must be atomic, monotonic, and say how it is aligned")
    kind, pointer = w.kind(op.dereferenced_value.type), f"{w.kind(op.ptr.type)} {w.names[op.ptr]}"
    order = f'syncscope("device") monotonic, align {op.alignment.value.data}'
    w.names[op.dereferenced_value] = w.emit(f"load atomic {kind}, {pointer} {order}")


MONOTONIC = 2
"""The number of an atomic ordering."""

ROWS: dict[type[Operation], Row] = {
    **dict.fromkeys(SPELLING, instruction),
    llvm.CallIntrinsicOp: call_intrinsic,
    llvm.ExtractValueOp: extract_value,
    llvm.IntToPtrOp: to_pointer,
    llvm.ZeroOp: zero,
    llvm.LoadOp: load,
    memref.ExtractAlignedPointerAsIndexOp: pointer_of,
}
