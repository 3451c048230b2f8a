"""`fused.sort`: rows in order below the graph, until `lower-sorts` or `map-sorts` makes loops of it."""

from __future__ import annotations

from xdsl.dialects.builtin import TensorType, UnitAttr
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    var_result_def,
)

from xmlc.dialects.fused_attention import SHAPED


@irdl_op_definition
class FusedSortOp(IRDLOperation):
    """The first elements of each row of x in order, and where they come from, as `ml.sort` along the last dimension.

    x (…, n) of floats or integers, values (…, k) of the same type, indices (…, k) of i64. On tensors
    two results take the places of `values` and `indices`; buffers are written.
    """

    name = "fused.sort"
    x = operand_def(SHAPED)
    values = operand_def(SHAPED)
    indices = operand_def(SHAPED)
    descending = opt_prop_def(UnitAttr)
    unsigned = opt_prop_def(UnitAttr)
    res = var_result_def(TensorType)
