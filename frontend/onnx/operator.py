"""An ONNX operator as a Python function: what its signature says about operands and attributes.

An operator is a public function whose name is the operator's, or the operator's name, `_` and the first opset it
holds for: `Softmax` holds from the first opset on, `Softmax_13` replaces it from opset 13. Positional parameters
are the operands, keyword-only ones the attributes. A positional parameter's annotation says what it takes:

- `SSAValue`: a tensor of the program;
- `Array`: an array known at import (shapes, axes, paddings);
- `Value`: either; the operator asks for `.array` or `.tensor()`;
- `Sequence`: a sequence of tensors; `Value | Sequence` takes both.

`| None` marks one that may be left out. A keyword-only parameter annotated `Node` receives the node's own facts.
The function returns an `SSAValue`, an array, a `Value` or a `Sequence`, or a tuple of them, one for each output;
`NotImplemented` leaves the node to the operator's own definition in ONNX, by simpler operators.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from xdsl.ir import SSAValue

from xmlc.frontend.onnx.tensors import Array
from xmlc.frontend.onnx.values import Facts, Value


@dataclass(frozen=True)
class Sequence:
    """A sequence whose length is known at import."""

    items: tuple[Value, ...]


@dataclass(frozen=True)
class Node:
    """The facts of a node that few operators need."""

    name: str
    opset: int
    facts: Facts
    outputs: tuple[bool, ...]
    """Which outputs the graph uses, by position."""

    def wants(self, index: int) -> bool:
        return index < len(self.outputs) and self.outputs[index]

    def value(self, result: SSAValue | Array) -> Value:
        """A result as a value that other operators can take."""
        if isinstance(result, SSAValue):
            return Value(self.facts, self.name, ssa=result, array=self.facts.arrays.get(result))
        return Value(self.facts, self.name, array=result)


class Failed(Exception):
    """A graph cannot be imported here and in this way; another way may do."""


class Body(Protocol):
    """A graph attribute: a branch, or the body of a loop."""

    def __call__(self, *operands: Value | Sequence | SSAValue | Array) -> tuple[Value | Sequence, ...]:
        """Import the nodes here, for these inputs; the outputs."""
        ...

    def output_count(self) -> int: ...

    def trial(self) -> AbstractContextManager[None]:
        """Within it, problems of the graph are not reported but raise Failed."""
        ...


class Kind(Enum):
    """What a positional parameter takes."""

    TENSOR = "a tensor"
    KNOWN = "an array known at import"
    VALUE = "a tensor, known or not"
    SEQUENCE = "a sequence"
    ANY = "a tensor or a sequence"


KINDS = {SSAValue: Kind.TENSOR, Array: Kind.KNOWN, Value: Kind.VALUE, Sequence: Kind.SEQUENCE}


@dataclass(frozen=True)
class Parameter:
    """One positional parameter."""

    name: str
    kind: Kind
    optional: bool


@dataclass(frozen=True)
class Operator:
    """One version of an operator: the function and what its signature says."""

    name: str
    since: int
    function: Callable[..., Any] = field(repr=False)
    parameters: tuple[Parameter, ...]
    rest: Kind | None
    attributes: frozenset[str]
    required: frozenset[str]
    node: str | None


def operators_of(module: types.ModuleType) -> Iterator[Operator]:
    """The operators a module defines: its public functions whose name begins with a capital."""
    for name, function in vars(module).items():
        if name[:1].isupper() and inspect.isfunction(function) and function.__module__ == module.__name__:
            head, _, version = name.rpartition("_")
            yield read_operator(*((head, int(version)) if version.isdigit() else (name, 1)), function)


def read_operator(name: str, since: int, function: Callable[..., Any]) -> Operator:
    """The signature of an operator's function."""
    hints = typing.get_type_hints(function)
    parameters: list[Parameter] = []
    rest: Kind | None = None
    attributes: set[str] = set()
    required: set[str] = set()
    node: str | None = None
    for each in inspect.signature(function).parameters.values():
        hint = hints[each.name]
        if each.kind is each.VAR_POSITIONAL:
            rest = kind_of(hint)[0]
        elif each.kind is not each.KEYWORD_ONLY:
            parameters.append(Parameter(each.name, *kind_of(hint)))
        elif hint is Node:
            node = each.name
        else:
            attributes.add(each.name)
            if each.default is each.empty:
                required.add(each.name)
    return Operator(name, since, function, tuple(parameters), rest, frozenset(attributes), frozenset(required), node)


def kind_of(hint: Any) -> tuple[Kind, bool]:
    """What an annotation asks for, and whether `| None` allows the operand to be left out."""
    choices = set(typing.get_args(hint)) if isinstance(hint, types.UnionType) else {hint}
    optional = type(None) in choices
    wanted = choices - {type(None)}
    if wanted == {Value, Sequence}:
        return Kind.ANY, optional
    (choice,) = wanted
    return KINDS[choice], optional
