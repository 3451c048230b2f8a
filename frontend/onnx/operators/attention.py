"""ONNX's attention operator, kept whole where `ml.attention` has the same meaning."""

from __future__ import annotations

from typing import Any

from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.frontend.onnx.operator import Node


def Attention(
    query: SSAValue,
    key: SSAValue,
    value: SSAValue,
    mask: SSAValue | None = None,
    past_key: SSAValue | None = None,
    past_value: SSAValue | None = None,
    lengths: SSAValue | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
    node: Node,
) -> Any:
    """Heads as a dimension of their own, or side by side in the last one, which `..._num_heads` then divide.

    Caps on the scores, caches with a causal mask, and the scores as a result are left to ONNX's own definition.
    """
    types = {element_of(each) for each in (query, key, value)}
    ours = lengths is None and not softcap and not node.wants(3) and len(types) == 1
    if not ours or (past_key is not None and is_causal):
        return NotImplemented
    three = rank_of(query) == 3
    if three:
        if not q_num_heads or not kv_num_heads:
            return NotImplemented
        query, key, value = (
            split_heads(query, q_num_heads),
            split_heads(key, kv_num_heads),
            split_heads(value, kv_num_heads),
        )
    if past_key is not None and past_value is not None:
        key, value = F.concat([past_key, key], 2), F.concat([past_value, value], 2)
    if mask is not None and shape_of(mask)[-1] != shape_of(key)[2]:
        return NotImplemented
    out = F.attention(query, key, value, mask, scale=scale, causal=bool(is_causal))
    return merged_heads(out) if three else out, key, value


def split_heads(x: SSAValue, heads: int) -> SSAValue:
    """(batch, length, heads * depth) -> (batch, heads, length, depth)"""
    batch, length, width = shape_of(x)
    return F.transpose(F.reshape(x, (batch, length, heads, width // heads)), (0, 2, 1, 3))


def merged_heads(x: SSAValue) -> SSAValue:
    """(batch, heads, length, depth) -> (batch, length, heads * depth)"""
    batch, heads, length, depth = shape_of(x)
    return F.reshape(F.transpose(x, (0, 2, 1, 3)), (batch, length, heads * depth))
