"""How a function is to be differentiated, said by who wrote it.

@xmlc.custom_gradient
def softplus(x):
    e = xnp.exp(x)
    return xnp.log1p(e), lambda g: g * (1 - 1 / (1 + e))     # no inf / inf for large x
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.ir import Block, Region, SSAValue

from xmlc.derivatives import either_way, vjp
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.control import YieldOp
from xmlc.dialects.ml.derivatives import CheckpointOp, CustomGradientOp
from xmlc.dialects.ml.types import shape_of
from xmlc.frontend.python import functions as xnp
from xmlc.frontend.python.array import unary, value_of
from xmlc.frontend.python.control import arrays_of, traced_region, values_of
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import active
from xmlc.frontend.python.tree import flatten, map_leaves
from xmlc.passes.decompose.operands import zeros
from xmlc.passes.differentiate.pull_back import is_differentiable


def stop_gradient(tree: Any) -> Any:
    """The arrays of a tree, as constants to whatever is differentiated."""
    return map_leaves(lambda leaf: unary(F.stop_gradient, leaf), tree)  # pyright: ignore


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose gradient computes again what it would have to keep: less memory, more time.

    Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174.
    """

    def checkpointed(*args: Any) -> Any:
        structures: list[Any] = []

        def body(_: Sequence[SSAValue]) -> list[SSAValue]:
            values, structure = values_of(function(*args))
            structures.append(structure)
            return values

        made = CheckpointOp(traced_region((), body))
        return arrays_of(made.results, structures[0], active())

    return either_way(checkpointed, function)


def custom_gradient(function: Callable[..., tuple[Any, Callable[..., Any]]]) -> Callable[..., Any]:
    """A function with a gradient of its own: it returns its value and a function of the value's cotangents.

    That gives the cotangents of the arguments, as a tuple if there are several; None stands for zero. It may use
    whatever the function computed. It is differentiated in turn where second derivatives are asked for.
    """

    def called(*args: Any) -> Any:
        trace = active()
        inputs, structure = values_of(args)
        body = Block(arg_types=[each.type for each in inputs])
        with trace.inside(body) as arguments:
            value, pull = function(*arrays_of(arguments, structure, trace))
            results, arrangement = values_of(value)
            if not all(map(is_differentiable, results)):
                raise CompileError("a function with a gradient gives floating-point numbers", place=user_place())
            gradient = Block(arg_types=[each.type for each in results])
            with trace.inside(gradient) as cotangents:
                found = pull(arrays_of(cotangents, arrangement, trace))
                YieldOp(*gradients_of(args, inputs, found))
            kept = kept_for(gradient, body)
            YieldOp(*results, *kept)
        made = CustomGradientOp(inputs, Region(body), Region(gradient), len(kept))
        return arrays_of(made.results[: len(results)], arrangement, trace)

    return either_way(called, function)


def gradients_of(args: tuple[Any, ...], inputs: Sequence[SSAValue], found: Any) -> list[SSAValue]:
    """The cotangent of each leaf of the arguments, of its type, from what the user's function gave."""
    given = (found,) if len(args) == 1 else found
    if not isinstance(given, tuple) or len(given) != len(args):  # pyright: ignore[reportUnknownArgumentType]
        raise CompileError(f"a gradient gives one cotangent for each of {len(args)} arguments", place=user_place())
    made: list[SSAValue] = []
    waiting = iter(inputs)
    for argument, cotangent in zip(args, given):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        leaves, structure = flatten(argument)
        values = [next(waiting) for _ in leaves]
        if cotangent is None:
            made += [zeros(shape_of(value), value) for value in values]
            continue
        cotangents, arrangement = flatten(cotangent)
        if arrangement != structure:
            raise CompileError("a cotangent must be arranged like its argument", place=user_place())
        for value, each in zip(values, map(value_of, cotangents)):
            if each.type != value.type:
                raise CompileError(f"the cotangent of {value.type} is {each.type}", place=user_place())
            made.append(each)
    return made


def kept_for(gradient: Block, body: Block) -> list[SSAValue]:
    """The values of `body` that `gradient` uses: they become its first arguments."""
    inside = {*body.args, *[result for op in body.ops for result in op.results]}
    read = [operand for op in gradient.walk() for operand in op.operands]
    kept = [value for value in dict.fromkeys(read) if value in inside]
    for i, value in enumerate(kept):
        argument = gradient.insert_arg(value.type, i)
        value.replace_uses_with_if(argument, lambda use: is_inside(use.operation, gradient))
    return kept


def is_inside(op: Any, block: Block) -> bool:
    """Whether an op lies in a block, or in a region of an op that does."""
    parent = op.parent
    while parent is not None and parent is not block:
        holder = parent.parent_op()
        parent = None if holder is None else holder.parent
    return parent is block


def custom_jvp(rule: Callable[..., tuple[Any, Any]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function differentiated by a rule for tangents: rule(arguments, tangents) -> (value, its tangent).

    @xmlc.custom_jvp(lambda arguments, tangents: ...)
    def function(x): ...

    The tangent is linear in the tangents given, and so pulls back as well: both modes use the rule.
    """

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        @custom_gradient
        def called(*args: Any) -> tuple[Any, Callable[..., Any]]:
            def pull(cotangents: Any) -> Any:
                at_rest = map_leaves(lambda leaf: xnp.zeros_like(leaf), args)  # pyright: ignore
                found = vjp(lambda *tangents: rule(args, tangents)[1], at_rest, cotangents)[1]  # pyright: ignore
                return found[0] if len(args) == 1 else found

            return function(*args), pull

        return either_way(called, function)

    return decorated
