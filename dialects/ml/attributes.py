"""Constraints and constructors of the properties that `ml` ops share."""

from __future__ import annotations

from collections.abc import Iterable

from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, IntegerType, UnitAttr, f64, i64
from xdsl.irdl import EqAttrConstraint

Integers = DenseArrayBase.constr(i64)
"""A list of integers, printed `[1, 2]`."""

Integer = IntegerAttr.constr(type=EqAttrConstraint(i64))
"""One integer, printed without its type."""

Float = FloatAttr.constr(EqAttrConstraint(f64))
"""One float64, printed without its type."""


def integers(values: Iterable[int]) -> DenseArrayBase[IntegerType]:
    return DenseArrayBase.from_list(i64, list(values))


def integer(value: int) -> IntegerAttr[IntegerType]:
    return IntegerAttr(value, i64)


def real(value: float) -> FloatAttr:
    return FloatAttr(value, f64)


def flag(value: bool) -> UnitAttr | None:
    """A property that is present when true."""
    return UnitAttr() if value else None
