"""What the elementwise ops of `ml` mean.

Floats are computed in float64 (f64 stays as it is) and rounded once to the op's type, so a row is the exact
value as nearly as NumPy gives it; a compiler's f32 result may differ from it in the last bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from xmlc.dialects.dtypes import TO_NUMPY, is_bool, is_float, is_unsigned
from xmlc.dialects.ml import elementwise as ml
from xmlc.dialects.ml.types import element_of

Array = NDArray[Any]


def wide(x: Array) -> Array:
    """A float array as float64; any other as it is."""
    return x.astype(np.float64) if x.dtype.kind not in "iub" else x


def rounded(value: Array, op: ml.ElementwiseOp) -> Array:
    """The value in the result's element type."""
    return np.asarray(value).astype(TO_NUMPY[element_of(op.out)], copy=False)


def row(function: Callable[..., Any]) -> Callable[..., Array]:
    """The row of an op that is `function` of its operands, widened."""

    def evaluate(op: ml.ElementwiseOp, *operands: Array) -> Array:
        return rounded(function(*map(wide, operands)), op)

    return evaluate


def row_with_op(function: Callable[..., Any]) -> Callable[..., Array]:
    """The same, of a function that reads the op's properties first."""

    def evaluate(op: ml.ElementwiseOp, *operands: Array) -> Array:
        return rounded(function(op, *map(wide, operands)), op)

    return evaluate


def vectorized(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function of Python floats applied to every element."""
    return lambda x: np.vectorize(function, otypes=[np.float64])(x) if x.size else x.astype(np.float64)


def erf(x: Array) -> Array:
    return vectorized(math.erf)(x)


def relu(x: Array) -> Array:
    return np.maximum(x, np.zeros((), x.dtype))


def reciprocal_root(x: Array) -> Array:
    return 1 / np.sqrt(x)


def sigmoid(x: Array) -> Array:
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def gelu(op: ml.GeluOp, x: Array) -> Array:
    if op.form.data is ml.GeluForm.TANH:
        return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + erf(x / np.sqrt(2)))


def elu(op: ml.EluOp, x: Array) -> Array:
    return np.where(x > 0, x, op.alpha.value.data * np.expm1(np.minimum(x, 0)))


def leaky_relu(op: ml.LeakyReluOp, x: Array) -> Array:
    return np.where(x >= 0, x, op.alpha.value.data * x)


def hard_sigmoid(op: ml.HardSigmoidOp, x: Array) -> Array:
    return np.clip(op.alpha.value.data * x + op.beta.value.data, 0, 1)


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def hard_swish(x: Array) -> Array:
    return x * np.clip(x / 6 + 0.5, 0, 1)


def divide(x: Array, y: Array) -> Array:
    """Towards zero for integers, and 0 where y is 0."""
    if x.dtype.kind == "f":
        return x / y
    quotient = np.floor_divide(x, np.where(y == 0, 1, y))
    inexact = quotient * y != x
    towards_zero = quotient + (inexact & ((x < 0) != (y < 0)))
    return np.where(y == 0, 0, towards_zero).astype(x.dtype)


def floor_divide(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.floor(x / y)
    return np.where(y == 0, 0, np.floor_divide(x, np.where(y == 0, 1, y)))


def remainder(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.fmod(x, y)
    return np.where(y == 0, 0, np.fmod(x, np.where(y == 0, 1, y)))


def power(x: Array, y: Array) -> Array:
    """Integers by repeated squaring, which wraps around; a negative power of x is 1 / x^-y towards zero."""
    if x.dtype.kind == "f":
        return np.power(x, y)
    x, y = np.broadcast_arrays(x, y)
    result, base, exponent = np.ones_like(x), x.copy(), np.where(y < 0, 0, y)
    while np.any(exponent > 0):
        result = np.where(exponent & 1, result * base, result)
        base, exponent = base * base, exponent >> 1
    if x.dtype.kind == "u":
        return result
    of_minus_one = np.where(y & 1, -1, 1)
    return np.where(y < 0, np.where(x == 1, 1, np.where(x == -1, of_minus_one, 0)), result)


def width(x: Array) -> int:
    return x.dtype.itemsize * 8


def in_range(x: Array, shift: Array) -> Array:
    return (shift >= 0) & (shift < width(x))


def shift_left(x: Array, shift: Array) -> Array:
    return np.where(in_range(x, shift), np.left_shift(x, np.where(in_range(x, shift), shift, 0)), 0)


def shift_right(x: Array, shift: Array) -> Array:
    filled = np.where(x < 0, -1, 0).astype(x.dtype) if x.dtype.kind == "i" else np.zeros_like(x)
    return np.where(in_range(x, shift), np.right_shift(x, np.where(in_range(x, shift), shift, 0)), filled)


COMPARE: dict[ml.Predicate, Callable[[Array, Array], Array]] = {
    ml.Predicate.EQ: np.equal,
    ml.Predicate.NE: np.not_equal,
    ml.Predicate.LT: np.less,
    ml.Predicate.LE: np.less_equal,
    ml.Predicate.GT: np.greater,
    ml.Predicate.GE: np.greater_equal,
}


def compare(op: ml.CompareOp, x: Array, y: Array) -> Array:
    return COMPARE[op.predicate.data](x, y)


def clamp(x: Array, low: Array, high: Array) -> Array:
    return np.minimum(np.maximum(x, low), high)


def select(op: ml.SelectOp, condition: Array, x: Array, y: Array) -> Array:
    return np.where(condition, x, y)


def cast(op: ml.CastOp, x: Array) -> Array:
    """The conversions of `ml.cast`: saturating from float to integer, wrapping between integers."""
    element = element_of(op.out)
    dtype = TO_NUMPY[element]
    if is_bool(element):
        return x != np.zeros((), x.dtype)
    if not is_float(element) and is_float(element_of(op.x)):
        bits = dtype.itemsize * 8
        low, high = (0, 2**bits) if is_unsigned(element) else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        value = np.trunc(x.astype(np.float64))
        inside = (value >= low) & (value < high)
        kept = np.where(inside, value, 0).astype(dtype)
        return np.where(value >= high, dtype.type(high - 1), np.where(value < low, dtype.type(low), kept))
    return x.astype(dtype)


REFERENCE: dict[type[Operation], Callable[..., Array]] = {
    ml.NegOp: row(np.negative),
    ml.AbsOp: row(np.abs),
    ml.SignOp: row(np.sign),
    ml.ReluOp: row(relu),
    ml.NotOp: row(np.invert),
    ml.FloorOp: row(np.floor),
    ml.CeilOp: row(np.ceil),
    ml.RoundOp: row(np.rint),
    ml.ExpOp: row(np.exp),
    ml.Expm1Op: row(np.expm1),
    ml.LogOp: row(np.log),
    ml.Log1pOp: row(np.log1p),
    ml.SqrtOp: row(np.sqrt),
    ml.RsqrtOp: row(reciprocal_root),
    ml.SinOp: row(np.sin),
    ml.CosOp: row(np.cos),
    ml.TanOp: row(np.tan),
    ml.TanhOp: row(np.tanh),
    ml.AsinOp: row(np.arcsin),
    ml.AcosOp: row(np.arccos),
    ml.AtanOp: row(np.arctan),
    ml.SinhOp: row(np.sinh),
    ml.CoshOp: row(np.cosh),
    ml.AsinhOp: row(np.arcsinh),
    ml.AcoshOp: row(np.arccosh),
    ml.AtanhOp: row(np.arctanh),
    ml.ErfOp: row(erf),
    ml.SigmoidOp: row(sigmoid),
    ml.SiluOp: row(silu),
    ml.SoftplusOp: row(softplus),
    ml.HardSwishOp: row(hard_swish),
    ml.IsNanOp: row(np.isnan),
    ml.IsInfOp: row(np.isinf),
    ml.GeluOp: row_with_op(gelu),
    ml.EluOp: row_with_op(elu),
    ml.LeakyReluOp: row_with_op(leaky_relu),
    ml.HardSigmoidOp: row_with_op(hard_sigmoid),
    ml.AddOp: row(np.add),
    ml.SubOp: row(np.subtract),
    ml.MulOp: row(np.multiply),
    ml.DivOp: row(divide),
    ml.FloorDivOp: row(floor_divide),
    ml.RemOp: row(remainder),
    ml.PowOp: row(power),
    ml.MaxOp: row(np.maximum),
    ml.MinOp: row(np.minimum),
    ml.Atan2Op: row(np.arctan2),
    ml.AndOp: row(np.bitwise_and),
    ml.OrOp: row(np.bitwise_or),
    ml.XorOp: row(np.bitwise_xor),
    ml.ShiftLeftOp: row(shift_left),
    ml.ShiftRightOp: row(shift_right),
    ml.CompareOp: row_with_op(compare),
    ml.SelectOp: select,
    ml.ClampOp: row(clamp),
    ml.CastOp: cast,
}
