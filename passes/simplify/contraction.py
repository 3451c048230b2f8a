"""Laws of matrix products."""

from __future__ import annotations

from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.contraction import MatmulOp
from xmlc.dialects.ml.shaping import TransposeOp
from xmlc.dialects.ml.types import rank_of
from xmlc.passes.laws import law


def swapped(value: SSAValue) -> SSAValue | None:
    """What a value is the transpose of in its last two dimensions."""
    match value.owner:
        case TransposeOp(x=x, permutation=order):
            rank = rank_of(x)
            return x if list(order.get_values()) == [*range(rank - 2), rank - 1, rank - 2] else None
        case _:
            return None


@law
def transpose_of_product(op: TransposeOp) -> SSAValue | None:
    """transpose(transpose(a) @ transpose(b)) -> b @ a, each of the last two dimensions"""
    if swapped(op.out) is None:
        return None
    match op.x.owner:
        case MatmulOp(lhs=lhs, rhs=rhs, bias=None):
            a, b = swapped(lhs), swapped(rhs)
            return None if a is None or b is None else F.matmul(b, a)
        case _:
            return None


CONTRACTION = (transpose_of_product,)
