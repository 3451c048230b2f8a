"""The calling convention of a compiled module, as data: what each argument of its entry point is.

The entry point takes bare pointers in this order: inputs, weights, outputs, arena. The record is made from the
entry function while it still has tensors, travels with the machine code, and serves every way to call it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from xmlc.dialects.dtypes import FROM_NUMPY, TO_NUMPY
from xmlc.dialects.ml.types import DYNAMIC, element_of, shape_of

NAME, WEIGHT, SYMBOLS = "ml.name", "ml.weight", "ml.symbols"
"""Attributes of arguments and results: what the user calls it; whether it is a weight; its sizes' names."""


@dataclass(frozen=True)
class Tensor:
    """One array: its name, element type, sizes (-1 where free) and, where the source names them, symbols."""

    name: str
    element: str
    shape: tuple[int, ...]
    symbols: tuple[str | None, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type of the elements."""
        return ELEMENTS[self.element]

    def __str__(self) -> str:
        sizes = "".join(f"{'?' if size == DYNAMIC else size}x" for size in self.shape)
        return f"{self.name}: tensor<{sizes}{self.element}>"


ELEMENTS: dict[str, np.dtype[Any]] = {str(element): TO_NUMPY[element] for element in FROM_NUMPY.values()}


@dataclass(frozen=True)
class Signature:
    """What an entry point takes and gives."""

    entry: str
    inputs: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Signature:
        data: dict[str, Any] = json.loads(text)
        lists = {key: tuple(read_tensor(each) for each in data[key]) for key in ("inputs", "weights", "outputs")}
        return cls(data["entry"], **lists)


def read_tensor(data: dict[str, Any]) -> Tensor:
    return Tensor(data["name"], data["element"], tuple(data["shape"]), tuple(data["symbols"]))


def signature_of(function: FuncOp) -> Signature:
    """The signature of a function on tensors. Arguments marked as weights must come after all others."""
    inputs: list[Tensor] = []
    weights: list[Tensor] = []
    for i, type in enumerate(function.function_type.inputs):
        attributes = attributes_at(function.arg_attrs, i)
        made = tensor_of(type, attributes, f"input{i}")
        (weights if WEIGHT in attributes else inputs).append(made)
        assert WEIGHT in attributes or not weights, "weights come after the inputs"
    outputs = [
        tensor_of(type, attributes_at(function.res_attrs, i), f"output{i}")
        for i, type in enumerate(function.function_type.outputs)
    ]
    return Signature(function.sym_name.data, tuple(inputs), tuple(weights), tuple(outputs))


def attributes_at(attributes: ArrayAttr[DictionaryAttr] | None, position: int) -> dict[str, Attribute]:
    return dict(attributes.data[position].data) if attributes else {}


def tensor_of(type: Attribute, attributes: dict[str, Attribute], default: str) -> Tensor:
    name, symbols = attributes.get(NAME), attributes.get(SYMBOLS)
    named = tuple(
        each.data if isinstance(each, StringAttr) else None
        for each in (symbols.data if isinstance(symbols, ArrayAttr) else ())  # pyright: ignore
    )
    return Tensor(
        name.data if isinstance(name, StringAttr) else default, str(element_of(type)), shape_of(type), named
    )


def arena_bytes(function: FuncOp) -> int:
    """How much memory for intermediate results `plan-memory` found the function to need."""
    size = function.attributes.get("xmlc.arena_bytes")
    return size.value.data if isinstance(size, IntegerAttr) else 0
