"""Dialect `amx`: products of tiles, which x86 processors with AMX hold in registers of their own. As upstream has it.

A tile is up to 16 rows of up to 64 bytes. Where a product's right factor has elements of fewer than 32 bits, each of
its rows holds as many steps of the reduction as fit 32 bits, those of a column next to one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from xdsl.dialects.builtin import (
    AnyFloat,
    ArrayAttr,
    FixedBitwidthType,
    IndexType,
    IntAttr,
    IntegerType,
    MemRefType,
    UnitAttr,
)
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import (
    IRDLOperation,
    VarConstraint,
    base,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect, Pure
from xdsl.utils.exceptions import VerifyException

ROWS, ROW_BYTES, WORD_BYTES = 16, 64, 4
"""The most rows of a tile, the most bytes of a row; bytes of a sum, and of a group of steps."""


@irdl_attr_definition
class TileType(ParametrizedAttribute, TypeAttribute):
    """`!amx.tile<16x32xbf16>`: rows, columns, elements."""

    name = "amx.tile"
    shape: ArrayAttr[IntAttr]
    element_type: Attribute

    @classmethod
    def of(cls, rows: int, columns: int, element: Attribute) -> TileType:
        return cls(ArrayAttr((IntAttr(rows), IntAttr(columns))), element)

    def get_shape(self) -> tuple[int, ...]:
        return tuple(each.data for each in self.shape)

    @property
    def rows(self) -> int:
        return self.get_shape()[0]

    @property
    def row_bytes(self) -> int:
        return self.get_shape()[1] * bits(self.element_type) // 8

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            shape, element = parser.parse_ranked_shape()
        return ArrayAttr([IntAttr(size) for size in shape]), element

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string("x".join(map(str, self.get_shape())) + "x")
            printer.print_attribute(self.element_type)

    def verify(self) -> None:
        if len(self.shape) != 2 or not isinstance(self.element_type, AnyFloat | IntegerType):
            raise VerifyException("a tile has two dimensions, of numbers")
        if not 1 <= self.rows <= ROWS or not 1 <= self.row_bytes <= ROW_BYTES or self.row_bytes % WORD_BYTES:
            raise VerifyException(
                f"a tile has at most {ROWS} rows of {ROW_BYTES} bytes, in words of {WORD_BYTES}; "
                f"found {self.rows} of {self.row_bytes}"
            )


def bits(element: Attribute) -> int:
    assert isinstance(element, FixedBitwidthType)
    return element.bitwidth


@irdl_op_definition
class TileZeroOp(IRDLOperation):
    """A tile of zeros."""

    name = "amx.tile_zero"
    res = result_def(TileType)
    traits = traits_def(Pure())
    assembly_format = "attr-dict `:` type($res)"


@irdl_op_definition
class TileLoadOp(IRDLOperation):
    """The tile whose first element is at the indices; its rows are as far apart as the buffer's last but one index."""

    name = "amx.tile_load"
    base = operand_def(MemRefType)
    indices = var_operand_def(IndexType())
    res = result_def(TileType)
    traits = traits_def(MemoryReadEffect())
    assembly_format = "$base `[` $indices `]` attr-dict `:` type($base) `into` type($res)"

    def verify_(self) -> None:
        expect_place(self.base.type, len(self.indices), self.res.type)


@irdl_op_definition
class TileStoreOp(IRDLOperation):
    """Store a tile at the indices."""

    name = "amx.tile_store"
    base = operand_def(MemRefType)
    indices = var_operand_def(IndexType())
    val = operand_def(TileType)
    traits = traits_def(MemoryWriteEffect())
    assembly_format = "$base `[` $indices `]` `,` $val attr-dict `:` type($base) `,` type($val)"

    def verify_(self) -> None:
        expect_place(self.base.type, len(self.indices), self.val.type)


def expect_place(base: Attribute, indices: int, tile: Attribute) -> None:
    found = cast("MemRefType[Attribute]", base)
    if found.get_num_dims() != indices or indices < 2:
        raise VerifyException("expected an index for each dimension, of which there are two at least")
    if found.element_type != cast(TileType, tile).element_type:
        raise VerifyException(f"expected a buffer of the elements of {tile}, found {base}")


class ProductOp(IRDLOperation):
    """acc[i, j] + the sum over s < k, t < g of lhs[i, s * g + t] * rhs[s, j * g + t], g elements being 32 bits."""

    T: ClassVar = VarConstraint("T", base(TileType))

    lhs = operand_def(TileType)
    rhs = operand_def(TileType)
    acc = operand_def(T)
    res = result_def(T)
    traits = traits_def(Pure())

    @property
    def group(self) -> int:
        return 32 // bits(cast(TileType, self.lhs.type).element_type)

    def verify_(self) -> None:
        lhs, rhs, acc = (cast(TileType, each.type) for each in (self.lhs, self.rhs, self.acc))
        fits = lhs.rows == acc.rows and rhs.row_bytes == acc.row_bytes and lhs.row_bytes == WORD_BYTES * rhs.rows
        if not fits or bits(acc.element_type) != 32 or bits(lhs.element_type) != bits(rhs.element_type):
            raise VerifyException(f"cannot multiply {lhs} by {rhs} onto {acc}")


@irdl_op_definition
class TileMulFOp(ProductOp):
    """The product of tiles of bf16 added to one of f32: the order of the additions is the processor's."""

    name = "amx.tile_mulf"
    assembly_format = "$lhs `,` $rhs `,` $acc attr-dict `:` type($lhs) `,` type($rhs) `,` type($acc)"


@irdl_op_definition
class TileMulIOp(ProductOp):
    """The product of tiles of i8 added to one of i32, modulo 2**32; factors are signed unless marked `zext`."""

    name = "amx.tile_muli"
    is_unsigned_lhs = opt_prop_def(UnitAttr, prop_name="isZextLhs")
    is_unsigned_rhs = opt_prop_def(UnitAttr, prop_name="isZextRhs")
    assembly_format = (
        "$lhs (`zext` $isZextLhs^)? `,` $rhs (`zext` $isZextRhs^)? `,` $acc "
        "attr-dict `:` type($lhs) `,` type($rhs) `,` type($acc)"
    )


AMX = Dialect("amx", [TileZeroOp, TileLoadOp, TileStoreOp, TileMulFOp, TileMulIOp], [TileType])
