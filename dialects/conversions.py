"""Conversions of `arith` lane by lane: upstream has them on vectors, xDSL on single numbers only.

`widen` changes xDSL's definitions. The ops stay the same, so that every table that names them holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloatConstr, IntegerType, VectorType, container_of
from xdsl.ir import Attribute
from xdsl.irdl import BaseAttr, IRDLOperation, OperandDef, ResultDef
from xdsl.utils.exceptions import VerifyException

INTEGERS, FLOATS = container_of(BaseAttr(IntegerType)), container_of(AnyFloatConstr)

# conversion -> what it takes, what it makes, whether elements grow (None: of another kind)
CONVERSIONS: dict[type[IRDLOperation], tuple[Any, Any, bool | None]] = {
    arith.ExtSIOp: (INTEGERS, INTEGERS, True),
    arith.ExtUIOp: (INTEGERS, INTEGERS, True),
    arith.TruncIOp: (INTEGERS, INTEGERS, False),
    arith.SIToFPOp: (INTEGERS, FLOATS, None),
    arith.UIToFPOp: (INTEGERS, FLOATS, None),
    arith.FPToSIOp: (FLOATS, INTEGERS, None),
    arith.FPToUIOp: (FLOATS, INTEGERS, None),
}


def parts(kind: Attribute) -> tuple[tuple[int, ...], Attribute]:
    """The shape of a vector, () for a scalar, and its element type."""
    if isinstance(kind, VectorType):
        vector = cast("VectorType[Attribute]", kind)
        return vector.get_shape(), vector.element_type
    return (), kind


def verifier(op: type[IRDLOperation], grows: bool | None) -> Callable[[IRDLOperation], None]:
    """Checks the definition of a conversion, and that operand and result fit each other."""
    definition = op.get_irdl_definition()

    def verify(self: IRDLOperation) -> None:
        definition.verify(self)
        (shape, before), (other, after) = (parts(value.type) for value in (self.operands[0], self.results[0]))
        if shape != other:
            raise VerifyException("operand and result must have the same shape")
        if grows is None:
            return
        assert isinstance(before, IntegerType) and isinstance(after, IntegerType)
        if before.bitwidth == after.bitwidth or (before.bitwidth < after.bitwidth) != grows:
            raise VerifyException(
                f"Destination bit-width must be {'larger' if grows else 'smaller'} than the input bit-width"
            )

    return verify


def widen() -> None:
    """Let the ops take vectors."""
    for op, (takes, makes, grows) in CONVERSIONS.items():
        definition = op.get_irdl_definition()
        definition.operands[:] = [(name, OperandDef(takes)) for name, _ in definition.operands]
        definition.results[:] = [(name, ResultDef(makes)) for name, _ in definition.results]
        op.verify_ = verifier(op, grows)  # type: ignore[method-assign]
