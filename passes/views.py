"""Buffers and views of them: from a value that only says how memory is seen to the buffer, and how its elements lie."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from xdsl.dialects import memref
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, OpResult, SSAValue

VIEWS = (
    memref.CastOp,
    memref.CollapseShapeOp,
    memref.ExpandShapeOp,
    memref.ReinterpretCastOp,
    memref.SubviewOp,
)
"""Ops that only say how memory is seen."""


def root(value: SSAValue) -> SSAValue:
    """The buffer that a value is a view of."""
    while isinstance(value, OpResult) and isinstance(value.op, VIEWS):
        value = value.op.operands[0]
    return value


def buffer_type(value: SSAValue) -> MemRefType[Attribute]:
    """The type of a value that is known to be a buffer."""
    return cast("MemRefType[Attribute]", value.type)


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The shape of a value that is known to be a buffer."""
    return tuple(buffer_type(value).get_shape())


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The steps of loops that run through memory one inside the other: the strides of a buffer without gaps."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def contiguous_root(value: SSAValue) -> bool:
    """Whether a buffer is seen through views that keep its elements in order."""
    kind = buffer_type(root(value))
    strides = kind.get_strides()
    return strides is not None and kind.get_offset() == 0 and strides == row_major(kind.get_shape())
