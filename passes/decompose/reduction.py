"""Means as sums."""

from __future__ import annotations

from math import prod

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import Attribute, SSAValue

from xmlc.dialects.dtypes import SIGNED, TO_NUMPY, UNSIGNED, u64
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml import reduction as ml
from xmlc.dialects.ml.types import element_of
from xmlc.dialects.sizes import is_symbolic
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
    return narrow(F.div(total, number_of(prod(shape[axis] for axis in axes), element_of(x))), op.out)


def number_of(size: int, element: Attribute) -> SSAValue:
    """A size as a scalar of an element type."""
    if is_symbolic((size,)):
        return F.cast(F.reshape(F.sizes([size]), ()), element)
    return F.constant(np.asarray(size).astype(TO_NUMPY[element]))


DECOMPOSITIONS = {ml.ReduceMeanOp: reduce_mean}
