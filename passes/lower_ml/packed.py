"""`ml.packed_matmul` as one loop nest, whose loops of columns and steps the panels' dimensions divide."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from xmlc.dialects.dtypes import computing_type, storage_type
from xmlc.dialects.ml import packed as ml
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.passes.lower_ml.contraction import start_of_sums, sum_of_products
from xmlc.passes.lower_ml.reduction import rounded
from xmlc.passes.lower_ml.structured import PARALLEL, REDUCTION, broadcast_map, dim, identity


def packed_matmul(op: ml.PackedMatmulOp, lhs: SSAValue, panels: SSAValue, bias: SSAValue | None = None) -> SSAValue:
    """out[b, i, j] = bias + sum over k of lhs[b, i, k] * panels[j / p, k / g, j % p, k % g]"""
    shape = shape_of(op.out)
    element = storage_type(element_of(op.out))
    rank = rank_of(op.out)
    *_, width, group = shape_of(op.panels)
    *rows, j, k = (dim(axis) for axis in range(rank + 1))
    sums = start_of_sums(shape, computing_type(element), bias, broadcast_map(shape_of(bias), shape) if bias else ())
    steps = (k // group, k % group) if group > 1 else (k, AffineExpr.constant(0))
    factors = [(lhs, (*rows, k)), (panels, (j // width, steps[0], j % width, steps[1]))]
    return rounded(sum_of_products(factors, sums, identity(rank), [PARALLEL] * rank + [REDUCTION]), element)


LOWER: dict[type[Operation], Callable[..., SSAValue]] = {ml.PackedMatmulOp: packed_matmul}
