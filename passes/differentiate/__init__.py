"""The pass `differentiate`: beside a function, one that computes its derivative as well.

An op's gradient is a row of the file of this folder that is named like the file that declares the op. It builds, with
`xmlc.dialects.ml.functions`, what reaches each operand of the cotangents of the results. Ops that are made of others
need no row. What rows build has rows itself, so that derivatives can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.ml.types import shape_of
from xmlc.passes.building import building
from xmlc.passes.decompose.operands import zeros
from xmlc.passes.differentiate.pull_back import Cotangents, expand, is_differentiable, pull_back

NAME, WEIGHT = "ml.name", "ml.weight"


def vector_jacobian(block: Block, inputs: Sequence[SSAValue], cotangents: Sequence[SSAValue | None]) -> list[SSAValue]:
    """The gradient of each input, built before the terminator of a block, from the cotangent of each of its operands.

    Ops of the block that have no gradient of their own are replaced by what they are made of. Raises CompileError
    for an op on the way that has no gradient.
    """
    *ops, end = expand(block)
    at = InsertPoint.before(end)
    with building(at, end.location):
        found = Cotangents(zip(end.operands, cotangents))
    pull_back(ops, found, inputs, at)
    with building(at, end.location):
        return [found.or_zero(value) for value in inputs]


def jacobian_vector(block: Block, inputs: Sequence[SSAValue], tangents: Sequence[SSAValue]) -> list[SSAValue | None]:
    """The tangent of each operand of a block's terminator, built before it from that of each input; None for integers.

    The gradients J^T u are linear in u, and the gradient of u for the cotangents v of theirs is J v: the tangents
    (Townsend 2017, "A new trick for calculating Jacobian vector products"). What served J^T u alone is dead code then.
    Raises CompileError for an op on the way that has no gradient.
    """
    end = expand(block)[-1]
    at = InsertPoint.before(end)
    with building(at, end.location):
        unknown = [zeros(shape_of(each), each) if is_differentiable(each) else None for each in end.operands]
    gradients = vector_jacobian(block, inputs, unknown)
    with building(at, end.location):
        found = Cotangents(zip(gradients, tangents))
    pull_back(list(block.ops)[:-1], found, [each for each in unknown if each is not None], at)
    with building(at, end.location):
        return [None if each is None else found.or_zero(each) for each in unknown]


# --- the pass


def positions_of(function: FuncOp, wrt: Sequence[int]) -> list[int]:
    """The positions of the arguments to differentiate by: those asked for, or all that are floating-point numbers."""
    types = function.function_type.inputs.data
    for position in wrt:
        if not 0 <= position < len(types):
            raise CompileError(
                f"@{function.sym_name.data} has {len(types)} arguments and no number {position}, counted from 0",
                place=place_of(function.location),
            )
        if not is_differentiable(types[position]):
            raise CompileError(
                f"cannot differentiate @{function.sym_name.data} by argument {position}, which is {types[position]}",
                place=place_of(function.location),
                hint="only floating-point numbers have derivatives",
            )
    return list(wrt) or [i for i, each in enumerate(types) if is_differentiable(each)]


def derivative(function: FuncOp, wrt: Sequence[int], *, forward: bool = False) -> FuncOp:
    """A function that gives the results of another, then its derivative by the arguments at positions `wrt`.

    Reverse, @NAME_vjp: it takes a cotangent for each floating-point result, and gives the gradient by each argument.
    Forward, @NAME_jvp: it takes a tangent for each of those arguments, and gives that of each floating-point result.
    """
    made = function.clone()
    block = made.body.block
    inputs = [block.args[i] for i in positions_of(function, wrt)]
    end = block.last_op
    assert isinstance(end, ReturnOp)
    given = inputs if forward else [each for each in end.operands if is_differentiable(each)]
    directions = add_arguments(made, [each.type for each in given], "tangent" if forward else "cotangent")
    if forward:
        found = [each for each in jacobian_vector(block, inputs, directions) if each is not None]
    else:
        waiting = iter(directions)
        cotangents = [next(waiting) if is_differentiable(each) else None for each in end.operands]
        found = vector_jacobian(block, inputs, cotangents)
    Rewriter.replace_op(end, ReturnOp(*end.operands, *found))
    made.sym_name = StringAttr(f"{function.sym_name.data}_{'jvp' if forward else 'vjp'}")
    returned = block.last_op
    assert returned is not None
    made.function_type = FunctionType.from_lists(
        [each.type for each in block.args], [each.type for each in returned.operands]
    )
    if made.res_attrs is not None:
        made.res_attrs = ArrayAttr([*made.res_attrs.data, *[DictionaryAttr({})] * len(found)])
    return made


def add_arguments(function: FuncOp, types: Sequence[Attribute], name: str) -> list[SSAValue]:
    """New arguments called `name.N`, after the inputs and before the weights."""
    block = function.body.block
    attributes = list(function.arg_attrs.data) if function.arg_attrs else [DictionaryAttr({})] * len(block.args)
    first = next((i for i, each in enumerate(attributes) if WEIGHT in each.data), len(attributes))
    added = [block.insert_arg(type, first + i) for i, type in enumerate(types)]
    for i, argument in enumerate(added):
        argument.name_hint = f"{name}_{i}"
    names = [DictionaryAttr({NAME: StringAttr(f"{name}.{i}")}) for i in range(len(types))]
    function.arg_attrs = ArrayAttr([*attributes[:first], *names, *attributes[first:]])
    return list(added)


@dataclass(frozen=True)
class Differentiate(ModulePass):
    """Put beside a function one that computes its derivative too: `@main_vjp` from cotangents of the results, or, if
    `forward`, `@main_jvp` from tangents of the arguments. `wrt` are positions of arguments; all floats by default.
    """

    name = "differentiate"
    function: str = "main"
    wrt: tuple[int, ...] = ()
    forward: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {each.sym_name.data: each for each in op.ops if isinstance(each, FuncOp)}
        if self.function not in functions:
            raise CompileError(f"no function @{self.function} to differentiate", place=place_of(op.location))
        found = functions[self.function]
        op.body.block.insert_op_after(derivative(found, self.wrt, forward=self.forward), found)
