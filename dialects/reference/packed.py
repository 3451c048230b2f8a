"""What `ml.packed_matmul` means: unpack the panels, multiply, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from xmlc.dialects.ml import packed as ml
from xmlc.dialects.reference.contraction import rounded
from xmlc.dialects.reference.elementwise import wide

Array = NDArray[Any]


def packed_matmul(op: ml.PackedMatmulOp, lhs: Array, panels: Array, bias: Array | None = None) -> Array:
    count, groups, width, group = panels.shape
    rhs = wide(panels).transpose(1, 3, 0, 2).reshape(groups * group, count * width)[: lhs.shape[-1]]
    total = np.matmul(wide(lhs), rhs)
    return rounded(total if bias is None else total + wide(bias), op)


REFERENCE: dict[type[Operation], Callable[..., Array]] = {ml.PackedMatmulOp: packed_matmul}
