"""Functions of elements, one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import inf

from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of
from xmlc.frontend.python.array import (
    Array,
    ArrayLike,
    as_array,
    as_float,
    binary,
    compare,
    divide,
    kind,
    modulo,
    together,
    unary,
    value_of,
)
from xmlc.frontend.python.functions.creation import zeros_like
from xmlc.frontend.python.functions.shapes import together_all
from xmlc.frontend.python.trace import active

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clip",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "divide",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "positive",
    "pow",
    "real",
    "reciprocal",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
    "where",
]


def float_function(build: Callable[[SSAValue], SSAValue]) -> Callable[[ArrayLike], Array]:
    """A function of floats; of integers it computes in float32."""

    def call(x: ArrayLike, /) -> Array:
        return unary(build, as_float(x))

    call.__doc__ = build.__doc__
    return call


acos, acosh = float_function(F.acos), float_function(F.acosh)


asin, asinh = float_function(F.asin), float_function(F.asinh)


atan, atanh = float_function(F.atan), float_function(F.atanh)


cos, cosh, sin, sinh = map(float_function, (F.cos, F.cosh, F.sin, F.sinh))


tan, tanh, erf = map(float_function, (F.tan, F.tanh, F.erf))


exp, expm1, log, log1p = map(float_function, (F.exp, F.expm1, F.log, F.log1p))


sqrt, rsqrt = float_function(F.sqrt), float_function(F.rsqrt)


def negative(x: ArrayLike, /) -> Array:
    return unary(F.neg, x)


def positive(x: ArrayLike, /) -> Array:
    return as_array(x)


def abs(x: ArrayLike, /) -> Array:
    return unary(F.abs_, x)


def sign(x: ArrayLike, /) -> Array:
    return unary(F.sign, x)


def square(x: ArrayLike, /) -> Array:
    return unary(lambda v: F.mul(v, v), x)


def reciprocal(x: ArrayLike, /) -> Array:
    return divide(1, x)


def log2(x: ArrayLike, /) -> Array:
    return log(x) * (1 / math.log(2))


def log10(x: ArrayLike, /) -> Array:
    return log(x) * (1 / math.log(10))


def rounding(build: Callable[[SSAValue], SSAValue]) -> Callable[[ArrayLike], Array]:
    """A function that leaves integers as they are."""

    def call(x: ArrayLike, /) -> Array:
        return unary(build, x) if kind(element_of(value_of(x))) == 2 else as_array(x)

    return call


floor, ceil, round = rounding(F.floor), rounding(F.ceil), rounding(F.round_)


def trunc(x: ArrayLike, /) -> Array:
    """The nearest integer towards zero."""
    if kind(element_of(value_of(x))) < 2:
        return as_array(x)
    return where(as_array(x) < 0, ceil(x), floor(x))


def isnan(x: ArrayLike, /) -> Array:
    return unary(F.is_nan, as_float(x))


def isinf(x: ArrayLike, /) -> Array:
    return unary(F.is_inf, as_float(x))


def isfinite(x: ArrayLike, /) -> Array:
    return ~(isnan(x) | isinf(x))


def signbit(x: ArrayLike, /) -> Array:
    """Whether the sign of a number is negative, that of a zero too."""
    array = as_array(x)
    return (array < 0) | ((array == 0) & (divide(1, array) < 0))


def real(x: ArrayLike, /) -> Array:
    return as_array(x)


def imag(x: ArrayLike, /) -> Array:
    return zeros_like(x)


def conj(x: ArrayLike, /) -> Array:
    return as_array(x)


def two(build: Callable[[SSAValue, SSAValue], SSAValue]) -> Callable[[ArrayLike, ArrayLike], Array]:
    """A function of two arrays that broadcast and meet in one type."""

    def call(x1: ArrayLike, x2: ArrayLike, /) -> Array:
        return binary(build, x1, x2)

    call.__doc__ = build.__doc__
    return call


add, subtract, multiply = two(F.add), two(F.sub), two(F.mul)


floor_divide, remainder, pow = two(F.floor_div), two(modulo), two(F.pow_)


maximum, minimum = two(F.max_), two(F.min_)


bitwise_and, bitwise_or, bitwise_xor = two(F.and_), two(F.or_), two(F.xor)


bitwise_left_shift, bitwise_right_shift = two(F.shift_left), two(F.shift_right)


logical_and, logical_or, logical_xor = two(F.and_), two(F.or_), two(F.xor)


def bitwise_invert(x: ArrayLike, /) -> Array:
    return unary(F.not_, x)


def logical_not(x: ArrayLike, /) -> Array:
    return unary(F.not_, x)


def atan2(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    return binary(F.atan2, as_float(x1), as_float(x2))


def copysign(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """|x1| with the sign of x2."""
    size, sign = together_all([as_float(x1), as_float(x2)])
    size = F.abs_(size)
    return Array(F.select(signbit(Array(sign, active())).value, F.neg(size), size), active())


def hypot(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """sqrt(x1^2 + x2^2), without overflow on the way; infinite where either is."""
    a, b = abs(as_float(x1)), abs(as_float(x2))
    larger, smaller = maximum(a, b), minimum(a, b)
    ratio = smaller / where(larger == 0, 1, larger)
    return where(isinf(a) | isinf(b), inf, larger * sqrt(1 + ratio * ratio))


def logaddexp(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """log(e^x1 + e^x2), without overflow"""
    distance = where(equal(x1, x2), 0, abs(subtract(x1, x2)))
    return maximum(x1, x2) + log1p(exp(-distance))


def comparison(predicate: str) -> Callable[[ArrayLike, ArrayLike], Array]:
    def call(x1: ArrayLike, x2: ArrayLike, /) -> Array:
        return compare(predicate, x1, x2)

    return call


equal, not_equal = comparison("eq"), comparison("ne")


less, less_equal, greater, greater_equal = map(comparison, ("lt", "le", "gt", "ge"))


def where(condition: ArrayLike, x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """x1 where the condition is true, x2 elsewhere."""
    a, b, weak = together(x1, x2)
    return Array(F.select(value_of(condition), a, b), active(), weak)


def clip(x: ArrayLike, /, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Array:
    """x, but at least `min` and at most `max`; it keeps its type."""
    array = as_array(x)
    made = array if min is None else maximum(array, min)
    made = made if max is None else minimum(made, max)
    return Array(F.cast(made.value, element_of(array.value)), array.trace, array.weak)
