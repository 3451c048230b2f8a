"""What the ops of `toy` compute. Printing writes to `sys.stdout`; a struct is a tuple of its members."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ArrayAttr, DenseIntOrFPElementsAttr
from xdsl.ir import Attribute
from xmlc.dialects import toy
from xmlc.dialects.reference.interpreter import Frame

Tensor = NDArray[np.float64]


def value_of(attribute: Attribute) -> Any:
    """A constant's array, or the tuple of a struct's members."""
    if isinstance(attribute, DenseIntOrFPElementsAttr):
        return toy.numbers_of(attribute)  # pyright: ignore[reportUnknownArgumentType]
    assert isinstance(attribute, ArrayAttr)
    members: tuple[Attribute, ...] = attribute.data  # pyright: ignore[reportUnknownMemberType]
    return tuple(value_of(member) for member in members)


def struct_constant(frame: Frame, op: toy.StructConstantOp) -> None:
    frame.set(op, value_of(op.value))


def struct_access(frame: Frame, op: toy.StructAccessOp) -> None:
    frame.set(op, frame[op.arg][op.index.value.data])


def call(frame: Frame, op: toy.GenericCallOp) -> None:
    frame.set(op, *frame.call(op, op.callee.root_reference.data, frame.get(op.arguments)))


def print_(op: toy.PrintOp, x: Tensor) -> tuple[()]:
    sys.stdout.write(printed(x))
    return ()


def printed(x: Tensor) -> str:
    """The text that printing writes: `%f` and a space an element, a newline after each part of the first axis
    (and so after each row, and once more after each matrix of rank 3), none after a vector or a number."""
    if x.ndim < 2:
        return "".join(f"{number:f} " for number in x.flat)
    return "".join(printed(part) + "\n" for part in x)


REFERENCE = {
    toy.ConstantOp: lambda op: value_of(op.value),
    toy.AddOp: lambda op, x, y: x + y,
    toy.SubOp: lambda op, x, y: x - y,
    toy.MulOp: lambda op, x, y: x * y,
    toy.MatmulOp: lambda op, x, y: x @ y,
    toy.TransposeOp: lambda op, x: np.transpose(x),
    toy.ReshapeOp: lambda op, x: np.reshape(x, toy.known(op.out.type)),
    toy.BroadcastOp: lambda op, x: np.broadcast_to(x, toy.known(op.out.type)),
    toy.ReduceSumOp: lambda op, x: np.sum(x, axis=op.axis.value.data),
    toy.ConcatOp: lambda op, x, y: np.concatenate([x, y], axis=op.axis.value.data),
    toy.CastOp: lambda op, x: x,
    toy.PrintOp: print_,
}
EVALUATE = {
    toy.StructConstantOp: struct_constant,
    toy.StructAccessOp: struct_access,
    toy.GenericCallOp: call,
}
