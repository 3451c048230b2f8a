"""Write an `ml` module in Python: ops are functions of values, and a mistake names the user's line.

import xmlc
from xmlc import ml

builder = xmlc.Builder()
with builder.function("main", x=xmlc.tensor("2x3xf32"), w=weights) as f:
    f.returns(y=ml.softmax(ml.matmul(f["x"], f["w"]), axis=1))
print(builder)
network = builder.compile()
(y,) = network(x)
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from xdsl.builder import Builder as OpBuilder
from xdsl.builder import ImplicitBuilder
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    ModuleOp,
    StringAttr,
    TensorType,
    UnitAttr,
)
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.rewriter import InsertPoint
from xdsl.utils.exceptions import VerifyException

from xmlc.backends.signature import NAME, WEIGHT
from xmlc.dialects import context
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import ELEMENTS, FROM_NUMPY
from xmlc.dialects.ml import functions as ml
from xmlc.driver import Settings, compile_module
from xmlc.frontend.python.places import at_user_line, locate, user_place
from xmlc.pipeline import printed, read_pipeline, run_passes
from xmlc.verify import verify
from xmlc.wording import known_names

if TYPE_CHECKING:
    from xmlc.compiled import CompiledModule

Array: TypeAlias = NDArray[Any]
Value: TypeAlias = SSAValue
"""A tensor while a program is built: `value.type` is its type."""

__all__ = ["Builder", "Function", "Value", "ml", "tensor"]


def tensor(text: str) -> TensorType[Attribute]:
    """The type that `2x3xf32` spells, or `f32` for a scalar. Raises CompileError."""
    *sizes, name = text.split("x")
    elements = {str(element): element for element in ELEMENTS}
    if name not in elements:
        raise CompileError(f"unknown element type '{name}' in '{text}'", hint=known_names(name, elements))
    if not all(size.isdecimal() for size in sizes):
        raise CompileError(f"cannot read the shape of '{text}'", hint="write it as 2x3xf32")
    return TensorType(elements[name], [int(size) for size in sizes])


class Function:
    """A function while its body is written: its arguments by name, and its results."""

    def __init__(self, arguments: dict[str, SSAValue]):
        self.arguments = arguments
        self.results: dict[str, SSAValue] | None = None

    def __getitem__(self, name: str) -> SSAValue:
        """The argument of that name. Raises CompileError with the one that may have been meant."""
        if name not in self.arguments:
            hint = known_names(name, self.arguments)
            raise CompileError(f"the function has no argument '{name}'", place=user_place(), hint=hint)
        return self.arguments[name]

    def returns(self, *values: SSAValue, **named: SSAValue) -> None:
        """End the function with these results; those given by keyword are called so."""
        if self.results is not None:
            raise CompileError("the function has its results already", place=user_place())
        self.results = {f"output{i}": value for i, value in enumerate(values)} | named


class Builder:
    """A module that is being written, and what can be done with it."""

    def __init__(self) -> None:
        self.module = ModuleOp([])
        self.weights: dict[str, Array] = {}
        """The arrays that were given as arguments, by name."""

    @contextmanager
    def function(
        self, name: str = "main", *, private: bool = False, **arguments: TensorType[Attribute] | Array
    ) -> Generator[Function]:
        """Ops made inside the `with` block are the function's body.

        An argument is given by its type, or by an array: then it is a weight, bound when the module is compiled.
        Raises CompileError, at the user's line, for operands that do not fit each other.
        """
        given = {each: value for each, value in arguments.items() if isinstance(value, np.ndarray)}
        ordered = [*(each for each in arguments if each not in given), *given]
        types = [weight_type(each, given[each]) if each in given else arguments[each] for each in ordered]
        block = Block(arg_types=[each for each in types if isinstance(each, TensorType)])
        for argument, each in zip(block.args, ordered):
            argument.name_hint = each
        made = Function(dict(zip(ordered, block.args)))
        builder = OpBuilder(InsertPoint.at_end(block), operation_insertion_handler=[locate])
        try:
            with ImplicitBuilder(builder):
                yield made
                if made.results is None:
                    raise CompileError(f"the function @{name} returns nothing", hint="end it with returns(…)")
                end = ReturnOp(*made.results.values())
        except VerifyException as error:
            raise at_user_line(error) from error
        attributes = [
            DictionaryAttr({NAME: StringAttr(each)} | ({WEIGHT: UnitAttr()} if each in given else {}))
            for each in ordered
        ]
        self.module.body.block.add_op(
            function := FuncOp(
                name,
                FunctionType.from_lists([each.type for each in block.args], [each.type for each in end.operands]),
                Region(block),
                visibility="private" if private else "public",
                arg_attrs=ArrayAttr(attributes),
                res_attrs=ArrayAttr(DictionaryAttr({NAME: StringAttr(each)}) for each in made.results),
            )
        )
        function.location = end.location
        self.weights |= given
        verify(self.module)

    def call(self, name: str, *arguments: SSAValue) -> Sequence[SSAValue]:
        """The results of a function of this module, called in the body of another."""
        functions = {op.sym_name.data: op for op in self.module.ops if isinstance(op, FuncOp)}
        if name not in functions:
            raise CompileError(f"no function @{name}", place=user_place(), hint=known_names(name, functions))
        return CallOp(name, arguments, list(functions[name].function_type.outputs)).results

    def __str__(self) -> str:
        """The module as MLIR."""
        return printed(self.module)

    def run(self, pipeline: str) -> None:
        """Change the module by passes, such as `canonicalize,cse`. Raises CompileError."""
        run_passes(self.module, read_pipeline(pipeline), context())

    def compile(self, settings: Settings | None = None) -> CompiledModule:
        """The function @main as machine code, called with its inputs in order. The module stays as it is."""
        return compile_module(self.module.clone(), self.weights, settings)

    def interpret(self, *inputs: Array, name: str = "main") -> tuple[Array, ...]:
        """What the reference interpreter makes of a function; weights are filled in."""
        from xmlc.dialects.reference.interpreter import interpret

        return interpret(self.module, name, [*inputs, *self.weights.values()])


def weight_type(name: str, array: Array) -> TensorType[Attribute]:
    if array.dtype not in FROM_NUMPY:
        raise CompileError(f"the weight '{name}' has element type {array.dtype}", place=user_place())
    return TensorType(FROM_NUMPY[array.dtype], array.shape)
