"""What `affine.apply` and `affine.min` mean: affine maps of index values."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from xdsl.dialects import affine
from xdsl.ir import Operation

from xmlc.dialects.reference.access import affine as evaluate


def apply(op: affine.ApplyOp, *operands: Any) -> Any:
    found = op.map.data
    return np.int64(evaluate(found.results[0], operands[: found.num_dims], operands[found.num_dims :]))


def minimum(op: affine.MinOp, *operands: Any) -> Any:
    found = op.map.data
    dims, symbols = operands[: found.num_dims], operands[found.num_dims :]
    return reduce(np.minimum, [np.int64(evaluate(each, dims, symbols)) for each in found.results])


REFERENCE: dict[type[Operation], Callable[..., Any]] = {affine.ApplyOp: apply, affine.MinOp: minimum}
