"""Ops that say how to differentiate, as what they compute. A barrier stays until kernels are formed."""

from __future__ import annotations

from xdsl.ir import SSAValue

from xmlc.dialects.ml import derivatives as ml
from xmlc.passes.copies import copy_ops


def stop_gradient(op: ml.StopGradientOp) -> SSAValue:
    return op.x


def checkpoint(op: ml.CheckpointOp) -> list[SSAValue]:
    return copy_ops(op.body.block, ())


def custom_gradient(op: ml.CustomGradientOp) -> list[SSAValue]:
    return copy_ops(op.body.block, op.inputs)


DECOMPOSITIONS = {
    ml.StopGradientOp: stop_gradient,
    ml.CheckpointOp: checkpoint,
    ml.CustomGradientOp: custom_gradient,
}
