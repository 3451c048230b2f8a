"""Rows of `nvvm`: each op is the call of an intrinsic that `xmlc.dialects.nvvm.spelling` names."""

from __future__ import annotations

from xdsl.dialects import llvm
from xdsl.dialects.llvm import LLVMPointerType, LLVMStructType
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.backends.llvm_text.writer import Row, Writer
from xmlc.dialects.nvvm.spelling import SPELLING


def kind_of(w: Writer, type: Attribute) -> str:
    """A type in LLVM IR; pairs are structs."""
    if isinstance(type, LLVMStructType):
        return "{ " + ", ".join(kind_of(w, each) for each in type.types) + " }"
    if isinstance(type, LLVMPointerType):
        return str(type).replace("!llvm.ptr<", "ptr addrspace(").replace(">", ")").replace("!llvm.", "")
    return w.kind(type)


def intrinsic(w: Writer, op: Operation) -> None:
    spelled = SPELLING[type(op)](op)
    arguments = ", ".join(
        f"{kind_of(w, each.type)} {w.names[each]}" if isinstance(each, SSAValue) else f"i32 {each}"
        for each in spelled.arguments
    )
    if not op.results:
        w.lines.append(f"  call void @{spelled.name}({arguments})")
        return
    returns = spelled.returns or kind_of(w, op.results[0].type)
    name = w.emit(f"call {returns} @{spelled.name}({arguments})")
    w.names[op.results[0]] = (
        name if spelled.element is None else w.emit(f"extractvalue {returns} {name}, {spelled.element}")
    )


def extract_value(w: Writer, op: llvm.ExtractValueOp) -> None:
    where = ", ".join(map(str, op.position.get_values()))
    w.names[op.res] = w.emit(f"extractvalue {kind_of(w, op.container.type)} {w.names[op.container]}, {where}")


def call_intrinsic(w: Writer, op: llvm.CallIntrinsicOp) -> None:
    """An instruction without an op of its own."""
    arguments = ", ".join(f"{kind_of(w, each.type)} {w.names[each]}" for each in op.args)
    (result,) = op.results
    w.names[result] = w.emit(f"call {kind_of(w, result.type)} @{op.intrin.data}({arguments})")


ROWS: dict[type[Operation], Row] = {
    **dict.fromkeys(SPELLING, intrinsic),
    llvm.CallIntrinsicOp: call_intrinsic,
    llvm.ExtractValueOp: extract_value,
}
