"""Shape inference for Toy: from constants on, each result gets the type that its op's operands give it."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import CallSiteLoc, FunctionType, ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from xmlc.dialects import toy
from xmlc.dialects.diagnostics import CompileError, Diagnostic, place_of


@dataclass(frozen=True)
class InferShapes(ModulePass):
    """Give every value of a function whose parameters have shapes the shape that its operands imply.

    Raises CompileError for all operands that do not fit each other and for all shapes that stay unknown;
    what follows from a mistake is no mistake of its own. Generic functions are left as they are: `inline`
    comes first.
    """

    name = "infer-shapes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        mistakes: list[Diagnostic] = []
        for function in op.ops:
            if isinstance(function, toy.FuncOp) and not any(map(is_unknown, function.function_type.inputs)):
                infer(function, mistakes)
        if mistakes:
            raise CompileError.of(mistakes)


def is_unknown(found: Attribute) -> bool:
    """Whether a type holds a tensor whose shape is not known."""
    if isinstance(found, toy.StructType):
        return any(map(is_unknown, found.members))
    return found == toy.UNRANKED


def infer(function: toy.FuncOp, mistakes: list[Diagnostic]) -> None:
    wrong: set[SSAValue] = set()
    for op in function.body.block.ops:
        if any(operand in wrong for operand in op.operands):
            wrong.update(op.results)
            continue
        if isinstance(op, toy.ShapeInference):
            try:
                give_type(op.results[0], op.inferred_type())
            except toy.ShapeError as error:
                mistakes.append(diagnostic(op, str(error), error.hint))
                wrong.update(op.results)
                continue
        # A struct may keep members without shapes: reading a member of a constant finds them.
        if any(result.type == toy.UNRANKED for result in op.results):
            mistakes.append(diagnostic(op, f"cannot infer the shape of {op.name}", "calls are inlined first"))
            wrong.update(op.results)
    terminator = function.body.block.last_op
    assert isinstance(terminator, toy.ReturnOp)
    outputs = [operand.type for operand in terminator.operands]
    function.properties["function_type"] = FunctionType.from_lists(function.function_type.inputs.data, outputs)


def give_type(value: SSAValue, found: Attribute) -> None:
    if value.type != found:
        Rewriter.replace_value_with_new_type(value, found)


def diagnostic(op: Operation, message: str, hint: str) -> Diagnostic:
    """The message at the op's place, with the calls that led there."""
    calls: list[str] = []
    location: Attribute = op.location
    while isinstance(location, CallSiteLoc):
        location, caller = location.callee, location.caller
        calls.append(str(place_of(caller)))
    if calls:
        hint += f" (called from {', '.join(reversed(calls))})"
    return Diagnostic(message, place_of(op.location), hint)
