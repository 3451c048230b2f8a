"""The pass `pack-weights`: products by weights read them in panels, which are made once, when the program is loaded.

A register tile reads a narrow strip of a matrix, a piece of every row of it. In a large matrix each piece is on a page
of its own, and no cache line but one follows another: memory delivers that at a fraction of what it could. In a panel
the pieces lie one after the other. The panels are made by ordinary ops, which hoist-weights moves to @prepare.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32, f64
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.contraction import MatmulOp
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

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in defined_functions(op):
            sources = sources_in_weights(function)
            for product in [each for each in function.body.block.ops if isinstance(each, MatmulOp)]:
                if sources.get(product.rhs) and (width := self.width_of(product)) is not None:
                    remarks.passed(product, lambda: f"its weights are packed once, in panels of {width} columns")
                    pack(product, width)

    def width_of(self, op: MatmulOp) -> int | None:
        """The columns of a panel; None for a product that gains nothing by them."""
        if element_of(op.out) not in (f32, f64) or rank_of(op.rhs) != 2 or bytes_of(op.rhs) < LEAST:
            return None
        *rows, _ = shape_of(op.lhs)
        lanes = self.vector_bits // (8 * TO_NUMPY[element_of(op.out)].itemsize)
        columns = shape_of(op.rhs)[-1]
        if is_symbolic(rows):  # tiles for free sizes have one width, and none are cut off
            width = VECTORS[0] * lanes
            return width if columns % width == 0 else None
        fitting = [vectors * lanes for vectors in VECTORS if columns % (vectors * lanes) == 0]
        widths = [*fitting, VECTORS[0] * lanes]
        return widths[0] if columns >= widths[0] and prod(rows) in ROWS else None


VECTORS = (2, 3)
"""Vectors of a panel, the best first: with them a register tile has enough rows to be bound by arithmetic."""


def pack(op: MatmulOp, width: int) -> None:
    """x @ w -> packed_matmul(x, panels of w), without the columns that the last panel has too many"""
    with building(InsertPoint.before(op), op.location):
        columns = shape_of(op.rhs)[-1]
        bias = op.bias
        if bias is not None and shape_of(bias)[-1:] == (columns,):
            bias = padded(bias, rank_of(bias) - 1, width)
        made = F.packed_matmul(op.lhs, panels_of(op.rhs, width), bias)
        if shape_of(made) != shape_of(op.out):
            made = F.slice_(made, [0] * rank_of(made), shape_of(op.out))
    made.name_hint = op.out.name_hint
    op.out.replace_all_uses_with(made)
    Rewriter.erase_op(op)


def panels_of(rhs: SSAValue, width: int) -> SSAValue:
    """(k, n) as panels (n / p, k, p, 1), zeros in the place of columns after the last"""
    match rhs.owner:
        case TransposeOp(x=rows):
            rows = padded(rows, 0, width)
            columns, depth = shape_of(rows)
            panels = F.transpose(F.reshape(rows, (columns // width, width, depth)), (0, 2, 1))
        case _:
            rows = padded(rhs, 1, width)
            depth, columns = shape_of(rows)
            panels = F.transpose(F.reshape(rows, (depth, columns // width, width)), (1, 0, 2))
    return F.reshape(panels, (columns // width, depth, width, 1))


def padded(x: SSAValue, axis: int, unit: int) -> SSAValue:
    """x with zeros after the last element of an axis, up to a multiple of `unit`"""
    missing = -shape_of(x)[axis] % unit
    if not missing:
        return x
    high = [missing if each == axis else 0 for each in range(rank_of(x))]
    return F.pad(x, [0] * rank_of(x), high, value=F.scalar(x, 0))
