"""Functions as every backend spells them: calls, returned values, and the ops for which a backend has no row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, cast

from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, SymbolRefAttr, UnregisteredOp
from xdsl.ir import Attribute, Operation

from xmlc.backends.llvm_text import control
from xmlc.backends.llvm_text.writer import Row, Writer
from xmlc.dialects.diagnostics import CompileError, Diagnostic, place_of

if TYPE_CHECKING:
    from xmlc.dialects import gpu

MAY_ALIAS = "xmlc.may_alias"
"""Argument attribute: another argument may point into the same memory."""


def refuse_unknown(ops: Iterable[Operation], spelled: Container[type[Operation]], stage: str) -> None:
    """CompileError naming all the ops that are not spelled, each kind once with its first place and its count."""
    counts: Counter[str] = Counter()
    first: dict[str, Operation] = {}
    for op in ops:
        if type(op) not in spelled:
            name = op.op_name.data if isinstance(op, UnregisteredOp) else op.name
            counts[name] += 1
            first.setdefault(name, op)
    if counts:
        raise CompileError.of(
            [
                Diagnostic(
                    f"{name} is left over at stage {stage}: it has no LLVM spelling" + many(counts[name]),
                    place_of(op.location),
                    "lower it before this stage, or give it a row in the emitter",
                )
                for name, op in first.items()
            ]
        )


def many(count: int) -> str:
    return f" ({count} times)" if count > 1 else ""


def argument_attributes(op: func.FuncOp | gpu.FuncOp) -> list[dict[str, Attribute]]:
    """What is stated of each argument of a function."""
    stated = cast("ArrayAttr[DictionaryAttr] | None", op.get_attr_or_prop("arg_attrs"))
    if stated is None:
        return [{} for _ in op.function_type.inputs]
    return [dict(attributes.data) for attributes in stated]


def returned_kind(w: Writer, outputs: list[Attribute]) -> str:
    kinds = [kind for output in outputs for kind in w.part_kinds(output)]
    if not kinds:
        return "void"
    return kinds[0] if len(kinds) == 1 else "{ " + ", ".join(kinds) + " }"


def call(w: Writer, op: func.CallOp) -> None:
    arguments = [
        f"{kind} {part}"
        for value in op.operands
        for kind, part in zip(w.part_kinds(value.type), w.parts(value), strict=True)
    ]
    returned = returned_kind(w, [result.type for result in op.results])
    callee = cast("SymbolRefAttr", op.properties["callee"]).string_value()
    text = f"call {returned} {w.symbol(callee)}({', '.join(arguments)})"
    kinds = [kind for result in op.results for kind in w.part_kinds(result.type)]
    if not kinds:
        w.lines.append("  " + text)
        return
    result = w.emit(text)
    if len(kinds) > 1:
        texts = [w.emit(f"extractvalue {returned} {result}, {position}") for position in range(len(kinds))]
    else:
        texts = [result]
    control.bind(w, op.results, texts)


def give_back(w: Writer, op: func.ReturnOp) -> None:
    kinds = [kind for value in op.operands for kind in w.part_kinds(value.type)]
    texts = control.parts(w, op.operands)
    if not kinds:
        w.lines.append("  ret void")
    elif len(kinds) == 1:
        w.lines.append(f"  ret {kinds[0]} {texts[0]}")
    else:
        whole = "{ " + ", ".join(kinds) + " }"
        so_far = "poison"
        for position, (kind, text) in enumerate(zip(kinds, texts)):
            so_far = w.emit(f"insertvalue {whole} {so_far}, {kind} {text}, {position}")
        w.lines.append(f"  ret {whole} {so_far}")


ROWS: dict[type[Operation], Row] = {func.CallOp: call, func.ReturnOp: give_back}
