"""Dialect `grouped`: arithmetic between neighbouring lanes of vectors, as processors have instructions for it."""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects.builtin import (
    AnyFloat,
    AnyFloatConstr,
    FixedBitwidthType,
    IntegerType,
    UnitAttr,
    VectorType,
)
from xdsl.ir import Dialect, Operation, SSAValue
from xdsl.irdl import (
    BaseAttr,
    IRDLOperation,
    VarConstraint,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

Lanes = VectorType[AnyFloat | IntegerType]
LANES_OF = VectorType.constr(AnyFloatConstr | BaseAttr(IntegerType))


@irdl_op_definition
class DotOp(IRDLOperation):
    """out[i] = sums[i] + the sum over j < g of x[i * g + j] * y[i * g + j]

    x and y have g times the lanes of the sums, in the same bits: vector<16xf32> goes with vector<32xbf16> (g = 2),
    vector<16xi32> with vector<64xi8> (g = 4) and with vector<32xi16>. Integers are exact, modulo 2**32; they are
    signed, those of x unsigned where the op says so. In floats the order of the additions and their roundings are the
    processor's, and it may take subnormal numbers for zero.
    """

    name = "grouped.dot"
    T: ClassVar = VarConstraint("T", LANES_OF)
    U: ClassVar = VarConstraint("U", LANES_OF)
    sums = operand_def(T)
    x = operand_def(U)
    y = operand_def(U)
    unsigned_x = opt_prop_def(UnitAttr)
    out = result_def(T)
    traits = traits_def(Pure())
    assembly_format = "(`unsigned` $unsigned_x^)? $sums `,` $x `,` $y attr-dict `:` type($sums) `,` type($x)"

    def __init__(self, sums: SSAValue | Operation, x: SSAValue | Operation, y: SSAValue | Operation, unsigned: bool):
        total = SSAValue.get(sums)
        super().__init__(
            operands=(sums, x, y),
            result_types=(total.type,),
            properties={"unsigned_x": UnitAttr() if unsigned else None},
        )

    @property
    def group(self) -> int:
        """How many products each sum gains."""
        x, sums = self.x.type, self.sums.type
        assert isa(x, VectorType) and isa(sums, VectorType)
        return x.get_shape()[0] // sums.get_shape()[0]

    def verify_(self) -> None:
        x, sums = self.x.type, self.sums.type
        assert isa(x, Lanes) and isa(sums, Lanes)
        if bits(x) != bits(sums) or self.group < 2:
            raise VerifyException(f"{x} and {sums} must have the same bits, in more lanes")


def bits(kind: Lanes) -> int:
    element = kind.element_type
    assert isinstance(element, FixedBitwidthType)
    return kind.get_shape()[0] * element.bitwidth


GROUPED = Dialect("grouped", [DotOp])
