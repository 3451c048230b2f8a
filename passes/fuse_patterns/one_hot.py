"""Products with one-hot rows: a row of the other factor, taken instead of summed."""

from __future__ import annotations

from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.contraction import MatmulOp
from xmlc.dialects.ml.elementwise import CastOp, CompareOp, Predicate
from xmlc.dialects.ml.shaping import IotaOp
from xmlc.dialects.ml.types import rank_of, shape_of
from xmlc.passes.constants import has_known_sizes
from xmlc.passes.laws import Holds, law


def counts(value: SSAValue) -> bool:
    """Whether a value is 0, 1, 2 … along its last dimension, the others being of size 1."""
    match value.owner:
        case IotaOp() as op:
            shape = shape_of(value)
            return op.axis.value.data == len(shape) - 1 and all(size == 1 for size in shape[:-1])
        case _:
            return False


@law(holds=Holds.ON_REALS)
def product_of_one_hot(op: MatmulOp) -> SSAValue | None:
    """cast(indices == 0, 1, 2 …) @ table -> table[indices], and 0 for an index that is not of the table"""
    match op.lhs.owner:
        case CastOp(x=hot):
            pass
        case _:
            return None
    match hot.owner:
        case CompareOp(lhs=indices, rhs=row, predicate=predicate) if counts(row):
            pass
        case CompareOp(lhs=row, rhs=indices, predicate=predicate) if counts(row):
            pass
        case _:
            return None
    if predicate.data is not Predicate.EQ or rank_of(op.rhs) != 2 or not has_known_sizes(hot):
        return None
    shape = shape_of(hot)
    if shape_of(indices) != (*shape[:-1], 1):
        return None
    zero, last = F.scalar(indices, 0), F.scalar(indices, shape[-1] - 1)
    rows = F.gather(op.rhs, F.reshape(F.clamp(indices, zero, last), shape[:-1]), 0)
    inside = F.and_(F.compare(indices, zero, "ge"), F.compare(indices, last, "le"))
    found = F.select(inside, rows, F.scalar(rows, 0))
    return found if op.bias is None else F.add(found, op.bias)


ONE_HOT = (product_of_one_hot,)
