"""Means as sums."""

from __future__ import annotations

from math import prod

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import SIGNED, TO_NUMPY, UNSIGNED, u64
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml import reduction as ml
from xmlc.dialects.ml.types import element_of
from xmlc.passes.decompose.operands import known_shape, narrow, wide


def widest(x: SSAValue) -> SSAValue:
    """x in the type its mean is computed in: 64 bits for integers, f32 for f16 and bf16."""
    element = element_of(x)
    if element in SIGNED:
        return F.cast(x, i64)
    return F.cast(x, u64) if element in UNSIGNED else wide(x)


def reduce_mean(op: ml.ReduceMeanOp) -> SSAValue:
    """The sum divided by the number of elements: of integers in 64 bits, where sums of smaller types do not wrap."""
    x, axes = widest(op.x), op.axes.get_values()
    shape = known_shape(op, op.x)
    total = F.reduce_sum(x, axes, keep_dims=op.keep_dims is not None)
    count = np.asarray(prod(shape[axis] for axis in axes)).astype(TO_NUMPY[element_of(x)])
    return narrow(F.div(total, F.constant(count)), op.out)


DECOMPOSITIONS = {ml.ReduceMeanOp: reduce_mean}
