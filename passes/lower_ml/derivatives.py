"""A barrier at the linalg level: the value itself, since no pass from here on looks for what is computed twice."""

from __future__ import annotations

from xdsl.ir import SSAValue

from xmlc.dialects.ml import derivatives as ml


def barrier(op: ml.BarrierOp, x: SSAValue) -> SSAValue:
    return x


LOWER = {ml.BarrierOp: barrier}
