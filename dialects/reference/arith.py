"""What `arith` means on scalars, lanes, vectors and tensors: two's complement and IEEE 754.

What LLVM leaves undefined (division by zero, INT_MIN / -1) is an error. What it calls poison (a shift by
the width or more, a float that does not fit an integer) is a number that stands out, since poison may be
selected away.
Source: https://mlir.llvm.org/docs/Dialects/ArithOps/
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, FloatAttr, IntegerAttr
from xdsl.ir import Operation

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.float_remainder import RemfOp
from xmlc.dialects.lanewise import CmpfOp, CmpiOp, SelectOp
from xmlc.dialects.reference.access import dense
from xmlc.dialects.reference.interpreter import Array, Frame, InterpreterError, dtype_of, uninitialized


def signed(x: Any) -> Any:
    """An integer as a signed number; the i1 true is -1."""
    return -x.astype(np.int8) if x.dtype == np.bool_ else x


def unsigned(x: Any) -> Any:
    """The same bits as an unsigned number."""
    return x.astype(np.uint8) if x.dtype == np.bool_ else x.view(f"u{x.dtype.itemsize}")


def poison(dtype: np.dtype[Any]) -> Any:
    return uninitialized((), dtype)[()]


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A row for an op that is a function of its operands alone."""

    def row(op: Operation, *operands: Any) -> Any:
        return function(*operands)

    return row


def where(condition: Any, a: Any, b: Any) -> Any:
    """np.where that keeps scalars scalars."""
    choose: Callable[..., Any] = np.where
    return choose(condition, a, b)[()]


def _integer(function: Callable[..., Any], see: Callable[[Any], Any] = signed) -> Callable[..., Any]:
    """A row for an op of two integers whose low bits are those of `function` on the numbers seen."""

    def row(op: Operation, a: Any, b: Any) -> Any:
        result = function(see(a), see(b))
        return (result & 1).astype(np.bool_) if a.dtype == np.bool_ else result.view(a.dtype)

    return row


def _division(function: Callable[..., Any], see: Callable[[Any], Any]) -> Callable[..., Any]:
    divide = _integer(function, see)

    def row(op: Operation, a: Any, b: Any) -> Any:
        if np.any(b == 0):
            raise InterpreterError(op, "division by zero")
        if see is signed and a.dtype != np.bool_ and np.any((b == -1) & (a == np.iinfo(a.dtype).min)):
            raise InterpreterError(op, f"{np.iinfo(a.dtype).min} / -1 overflows")
        return divide(op, a, b)

    return row


def truncated_division(a: Any, b: Any) -> Any:
    """The quotient rounded toward zero."""
    return (a - np.fmod(a, b)) // b


def ceil_division(a: Any, b: Any) -> Any:
    quotient = a // b
    return (quotient + (quotient * b != a)).astype(a.dtype)


def _shift(function: Callable[..., Any], see: Callable[[Any], Any]) -> Callable[..., Any]:
    def row(op: Operation, a: Any, b: Any) -> Any:
        width = 1 if a.dtype == np.bool_ else 8 * a.dtype.itemsize
        inside = unsigned(b) < width
        amount = where(inside, signed(b), 0)
        value = see(a)
        shifted = function(value, amount.astype(value.dtype)).astype(value.dtype)
        back = (shifted & 1).astype(np.bool_) if a.dtype == np.bool_ else shifted.view(a.dtype)
        return where(inside, back, poison(a.dtype))

    return row


def add_extended(op: arith.AddUIExtendedOp, a: Any, b: Any) -> tuple[Any, Any]:
    """(the sum modulo 2^n, whether it overflowed)"""
    total = a ^ b if a.dtype == np.bool_ else a + b
    return total, unsigned(total) < unsigned(a)


def _multiply_extended(see: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
    """(low, high) halves of the exact product"""

    def row(op: Operation, a: Any, b: Any) -> tuple[Any, Any]:
        width = 1 if a.dtype == np.bool_ else 8 * a.dtype.itemsize
        product = np.asarray(see(a)).astype(object) * np.asarray(see(b)).astype(object)

        def half(number: Any) -> Any:
            bits = np.asarray(number & ((1 << width) - 1))
            if a.dtype == np.bool_:
                return bits.astype(np.bool_)[()]
            return bits.astype(f"u{a.dtype.itemsize}").view(a.dtype)[()]

        return half(product), half(product >> width)

    return row


# by number, as arith.cmpi and arith.cmpf encode their predicates
INTEGER_PREDICATES: tuple[tuple[Callable[[Any, Any], Any], Callable[[Any], Any]], ...] = (
    (np.equal, signed),
    (np.not_equal, signed),
    (np.less, signed),
    (np.less_equal, signed),
    (np.greater, signed),
    (np.greater_equal, signed),
    (np.less, unsigned),
    (np.less_equal, unsigned),
    (np.greater, unsigned),
    (np.greater_equal, unsigned),
)


def unordered(a: Any, b: Any) -> Any:
    return np.isnan(a) | np.isnan(b)


FLOAT_PREDICATES: tuple[Callable[[Any, Any], Any], ...] = (
    lambda a, b: np.zeros(np.broadcast_shapes(a.shape, b.shape), np.bool_)[()],
    np.equal,
    np.greater,
    np.greater_equal,
    np.less,
    np.less_equal,
    lambda a, b: (a < b) | (a > b),
    lambda a, b: ~unordered(a, b),
    lambda a, b: (a == b) | unordered(a, b),
    lambda a, b: ~(a <= b),
    lambda a, b: ~(a < b),
    lambda a, b: ~(a >= b),
    lambda a, b: ~(a > b),
    np.not_equal,
    unordered,
    lambda a, b: np.ones(np.broadcast_shapes(a.shape, b.shape), np.bool_)[()],
)


def compare_integers(op: arith.CmpiOp | CmpiOp, a: Any, b: Any) -> Any:
    function, see = INTEGER_PREDICATES[op.predicate.value.data]
    return function(see(a), see(b))


def compare_floats(op: arith.CmpfOp | CmpfOp, a: Any, b: Any) -> Any:
    return FLOAT_PREDICATES[op.predicate.value.data](a, b)


def select(op: arith.SelectOp | SelectOp, condition: Any, a: Any, b: Any) -> Any:
    if condition.ndim == 0:
        return a if condition else b
    return where(condition, a, b)


def maximum(op: Operation, a: Any, b: Any) -> Any:
    """NaN if either is NaN; -0 is less than +0."""
    return where(a == b, where(np.signbit(a), b, a), np.maximum(a, b))


def minimum(op: Operation, a: Any, b: Any) -> Any:
    """NaN if either is NaN; -0 is less than +0."""
    return where(a == b, where(np.signbit(a), a, b), np.minimum(a, b))


def _number(function: Callable[..., Any]) -> Callable[..., Any]:
    """IEEE 754's maxNum and minNum: the other one if one is NaN."""

    def row(op: Operation, a: Any, b: Any) -> Any:
        return where(np.isnan(a), b, where(np.isnan(b), a, function(op, a, b)))

    return row


def _convert(see: Callable[[Any], Any]) -> Callable[..., Any]:
    """The number seen, in the type of the result: wraps around or rounds to nearest even."""

    def row(op: Operation, x: Any) -> Any:
        dtype = dtype_of(op.results[0].type)
        return (x & 1 if x.dtype != np.bool_ else x).astype(np.bool_) if dtype == np.bool_ else see(x).astype(dtype)

    return row


def convert_float(op: Operation, x: Any) -> Any:
    return x.astype(dtype_of(op.results[0].type))


def _to_integer(kind: str) -> Callable[..., Any]:
    """A float rounded toward zero."""

    def row(op: Operation, x: Any) -> Any:
        dtype = dtype_of(op.results[0].type)
        wide = np.trunc(np.asarray(x).astype(np.float64))
        if dtype == np.bool_:
            return (wide == (-1 if kind == "i" else 1))[()]
        limits = np.iinfo(f"{kind}{dtype.itemsize}")
        inside = (wide >= float(limits.min)) & (wide < float(limits.max) + (limits.bits < 53))
        numbers = where(inside, wide, 0).astype(limits.dtype).view(dtype)
        return where(inside, numbers, poison(dtype))

    return row


def bitcast(op: arith.BitcastOp, x: Any) -> Any:
    return x.view(dtype_of(op.results[0].type))


def constant(frame: Frame, op: arith.ConstantOp) -> None:
    constants = frame.program.constants
    if op not in constants:
        constants[op] = constant_value(op)
    frame.values[op.result] = constants[op]


def constant_value(op: arith.ConstantOp) -> Array | Any:
    match op.value:
        case IntegerAttr():
            # i1 true is held as -1, and numbers of an unsigned reading may be held as they are
            return np.array(op.value.value.data).astype(TO_NUMPY[op.result.type])[()]
        case FloatAttr():
            return TO_NUMPY[op.result.type].type(op.value.value.data)
        case DenseIntOrFPElementsAttr():
            return dense(op.value)
        case _:
            raise InterpreterError(op, f"cannot evaluate the constant {op.value}")


REFERENCE: dict[type[Operation], Callable[..., Any]] = {
    arith.AddiOp: _integer(np.add),
    arith.SubiOp: _integer(np.subtract),
    arith.MuliOp: _integer(np.multiply),
    arith.AndIOp: _integer(np.bitwise_and),
    arith.OrIOp: _integer(np.bitwise_or),
    arith.XOrIOp: _integer(np.bitwise_xor),
    arith.MinSIOp: _integer(np.minimum),
    arith.MaxSIOp: _integer(np.maximum),
    arith.MinUIOp: _integer(np.minimum, unsigned),
    arith.MaxUIOp: _integer(np.maximum, unsigned),
    arith.DivSIOp: _division(truncated_division, signed),
    arith.DivUIOp: _division(np.floor_divide, unsigned),
    arith.FloorDivSIOp: _division(np.floor_divide, signed),
    arith.CeilDivSIOp: _division(ceil_division, signed),
    arith.CeilDivUIOp: _division(ceil_division, unsigned),
    arith.RemSIOp: _division(np.fmod, signed),
    arith.RemUIOp: _division(np.fmod, unsigned),
    arith.ShLIOp: _shift(np.left_shift, signed),
    arith.ShRSIOp: _shift(np.right_shift, signed),
    arith.ShRUIOp: _shift(np.right_shift, unsigned),
    arith.AddUIExtendedOp: add_extended,
    arith.MulSIExtendedOp: _multiply_extended(signed),
    arith.MulUIExtendedOp: _multiply_extended(unsigned),
    arith.AddfOp: plain(operator.add),
    arith.SubfOp: plain(operator.sub),
    arith.MulfOp: plain(operator.mul),
    arith.DivfOp: plain(np.divide),
    RemfOp: plain(np.fmod),
    arith.NegfOp: plain(operator.neg),
    arith.MaximumfOp: maximum,
    arith.MinimumfOp: minimum,
    arith.MaxnumfOp: _number(maximum),
    arith.MinnumfOp: _number(minimum),
    arith.CmpiOp: compare_integers,
    arith.CmpfOp: compare_floats,
    arith.SelectOp: select,
    arith.ExtSIOp: _convert(signed),
    arith.ExtUIOp: _convert(unsigned),
    arith.TruncIOp: _convert(signed),
    arith.IndexCastOp: _convert(signed),
    arith.SIToFPOp: _convert(signed),
    arith.UIToFPOp: _convert(unsigned),
    arith.FPToSIOp: _to_integer("i"),
    arith.FPToUIOp: _to_integer("u"),
    arith.ExtFOp: convert_float,
    arith.TruncFOp: convert_float,
    arith.BitcastOp: bitcast,
}
EVALUATE = {arith.ConstantOp: constant}
