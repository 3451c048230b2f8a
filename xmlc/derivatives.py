"""Derivatives of Python functions of arrays: `xmlc.grad` and its kin, in both modes, nested as deep as one likes.

    loss_and_gradient = xmlc.value_and_grad(loss)
    value, gradient = loss_and_gradient(parameters, x, y)     # gradient has the structure of parameters

Each works on arrays, and is then compiled as `xmlc.compile` does, and inside a function that is being traced.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, SSAValue
from xdsl.rewriter import Rewriter

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import shape_of
from xmlc.frontend.python.array import Array, value_of
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import Trace, active, current
from xmlc.frontend.python.tree import Tree, flatten
from xmlc.passes.differentiate import jacobian_vector, vector_jacobian
from xmlc.passes.differentiate.pull_back import is_differentiable
from xmlc.tracing import TracedFunction

__all__ = ["grad", "jvp", "value_and_grad", "vjp"]


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the value of another, one floating-point number, and its gradient.

    The gradient by the argument at position `argnums` has its structure; by several, they come as a tuple. With
    `has_aux` the function returns (value, anything), and so does the first of the two results.
    """
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def differentiated(*args: Any) -> tuple[Any, Any]:
        expect_arguments(chosen, args)

        def pull(inner: Inner) -> list[SSAValue]:
            return vector_jacobian(inner.block, inner.wanted, [F.scalar(value_to_derive(inner, has_aux), 1)])

        inner = Inner(function, args, chosen)
        gradients = inner.trees(inner.finish(pull))
        return inner.output(), gradients[0] if isinstance(argnums, int) else gradients

    return either_way(differentiated, function)


def grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of another, which gives one floating-point number; see `value_and_grad`."""
    both = value_and_grad(function, argnums, has_aux=has_aux)

    def gradient(*args: Any) -> Any:
        value, found = both(*args)
        return (found, value[1]) if has_aux else found

    return either_way(gradient, function)


def vjp(function: Callable[..., Any], arguments: Sequence[Any], cotangents: Any) -> tuple[Any, tuple[Any, ...]]:
    """function(*arguments), and the gradient by each argument of the sum of its results times their cotangents."""

    def pulled(arguments: Sequence[Any], cotangents: Any) -> tuple[Any, tuple[Any, ...]]:
        given, structure = flatten(cotangents)

        def pull(inner: Inner) -> list[SSAValue]:
            expect_structure(structure, inner.structure, "the cotangents", "the results")
            return vector_jacobian(inner.block, inner.wanted, [value_of(each) for each in given])

        inner = Inner(function, tuple(arguments), range(len(arguments)))
        gradients = inner.trees(inner.finish(pull))
        return inner.output(), gradients

    return either_way(pulled, function)(arguments, cotangents)


def jvp(function: Callable[..., Any], arguments: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """function(*arguments), and how it changes along tangents of the structure of its arguments."""

    def pushed(arguments: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        given, structure = flatten(tuple(tangents))
        expect_structure(structure, flatten(tuple(arguments))[1], "the tangents", "the arguments")

        def push(inner: Inner) -> list[SSAValue]:
            directions = [value_of(each) for each in given]
            return [
                value if found is None else found
                for found, value in zip(jacobian_vector(inner.block, inner.wanted, directions), inner.results)
            ]

        inner = Inner(function, tuple(arguments), range(len(arguments)))
        found = inner.finish(push)
        return inner.output(), inner.structure.build([Array(value, inner.trace) for value in found])

    return either_way(pushed, function)(arguments, tangents)


def expect_arguments(chosen: Sequence[int], args: Sequence[Any]) -> None:
    """Raise CompileError where a function is to be differentiated by an argument that it is not given."""
    for each in chosen:
        if not -len(args) <= each < len(args):
            message = f"cannot differentiate by argument {each} of {len(args)}"
            raise CompileError(message, place=user_place(), hint="argnums counts the arguments given from 0")


def value_to_derive(inner: Inner, has_aux: bool) -> SSAValue:
    """The number that a function gives, alone or with has_aux beside others. CompileError where there is none."""
    structure = inner.structure
    if has_aux and not (structure.kind is tuple and len(structure.children) == 2):
        raise CompileError("with has_aux a function returns two things: its value, and others", place=user_place())
    kind = structure.children[0].kind if has_aux else structure.kind
    if kind is not None:
        given = "None" if kind is type(None) else f"a {kind.__name__}"
        raise CompileError(
            f"a gradient is of one floating-point number, and the function gives {given}",
            place=user_place(),
            hint="return the number alone, or with has_aux=True as the first of two",
        )
    value = inner.results[0]
    if shape_of(value) or not is_differentiable(value):
        raise CompileError(
            f"a gradient is of one floating-point number, and the function gives {value.type}",
            place=user_place(),
            hint="sum what it gives, or use xmlc.vjp with a cotangent for each element",
        )
    return value


def expect_structure(found: Tree, wanted: Tree, what: str, of: str) -> None:
    if found != wanted:
        raise CompileError(f"{what} must be arranged like {of}, found another structure", place=user_place())


def either_way(traced: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """What works while a function is traced, made to work on arrays too: there it is compiled."""
    compiled = TracedFunction(traced)

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return traced(*args) if current() is not None else compiled(*args)

    return call


class Inner:
    """A function traced into a block of its own, where it is differentiated before its ops join the program."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], chosen: Sequence[int]):
        """Trace `function`; `chosen` are the positions of the arguments to differentiate by."""
        self.trace: Trace = active()
        leaves = [flatten(each) for each in args]
        values = [[value_of(leaf) for leaf in found] for found, _ in leaves]
        self.values = [value for each in values for value in each]
        self.block = Block(arg_types=[value.type for value in self.values])
        arguments = iter(self.block.args)
        inside = [[next(arguments) for _ in each] for each in values]
        self.chosen = [(inside[i], leaves[i][1]) for i in chosen]
        for i in chosen:
            for value in values[i]:
                if not is_differentiable(value):
                    raise CompileError(
                        f"cannot differentiate by argument {i}, which holds {value.type}",
                        place=user_place(),
                        hint="only floating-point numbers have derivatives: name others by argnums",
                    )
        built = [
            structure.build([Array(value, self.trace) for value in each])
            for each, (_, structure) in zip(inside, leaves)
        ]
        with self.trace.inside(self.block):
            found, self.structure = flatten(function(*built))
            ReturnOp(*map(value_of, found))

    @property
    def wanted(self) -> list[SSAValue]:
        """The arguments to differentiate by, leaf by leaf."""
        return [value for each, _ in self.chosen for value in each]

    @property
    def results(self) -> list[SSAValue]:
        end = self.block.last_op
        assert end is not None
        return list(end.operands)

    def finish(self, derive: Callable[[Inner], list[SSAValue]]) -> list[SSAValue]:
        """What `derive` makes of the block; its ops, and those of the function, then join the program."""
        made = derive(self)
        results = self.results
        end = self.block.last_op
        assert end is not None
        Rewriter.erase_op(end)
        outside: dict[SSAValue, SSAValue] = dict(zip(self.block.args, self.values))
        for argument, value in outside.items():
            argument.replace_all_uses_with(value)
        ops = list(self.block.ops)
        for op in ops:
            op.detach()
        self.trace.insert(ops)
        self.outputs = [outside.get(value, value) for value in results]
        return [outside.get(value, value) for value in made]

    def output(self) -> Any:
        """What the function returned."""
        return self.structure.build([Array(value, self.trace) for value in self.outputs])

    def trees(self, gradients: Sequence[SSAValue]) -> tuple[Any, ...]:
        """Gradients leaf by leaf as trees: one for each argument to differentiate by."""
        waiting = iter(gradients)
        return tuple(
            structure.build([Array(next(waiting), self.trace) for _ in values]) for values, structure in self.chosen
        )
