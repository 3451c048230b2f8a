"""Where the points of a loop nest are in memory: addresses that are sums of index times step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute
from xdsl.ir.affine import AffineBinaryOpExpr, AffineBinaryOpKind, AffineConstantExpr, AffineDimExpr, AffineExpr


@dataclass(frozen=True)
class Linear:
    """start + the sum of index * step over the loops, in elements from the start of a buffer."""

    start: int
    steps: tuple[int, ...]

    def over(self, loops: Sequence[int]) -> Linear:
        """The same on some of the loops only: the others have one iteration."""
        return Linear(self.start, tuple(self.steps[loop] for loop in loops))


def linear_of(indices: Sequence[AffineExpr], type_: MemRefType[Attribute], loops: int) -> Linear | None:
    """The address of an access; None where it is not linear, or not known."""
    strides, offset = type_.get_strides(), type_.get_offset()
    if strides is None or offset is None:
        return None
    start, steps = offset, [0] * loops
    for expression, stride in zip(indices, strides, strict=True):
        found = coefficients(expression, loops)
        if found is None or stride is None:
            return None
        constant, each = found
        start += constant * stride
        steps = [total + more * stride for total, more in zip(steps, each)]
    return Linear(start, tuple(steps))


def coefficients(expression: AffineExpr, loops: int) -> tuple[int, list[int]] | None:
    """The constant and the factor of each loop in an expression; None where it is not linear."""
    match expression:
        case AffineConstantExpr():
            return expression.value, [0] * loops
        case AffineDimExpr():
            return 0, [int(loop == expression.position) for loop in range(loops)]
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add):
            x, y = coefficients(expression.lhs, loops), coefficients(expression.rhs, loops)
            if x is None or y is None:
                return None
            return x[0] + y[0], [a + b for a, b in zip(x[1], y[1])]
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mul):
            x, y = coefficients(expression.lhs, loops), coefficients(expression.rhs, loops)
            if x is None or y is None or (any(x[1]) and any(y[1])):
                return None
            if any(y[1]):
                x, y = y, x
            return x[0] * y[0], [a * y[0] for a in x[1]]
        case _:
            return None
