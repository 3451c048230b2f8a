"""xDSL's `memref` with what it lacks: register it in the place of xDSL's."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import BoolAttr, IndexType, IntegerAttr, MemRefType, i32
from xdsl.dialects.memref import MemRef
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, prop_def, var_operand_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

NEAREST = 3
"""The highest locality: into the first cache. 2 is the second cache, 0 none to stay in."""


@irdl_op_definition
class PrefetchOp(IRDLOperation):
    """Ask for the cache line of an element, which may be read soon; it changes nothing but the time that takes."""

    name = "memref.prefetch"
    memref = operand_def(MemRefType)
    indices = var_operand_def(IndexType())
    is_write = prop_def(BoolAttr, prop_name="isWrite")
    locality = prop_def(IntegerAttr, prop_name="localityHint")
    is_data = prop_def(BoolAttr, prop_name="isDataCache")

    def __init__(self, memref: SSAValue, indices: list[SSAValue], locality: int = NEAREST):
        super().__init__(operands=(memref, indices), properties=hints(locality))

    def verify_(self) -> None:
        if cast("MemRefType[Attribute]", self.memref.type).get_num_dims() != len(self.indices):
            raise VerifyException("expected an index for each dimension")
        if not 0 <= self.locality.value.data <= NEAREST:
            raise VerifyException(f"locality must be between 0 and {NEAREST}, found {self.locality.value.data}")

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.memref)
        with printer.in_square_brackets():
            printer.print_list(self.indices, printer.print_ssa_value)
        access = "write" if self.is_write.value.data else "read"
        cache = "data" if self.is_data.value.data else "instr"
        printer.print_string(f", {access}, locality<{self.locality.value.data}>, {cache}")
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.memref.type)

    @classmethod
    def parse(cls, parser: Parser) -> PrefetchOp:
        memref = parser.parse_unresolved_operand()
        indices = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_unresolved_operand)
        parser.parse_punctuation(",")
        is_write = parser.expect(lambda: keyword(parser, "read", "write"), "expected `read` or `write`") == "write"
        parser.parse_punctuation(",")
        parser.parse_keyword("locality")
        parser.parse_punctuation("<")
        locality = parser.parse_integer()
        parser.parse_punctuation(">")
        parser.parse_punctuation(",")
        is_data = parser.expect(lambda: keyword(parser, "data", "instr"), "expected `data` or `instr`") == "data"
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        kind = parser.parse_type()
        operands = [parser.resolve_operand(memref, kind)]
        operands += [parser.resolve_operand(each, IndexType()) for each in indices]
        return cls.create(operands=operands, properties=hints(locality, is_write, is_data), attributes=attributes)


def keyword(parser: Parser, *words: str) -> str | None:
    """The one of these words that comes next, if one does."""
    return next((word for word in words if parser.parse_optional_keyword(word)), None)


def hints(locality: int, is_write: bool = False, is_data: bool = True) -> dict[str, Attribute]:
    """The properties of a prefetch."""
    return {
        "isWrite": BoolAttr.from_bool(is_write),
        "localityHint": IntegerAttr(locality, i32),
        "isDataCache": BoolAttr.from_bool(is_data),
    }


MEMREF = Dialect("memref", [*MemRef.operations, PrefetchOp], [*MemRef.attributes])
