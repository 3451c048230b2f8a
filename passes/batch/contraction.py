"""Batches of products, convolutions and pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.ir import Operation, SSAValue

from xmlc.dialects.ml import contraction as ml
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.attributes import integer
from xmlc.dialects.ml.types import element_of, rank_of, shape_of, tensor
from xmlc.passes.batch.batching import Batching, merged, moved, only_first_in_rows

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def matmul(batching: Batching, op: ml.MatmulOp) -> Sequence[SSAValue]:
    """The batch as one more of the dimensions that products broadcast over"""
    rank = rank_of(op.out)
    operands = [batching.aligned(value, rank) for value in op.operands]
    if not any(batching.of(value).is_batched for value in op.operands[:2]):  # a bias goes with a batch of products
        left = batching.full(op.lhs)
        operands[0] = F.reshape(left, (batching.size, *[1] * (rank + 1 - rank_of(left)), *shape_of(left)[1:]))
    return (F.matmul(*operands),)


def einsum(batching: Batching, op: ml.EinsumOp) -> Sequence[SSAValue]:
    """The batch as one more index of what is batched, and of the result"""
    terms, result = ml.parse_equation(op.equation.data)
    letter = next(each for each in LETTERS if each not in op.equation.data)
    found = [batching.of(value) for value in op.inputs]
    named = [letter + term if is_batched else term for term, (_, is_batched) in zip(terms, found)]
    return (F.einsum([value for value, _ in found], f"{','.join(named)}->{letter}{result}"),)


def conv(batching: Batching, op: ml.ConvOp) -> Sequence[SSAValue]:
    """All images in one batch; where filters are batched too, each element of the batch is a group of its own"""
    whole = only_first_in_rows(batching, op)
    if whole is not None:
        return whole
    x = moved(batching.full(op.x), 0, 1)
    count, size, channels, *space = shape_of(x)
    x = F.reshape(x, (count, size * channels, *space))
    _, filters, *places = shape_of(op.out)
    made = op.create(
        operands=[x, *[merged(value) for value in batching.fulls(op.operands[1:])]],
        result_types=[tensor((count, size * filters, *places), element_of(op.out))],
        properties={**op.properties, "groups": integer(size * op.groups.value.data)},
        attributes=op.attributes,
    )
    return (moved(F.reshape(made.results[0], (count, size, filters, *places)), 1, 0),)


ROWS: dict[type[Operation], Callable[[Batching, Any], Sequence[SSAValue] | None]] = {
    ml.MatmulOp: matmul,
    ml.EinsumOp: einsum,
    ml.ConvOp: conv,
    ml.ConvTransposeOp: only_first_in_rows,
    ml.MaxPoolOp: only_first_in_rows,
    ml.AvgPoolOp: only_first_in_rows,
}
