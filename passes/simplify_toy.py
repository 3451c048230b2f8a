"""The laws of the `toy` dialect: those of MLIR's tutorial, and their likes for the new operations.

A law looks at one op and gives the value or the op that stands for it, or None where it does not apply. All
of them are exact. Types are kept: where less or more was known of the old value's shape, a cast says so, and
`infer-shapes` makes it void.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, DenseIntOrFPElementsAttr, ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.traits import is_side_effect_free

from xmlc.dialects import toy

Simpler = SSAValue | Operation | None


def transpose_of_transpose(op: toy.TransposeOp) -> Simpler:
    """transpose(transpose(x)) -> x"""
    match op.arg.owner:
        case toy.TransposeOp(arg=x):
            return x
        case _:
            return None


def transpose_of_vector(op: toy.TransposeOp) -> Simpler:
    """transpose(x) -> x where x has one axis at most"""
    shape = toy.shape_of(op.arg.type)
    return op.arg if shape is not None and len(shape) < 2 else None


def reshape_of_reshape(op: toy.ReshapeOp) -> Simpler:
    """reshape(reshape(x, a), b) -> reshape(x, b)"""
    match op.arg.owner:
        case toy.ReshapeOp(arg=x):
            return toy.ReshapeOp(x, op.out.type)
        case _:
            return None


def reshape_to_own_shape(op: toy.ReshapeOp) -> Simpler:
    """reshape(x, shape of x) -> x"""
    return op.arg if op.arg.type == op.out.type else None


def reshape_of_constant(op: toy.ReshapeOp) -> Simpler:
    """reshape(constant) -> constant, if the number of elements is right"""
    constant, shape = toy.constant_of(op.arg), toy.shape_of(op.out.type)
    if not isinstance(constant, DenseIntOrFPElementsAttr) or shape is None:
        return None
    numbers = toy.numbers_of(constant)
    return toy.ConstantOp.of(numbers.reshape(shape)) if numbers.size == toy.elements(shape) else None


def broadcast_to_own_shape(op: toy.BroadcastOp) -> Simpler:
    """broadcast(x, shape of x) -> x"""
    return op.arg if op.arg.type == op.out.type else None


def broadcast_of_broadcast(op: toy.BroadcastOp) -> Simpler:
    """broadcast(broadcast(x, a), b) -> broadcast(x, b)"""
    match op.arg.owner:
        case toy.BroadcastOp(arg=x):
            return toy.BroadcastOp(x, op.out.type)
        case _:
            return None


def cast_to_own_type(op: toy.CastOp) -> Simpler:
    """cast(x, type of x) -> x"""
    return op.arg if op.arg.type == op.out.type else None


def cast_of_cast(op: toy.CastOp) -> Simpler:
    """cast(cast(x, a), b) -> cast(x, b)"""
    match op.arg.owner:
        case toy.CastOp(arg=x) if toy.fits(x.type, op.out.type):
            return toy.CastOp(x, op.out.type)
        case _:
            return None


def access_of_constant(op: toy.StructAccessOp) -> Simpler:
    """{a, b}.second -> b, a constant"""
    constant = op.constant()
    if isinstance(constant, DenseIntOrFPElementsAttr):
        return toy.ConstantOp(constant)
    if isinstance(constant, ArrayAttr) and isinstance(op.out.type, toy.StructType):
        return toy.StructConstantOp(constant, op.out.type)
    return None


LAWS: Mapping[type[Operation], Sequence[Callable[[Any], Simpler]]] = {
    toy.TransposeOp: (transpose_of_transpose, transpose_of_vector),
    toy.ReshapeOp: (reshape_to_own_shape, reshape_of_constant, reshape_of_reshape),
    toy.BroadcastOp: (broadcast_to_own_shape, broadcast_of_broadcast),
    toy.CastOp: (cast_to_own_type, cast_of_cast),
    toy.StructAccessOp: (access_of_constant,),
}


@dataclass(frozen=True)
class SimplifyToy(ModulePass):
    """Apply the laws of `toy` once to every op, operands before users, and remove what nothing uses.

    In a pipeline it comes after `infer-shapes`: a reshape that is skipped, or an op that is removed, may be
    the user's mistake, which `infer-shapes` would have reported.
    """

    name = "simplify-toy"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, toy.FuncOp):
                for inner in list(function.body.block.ops):
                    simplify(inner)
                for inner in reversed(list(function.body.block.ops)):
                    if is_side_effect_free(inner) and not any(result.first_use for result in inner.results):
                        inner.detach()
                        inner.erase()


def simplify(op: Operation) -> None:
    """Replaces the op by what the laws make of it, and that in turn, until none applies."""
    while (found := simpler(op)) is not None:
        block, old = op.parent, op.results[0]
        assert block is not None
        made: list[Operation] = [found] if isinstance(found, Operation) else []
        value = found.results[0] if isinstance(found, Operation) else found
        if value.type != old.type:
            made.append(toy.CastOp(value, old.type))
            value = made[-1].results[0]
        for new in made:
            new.location = op.location
            block.insert_op_before(new, op)
        if made and value.name_hint is None:
            value.name_hint = old.name_hint
        old.replace_all_uses_with(value)
        block.erase_op(op)
        if not made:
            return
        op = made[-1]


def simpler(op: Operation) -> Simpler:
    """What the first law that applies makes of the op."""
    for law in LAWS.get(type(op), ()):
        if (found := law(op)) is not None:
            return found
    return None
