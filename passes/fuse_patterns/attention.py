"""Attention spelled out as two products around a softmax."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import i1
from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.composite import SoftmaxOp
from xmlc.dialects.ml.contraction import MatmulOp
from xmlc.dialects.ml.elementwise import AddOp, IsNanOp, SelectOp
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.passes.constants import has_known_sizes, is_real, is_zero, splat, stretches_to
from xmlc.passes.fuse_patterns.matching import peeled
from xmlc.passes.laws import Holds, law


@dataclass(frozen=True)
class Scores:
    """scale * query @ key + mask: query (b, h, m, d), key (b, h, d, n)."""

    query: SSAValue
    key: SSAValue
    scale: float
    mask: SSAValue | None


def probabilities(value: SSAValue) -> SSAValue | None:
    """The scores whose softmax along the last dimension a value is, rows of NaN put to 0 or not."""
    match value.owner:
        case SelectOp(condition=condition, lhs=zero, rhs=inner) if is_zero(zero) and inner.type == value.type:
            match condition.owner:
                case IsNanOp(x=x) if x is inner:
                    value = inner
                case _:
                    return None
        case _:
            pass
    match value.owner:
        case SoftmaxOp(x=x, axis=axis) if axis.value.data == rank_of(x) - 1:
            return x
        case _:
            return None


def scores_of(value: SSAValue) -> Scores | None:
    """The product that makes scores, with its scale and mask."""
    inner, factor = peeled(value)
    mask: SSAValue | None = None
    match value.owner:
        case AddOp(lhs=lhs, rhs=rhs):
            for scores, added in ((lhs, rhs), (rhs, lhs)):
                inner, factor = peeled(scores)
                if isinstance(inner.owner, MatmulOp) and scores.type == value.type:
                    mask = added
                    break
            else:
                return None
        case SelectOp(condition=condition, lhs=scores, rhs=hidden) if splat(hidden) == float("-inf"):
            inner, factor = peeled(scores)
            mask = condition if scores.type == value.type else None
            if mask is None:
                return None
        case _:
            pass
    match inner.owner:
        case MatmulOp(lhs=query, rhs=key, bias=None) if inner.has_one_use():
            query, by_query = peeled(query)
            key, by_key = peeled(key)
            return Scores(query, key, factor * by_query * by_key, mask)
        case _:
            return None


@law(holds=Holds.ON_REALS)
def attention(op: MatmulOp) -> SSAValue | None:
    """softmax(scale * q @ transpose(k) + mask) @ v -> attention(q, k, v, mask), of four dimensions

    A row that sees nothing, all of its scores -inf, is 0 instead of NaN; where the program itself put NaN to 0, a
    score that is NaN or inf for other reasons gives NaN. select(mask, scores, -inf) is a mask too.
    """
    value = op.rhs
    if op.bias is not None or rank_of(op.out) != 4 or not is_real(op.out) or not has_known_sizes(op.out):
        return None
    if (softened := probabilities(op.lhs)) is None or (found := scores_of(softened)) is None:
        return None
    batch, heads, rows, columns = shape_of(softened)
    depth = shape_of(found.query)[-1]
    if shape_of(found.query) != (batch, heads, rows, depth) or shape_of(found.key) != (batch, heads, depth, columns):
        return None
    if shape_of(value)[:3] != (batch, heads, columns):
        return None
    mask = found.mask
    if mask is not None:
        if element_of(mask) not in (i1, element_of(op.out)) or len(shape_of(mask)) > 4:
            return None
        if element_of(mask) != i1 and not stretches_to(mask, softened):
            return None
    key = F.transpose(found.key, (0, 1, 3, 2))
    return F.attention(found.query, key, value, mask, scale=found.scale)


ATTENTION = (attention,)
