"""The calling convention of a compiled module, as data: what each argument of its entry point is.

The entry point takes in this order: inputs, weights, free sizes, outputs, arena. An output that is made in the place of
an input has no argument of its own. An array is a bare pointer, followed
by those of its sizes that are not known when it is compiled; a free size is a 64-bit integer. The record is made from
the entry function while it still has tensors, travels with the machine code, and serves every way to call it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DictionaryAttr,
    IntegerAttr,
    MemRefType,
    StringAttr,
    TensorType,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.dtypes import FROM_NUMPY, TO_NUMPY
from xmlc.dialects.sizes import Size, read_size, sizes_of

PREPARE = "prepare"
"""The function that the pass `hoist-weights` makes: weights -> what @main takes in their place; run once, at load."""
NAME, WEIGHT, SYMBOLS = "ml.name", "ml.weight", "ml.symbols"
"""Attributes of arguments and results: what the user calls it; whether it is a weight; its sizes' names."""
SIZE = "ml.size"
"""Attribute of an argument that is a free size: its name."""
OUTPUT, ARENA = "xmlc.output", "xmlc.arena"
"""Attributes of arguments that take results, and of the one that is memory for intermediate results."""
IN_PLACE = "xmlc.in_place"
"""Attribute of an argument that a result is written to: the result's number."""


@dataclass(frozen=True)
class Tensor:
    """One array: its name, element type, sizes (`DYNAMIC_INDEX` where free) and what each of these is.

    Of an input it is the name of the free size, if it has one; a compiled program says in terms of these names what
    the sizes of its results are: `2*batch`.
    """

    name: str
    element: str
    shape: tuple[int, ...]
    symbols: tuple[str | None, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type of the elements."""
        return ELEMENTS[self.element]

    @property
    def sizes(self) -> tuple[int | str | None, ...]:
        """The shape, with the name of each free size, or None where it has none."""
        names = self.symbols or (None,) * len(self.shape)
        return tuple(name if size == DYNAMIC_INDEX else size for size, name in zip(self.shape, names))

    def __str__(self) -> str:
        sizes = "".join(f"{'?' if size == DYNAMIC_INDEX else size}x" for size in self.shape)
        return f"{self.name}: tensor<{sizes}{self.element}>"


ELEMENTS: dict[str, np.dtype[Any]] = {str(element): TO_NUMPY[element] for element in FROM_NUMPY.values()}


@dataclass(frozen=True)
class Signature:
    """What an entry point takes and gives."""

    entry: str
    inputs: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    sizes: tuple[str, ...] = ()
    """The names of its free sizes, in the order it takes them."""
    assumptions: tuple[str, ...] = ()
    """What must not be negative, in terms of the free sizes, for the program to be right."""
    in_place: tuple[tuple[int, int], ...] = ()
    """(input, output) numbers of outputs that are written to the memory of an input, which the caller gives away."""

    @property
    def own_outputs(self) -> tuple[Tensor, ...]:
        """The outputs that have memory of their own."""
        shared = {output for _, output in self.in_place}
        return tuple(spec for number, spec in enumerate(self.outputs) if number not in shared)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Signature:
        data: dict[str, Any] = json.loads(text)
        lists = {key: tuple(read_tensor(each) for each in data[key]) for key in ("inputs", "weights", "outputs")}
        texts = {key: tuple(data[key]) for key in ("sizes", "assumptions")}
        return cls(data["entry"], **lists, **texts, in_place=tuple(map(tuple, data["in_place"])))


@dataclass(frozen=True)
class EntryPoint:
    """A function of compiled code that can be called: its signature, and how much memory its arena takes."""

    signature: Signature
    arena_bytes: int
    """A number, or a size that depends on the free ones."""


def read_tensor(data: dict[str, Any]) -> Tensor:
    return Tensor(data["name"], data["element"], tuple(data["shape"]), tuple(data["symbols"]))


def signature_of(function: FuncOp) -> Signature:
    """The signature of a function on tensors, or on the memrefs they became.

    Raises CompileError for a parameter or result that is neither, or where an input follows a weight.
    """
    inputs: list[Tensor] = []
    weights: list[Tensor] = []
    outputs: list[Tensor] = []
    for i, type in enumerate(function.function_type.inputs):
        attributes = attributes_at(function.arg_attrs, i)
        if ARENA in attributes:
            continue
        if OUTPUT in attributes:
            outputs.append(tensor_of(function, type, attributes, f"output{len(outputs)}"))
            continue
        made = tensor_of(function, type, attributes, f"input{i}")
        (weights if WEIGHT in attributes else inputs).append(made)
        if weights and WEIGHT not in attributes:
            message = (
                f"the input '{made.name}' of @{function.sym_name.data} comes after the weight '{weights[-1].name}'"
            )
            raise CompileError(message, place=place_of(function.location), hint="weights come after all inputs")
    for i, type in enumerate(function.function_type.outputs):
        outputs.append(tensor_of(function, type, attributes_at(function.res_attrs, i), f"output{i}"))
    in_place = in_place_of(function)
    if not function.function_type.outputs.data:  # results are in buffers already
        for number, output in sorted(in_place, key=lambda pair: pair[1]):
            outputs.insert(output, replace(inputs[number], name=f"output{output}"))
    return Signature(function.sym_name.data, tuple(inputs), tuple(weights), tuple(outputs), in_place=in_place)


def in_place_of(function: FuncOp) -> tuple[tuple[int, int], ...]:
    """Numbers of the inputs that results are written to, with those of the results."""
    attributes = function.arg_attrs.data if function.arg_attrs else ()
    found = [(i, each.data.get(IN_PLACE)) for i, each in enumerate(attributes)]
    return tuple((i, number.value.data) for i, number in found if isinstance(number, IntegerAttr))


def attributes_at(attributes: ArrayAttr[DictionaryAttr] | None, position: int) -> dict[str, Attribute]:
    return dict(attributes.data[position].data) if attributes else {}


def tensor_of(function: FuncOp, type: Attribute, attributes: dict[str, Attribute], default: str) -> Tensor:
    name, symbols = attributes.get(NAME), attributes.get(SYMBOLS)
    named = tuple(
        each.data or None if isinstance(each, StringAttr) else None
        for each in (symbols.data if isinstance(symbols, ArrayAttr) else ())  # pyright: ignore
    )
    called = name.data if isinstance(name, StringAttr) else default
    if not isinstance(type, TensorType | MemRefType) or str(type.element_type) not in ELEMENTS:  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        message = f"the {default.rstrip('0123456789')} '{called}' of @{function.sym_name.data} is {type}"
        raise CompileError(message, place=place_of(function.location), hint="a program takes and gives tensors")
    shape: tuple[int, ...] = type.get_shape()
    if isinstance(type, TensorType) and (sizes := sizes_of(type.encoding)) is not None:  # pyright: ignore
        named = tuple(str(size) if isinstance(size, Size) else None for size in sizes)
    return Tensor(called, str(type.element_type), shape, named)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def arena_bytes(function: FuncOp) -> int:
    """How much memory for intermediate results `plan-memory` found the function to need."""
    size = function.attributes.get("xmlc.arena_bytes")
    if isinstance(size, StringAttr):
        return read_size(size.data)
    return size.value.data if isinstance(size, IntegerAttr) else 0


def completed(signature: Signature, lowered: FuncOp, assumptions: Sequence[int]) -> Signature:
    """The signature with what is known after all passes: free sizes, what is assumed of them, outputs in place."""
    attributes = lowered.arg_attrs.data if lowered.arg_attrs else ()
    names = [each.data.get(SIZE) for each in attributes]
    return replace(
        signature,
        sizes=tuple(name.data for name in names if isinstance(name, StringAttr)),
        assumptions=tuple(map(str, assumptions)),
        in_place=in_place_of(lowered),
    )
