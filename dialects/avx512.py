"""Dialect `avx512`: what AVX-512 has instructions for and no other dialect has an op for, on vectors of f32.

The ops are printed in their generic form, so that mlir-opt reads them as ops that it does not know.
"""

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

SINGLES = VectorType.constr(BaseAttr(Float32Type))


@irdl_op_definition
class ScaleOp(IRDLOperation):
    """x * 2**floor(k) lane by lane, rounded once (vscalefps)."""

    name = "avx512.scale"

    T: ClassVar = VarConstraint("T", SINGLES)

    x = operand_def(T)
    k = operand_def(T)
    out = result_def(T)

    traits = traits_def(Pure())

    def __init__(self, x: Operation | SSAValue, k: Operation | SSAValue):
        x = SSAValue.get(x)
        super().__init__(operands=(x, k), result_types=(x.type,))


@irdl_op_definition
class LookUpOp(IRDLOperation):
    """table[k mod 16] lane by lane: a table of sixteen numbers that stays in a register (vpermps)."""

    name = "avx512.look_up"

    T: ClassVar = VarConstraint("T", SINGLES)

    table = operand_def(T)
    k = operand_def(VectorType.constr(eq(i32)))
    out = result_def(T)

    traits = traits_def(Pure())

    def __init__(self, table: Operation | SSAValue, k: Operation | SSAValue):
        table = SSAValue.get(table)
        super().__init__(operands=(table, k), result_types=(table.type,))

    def verify_(self) -> None:
        for each in (self.table, self.k):
            if cast("VectorType[Attribute]", each.type).get_shape() != (ENTRIES,):
                raise VerifyException(f"expected a vector of {ENTRIES} elements, found {each.type}")


ENTRIES = 16
"""Entries of a table, and lanes of a register."""

AVX512 = Dialect("avx512", [ScaleOp, LookUpOp])
