"""Composites of `ml` that are one op below it: attention."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects.builtin import FloatAttr, f32
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.fused_attention import FusedAttentionOp
from xmlc.dialects.ml import composite as ml
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.passes.lower_ml.structured import empty


def attention(
    op: ml.AttentionOp, query: SSAValue, key: SSAValue, value: SSAValue, mask: SSAValue | None = None
) -> SSAValue:
    """The same, written to a new tensor"""
    out = empty(shape_of(op.out), element_of(op.out))
    properties: dict[str, Attribute] = {"scale": FloatAttr(op.factor(), f32)}
    properties |= {name: op.properties[name] for name in ("causal", "offset") if name in op.properties}
    made = FusedAttentionOp.create(
        operands=(query, key, value, out, *((mask,) if mask else ())),
        result_types=(out.type,),
        properties={
            **properties,
            **{name: op.properties[name] for name in ("causal", "offset") if name in op.properties},
        },
    )
    return made.results[0]


LOWER: dict[type[Operation], Callable[..., SSAValue]] = {ml.AttentionOp: attention}
