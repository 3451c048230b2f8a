"""Attention spelled out as two products around a softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import ml_dtypes
from xdsl.dialects.builtin import f16, i1
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.composite import SoftmaxOp
from xmlc.dialects.ml.contraction import MatmulOp
from xmlc.dialects.ml.elementwise import AddOp, IsNanOp, SelectOp
from xmlc.dialects.ml.shaping import BroadcastOp, ReshapeOp, TransposeOp
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.dialects.sizes import UnknownSize
from xmlc.passes.constants import has_known_sizes, is_real, is_zero, splat, stretches_to
from xmlc.passes.fuse_patterns.matching import is_weight, peeled
from xmlc.passes.laws import Holds, law


@dataclass(frozen=True)
class Scores:
    """scale * query @ key + mask: query (b, h, m, d), key (b, h, d, n), or without b, h.

    `hides`: true flags hide. `hidden` is what scores become that flags hide.
    """

    query: SSAValue
    key: SSAValue
    scale: float
    mask: SSAValue | None
    hides: bool
    hidden: float

    def made_mask(self) -> SSAValue | None:
        """The mask as `ml.attention` takes it: what is added to scores, or flags that are true where scores are seen.

        Flags that hide by a finite number add the lowest number there is: who sees nothing then sees all alike.
        """
        mask = self.mask
        if mask is None or element_of(mask) != i1:
            return mask
        if self.hidden == float("-inf"):
            return F.not_(mask) if self.hides else mask
        nothing, lowest = F.scalar(self.query, 0), F.scalar(self.query, lowest_of(self.query))
        return F.select(mask, *((lowest, nothing) if self.hides else (nothing, lowest)))


HIDES = -1e4
"""Numbers up to this hide as -inf does, but for whole rows: no power is left of what is so far below other scores."""


def lowest_of(value: SSAValue) -> float:
    """The lowest finite number of the element type of a value."""
    return cast(float, ml_dtypes.finfo(TO_NUMPY[element_of(value)]).min)  # pyright: ignore[reportUnknownMemberType]


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


def scores_of(value: SSAValue) -> Scores | str:
    """The product that makes scores, with its scale and mask; or why there is none."""
    scores, mask, hides, hidden = value, None, False, float("-inf")
    match value.owner:
        case AddOp(lhs=lhs, rhs=rhs):
            pairs = [pair for pair in ((lhs, rhs), (rhs, lhs)) if isinstance(peeled(pair[0])[0].owner, MatmulOp)]
            if not pairs:
                return "its scores are no product"
            scores, mask = pairs[0]
        case SelectOp(condition=mask, lhs=lhs, rhs=rhs) if splat(rhs) is not None or splat(lhs) is not None:
            scores, other = (lhs, rhs) if splat(rhs) is not None else (rhs, lhs)
            hides, hidden = scores is rhs, float(splat(other))
            if not hidden <= HIDES:
                return f"{hidden:g} hides nothing: only {HIDES:g} and what is lower does"
            if element_of(value) == f16 and hidden > float("-inf"):
                return f"{hidden:g} is no -inf: f16 has no lower number that scores vanish beside"
        case _:
            pass
    inner, factor = peeled(scores)
    match inner.owner:
        case MatmulOp(lhs=query, rhs=key, bias=None) if scores.type == value.type:
            if not inner.has_one_use():
                return "something else uses its scores"
            query, by_query = peeled(query)
            key, by_key = peeled(key)
            return Scores(query, key, factor * by_query * by_key, mask, hides, hidden)
        case _:
            return "its scores are no product"


# --- keys and values that groups of heads share


@dataclass(frozen=True)
class Shared:
    """Keys or values: `x`, reshaped to (b, g, _, _), has one for each group; `turned`: (d, n) are its last."""

    x: SSAValue
    groups: int
    turned: bool

    def made(self, batch: int) -> SSAValue:
        """(b, g, n, d)"""
        value = reshaped(self.x, (batch, self.groups, *shape_of(self.x)[-2:]))
        return F.transpose(value, (0, 1, 3, 2)) if self.turned else value


def reshaped(value: SSAValue, shape: tuple[int, ...]) -> SSAValue:
    return value if shape_of(value) == shape else F.reshape(value, shape)


def leading(value: SSAValue) -> tuple[int, int]:
    """Batch and heads of a value (_, _), (h, _, _) or (b, h, _, _)."""
    batch, heads = (1, 1, *shape_of(value)[:-2])[-2:]
    return batch, heads


def unswapped(value: SSAValue) -> tuple[SSAValue, bool]:
    """x and True where a value is x with its last two dimensions swapped; else it and False."""
    match value.owner:
        case TransposeOp(x=x, permutation=permutation):
            rank = rank_of(x)
            swaps = tuple(permutation.get_values()) == (*range(rank - 2), rank - 1, rank - 2)
            return (x, True) if swaps else (value, False)
        case _:
            return value, False


def repeated(value: SSAValue, heads: int) -> tuple[SSAValue, int, bool] | None:
    """x, r, and whether its last two dimensions are swapped, where a value is x with each head r times in a row.

    A broadcast and a reshape do that; a swap may be before, between, or after them.
    """
    inner, last = unswapped(value)
    inner, between = unswapped(inner.owner.x if isinstance(inner.owner, ReshapeOp) else inner)
    match inner.owner:
        case BroadcastOp(x=x) if all(has_known_sizes(each) for each in (x, inner, value)):
            after, matrix = shape_of(inner), shape_of(value)[-2:]
            before = (1,) * (len(after) - rank_of(x)) + shape_of(x)
            if (
                len(after) < 3
                or rank_of(x) < 2
                or not after[-3]
                or before != (*after[:-3], 1, *after[-2:])
                or heads % after[-3]
            ):
                return None
            turned = last != between
            return (x, after[-3], turned) if after[-2:] == (matrix[::-1] if turned else matrix) else None
        case _:
            return None


def shared(value: SSAValue, batch: int, heads: int, turned: bool) -> list[Shared]:
    """How keys or values may be taken, the one with fewest groups first; empty where their sizes are others."""
    stored, swapped = unswapped(value)
    if leading(value) == (batch, 1):
        return [Shared(stored, 1, turned != swapped)]
    if leading(value) != (batch, heads):
        return []
    whole = Shared(stored, heads, turned != swapped)
    if (found := repeated(value, heads)) is None:
        return [whole]
    x, count, swapped = found
    return [Shared(x, heads // count, turned != swapped), whole]


# --- the whole


@dataclass(frozen=True)
class Found:
    """Attention that was recognised, for `batch` and so many heads."""

    scores: Scores
    key: Shared
    value: Shared
    batch: int
    heads: int


def found_in(op: MatmulOp) -> Found | str | None:
    """The attention whose last product this is; why it cannot be taken as one; None where there is no softmax."""
    if (softened := probabilities(op.lhs)) is None or not is_real(op.out):
        return None
    if op.bias is not None:
        return "its last product has a bias"
    if not 2 <= rank_of(op.out) <= 4 or rank_of(softened) != rank_of(op.out):
        return f"it has {rank_of(op.out)} dimensions, of at most 4 that attention has"
    if not has_known_sizes(op.out) or (rank_of(op.out) < 4 and not has_known_sizes(softened)):
        return "its sizes are not known"
    if isinstance(scores := scores_of(softened), str):
        return scores
    batch, heads = leading(softened)
    if rank_of(op.out) < 4 and is_weight(scores.key):
        return "its keys are weights: two products of packed weights"
    rows, columns = shape_of(softened)[-2:]
    depth = shape_of(scores.query)[-1]
    if shape_of(scores.query) != (*shape_of(softened)[:-2], rows, depth):
        return "the queries are shared by heads or batches"
    if shape_of(scores.key)[-2:] != (depth, columns) or shape_of(op.rhs)[-2] != columns:
        return "keys or values have other sizes than the scores"
    keys, values = shared(scores.key, batch, heads, turned=True), shared(op.rhs, batch, heads, turned=False)
    pairs = [(key, value) for key in keys for value in values if key.groups == value.groups]
    if not pairs:
        return "keys and values are shared by different groups of heads, or by batches"
    mask = scores.mask
    if mask is not None and element_of(mask) not in (i1, element_of(op.out)):
        return "the mask is of another element type"
    if mask is not None and element_of(mask) != i1 and not stretches_to(mask, softened):
        return "the mask has more dimensions than the scores"
    return Found(scores, *pairs[0], batch, heads)


@law(holds=Holds.ON_REALS)
def attention(op: MatmulOp) -> SSAValue | None:
    """softmax(scale * q @ transpose(k) + mask) @ v -> attention(q, k, v, mask), of two to four dimensions

    Three dimensions are heads of one batch. Keys and values that are repeated for heads in a row are taken once. A
    row that sees nothing, all of its scores -inf, is 0 instead of NaN; where the program itself put NaN to 0, a
    score that is NaN or inf for other reasons gives NaN. select(mask, scores, c) is a mask too where c is -inf, or a
    number that hides: a row that sees nothing sees all columns alike then, as it did.
    """
    found = found_in(op)
    if not isinstance(found, Found):
        return None
    scores, (rows, depth) = found.scores, shape_of(found.scores.query)[-2:]
    query = reshaped(scores.query, (found.batch, found.heads, rows, depth))
    mask = scores.made_mask()
    key, value = found.key.made(found.batch), found.value.made(found.batch)
    return reshaped(F.attention(query, key, value, mask, scale=scores.scale), shape_of(op.out))


def why_no_attention(op: MatmulOp) -> str | None:
    """Why a product with a softmax is not attention; None where there is nothing to say."""
    try:
        found = found_in(op)
    except UnknownSize:
        found = "its sizes are not known"
    return f"not attention: {found}" if isinstance(found, str) else None


ATTENTION = (attention,)
