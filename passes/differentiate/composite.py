"""Gradients of softmax. Normalisations and attention have none of their own: those of what they are made of serve."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import composite as ml
from xmlc.dialects.ml import functions as F
from xmlc.passes.differentiate.shaping import Pulled


def softmax(op: ml.SoftmaxOp, g: SSAValue) -> Pulled:
    """y * (g - sum of g * y)"""
    weighted = F.reduce_sum(F.mul(g, op.out), (op.axis.value.data,), keep_dims=True)
    return (F.mul(op.out, F.sub(g, weighted)),)


def log_softmax(op: ml.LogSoftmaxOp, g: SSAValue) -> Pulled:
    """g - e^y * sum of g"""
    total = F.reduce_sum(g, (op.axis.value.data,), keep_dims=True)
    return (F.sub(g, F.mul(F.exp(op.out), total)),)


GRADIENTS: dict[type[Operation], Callable[..., Pulled]] = {
    ml.SoftmaxOp: softmax,
    ml.LogSoftmaxOp: log_softmax,
}
