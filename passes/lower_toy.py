"""`toy` to `ml`: the function @main on tensors of f64 whose shapes are known; printing stays `toy.print`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xdsl.builder import ImplicitBuilder
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, ModuleOp, TensorType
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects import toy
from xmlc.dialects.diagnostics import CompileError, Diagnostic, place_of
from xmlc.dialects.ml import functions as F


def constant(op: toy.ConstantOp | toy.StructAccessOp) -> SSAValue | None:
    """The numbers of a constant, or of a member of one; a member that is a struct itself has no value here."""
    value = toy.constant_of(op.out)
    return F.constant(toy.numbers_of(value)) if isinstance(value, DenseIntOrFPElementsAttr) else None


def no_value(op: Operation) -> None:
    """A struct: what reads its members makes them."""


def cast(op: toy.CastOp, x: SSAValue) -> SSAValue:
    return x


def transpose(op: toy.TransposeOp, x: SSAValue) -> SSAValue:
    return F.transpose(x)


def reshape(op: toy.ReshapeOp, x: SSAValue) -> SSAValue:
    return F.reshape(x, toy.known(op.out.type))


def broadcast(op: toy.BroadcastOp, x: SSAValue) -> SSAValue:
    return F.broadcast(x, toy.known(op.out.type))


def reduce_sum(op: toy.ReduceSumOp, x: SSAValue) -> SSAValue:
    axis = op.axis.value.data % len(toy.known(op.arg.type))
    return F.reduce_sum(x, (axis,), keep_dims=False)


def concat(op: toy.ConcatOp, x: SSAValue, y: SSAValue) -> SSAValue:
    axis = op.axis.value.data % len(toy.known(op.lhs.type))
    return F.concat([x, y], axis)


def add(op: toy.AddOp, x: SSAValue, y: SSAValue) -> SSAValue:
    return F.add(x, y)


def sub(op: toy.SubOp, x: SSAValue, y: SSAValue) -> SSAValue:
    return F.sub(x, y)


def mul(op: toy.MulOp, x: SSAValue, y: SSAValue) -> SSAValue:
    return F.mul(x, y)


def matmul(op: toy.MatmulOp, x: SSAValue, y: SSAValue) -> SSAValue:
    return F.matmul(x, y)


def print_(op: toy.PrintOp, x: SSAValue) -> None:
    toy.PrintOp(x)


def return_(op: toy.ReturnOp, *values: SSAValue) -> None:
    func.ReturnOp(*values)


LOWER: Mapping[type[Operation], Callable[..., SSAValue | None]] = {
    toy.ConstantOp: constant,
    toy.StructConstantOp: no_value,
    toy.StructAccessOp: constant,
    toy.CastOp: cast,
    toy.TransposeOp: transpose,
    toy.ReshapeOp: reshape,
    toy.BroadcastOp: broadcast,
    toy.ReduceSumOp: reduce_sum,
    toy.ConcatOp: concat,
    toy.AddOp: add,
    toy.SubOp: sub,
    toy.MulOp: mul,
    toy.MatmulOp: matmul,
    toy.PrintOp: print_,
    toy.ReturnOp: return_,
}
"""An op -> what builds its value from the op and the lowered operands that have one."""


@dataclass(frozen=True)
class LowerToy(ModulePass):
    """Turn every `toy.func` into a `func.func` on ranked tensors; each op becomes one op of `ml`. Exact.

    Comes after `inline` and `infer-shapes`: a call, or a value whose shape is unknown, is a CompileError,
    and all of them are reported.
    """

    name = "lower-toy"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = [function for function in op.ops if isinstance(function, toy.FuncOp)]
        mistakes = [mistake for function in functions for mistake in obstacles(function)]
        if mistakes:
            raise CompileError.of(mistakes)
        for function in functions:
            op.body.block.insert_op_before(lowered(function), function)
            function.detach()
            function.erase()


def obstacles(function: toy.FuncOp) -> list[Diagnostic]:
    """What keeps the function from being lowered."""
    found = [
        Diagnostic("cannot lower a generic function", place_of(function.location), "'inline' comes before 'lower-toy'")
        for kind in function.function_type.inputs
        if not isinstance(kind, TensorType)
    ][:1]
    if found:
        return found
    for op in function.body.block.ops:
        place = place_of(op.location)
        if type(op) not in LOWER:
            found.append(Diagnostic(f"cannot lower {op.name}", place, "'inline' comes before 'lower-toy'"))
        elif any(result.type == toy.UNRANKED for result in op.results):
            hint = "'infer-shapes' comes before 'lower-toy'"
            found.append(Diagnostic(f"the shape of {op.name} is unknown", place, hint))
    return found


def lowered(function: toy.FuncOp) -> func.FuncOp:
    source = function.body.block
    types = source.arg_types
    block = Block(arg_types=types)
    values: dict[SSAValue, SSAValue] = dict(zip(source.args, block.args))
    for old, new in zip(source.args, block.args):
        new.name_hint, new.location = old.name_hint, old.location
    with ImplicitBuilder(block):
        for op in source.ops:
            before = block.last_op
            value = LOWER[type(op)](op, *(values[operand] for operand in op.operands if operand in values))
            for new in made_after(block, before):
                new.location = op.location
            if value is not None:
                values[op.results[0]] = value
                if value.name_hint is None:
                    value.name_hint = op.results[0].name_hint
    made = func.FuncOp(
        function.sym_name.data,
        (types, function.function_type.outputs.data),
        Region(block),
        function.sym_visibility,
    )
    made.location = function.location
    return made


def made_after(block: Block, last: Operation | None) -> list[Operation]:
    """The ops of the block that come after `last`, all of them after None."""
    made: list[Any] = []
    op = block.first_op if last is None else last.next_op
    while op is not None:
        made.append(op)
        op = op.next_op
    return made
