"""What was asked of tensors and not yet done: calls of the functions of arrays, recorded as a graph.

A call is recorded by its form, which is all but the elements of its operands: the function, the operands' shapes and
types, and the arguments that are no arrays. A form is traced once, the first time that it is met. That finds the types
of its results, and the mistakes in it; the same call on other operands costs a look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import ReferenceType

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.func import FuncOp

from xmlc.dialects.dtypes import FROM_NUMPY, TO_NUMPY
from xmlc.dialects.ml.types import element_of, shape_of, tensor
from xmlc.frontend.python.array import Array, as_array
from xmlc.frontend.python.trace import Spec, Traced, trace
from xmlc.frontend.python.tree import Tree, flatten
from xmlc.tensors.backend import Buffer
from xmlc.tensors.device import Device

NDArrayAny = NDArray[Any]
Function = Callable[..., Any]

LONGEST = 200
"""Calls that may wait one for another; a longer chain is run first, so that no program grows beyond measure."""


class Static:
    """An argument that is no array, as a key: it tells 1 from True and 0.0 from -0.0, and NaN equals itself."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any):
        self.value = value
        self.key: tuple[Any, ...] = (type(value), repr(value) if isinstance(value, float | complex) else value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Operand(NamedTuple):
    """An argument that is an array: what is known of it before it has a value."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    weak: bool = False
    """Whether it is a Python number, whose type gives way to an array's."""

    @property
    def spec(self) -> Spec:
        return Spec(tensor(self.shape, FROM_NUMPY[self.dtype]), self.weak)


class Form(NamedTuple):
    """What a call is, apart from the elements of its operands."""

    function: Function
    structure: Tree
    """How the arguments, a pair (positional, by name), are arranged."""
    leaves: tuple[Static | Operand, ...]

    @property
    def operands(self) -> list[Operand]:
        return [each for each in self.leaves if isinstance(each, Operand)]

    def replay(self, arrays: Sequence[Array]) -> tuple[list[Array], Tree]:
        """Make the call while a program is traced: its results, and how they are arranged."""
        given = iter(arrays)
        leaves = [each.value if isinstance(each, Static) else next(given) for each in self.leaves]
        args, kwargs = self.structure.build(leaves)
        results, arranged = flatten(self.function(*args, **kwargs))
        return [as_array(each) for each in results], arranged


@dataclass(frozen=True, eq=False)
class Call:
    """A form and what tracing it found. There is one for a form, so that it can stand for it in a key."""

    form: Form
    types: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]
    """The shape and element type of each result."""
    arranged: Tree
    """How the results are arranged."""


@lru_cache(maxsize=4096)
def call_of(form: Form) -> Call:
    """The call of a form. Raises CompileError, at the user's line, where its operands do not fit."""
    arranged: list[Tree] = []

    def run(arrays: Sequence[Array]) -> list[Array]:
        results, structure = form.replay(arrays)
        arranged.append(structure)
        return results

    operands = form.operands
    traced = trace(run, [each.spec for each in operands], [f"x{i}" for i in range(len(operands))])
    types = tuple([(shape_of(each), TO_NUMPY[element_of(each)]) for each in main_of(traced).function_type.outputs])
    return Call(form, types, arranged[0])


def main_of(traced: Traced) -> FuncOp:
    main = traced.module.body.block.first_op
    assert isinstance(main, FuncOp)
    return main


class Node:
    """A call that is to be made, or was: then it has values, and no operands any more."""

    __slots__ = ("call", "depth", "device", "handles", "operands", "values", "weak")

    def __init__(
        self, call: Call | None, operands: Sequence[Value], device: Device, values: Sequence[Buffer] | None = None
    ):
        self.call = call
        self.device = device
        """Where it is computed, and its values are; a number of Python goes with any."""
        self.operands = tuple(operands)
        self.values = values
        self.handles: list[ReferenceType[Any]] = []
        """The tensors that hold a result of it."""
        self.depth: int = 1 + max([node.depth for node, _ in operands], default=0)
        """The longest chain of calls that wait for one another, up to this one."""
        self.weak = False
        """Whether it is a Python number."""

    def has_holder(self) -> bool:
        """Whether anybody can ask for a result of it, other than by what depends on it."""
        return any(handle() is not None for handle in self.handles)

    def finish(self, values: Sequence[Buffer]) -> None:
        self.values, self.call, self.operands, self.depth = values, None, (), 0


Value = tuple[Node, int]
"""One result of a node."""


def known(array: Buffer, device: Device, weak: bool = False) -> Node:
    """A node that has its value, in the memory of a device, from the start."""
    made = Node(None, (), device, (array,))
    made.depth, made.weak = 0, weak
    return made


class Step(NamedTuple):
    """A call in a plan, and where its operands are: the results of step i are those numbered (i, 0), (i, 1), …

    The arrays that the plan is given are (-1, 0), (-1, 1), ….
    """

    call: Call
    operands: tuple[tuple[int, int], ...]


class Plan(NamedTuple):
    """Calls in an order in which they can be made, and which of them are asked for. It is a key: no arrays in it."""

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    """The steps whose results are kept."""
    inputs: tuple[Operand, ...]

    def trace(self) -> Traced:
        """The program that makes these calls."""

        def run(arrays: Sequence[Array]) -> list[Array]:
            results: dict[int, Sequence[Array]] = {-1: arrays}
            for number, step in enumerate(self.steps):
                results[number], _ = step.call.form.replay([results[i][j] for i, j in step.operands])
            return [each for number in self.outputs for each in results[number]]

        return trace(run, [each.spec for each in self.inputs], [f"x{i}" for i in range(len(self.inputs))])


def plan_of(wanted: Node) -> tuple[Plan, list[Node], list[Buffer]]:
    """What is to be done for a node: the plan, the nodes whose values it gives, and the arrays that it takes.

    Calls on the way whose results somebody still holds are kept too, so that nothing is computed twice.
    """
    steps: list[Step] = []
    kept: list[Node] = []
    outputs: list[int] = []
    inputs: list[Operand] = []
    arrays: list[Buffer] = []
    places: dict[Node, int] = {}
    given: dict[tuple[Node, int], int] = {}
    for node in in_order(wanted):
        assert node.call is not None
        operands: list[tuple[int, int]] = []
        for value in node.operands:
            source, index = value
            if source.values is None:
                operands.append((places[source], index))
                continue
            if value not in given:
                given[value] = len(arrays)
                array = source.values[index]
                arrays.append(array)
                inputs.append(Operand(array.shape, array.dtype, source.weak))
            operands.append((-1, given[value]))
        places[node] = len(steps)
        if node is wanted or node.has_holder():
            outputs.append(len(steps))
            kept.append(node)
        steps.append(Step(node.call, tuple(operands)))
    return Plan(tuple(steps), tuple(outputs), tuple(inputs)), kept, arrays


def in_order(wanted: Node) -> list[Node]:
    """The calls that a node waits for and itself, each after those that it needs."""
    order: list[Node] = []
    seen: set[Node] = set()
    waiting = [(wanted, False)]
    while waiting:
        node, ready = waiting.pop()
        if ready:
            order.append(node)
        elif node.values is None and node not in seen:
            seen.add(node)
            waiting.append((node, True))
            waiting.extend([(source, False) for source, _ in reversed(node.operands)])
    return order
