"""Tiling as a broadcast."""

from __future__ import annotations

from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml import shaping as ml
from xmlc.passes.decompose.operands import known_shape


def tile(op: ml.TileOp) -> SSAValue:
    """(m, n) as (1, m, 1, n), broadcast to (repeats[0], m, repeats[1], n), under the shape of the result"""
    shape, repeats = known_shape(op, op.x), op.repeats.get_values()
    apart = F.reshape(op.x, [size for extent in shape for size in (1, extent)])
    repeated = F.broadcast(apart, [size for pair in zip(repeats, shape) for size in pair])
    return F.reshape(repeated, known_shape(op, op.out))


DECOMPOSITIONS = {ml.TileOp: tile}
