"""Rows of `affine` expressions on indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from xdsl.dialects import affine
from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import Operation
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineSymExpr,
)

from xmlc.backends.llvm_text.writer import Extent, Row, Writer


def floor_divide(x: int, y: int) -> int:
    return x // y


def ceil_divide(x: int, y: int) -> int:
    return -(-x // y)


def modulo(x: int, y: int) -> int:
    return x % y


# kind of division -> helper function, the same on numbers
DIVISIONS: dict[AffineBinaryOpKind, tuple[str, Callable[[int, int], int]]] = {
    AffineBinaryOpKind.FloorDiv: ("floordiv", floor_divide),
    AffineBinaryOpKind.CeilDiv: ("ceildiv", ceil_divide),
    AffineBinaryOpKind.Mod: ("mod", modulo),
}


def value_of(w: Writer, expression: AffineExpr, dims: Sequence[Extent], symbols: Sequence[Extent]) -> Extent:
    """The expression on these arguments: a number where all that matters is known."""
    match expression:
        case AffineConstantExpr():
            return expression.value
        case AffineDimExpr():
            return dims[expression.position]
        case AffineSymExpr():
            return symbols[expression.position]
        case AffineBinaryOpExpr(kind=kind):
            x = value_of(w, expression.lhs, dims, symbols)
            y = value_of(w, expression.rhs, dims, symbols)
            if kind == AffineBinaryOpKind.Add:
                return w.add(x, y)
            if kind == AffineBinaryOpKind.Mul:
                return 0 if 0 in (x, y) else w.multiply(x, y)
            helper, compute = DIVISIONS[kind]
            if isinstance(x, int) and isinstance(y, int):
                return compute(x, y)
            return w.emit(f"call i64 {w.helper(helper, 'i64')}(i64 {x}, i64 {y})")
        case _:
            raise AssertionError(f"unknown affine expression {expression}")


def results_of(w: Writer, op: Operation) -> list[Extent]:
    affine_map = cast("AffineMapAttr", op.properties["map"]).data
    operands = [w.extent(value) for value in op.operands]
    dims, symbols = operands[: affine_map.num_dims], operands[affine_map.num_dims :]
    return [value_of(w, expression, dims, symbols) for expression in affine_map.results]


def apply(w: Writer, op: affine.ApplyOp) -> None:
    w.names[op.results[0]] = str(results_of(w, op)[0])


def minimum(w: Writer, op: affine.MinOp) -> None:
    least, *others = results_of(w, op)
    for other in others:
        if isinstance(least, int) and isinstance(other, int):
            least = min(least, other)
        else:
            least = w.emit(f"call i64 @llvm.smin.i64(i64 {least}, i64 {other})")
    w.names[op.results[0]] = str(least)


ROWS: dict[type[Operation], Row] = {affine.ApplyOp: apply, affine.MinOp: minimum}
