"""The pass `pack-weights`: products by weights read them in panels, which are made once, when the program is loaded.

A register tile reads a narrow strip of a matrix, a piece of every row of it. In a large matrix each piece is on a page
of its own, and no cache line but one follows another: memory delivers that at a fraction of what it could. In a panel
the pieces lie one after the other. The panels are made by ordinary ops, which hoist-weights moves to @prepare.

Where an instruction multiplies and sums groups of neighbours (bf16, i8), the steps of a group lie side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, bf16, f32, f64, i8, i32
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from xmlc.dialects.dtypes import bit_width, computing_type, u8
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.contraction import MatmulOp
from xmlc.dialects.ml.elementwise import CastOp
from xmlc.dialects.ml.shaping import TransposeOp
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.dialects.sizes import is_symbolic
from xmlc.passes import remarks
from xmlc.passes.building import building
from xmlc.passes.functions import defined_functions
from xmlc.passes.hoist_weights import bytes_of, sources_in_weights
from xmlc.passes.machine import Machine

ROWS = range(4, 1025)
"""How many rows a product may have: fewer read the matrix in order anyway, for more its panels are made as they go."""
LEAST = 128 << 10
"""Bytes from which a matrix is packed; a smaller one stays in the second cache as it is."""


@dataclass(frozen=True)
class PackWeights(ModulePass):
    """Multiply by panels where the right factor is made of weights alone and large."""

    name = "pack-weights"
    vector_bits: int = Machine.vector_bits
    dots: tuple[str, ...] = Machine.dots
    tiles: tuple[str, ...] = Machine.tiles

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in defined_functions(op):
            sources = sources_in_weights(function)
            for product in [each for each in function.body.block.ops if isinstance(each, MatmulOp)]:
                if sources.get(product.rhs) and (panels := self.panels_for(product)) is not None:
                    remarks.passed(product, lambda: f"its weights are packed once, in {panels}")
                    pack(product, panels)

    def panels_for(self, op: MatmulOp) -> Panels | None:
        """How the weights of a product lie; None for a product that gains nothing by packing them."""
        weight = narrow(op.rhs)
        group = self.group_of(op)
        if group is None or rank_of(weight) != 2 or bytes_of(weight) < LEAST:
            return None
        *rows, depth = shape_of(op.lhs)
        lanes = self.vector_bits // bit_width(computing_type(element_of(op.out)))
        columns = shape_of(weight)[-1]
        if is_symbolic(rows):  # tiles for free sizes have one width, and none are cut off
            width = VECTORS[0] * lanes
            return Panels(width) if group == 1 and columns % width == 0 else None
        fitting = [vectors * lanes for vectors in VECTORS if columns % (vectors * lanes) == 0]
        widths = [*fitting, VECTORS[0] * lanes]
        fits = columns >= widths[0] and prod(rows) in ROWS and depth % group == 0
        return Panels(widths[0], group) if fits else None

    def group_of(self, op: MatmulOp) -> int | None:
        """How many steps one instruction takes, 1 where it takes one; None where products are not made of vectors."""
        if element_of(op.out) in (f32, f64):
            return 1
        kinds = [element_of(narrow(factor)) for factor in (op.lhs, op.rhs)]
        name, size = next(((name, size) for name, size, both in GROUPS if sorted(kinds, key=str) == both), ("", None))
        return size if name in self.dots and name not in self.tiles else None


GROUPS = (("bf16", 2, [bf16, bf16]), ("i8", 4, [i8, u8]))
"""What an instruction is called (`Machine.dots`), its steps, and its factors: of 8 bits it takes one unsigned."""


@dataclass(frozen=True)
class Panels:
    """How weights lie: so many columns side by side, and of each so many steps."""

    width: int
    group: int = 1

    def __str__(self) -> str:
        steps = f", {self.group} steps of each side by side" if self.group > 1 else ""
        return f"panels of {self.width} columns{steps}"


def narrow(factor: SSAValue) -> SSAValue:
    """The integers of 8 bits that a factor is made of by widening them; the factor itself where it is not."""
    match factor.owner:
        case CastOp(x=x) if element_of(x) in (i8, u8) and element_of(factor) == i32:
            return x
        case _:
            return factor


VECTORS = (2, 3)
"""Vectors of a panel, the best first: with them a register tile has enough rows to be bound by arithmetic."""


def pack(op: MatmulOp, panels: Panels) -> None:
    """x @ w -> packed_matmul(x, panels of w), without the columns that the last panel has too many"""
    with building(InsertPoint.before(op), op.location):
        columns = shape_of(op.rhs)[-1]
        bias = op.bias
        if bias is not None and shape_of(bias)[-1:] == (columns,):
            bias = padded(bias, rank_of(bias) - 1, panels.width)
        weights = panels_of(narrow(op.rhs), panels)
        if element_of(weights) != element_of(op.rhs):
            weights = F.cast(weights, element_of(op.rhs))
        made = F.packed_matmul(op.lhs, weights, bias)
        if shape_of(made) != shape_of(op.out):
            made = F.slice_(made, [0] * rank_of(made), shape_of(op.out))
    made.name_hint = op.out.name_hint
    op.out.replace_all_uses_with(made)
    Rewriter.erase_op(op)


def panels_of(rhs: SSAValue, panels: Panels) -> SSAValue:
    """(k, n) as panels (n / p, k / g, p, g), zeros in the place of columns after the last"""
    width, group = panels.width, panels.group
    match rhs.owner:
        case TransposeOp(x=rows):
            rows = padded(rows, 0, width)
            columns, depth = shape_of(rows)
            parts = F.reshape(rows, (columns // width, width, depth // group, group))
            return F.transpose(parts, (0, 2, 1, 3))
        case _:
            rows = padded(rhs, 1, width)
            depth, columns = shape_of(rows)
            parts = F.reshape(rows, (depth // group, group, columns // width, width))
            return F.transpose(parts, (2, 0, 3, 1))


def padded(x: SSAValue, axis: int, unit: int) -> SSAValue:
    """x with zeros after the last element of an axis, up to a multiple of `unit`"""
    missing = -shape_of(x)[axis] % unit
    if not missing:
        return x
    high = [missing if each == axis else 0 for each in range(rank_of(x))]
    return F.pad(x, [0] * rank_of(x), high, value=F.scalar(x, 0))
