"""Checked access to arrays, shared by the rows of tensor, memref, vector and linalg."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, DenseIntOrFPElementsAttr
from xdsl.ir import Operation
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineSymExpr,
)

from xmlc.dialects.reference.interpreter import Array, InterpreterError, dtype_of


def dense(attribute: DenseIntOrFPElementsAttr) -> Array:
    """The array a dense attribute holds; read-only."""
    dtype = dtype_of(attribute.type)
    array = np.frombuffer(attribute.data.data, dtype)
    shape = attribute.get_shape()
    return np.broadcast_to(array.reshape(()), shape) if array.size == 1 else array.reshape(shape)


def indices(op: Operation, array: Array, wanted: Sequence[Any]) -> tuple[Any, ...]:
    """The indices, each an int or an array of ints, if they are all inside the array; an error otherwise."""
    if len(wanted) != array.ndim:
        raise InterpreterError(op, f"found {len(wanted)} indices for an array of rank {array.ndim}")
    for axis, (index, size) in enumerate(zip(wanted, array.shape)):
        inside = 0 <= index < size if np.ndim(index) == 0 else bool(np.all((index >= 0) & (index < size)))
        if not inside:
            outside = index if np.ndim(index) == 0 else index[(index < 0) | (index >= size)][0]
            raise InterpreterError(op, f"index {outside} is out of bounds of dimension {axis}, of size {size}")
    return tuple(wanted)


def mixed(static: DenseArrayBase[Any], dynamic: Sequence[Any]) -> list[int]:
    """Static sizes with the dynamic ones filled in, in order."""
    remaining = iter(dynamic)
    return [int(next(remaining)) if each == DYNAMIC_INDEX else int(each) for each in static.get_values()]


def window(op: Operation, array: Array, offsets: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> Array:
    """The view array[offset : offset + size * stride : stride] of every dimension, checked."""
    for axis, (offset, size, stride, extent) in enumerate(zip(offsets, sizes, strides, array.shape)):
        last = offset + (size - 1) * stride
        if size and not (0 <= offset < extent and 0 <= last < extent):
            raise InterpreterError(
                op, f"slice from {offset} to {last} is out of bounds of dimension {axis}, of size {extent}"
            )
    slices: list[slice[Any, Any, Any]] = []
    for offset, size, stride in zip(offsets, sizes, strides):
        stop = offset + size * stride
        slices.append(slice(offset, stop if stop >= 0 else None, stride) if size else slice(0, 0))
    return array[tuple(slices)]


def viewed(op: Operation, array: Array, shape: Sequence[int]) -> Array:
    """The array seen in another shape, never a copy."""
    result = array.reshape(shape)
    if array.size and not np.may_share_memory(result, array):
        raise InterpreterError(op, f"a buffer of strides {array.strides} cannot be seen as shape {tuple(shape)}")
    return result


def affine(expression: AffineExpr, dims: Sequence[Any], symbols: Sequence[Any] = ()) -> Any:
    """The value of an affine expression over ints or arrays of ints."""
    match expression:
        case AffineConstantExpr():
            return expression.value
        case AffineDimExpr():
            return dims[expression.position]
        case AffineSymExpr():
            return symbols[expression.position]
        case AffineBinaryOpExpr():
            lhs, rhs = affine(expression.lhs, dims, symbols), affine(expression.rhs, dims, symbols)
            match expression.kind:
                case AffineBinaryOpKind.Add:
                    return lhs + rhs
                case AffineBinaryOpKind.Mul:
                    return lhs * rhs
                case AffineBinaryOpKind.Mod:
                    return lhs % rhs
                case AffineBinaryOpKind.FloorDiv:
                    return lhs // rhs
                case AffineBinaryOpKind.CeilDiv:
                    return -(-lhs // rhs)
        case _:
            raise TypeError(f"unknown affine expression {expression}")
