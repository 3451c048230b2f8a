"""Products of matrices whose right factor lies as register tiles read it: in panels of columns, packed once.

    panels[q, s, r, t] = rhs[s * g + t, q * p + r]

A panel holds p columns; for each group of g steps of the reduction the elements of its columns lie side by side, those
of a group next to one another, as instructions that sum groups take them. After the last step there may be zeros.
"""

from __future__ import annotations

from typing import ClassVar

from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, opt_operand_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.ml.contraction import NUMBERS
from xmlc.dialects.ml.types import (
    DYNAMIC,
    Tensor,
    TensorLike,
    broadcast_shapes,
    expect_elements,
    expect_type,
    rank_of,
    shape_of,
    shape_text,
    tensor,
)


def packed_matmul_type(lhs: Attribute, panels: Attribute, bias: Attribute | None = None) -> TensorLike:
    """(*b, m, k), (q, ceil(k / g), p, g) -> (*b, m, q * p); a bias must broadcast to the result."""
    element = expect_elements(NUMBERS, lhs, panels, *([bias] if bias else []))
    if rank_of(lhs) < 2 or rank_of(panels) != 4:
        raise VerifyException(f"expected a matrix and panels of rank 4, found {lhs} and {panels}")
    *outer, rows, depth = shape_of(lhs)
    count, groups, width, group = shape_of(panels)
    if DYNAMIC in (count, groups, width, group):
        raise VerifyException(f"panels must be of known sizes, found {panels}")
    if depth != DYNAMIC and -(-depth // group) != groups:
        raise VerifyException(f"the reduction has {depth} steps, expected {groups} groups of {group}")
    shape = (*outer, rows, count * width)
    if bias is not None and DYNAMIC not in shape and broadcast_shapes(shape, shape_of(bias)) != shape:
        raise VerifyException(f"bias {shape_text(shape_of(bias))} does not broadcast to {shape_text(shape)}")
    return tensor(shape, element)


@irdl_op_definition
class PackedMatmulOp(IRDLOperation):
    """out[b, i, j] = sum over k of lhs[b, i, k] * panels[j / p, k / g, j % p, k % g], plus the bias."""

    name = "ml.packed_matmul"
    ACCEPTS: ClassVar[tuple[Attribute, ...]] = NUMBERS
    lhs = operand_def(Tensor)
    panels = operand_def(Tensor)
    bias = opt_operand_def(Tensor)
    out = result_def(Tensor)
    traits = traits_def(Pure())
    assembly_format = (
        "$lhs `,` $panels (`bias` $bias^ `:` type($bias))? attr-dict `:` type($lhs) `,` type($panels) `->` type($out)"
    )

    def __init__(self, lhs: SSAValue, panels: SSAValue, bias: SSAValue | None = None):
        super().__init__(
            operands=(lhs, panels, bias),
            result_types=(packed_matmul_type(lhs.type, panels.type, bias.type if bias else None),),
        )

    def verify_(self) -> None:
        bias = self.bias.type if self.bias else None
        expect_type(self.out.type, packed_matmul_type(self.lhs.type, self.panels.type, bias))


PACKED = (PackedMatmulOp,)
