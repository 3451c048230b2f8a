"""What `grouped` means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects.grouped import DotOp
from xmlc.dialects.reference.interpreter import Array


def dot(op: DotOp, sums: Array, x: Array, y: Array) -> Array:
    """Integers wrap; floats are added in the type of the sums, from the first lane of a group to the last."""
    if op.unsigned_x is not None:
        x = x.view(np.dtype(f"u{x.dtype}"))
    left, right = (each.astype(sums.dtype).reshape(len(sums), op.group) for each in (x, y))
    for place in range(op.group):
        sums = sums + left[:, place] * right[:, place]
    return sums


REFERENCE: dict[type[Operation], Callable[..., Any]] = {DotOp: dot}
