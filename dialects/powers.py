"""Dialect `powers`: multiplication by powers of two, as AVX-512 has an instruction for it (vscalefps)."""

from __future__ import annotations

from typing import ClassVar, cast

from xdsl.dialects.builtin import Float32Type, VectorType, i32
from xdsl.ir import Attribute, Dialect, Operation, SSAValue
from xdsl.irdl import (
    BaseAttr,
    IRDLOperation,
    VarConstraint,
    eq,
    irdl_op_definition,
    operand_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class ScaleOp(IRDLOperation):
    """x * 2**k lane by lane, rounded once: C's ldexp. Vectors of f32 and i32 of as many lanes.

    It is printed in its generic form, so that mlir-opt reads it as an op that it does not know.
    """

    name = "powers.scale"

    T: ClassVar = VarConstraint("T", VectorType.constr(BaseAttr(Float32Type)))

    x = operand_def(T)
    k = operand_def(VectorType.constr(eq(i32)))
    out = result_def(T)

    traits = traits_def(Pure())

    def __init__(self, x: Operation | SSAValue, k: Operation | SSAValue):
        x = SSAValue.get(x)
        super().__init__(operands=(x, k), result_types=(x.type,))

    def verify_(self) -> None:
        x, k = cast("VectorType[Attribute]", self.x.type), cast("VectorType[Attribute]", self.k.type)
        if x.get_shape() != k.get_shape():
            raise VerifyException(f"expected as many exponents as numbers, found {k} for {x}")


POWERS = Dialect("powers", [ScaleOp])
