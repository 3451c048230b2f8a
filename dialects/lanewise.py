"""`arith.select`, `cmpf` and `cmpi` lane by lane: upstream has them on vectors, xDSL on single numbers only."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, IndexType, IntegerAttr, IntegerType, VectorType, container_of, i1, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    VarConstraint,
    base,
    eq,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

STRICT = arith.FastMathFlagsAttr("none")
FLAGS = eq(i1) | VectorType.constr(eq(i1))


def flags_for(compared: Attribute) -> Attribute:
    """The type of a comparison's result: i1, or as many of them as there are lanes."""
    return VectorType(i1, compared.shape) if isinstance(compared, VectorType) else i1


@irdl_op_definition
class CmpfOp(IRDLOperation):
    """Whether a predicate holds of two floats, or of each lane of two vectors."""

    name = "arith.cmpf"

    T: ClassVar = VarConstraint("T", container_of(AnyFloat))

    predicate = prop_def(IntegerAttr)
    lhs = operand_def(T)
    rhs = operand_def(T)
    fastmath = prop_def(arith.FastMathFlagsAttr, default_value=STRICT)
    result = result_def(FLAGS)

    traits = traits_def(Pure())

    def __init__(
        self,
        lhs: Operation | SSAValue,
        rhs: Operation | SSAValue,
        predicate: int | str,
        fastmath: arith.FastMathFlagsAttr = STRICT,
    ):
        lhs = SSAValue.get(lhs)
        number = FLOAT_PREDICATES.index(predicate) if isinstance(predicate, str) else predicate
        super().__init__(
            operands=(lhs, rhs),
            result_types=(flags_for(lhs.type),),
            properties={"predicate": IntegerAttr(number, i64), "fastmath": fastmath},
        )

    def verify_(self) -> None:
        verify_flags(self.result.type, self.lhs.type)

    @classmethod
    def parse(cls, parser: Parser) -> CmpfOp:
        return cast("Any", arith.CmpfOp.parse).__func__(cls, parser)

    def print(self, printer: Printer) -> None:
        arith.CmpfOp.print(cast("Any", self), printer)


FLOAT_PREDICATES = (
    *("false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord"),
    *("ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true"),
)


@irdl_op_definition
class CmpiOp(IRDLOperation):
    """Whether a predicate holds of two integers, or of each lane of two vectors."""

    name = "arith.cmpi"

    T: ClassVar = VarConstraint("T", container_of(base(IntegerType) | base(IndexType)))

    predicate = prop_def(IntegerAttr)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(FLAGS)

    traits = traits_def(Pure())

    def __init__(self, lhs: Operation | SSAValue, rhs: Operation | SSAValue, predicate: int | str):
        lhs = SSAValue.get(lhs)
        number = INTEGER_PREDICATES.index(predicate) if isinstance(predicate, str) else predicate
        super().__init__(
            operands=(lhs, rhs),
            result_types=(flags_for(lhs.type),),
            properties={"predicate": IntegerAttr(number, i64)},
        )

    def verify_(self) -> None:
        verify_flags(self.result.type, self.lhs.type)

    @classmethod
    def parse(cls, parser: Parser) -> CmpiOp:
        return cast("Any", arith.CmpiOp.parse).__func__(cls, parser)

    def print(self, printer: Printer) -> None:
        arith.CmpiOp.print(cast("Any", self), printer)


INTEGER_PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")


def verify_flags(found: Attribute, compared: Attribute) -> None:
    if found != (expected := flags_for(compared)):
        raise VerifyException(f"expected a result of type {expected}, found {found}")


@irdl_op_definition
class SelectOp(IRDLOperation):
    """lhs where the condition holds, else rhs: one i1 for everything, or one for each lane of two vectors."""

    name = "arith.select"

    T: ClassVar = VarConstraint("T", AnyAttr())

    cond = operand_def(FLAGS)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)

    traits = traits_def(Pure())

    def __init__(self, condition: Operation | SSAValue, lhs: Operation | SSAValue, rhs: Operation | SSAValue):
        lhs = SSAValue.get(lhs)
        super().__init__(operands=(condition, lhs, rhs), result_types=(lhs.type,))

    def verify_(self) -> None:
        condition: Attribute = self.cond.type
        if not isinstance(condition, VectorType):
            return
        chosen: Attribute = self.result.type
        if not isinstance(chosen, VectorType) or chosen.get_shape() != condition.get_shape():
            raise VerifyException(f"expected a vector of the shape of {condition}, found {chosen}")

    @classmethod
    def parse(cls, parser: Parser) -> SelectOp:
        operands = parser.parse_comma_separated_list(
            Parser.Delimiter.NONE, parser.parse_unresolved_operand, " in the operands of arith.select"
        )
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        condition: Attribute = i1
        chosen = parser.parse_type()
        if parser.parse_optional_punctuation(","):
            condition, chosen = chosen, parser.parse_type()
        values = parser.resolve_operands(operands, (condition, chosen, chosen), parser.pos)
        made = cls(*values)
        made.attributes |= attributes
        return made

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list(self.operands, printer.print_operand)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        condition: Attribute = self.cond.type
        if isinstance(condition, VectorType):
            printer.print_attribute(cast("Attribute", condition))
            printer.print_string(", ")
        printer.print_attribute(self.result.type)
