"""What `bufferization` means: a tensor is the contents of a buffer at the moment it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.dialects import bufferization
from xdsl.ir import Operation

from xmlc.dialects.reference.interpreter import Array, Frame, dtype_of, uninitialized
from xmlc.dialects.reference.tensor import sized


def copied(op: Operation, x: Array) -> Array:
    return x.copy()


def allocate(frame: Frame, op: bufferization.AllocTensorOp) -> None:
    if op.copy is not None:
        frame.set(op, frame[op.copy].copy())
        return
    found: Any = op.tensor.type
    shape = sized(found.get_shape(), tuple(frame.get(op.dynamic_sizes)))
    frame.set(op, uninitialized(shape, dtype_of(found)))


def materialize(frame: Frame, op: bufferization.MaterializeInDestinationOp) -> None:
    source = frame[op.source]
    if op.result is not None:
        frame.set(op, source)
        return
    frame[op.dest][...] = source


REFERENCE: dict[type[Operation], Callable[..., Any]] = {
    bufferization.ToTensorOp: copied,
    bufferization.ToBufferOp: copied,
    bufferization.CloneOp: copied,
}
EVALUATE = {bufferization.AllocTensorOp: allocate, bufferization.MaterializeInDestinationOp: materialize}
