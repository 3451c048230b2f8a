"""Views of buffers: from a value that only says how memory is seen to the buffer."""

from __future__ import annotations

from xdsl.dialects import memref
from xdsl.ir import OpResult, SSAValue

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
