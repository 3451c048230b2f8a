"""What the ops of `toy` compute. Printing writes to `sys.stdout`; a struct is a tuple of its members."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any, cast

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
    return tuple(value_of(member) for member in cast("ArrayAttr[Attribute]", attribute))


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


def reduce_sum(op: toy.ReduceSumOp, x: Tensor) -> Tensor:
    return np.asarray(np.sum(x, axis=op.axis.value.data))


def concat(op: toy.ConcatOp, x: Tensor, y: Tensor) -> Tensor:
    return np.concatenate([x, y], axis=op.axis.value.data)


def matmul(op: toy.MatmulOp, x: Tensor, y: Tensor) -> Tensor:
    return x @ y


def transpose(op: toy.TransposeOp, x: Tensor) -> Tensor:
    return np.transpose(x)


def reshape(op: toy.ReshapeOp, x: Tensor) -> Tensor:
    return np.reshape(x, toy.known(op.out.type))


def broadcast(op: toy.BroadcastOp, x: Tensor) -> Tensor:
    return np.broadcast_to(x, toy.known(op.out.type))


def constant(op: toy.ConstantOp) -> Tensor:
    return toy.numbers_of(op.value)


def cast_(frame: Frame, op: toy.CastOp) -> None:
    frame.set(op, frame[op.arg])


def binary(function: Callable[[Any, Any], Any]) -> Callable[[toy.BinaryOp, Tensor, Tensor], Tensor]:
    return lambda op, x, y: function(x, y)


REFERENCE = {
    toy.ConstantOp: constant,
    toy.AddOp: binary(operator.add),
    toy.SubOp: binary(operator.sub),
    toy.MulOp: binary(operator.mul),
    toy.MatmulOp: matmul,
    toy.TransposeOp: transpose,
    toy.ReshapeOp: reshape,
    toy.BroadcastOp: broadcast,
    toy.ReduceSumOp: reduce_sum,
    toy.ConcatOp: concat,
    toy.PrintOp: print_,
}
EVALUATE = {
    toy.CastOp: cast_,
    toy.StructConstantOp: struct_constant,
    toy.StructAccessOp: struct_access,
    toy.GenericCallOp: call,
}
