"""Sorts of `ml` that stay one op below it, where a target has kernels for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

from xdsl.dialects.builtin import FixedBitwidthType, UnitAttr, i64
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.dtypes import is_unsigned
from xmlc.dialects.fused_sort import FusedSortOp
from xmlc.dialects.ml import reduction as ml
from xmlc.dialects.ml.types import element_of, has_static_shape, rank_of, shape_of, tensor
from xmlc.passes.lower_ml import reduction
from xmlc.passes.lower_ml.shaping import same
from xmlc.passes.lower_ml.structured import Map, dim, empty, parallel

MOST_ELEMENTS = 1 << 31
"""Of a row: more have places of more bits."""


def sort(op: ml.SortOp, x: SSAValue, *, most_bits: int) -> Sequence[SSAValue]:
    if not fits(op, x, op.axis.value.data, most_bits):
        return reduction.sort(op, x)
    return fused(op, x, op.axis.value.data, shape_of(x)[op.axis.value.data], op.descending is not None)


def topk(op: ml.TopKOp, x: SSAValue, *, most_bits: int) -> Sequence[SSAValue]:
    """The first k places of the sorted order"""
    k = op.k.value.data
    if k == 0 or not fits(op, x, op.axis.value.data, most_bits):
        return reduction.topk(op, x)
    return fused(op, x, op.axis.value.data, k, op.smallest is None)


def fits(op: ml.SortOp | ml.TopKOp, x: SSAValue, axis: int, most_bits: int) -> bool:
    element = element_of(x)
    assert isinstance(element, FixedBitwidthType)
    known = has_static_shape(x) and prod(shape_of(x)) > 0 and shape_of(x)[axis] < MOST_ELEMENTS
    return known and 1 < element.bitwidth <= most_bits


def fused(op: ml.SortOp | ml.TopKOp, x: SSAValue, axis: int, k: int, descending: bool) -> Sequence[SSAValue]:
    """transposed(sort(transposed(x))), so that the axis is the last"""
    shape, rank = shape_of(x), rank_of(x)
    others = [each for each in range(rank) if each != axis]
    to_last = tuple(dim(others.index(each)) if each != axis else dim(rank - 1) for each in range(rank))
    rows = transposed(x, to_last, [*(shape[each] for each in others), shape[axis]])
    kept = [*(shape[each] for each in others), k]
    outputs = [empty(kept, element_of(x)), empty(kept, i64)]
    flags: dict[str, Attribute] = {"descending": UnitAttr()} if descending else {}
    if is_unsigned(element_of(op.x)):
        flags["unsigned"] = UnitAttr()
    made = FusedSortOp.create(operands=(rows, *outputs), result_types=[each.type for each in outputs], properties=flags)
    back = tuple(dim(each) for each in (*others, axis))
    result = [k if each == axis else shape[each] for each in range(rank)]
    return [transposed(each, back, result) for each in made.res]


def transposed(x: SSAValue, source: Map, shape: Sequence[int]) -> SSAValue:
    if list(source) == [dim(each) for each in range(len(shape))]:
        return x
    return parallel([(x, source)], tensor(shape, element_of(x)), same)


def lowerings(most_bits: int) -> dict[type[Operation], Callable[..., Sequence[SSAValue]]]:
    """The table of sorts that stay one op where elements have so many bits at most."""
    return {ml.SortOp: partial(sort, most_bits=most_bits), ml.TopKOp: partial(topk, most_bits=most_bits)}
