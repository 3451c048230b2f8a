"""Transposes of square blocks held in vector registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects import vector
from xdsl.dialects.builtin import DenseArrayBase, VectorType, i64
from xdsl.ir import Attribute, SSAValue

from xmlc.passes.contractions.emitter import Emitter


def transposed(emitter: Emitter, rows: Sequence[SSAValue]) -> list[SSAValue]:
    """out[i][j] = rows[j][i], for as many vectors as each has lanes, a power of two.

    Each of log2(lanes) rounds interleaves every vector of the first half with its partner in the second.
    """
    lanes = len(rows)
    type_ = cast(VectorType[Attribute], rows[0].type)
    assert type_.get_shape() == (lanes,)
    half = lanes // 2
    interleavings = [[i // 2 + start + i % 2 * lanes for i in range(lanes)] for start in (0, half)]
    masks = [DenseArrayBase.from_list(i64, each) for each in interleavings]

    def interleaved(first: SSAValue, second: SSAValue, which: int) -> SSAValue:
        op = vector.ShuffleOp.create(operands=(first, second), result_types=(type_,), properties={"mask": masks[which]})
        return emitter.add(op).results[0]

    values = list(rows)
    for _ in range(lanes.bit_length() - 1):
        values = [interleaved(values[i], values[i + half], which) for i in range(half) for which in (0, 1)]
    return values
