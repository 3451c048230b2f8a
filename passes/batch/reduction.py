"""Batches of ops that fold, scan or order elements."""

from __future__ import annotations

from xdsl.ir import Operation

from xmlc.dialects.ml import reduction as ml
from xmlc.passes.batch.batching import Row, along, over


def row(op: type[Operation]) -> Row:
    return over if issubclass(op, ml.ReduceOp) else along


ROWS: dict[type[Operation], Row] = {op: row(op) for op in ml.REDUCTION}
