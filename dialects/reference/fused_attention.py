"""What `fused.attention` means: what `ml.attention` means, put where it says."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmlc.dialects.fused_attention import FusedAttentionOp
from xmlc.dialects.reference.composite import attention_of
from xmlc.dialects.reference.interpreter import Frame
from xmlc.dialects.reference.linalg import give


def attention(frame: Frame, op: FusedAttentionOp) -> None:
    query, key, value, out = (frame[each] for each in (op.query, op.key, op.value, op.out))
    mask: Any = None if op.mask is None else frame[op.mask]
    offset = None if op.causal is None else op.offset.value.data if op.offset else 0
    result = attention_of(query, key, value, mask, op.scale.value.data, offset)
    give(frame, op, out, np.asarray(result).astype(out.dtype))


EVALUATE = {FusedAttentionOp: attention}
