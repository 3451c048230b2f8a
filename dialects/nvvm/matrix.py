"""Matrix products of a warp, and its loads and stores of 8-by-8 matrices in shared memory.

Which lane holds which elements: PTX ISA, "Matrix fragments for mma.m16n8k16" and the sections beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import IntegerAttr, VectorType, f16, f32, f64, i32
from xdsl.dialects.llvm import LLVMStructType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from xmlc.dialects.nvvm.attributes import (
    SHARED,
    MatrixLayout,
    MatrixLayoutAttr,
    MatrixType,
    MatrixTypeAttr,
    Overflow,
    OverflowAttr,
    ShapeAttr,
    StoredShapeAttr,
    StoredType,
    StoredTypeAttr,
)
from xmlc.dialects.nvvm.effects import READS, WRITES

Shape = tuple[int, int, int]
PAIR = VectorType(f16, (2,))
"""Two f16 in a register."""


def struct(type: Attribute, count: int) -> Attribute:
    """`count` values of a type: one by itself, several as a struct."""
    return type if count == 1 else LLVMStructType.from_type_list([type] * count)


FACTORS: dict[tuple[str, Shape], tuple[Attribute, int, int]] = {
    ("f16", (16, 8, 8)): (PAIR, 2, 1),
    ("f16", (16, 8, 16)): (PAIR, 4, 2),
    ("bf16", (16, 8, 8)): (i32, 2, 1),
    ("bf16", (16, 8, 16)): (i32, 4, 2),
    ("tf32", (16, 8, 4)): (i32, 2, 1),
    ("tf32", (16, 8, 8)): (i32, 4, 2),
    ("s8", (16, 8, 16)): (i32, 2, 1),
    ("s8", (16, 8, 32)): (i32, 4, 2),
    ("u8", (16, 8, 16)): (i32, 2, 1),
    ("u8", (16, 8, 32)): (i32, 4, 2),
    ("f64", (8, 8, 4)): (f64, 1, 1),
}
"""Elements of A and shape -> the type of a register, and how many of them a lane has of A and of B."""

SUMS: dict[str, tuple[tuple[Attribute, int], ...]] = {
    "f16": ((PAIR, 2), (f32, 4)),
    "bf16": ((f32, 4),),
    "tf32": ((f32, 4),),
    "s8": ((i32, 4),),
    "u8": ((i32, 4),),
    "f64": ((f64, 2),),
}
"""Elements of A -> what a lane may have of C and D."""


@irdl_op_definition
class MultiplyOp(IRDLOperation):
    """D = A B + C, by the lanes of a warp together: each lane holds some elements of every matrix in registers."""

    name = "nvvm.mma.sync"

    operand_a = var_operand_def()
    operand_b = var_operand_def()
    operand_c = var_operand_def()
    shape = prop_def(ShapeAttr)
    layout_a = prop_def(MatrixLayoutAttr, prop_name="layoutA")
    layout_b = prop_def(MatrixLayoutAttr, prop_name="layoutB")
    type_a = opt_prop_def(MatrixTypeAttr, prop_name="multiplicandAPtxType")
    type_b = opt_prop_def(MatrixTypeAttr, prop_name="multiplicandBPtxType")
    overflow = opt_prop_def(OverflowAttr, prop_name="intOverflowBehavior")
    res = result_def()
    traits = traits_def(Pure())
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        shape: Shape,
        a: Sequence[SSAValue],
        b: Sequence[SSAValue],
        c: Sequence[SSAValue],
        type_a: str | None = None,
        type_b: str | None = None,
        *,
        overflow: str | None = None,
    ):
        """`type_a` and `type_b` (the same if not given) are the elements of factors that are held in i32."""
        super().__init__(
            operands=(a, b, c),
            result_types=(struct(c[0].type, len(c)),),
            properties={
                "shape": ShapeAttr.of(*shape),
                "layoutA": MatrixLayoutAttr(MatrixLayout.Row),
                "layoutB": MatrixLayoutAttr(MatrixLayout.Column),
                "multiplicandAPtxType": None if type_a is None else MatrixTypeAttr(MatrixType(type_a)),
                "multiplicandBPtxType": None if type_a is None else MatrixTypeAttr(MatrixType(type_b or type_a)),
                "intOverflowBehavior": None if overflow is None else OverflowAttr(Overflow(overflow)),
            },
        )

    @property
    def elements(self) -> tuple[str, str]:
        """What the elements of A and B are."""
        if self.type_a is not None and self.type_b is not None:
            return self.type_a.data.value, self.type_b.data.value
        known: dict[Attribute, str] = {PAIR: "f16", f64: "f64"}
        return known.get(self.operand_a[0].type, "unknown"), known.get(self.operand_b[0].type, "unknown")

    def verify_(self) -> None:
        if not (self.operand_a and self.operand_b and self.operand_c):
            raise VerifyException("each matrix is at least one value")
        a, b = self.elements
        found = FACTORS.get((a, self.shape.sizes))
        if found is None or (a != b and {a, b} != {"s8", "u8"}):
            raise VerifyException(f"there is no product of {a} and {b} of shape {self.shape.sizes}")
        if (self.layout_a.data, self.layout_b.data) != (MatrixLayout.Row, MatrixLayout.Column):
            raise VerifyException("A lies by rows and B by columns")
        register, count_a, count_b = found
        expect_registers("A", self.operand_a, ((register, count_a),))
        expect_registers("B", self.operand_b, ((register, count_b),))
        expect_registers("C", self.operand_c, SUMS[a])
        wanted = struct(self.operand_c[0].type, len(self.operand_c))
        if self.res.type != wanted:
            raise VerifyException(f"the result is {self.res.type}, expected {wanted}")

    def print(self, printer: Printer) -> None:
        for name, operands in (("A", self.operand_a), ("B", self.operand_b), ("C", self.operand_c)):
            printer.print_string(f" {name}[")
            printer.print_list(operands, printer.print_ssa_value)
            printer.print_string("]")
        hidden = ("operandSegmentSizes",)
        printer.print_op_attributes(
            {key: each for key, each in (self.properties | self.attributes).items() if key not in hidden}
        )
        printer.print_string(" : (")
        printer.print_list(
            [each[0].type for each in (self.operand_a, self.operand_b, self.operand_c)], printer.print_attribute
        )
        printer.print_string(") -> ")
        printer.print_attribute(self.res.type)

    @classmethod
    def parse(cls, parser: Parser) -> MultiplyOp:
        names: list[list[Any]] = []
        for matrix in "ABC":
            parser.parse_keyword(matrix)
            names.append(
                parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_unresolved_operand, "values")
            )
        properties = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type, "types")
        if len(types) != len(names):
            parser.raise_error(f"expected {len(names)} types, found {len(types)}")
        parser.parse_punctuation("->")
        result = parser.parse_type()
        operands = [parser.resolve_operands(each, [type] * len(each), parser.pos) for each, type in zip(names, types)]
        known = {key: properties.pop(key) for key in [*properties] if key in PROPERTIES}
        return cls.build(operands=operands, result_types=(result,), properties=known, attributes=properties)


PROPERTIES = frozenset(
    {"shape", "layoutA", "layoutB", "multiplicandAPtxType", "multiplicandBPtxType", "intOverflowBehavior"}
)


def expect_registers(name: str, found: Sequence[SSAValue], wanted: Sequence[tuple[Attribute, int]]) -> None:
    """Raise VerifyException if the values of a matrix are not as many of the type as one of the choices."""
    if not any(len(found) == count and all(each.type == type for each in found) for type, count in wanted):
        choices = " or ".join(f"{count} of {type}" for type, count in wanted)
        raise VerifyException(f"{name} is {len(found)} of {found[0].type}, expected {choices}")


def stored_properties(layout: str) -> dict[str, Attribute]:
    return {
        "layout": MatrixLayoutAttr(MatrixLayout(layout)),
        "shape": StoredShapeAttr.of(8, 8),
        "eltType": StoredTypeAttr(StoredType.B16),
    }


def expect_count(count: int) -> None:
    if count not in (1, 2, 4):
        raise VerifyException(f"{count} matrices, expected 1, 2 or 4")


@irdl_op_definition
class LoadMatrixOp(IRDLOperation):
    """1, 2 or 4 matrices of 8 by 8 elements of 16 bits: lane i gives the address of row i % 8 of matrix i // 8.

    Lane i gets elements 2 (i % 4) and the next of row i // 4 of each matrix, of its transpose with layout `col`.
    """

    name = "nvvm.ldmatrix"

    ptr = operand_def(SHARED)
    num = prop_def(IntegerAttr.constr(i32))
    layout = prop_def(MatrixLayoutAttr)
    shape = prop_def(StoredShapeAttr)
    element = prop_def(StoredTypeAttr, prop_name="eltType")
    res = result_def()
    irdl_options = (ParsePropInAttrDict(),)
    traits = READS
    assembly_format = "$ptr attr-dict `:` `(` type($ptr) `)` `->` type($res)"

    def __init__(self, pointer: SSAValue, count: int, layout: str = "row"):
        super().__init__(
            operands=(pointer,),
            result_types=(struct(i32, count),),
            properties={"num": IntegerAttr(count, i32), **stored_properties(layout)},
        )

    def verify_(self) -> None:
        count = self.num.value.data
        expect_count(count)
        if self.res.type != struct(i32, count):
            raise VerifyException(f"the result is {self.res.type}, expected {struct(i32, count)}")


@irdl_op_definition
class StoreMatrixOp(IRDLOperation):
    """1, 2 or 4 matrices of 8 by 8 elements of 16 bits: what `ldmatrix` reads, written."""

    name = "nvvm.stmatrix"

    ptr = operand_def(SHARED)
    sources = var_operand_def(i32)
    layout = prop_def(MatrixLayoutAttr)
    shape = prop_def(StoredShapeAttr)
    element = prop_def(StoredTypeAttr, prop_name="eltType")
    irdl_options = (ParsePropInAttrDict(),)
    traits = WRITES
    assembly_format = "$ptr `,` $sources attr-dict `:` type($ptr) `,` type($sources)"

    def __init__(self, pointer: SSAValue, sources: Sequence[SSAValue], layout: str = "row"):
        super().__init__(operands=(pointer, sources), properties=stored_properties(layout))

    def verify_(self) -> None:
        expect_count(len(self.sources))


MATRIX: tuple[type[Operation], ...] = (LoadMatrixOp, MultiplyOp, StoreMatrixOp)
