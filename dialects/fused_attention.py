"""`fused.attention`: attention below the graph, on tensors or buffers, until `lower-attention` makes loops of it."""

from __future__ import annotations

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, MemRefType, TensorType, UnitAttr
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    opt_result_def,
    prop_def,
)

SHAPED = base(TensorType) | base(MemRefType)


@irdl_op_definition
class FusedAttentionOp(IRDLOperation):
    """out = softmax(scale * query @ key^T + mask) @ value, for each batch and head, as `ml.attention` says.

    query (b, h, m, d), key (b, g, n, d), value (b, g, n, e), out (b, h, m, e), all of one float type; a mask of the
    same type, or of i1, broadcasts to (b, h, m, n). On tensors the result takes the place of `out`; buffers are
    written. It is printed in its generic form, so that mlir-opt reads it as an op that it does not know.
    """

    name = "fused.attention"
    query = operand_def(SHAPED)
    key = operand_def(SHAPED)
    value = operand_def(SHAPED)
    out = operand_def(SHAPED)
    mask = opt_operand_def(SHAPED)
    scale = prop_def(FloatAttr)
    causal = opt_prop_def(UnitAttr)
    offset = opt_prop_def(IntegerAttr)
    result = opt_result_def(TensorType)
