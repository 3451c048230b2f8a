"""Batches of softmax, normalisations and attention; what has batched parameters as well is decomposed."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import composite as ml
from xmlc.passes.batch.batching import Batching, Row, along, in_rows, merged, only_first_along, only_first_in_rows


def attention(batching: Batching, op: ml.AttentionOp) -> Sequence[SSAValue] | None:
    """All batches as one; not with a mask, which need not have a batch of its own."""
    if op.mask is not None:
        return None
    return in_rows(batching, op, [merged(value) for value in batching.fulls(op.operands)])


ROWS: dict[type[Operation], Row] = {
    ml.SoftmaxOp: along,
    ml.LogSoftmaxOp: along,
    ml.LayerNormOp: only_first_along,
    ml.RmsNormOp: only_first_along,
    ml.BatchNormOp: only_first_in_rows,
    ml.GroupNormOp: only_first_in_rows,
    ml.InstanceNormOp: only_first_in_rows,
    ml.AttentionOp: attention,  # pyright: ignore[reportAssignmentType]
}
