"""A function while it is traced: the ops that it makes, and the arrays from outside that it uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.builder import Builder, ImplicitBuilder
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.context_variables import setting
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import FROM_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import TensorLike, tensor
from xmlc.dialects.sizes import Assumptions, UnknownSize, assuming, state
from xmlc.frontend.python.places import at_user_line, locate, user_place
from xmlc.frontend.python.tree import Tree, flatten

NDArrayAny = NDArray[Any]

SMALL = 16
"""Elements up to which an array from outside becomes a constant of the program; a larger one is bound as a weight."""


class Trace:
    """The program that a function turns into, while it runs once with arrays that stand for values."""

    def __init__(self) -> None:
        self.block = Block()
        self.captured: dict[int, tuple[NDArrayAny, BlockArgument]] = {}
        """Arrays from outside with the arguments that bring them in, by identity."""
        self.builders: list[Builder] = []
        self.ended: set[Block] = set()
        """Bodies of loops, branches and differentiated functions that are complete: what is in them is theirs alone."""

    @contextmanager
    def inside(self, block: Block) -> Generator[Sequence[SSAValue]]:
        """Ops made in the `with` block go to the end of `block`, with the user's line as their location."""
        self.builders.append(Builder(InsertPoint.at_end(block), operation_insertion_handler=[locate]))
        try:
            with ImplicitBuilder(self.builders[-1]):
                yield block.args
        finally:
            self.builders.pop()
            self.ended.add(block)

    def has(self, value: SSAValue) -> bool:
        """Whether ops that are made now may use a value: it is no part of a body that is complete."""
        block = value.owner if isinstance(value.owner, Block) else value.owner.parent
        return block is not None and block not in self.ended

    def insert(self, ops: Sequence[Operation]) -> None:
        """Append ops that belong to no block yet."""
        self.builders[-1].insert(ops)

    def capture(self, array: NDArrayAny) -> SSAValue:
        """The value of an array from outside."""
        if array.dtype not in FROM_NUMPY:
            raise CompileError(f"an array of {array.dtype} cannot be part of a program", place=user_place())
        if array.size <= SMALL:
            return F.constant_of(np.asarray(array))
        if id(array) not in self.captured:
            type = tensor(array.shape, FROM_NUMPY[array.dtype])
            self.captured[id(array)] = array, self.block.insert_arg(type, len(self.block.args))
        return self.captured[id(array)][1]


CURRENT: ContextVar[Trace | None] = ContextVar("xmlc trace", default=None)
"""The innermost function being traced in this thread."""


def current() -> Trace | None:
    return CURRENT.get()


def active() -> Trace:
    """The trace that ops are made for. CompileError outside of one."""
    trace = CURRENT.get()
    if trace is None:
        raise CompileError(
            "this works on arrays of a program while it is traced",
            place=user_place(),
            hint="call it in a function that @xmlc.compile compiles",
        )
    return trace


@dataclass(frozen=True)
class Spec:
    """What is known of an argument while a function is traced: its type, and whether it was a Python number."""

    type: TensorLike
    weak: bool = False
    donated: bool = False
    """Whether the caller gives its memory away, for a result to be written to."""


@dataclass(frozen=True)
class Traced:
    """A traced function: the module, the arrays it uses from outside by name, and how its results are arranged."""

    module: ModuleOp
    weights: dict[str, NDArrayAny]
    results: Tree
    donated: tuple[str, ...] = ()
    """The names of arguments whose memory the caller gives away."""


def trace(
    function: Callable[[Sequence[Any]], Any],
    specs: Sequence[Spec],
    names: Sequence[str],
    assumptions: Assumptions | None = None,
) -> Traced:
    """Run a function of a list of arrays once, on arrays that stand for arguments of these types.

    Sizes of the types may be symbols, of which `assumptions` are made where the function branches by them.

    Raises CompileError at the user's line for operands that do not fit, and whatever the function itself raises.
    """
    from xmlc.frontend.python.array import Array, value_of

    made, assumptions = Trace(), assumptions or Assumptions()
    for spec, name in zip(specs, names):
        hint = re.sub(r"\W+", "_", name).strip("_")
        made.block.insert_arg(spec.type, len(made.block.args)).name_hint = hint
    try:
        with setting(CURRENT, made), assuming(assumptions), made.inside(made.block) as arguments:
            leaves, structure = flatten(function([Array(v, made, s.weak) for v, s in zip(arguments, specs)]))
            end = ReturnOp(*map(value_of, leaves))
    except VerifyException as error:
        raise at_user_line(error) from error
    except UnknownSize as error:
        raise at_user_line(error, "state a number for this size, or None, instead of a name") from error
    weights = {f"captured.{i}": array for i, (array, _) in enumerate(made.captured.values())}
    attributes = [
        *[DictionaryAttr(attributes_of(name, spec)) for name, spec in zip(names, specs)],
        *[DictionaryAttr({"ml.name": StringAttr(name), "ml.weight": UnitAttr()}) for name in weights],
    ]
    types = FunctionType.from_lists([v.type for v in made.block.args], [v.type for v in end.operands])
    made_function = FuncOp("main", types, Region(made.block), arg_attrs=ArrayAttr(attributes))
    made_function.location = end.location
    module = ModuleOp([made_function])
    state(assumptions, module)
    donated = tuple(name for name, spec in zip(names, specs) if spec.donated)
    return Traced(module, weights, structure, donated)


def attributes_of(name: str, spec: Spec) -> dict[str, Attribute]:
    """The attributes of an argument."""
    attributes: dict[str, Attribute] = {"ml.name": StringAttr(name)}
    if spec.donated:
        attributes["ml.donated"] = UnitAttr()
    return attributes
