"""What `fused.sort` means: what `ml.sort` means, put where it says."""

from __future__ import annotations

import numpy as np

from xmlc.dialects.fused_sort import FusedSortOp
from xmlc.dialects.reference.interpreter import Frame
from xmlc.dialects.reference.reduction import order


def sort(frame: Frame, op: FusedSortOp) -> None:
    x, values, indices = (frame[each] for each in (op.x, op.values, op.indices))
    unsigned = op.unsigned is not None
    keys = x.view(f"u{x.itemsize}") if unsigned else x
    found = order(keys, -1, op.descending is not None)[..., : values.shape[-1]]
    values[...] = np.take_along_axis(x, found, -1)
    indices[...] = found
    if op.res:
        frame.set(op, values, indices)


EVALUATE = {FusedSortOp: sort}
