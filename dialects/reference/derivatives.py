"""What the ops that say how to differentiate mean: what their operands or bodies give."""

from __future__ import annotations

from xmlc.dialects.ml import derivatives as ml
from xmlc.dialects.reference.interpreter import Frame


def identity(frame: Frame, op: ml.IdentityOp) -> None:
    frame.set(op, frame[op.x])


def checkpoint(frame: Frame, op: ml.CheckpointOp) -> None:
    frame.set(op, *frame.run(op.body))


def custom_gradient(frame: Frame, op: ml.CustomGradientOp) -> None:
    frame.set(op, *frame.run(op.body, *frame.get(op.inputs)))


EVALUATE = {
    ml.StopGradientOp: identity,
    ml.BarrierOp: identity,
    ml.CheckpointOp: checkpoint,
    ml.CustomGradientOp: custom_gradient,
}
