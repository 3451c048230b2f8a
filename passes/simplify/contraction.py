"""Laws of matrix products."""

from __future__ import annotations

from xdsl.dialects.builtin import i8, i32
from xdsl.ir import OpResult, SSAValue

from xmlc.dialects.dtypes import u8
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.contraction import MatmulOp
from xmlc.dialects.ml.elementwise import CastOp, SubOp
from xmlc.dialects.ml.shaping import TransposeOp
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.passes.laws import law


def swapped(value: SSAValue) -> SSAValue | None:
    """What a value is the transpose of in its last two dimensions."""
    match value.owner:
        case TransposeOp(x=x, permutation=order):
            rank = rank_of(x)
            return x if list(order.get_values()) == [*range(rank - 2), rank - 1, rank - 2] else None
        case _:
            return None


@law
def transpose_of_product(op: TransposeOp) -> SSAValue | None:
    """transpose(transpose(a) @ transpose(b)) -> b @ a, each of the last two dimensions"""
    if swapped(op.out) is None:
        return None
    match op.x.owner:
        case MatmulOp(lhs=lhs, rhs=rhs, bias=None):
            a, b = swapped(lhs), swapped(rhs)
            return None if a is None or b is None else F.matmul(b, a)
        case _:
            return None


def moved(value: SSAValue) -> tuple[SSAValue, SSAValue] | None:
    """(x, z) for x - z in 32-bit integers, x widened from fewer bits."""
    if element_of(value) != i32:
        return None
    match value.owner:
        case SubOp(lhs=OpResult(op=CastOp(x=narrow)) as x, rhs=z) if element_of(narrow) in (i8, u8):
            return x, z
        case _:
            return None


@law
def product_of_moved_rows(op: MatmulOp) -> SSAValue | None:
    """(x - z) @ b -> x @ b - z * (sum of b over the rows), modulo 2**32, z one number or one for each row:
    products of 8-bit integers have instructions"""
    found = moved(op.lhs)
    if found is None or op.bias is not None:
        return None
    x, z = found
    if shape_of(z)[-1:] not in ((), (1,)) or shape_of(x) != shape_of(op.lhs):
        return None
    return F.sub(F.matmul(x, op.rhs), F.mul(z, F.reduce_sum(op.rhs, axes=(-2,), keep_dims=True)))


@law
def product_of_moved_columns(op: MatmulOp) -> SSAValue | None:
    """a @ (x - z) -> a @ x - (sum of a over the columns) * z, modulo 2**32, z one number or one for each column"""
    found = moved(op.rhs)
    if found is None or op.bias is not None:
        return None
    x, z = found
    if shape_of(z)[-2:-1] not in ((), (1,)) or shape_of(x) != shape_of(op.rhs):
        return None
    return F.sub(F.matmul(op.lhs, x), F.mul(F.reduce_sum(op.lhs, axes=(-1,), keep_dims=True), z))


CONTRACTION = (transpose_of_product, product_of_moved_rows, product_of_moved_columns)
