"""`arith.remf`, the remainder of floats: upstream has it, xDSL does not."""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects.arith import FastMathFlagsAttr
from xdsl.dialects.builtin import AnyFloat, container_of
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import IRDLOperation, VarConstraint, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure, SameOperandsAndResultType


@irdl_op_definition
class RemfOp(IRDLOperation):
    """x - trunc(x / y) y, exactly, with the sign of x: C's fmod. Floats or vectors of floats."""

    name = "arith.remf"

    T: ClassVar = VarConstraint("T", container_of(AnyFloat))

    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)
    fastmath = prop_def(FastMathFlagsAttr, default_value=FastMathFlagsAttr("none"))

    traits = traits_def(Pure(), SameOperandsAndResultType())

    assembly_format = "$lhs `,` $rhs (`fastmath` $fastmath^)? attr-dict `:` type($result)"

    def __init__(self, lhs: Operation | SSAValue, rhs: Operation | SSAValue):
        lhs = SSAValue.get(lhs)
        super().__init__(operands=(lhs, rhs), result_types=(lhs.type,))
