"""ONNX operators on sequences of tensors; how long a sequence is, is known at import."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import numpy as np
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import rank_of, shape_of
from xmlc.frontend.onnx.operator import Node, Sequence
from xmlc.frontend.onnx.operators.shaping import integers, positive, split
from xmlc.frontend.onnx.tensors import Array
from xmlc.frontend.onnx.values import Value


def SequenceConstruct(*operands: Value) -> Sequence:
    return Sequence(operands)


def SequenceEmpty(*, dtype: int = 1) -> Sequence:
    return Sequence(())


def place(position: Array | None, length: int, default: int) -> int:
    """A position counted from the front; CompileError for one out of range."""
    index = default if position is None else int(position.reshape(()))
    if not -length <= index <= length:
        raise CompileError(f"position {index} is out of range for a sequence of {length}")
    return index + length if index < 0 else index


def SequenceInsert(sequence: Sequence, tensor: Value, position: Array | None = None) -> Sequence:
    at = place(position, len(sequence.items), len(sequence.items))
    return Sequence((*sequence.items[:at], tensor, *sequence.items[at:]))


def SequenceErase(sequence: Sequence, position: Array | None = None) -> Sequence:
    at = place(position, len(sequence.items), len(sequence.items) - 1)
    return Sequence((*sequence.items[:at], *sequence.items[at + 1 :]))


def SequenceAt(sequence: Sequence, position: Array) -> Value:
    at = place(position, len(sequence.items), 0)
    if at == len(sequence.items):
        raise CompileError(f"position {at} is out of range for a sequence of {at}")
    return sequence.items[at]


def SequenceLength(sequence: Sequence) -> Array:
    return np.array(len(sequence.items), np.int64)


def ConcatFromSequence(sequence: Sequence, *, axis: int, new_axis: int = 0) -> SSAValue:
    tensors = [item.tensor() for item in sequence.items]
    if not tensors:
        raise CompileError("cannot concatenate an empty sequence")
    if not new_axis:
        return F.concat(tensors, axis)
    shape = list(shape_of(tensors[0]))
    (axis,) = positive((axis,), len(shape) + 1)
    shape.insert(axis, 1)
    return F.concat([F.reshape(tensor, shape) for tensor in tensors], axis)


def SplitToSequence(
    x: SSAValue, sizes: Array | None = None, *, axis: int = 0, keepdims: int = 1, node: Node
) -> Sequence:
    """Pieces of the given sizes; without sizes, single slices, whose axis goes unless `keepdims`."""
    (axis,) = positive((axis,), rank_of(x))
    length = shape_of(x)[axis]
    pieces: Ordered[int]
    if sizes is None:
        pieces = [1] * length
    elif sizes.ndim == 0:
        pieces = [min(int(sizes.reshape(())), length - start) for start in range(0, length, int(sizes.reshape(())))]
    else:
        pieces = integers(sizes)
    results = split(x, axis, pieces)
    if sizes is None and not keepdims:
        shape = [size for i, size in enumerate(shape_of(x)) if i != axis]
        results = tuple(F.reshape(result, shape) for result in results)
    return Sequence(tuple(node.value(result) for result in results))
