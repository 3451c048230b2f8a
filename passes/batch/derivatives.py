"""Batches of ops that say how to differentiate: they say it of the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import derivatives as ml
from xmlc.dialects.ml.control import yielded
from xmlc.passes.batch.batching import Batching, same


def checkpoint(batching: Batching, op: ml.CheckpointOp) -> Sequence[SSAValue]:
    return ml.CheckpointOp(batching.region(op.body, ())).results


def custom_gradient(batching: Batching, op: ml.CustomGradientOp) -> Sequence[SSAValue]:
    inputs = batching.fulls(op.inputs)
    body = batching.region(op.body, [(value.type, True) for value in inputs])
    given = yielded(body, "body")
    types = [*given[op.values :], *given[: op.values]]
    gradient = batching.region(op.gradient, [(type, True) for type in types])
    return ml.CustomGradientOp(inputs, body, gradient, op.kept.value.data).results


ROWS: dict[type[Operation], Callable[[Batching, Any], Sequence[SSAValue] | None]] = {
    ml.StopGradientOp: same,
    ml.BarrierOp: same,
    ml.CheckpointOp: checkpoint,
    ml.CustomGradientOp: custom_gradient,
}
