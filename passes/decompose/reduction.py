"""Means as sums."""

from __future__ import annotations

from math import prod

import numpy as np
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml import reduction as ml
from xmlc.dialects.ml.types import element_of
from xmlc.passes.decompose.operands import known_shape, narrow, wide


def reduce_mean(op: ml.ReduceMeanOp) -> SSAValue:
    """The sum divided by the number of elements; an integer type wraps that number around as it does any other."""
    x, axes = wide(op.x), op.axes.get_values()
    shape = known_shape(op, op.x)
    total = F.reduce_sum(x, axes, keep_dims=op.keep_dims is not None)
    count = np.asarray(prod(shape[axis] for axis in axes)).astype(TO_NUMPY[element_of(x)])
    return narrow(F.div(total, F.constant(count)), op.out)


DECOMPOSITIONS = {ml.ReduceMeanOp: reduce_mean}
