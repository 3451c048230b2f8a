"""ONNX operators that compute each element from the elements at the same place, with NumPy's broadcasting."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
from xdsl.ir import Attribute, SSAValue

from xmlc.dialects.dtypes import TO_NUMPY, is_float, is_unsigned
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.elementwise import GeluForm
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.frontend.onnx import tensors
from xmlc.frontend.onnx.operator import Node
from xmlc.frontend.onnx.tensors import Array
from xmlc.frontend.onnx.unsupported import Unsupported
from xmlc.frontend.onnx.values import Value

# --- one operand


def Identity(x: Value) -> Value:
    return x


def Neg(x: SSAValue) -> SSAValue:
    return F.neg(x)


def Abs(x: SSAValue) -> SSAValue:
    return x if is_unsigned(element_of(x)) else F.abs_(x)


def Sign(x: SSAValue) -> SSAValue:
    return F.sign(x)


def Floor(x: SSAValue) -> SSAValue:
    return F.floor(x)


def Ceil(x: SSAValue) -> SSAValue:
    return F.ceil(x)


def Round(x: SSAValue) -> SSAValue:
    return F.round_(x)


def Exp(x: SSAValue) -> SSAValue:
    return F.exp(x)


def Log(x: SSAValue) -> SSAValue:
    return F.log(x)


def Sqrt(x: SSAValue) -> SSAValue:
    return F.sqrt(x)


def Reciprocal(x: SSAValue) -> SSAValue:
    return F.div(F.scalar(x, 1.0), x)


def Sin(x: SSAValue) -> SSAValue:
    return F.sin(x)


def Cos(x: SSAValue) -> SSAValue:
    return F.cos(x)


def Tan(x: SSAValue) -> SSAValue:
    return F.tan(x)


def Tanh(x: SSAValue) -> SSAValue:
    return F.tanh(x)


def Asin(x: SSAValue) -> SSAValue:
    return F.asin(x)


def Acos(x: SSAValue) -> SSAValue:
    return F.acos(x)


def Atan(x: SSAValue) -> SSAValue:
    return F.atan(x)


def Sinh(x: SSAValue) -> SSAValue:
    return F.sinh(x)


def Cosh(x: SSAValue) -> SSAValue:
    return F.cosh(x)


def Asinh(x: SSAValue) -> SSAValue:
    return F.asinh(x)


def Acosh(x: SSAValue) -> SSAValue:
    return F.acosh(x)


def Atanh(x: SSAValue) -> SSAValue:
    return F.atanh(x)


def Erf(x: SSAValue) -> SSAValue:
    return F.erf(x)


def Not(x: SSAValue) -> SSAValue:
    return F.not_(x)


def BitwiseNot(x: SSAValue) -> SSAValue:
    return F.not_(x)


def IsNaN(x: SSAValue) -> SSAValue:
    return F.is_nan(x)


def IsInf(x: SSAValue, *, detect_negative: int = 1, detect_positive: int = 1) -> SSAValue:
    if detect_negative and detect_positive:
        return F.is_inf(x)
    if not detect_negative and not detect_positive:
        return F.broadcast(F.constant(np.array(False)), shape_of(x))
    return F.compare(x, F.scalar(x, math.inf if detect_positive else -math.inf), "eq")


# --- activations


def Relu(x: SSAValue) -> SSAValue:
    return F.relu(x)


def Sigmoid(x: SSAValue) -> SSAValue:
    return F.sigmoid(x)


def Softplus(x: SSAValue) -> SSAValue:
    return F.softplus(x)


def Softsign(x: SSAValue) -> SSAValue:
    return F.div(x, F.add(F.abs_(x), F.scalar(x, 1.0)))


def LeakyRelu(x: SSAValue, *, alpha: float = 0.01) -> SSAValue:
    return F.leaky_relu(x, alpha)


def PRelu(x: SSAValue, slope: SSAValue) -> SSAValue:
    return F.select(F.compare(x, F.scalar(x, 0), "lt"), F.mul(x, slope), x)


def ThresholdedRelu(x: SSAValue, *, alpha: float = 1.0) -> SSAValue:
    return F.select(F.compare(x, F.scalar(x, alpha), "gt"), x, F.scalar(x, 0.0))


def Elu(x: SSAValue, *, alpha: float = 1.0) -> SSAValue:
    return F.elu(x, alpha)


def Celu(x: SSAValue, *, alpha: float = 1.0) -> SSAValue:
    """max(x, 0) + min(alpha * (e^(x/alpha) - 1), 0)"""
    zero, scale = F.scalar(x, 0.0), F.scalar(x, alpha)
    return F.add(F.max_(x, zero), F.min_(F.mul(scale, F.expm1(F.div(x, scale))), zero))


def Selu(
    x: SSAValue, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> SSAValue:
    return F.mul(F.elu(x, alpha), F.scalar(x, gamma))


def HardSigmoid(x: SSAValue, *, alpha: float = 0.2, beta: float = 0.5) -> SSAValue:
    return F.hard_sigmoid(x, alpha, beta)


def HardSwish(x: SSAValue) -> SSAValue:
    return F.hard_swish(x)


def Mish(x: SSAValue) -> SSAValue:
    return F.mul(x, F.tanh(F.softplus(x)))


def Swish(x: SSAValue, *, alpha: float = 1.0) -> SSAValue:
    return F.silu(x) if alpha == 1.0 else F.mul(x, F.sigmoid(F.mul(x, F.scalar(x, alpha))))


def Gelu(x: SSAValue, *, approximate: str = "none") -> SSAValue:
    return F.gelu(x, GeluForm.TANH if approximate == "tanh" else GeluForm.EXACT)


def Shrink(x: SSAValue, *, bias: float = 0.0, lambd: float = 0.5) -> SSAValue:
    zero, shift = F.scalar(x, 0), F.scalar(x, bias)
    above = F.compare(x, F.scalar(x, lambd), "gt") if fits(x, lambd) else F.compare(x, zero, "gt")
    below = F.compare(x, F.scalar(x, -lambd), "lt") if fits(x, -lambd) else F.compare(x, zero, "lt")
    return F.select(below, F.add(x, shift), F.select(above, F.sub(x, shift), zero))


def fits(x: SSAValue, number: float) -> bool:
    """True where a number can be compared with x's elements in their own type."""
    if is_float(element_of(x)):
        return True
    if number == int(number):
        return True
    raise Unsupported(f"the threshold {number} is not a number of type {element_of(x)}")


# --- two operands


def Add(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.add(a, b)


def Sub(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.sub(a, b)


def Mul(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.mul(a, b)


def Div(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.div(a, b)


def Pow(base: SSAValue, exponent: SSAValue) -> SSAValue:
    """The result has the base's type; a float exponent of an integer base is computed in floats."""
    element = element_of(base)
    if element_of(exponent) == element:
        return F.pow_(base, exponent)
    if is_float(element):
        return F.pow_(base, F.cast(exponent, element))
    if is_float(element_of(exponent)):
        return F.cast(F.pow_(F.cast(base, element_of(exponent)), exponent), element)
    return F.pow_(base, F.cast(exponent, element))


def Mod(a: SSAValue, b: SSAValue, *, fmod: int = 0) -> SSAValue:
    """The remainder with the sign of b, or of a with fmod."""
    remainder = F.rem(a, b)
    if fmod or is_unsigned(element_of(a)):
        return remainder
    zero = F.scalar(a, 0)
    opposite = F.xor(F.compare(remainder, zero, "lt"), F.compare(b, zero, "lt"))
    wrong = F.and_(opposite, F.compare(remainder, zero, "ne"))
    return F.select(wrong, F.add(remainder, b), remainder)


def BitShift(x: SSAValue, y: SSAValue, *, direction: str) -> SSAValue:
    return F.shift_left(x, y) if direction == "LEFT" else F.shift_right(x, y)


def And(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.and_(a, b)


def Or(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.or_(a, b)


def Xor(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.xor(a, b)


def BitwiseAnd(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.and_(a, b)


def BitwiseOr(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.or_(a, b)


def BitwiseXor(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.xor(a, b)


def Equal(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.compare(a, b, "eq")


def Less(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.compare(a, b, "lt")


def LessOrEqual(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.compare(a, b, "le")


def Greater(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.compare(a, b, "gt")


def GreaterOrEqual(a: SSAValue, b: SSAValue) -> SSAValue:
    return F.compare(a, b, "ge")


# --- several operands


def fold(function: Callable[[SSAValue, SSAValue], SSAValue], operands: Sequence[SSAValue]) -> SSAValue:
    if not operands:
        raise Unsupported("an operator of no operands is not supported")
    return functools.reduce(function, operands)


def Sum(*operands: SSAValue) -> SSAValue:
    return fold(F.add, operands)


def Mean(*operands: SSAValue) -> SSAValue:
    total = fold(F.add, operands)
    return F.div(total, F.scalar(total, len(operands)))


def Max(*operands: SSAValue) -> SSAValue:
    return fold(F.max_, operands)


def Min(*operands: SSAValue) -> SSAValue:
    return fold(F.min_, operands)


def Where(condition: SSAValue, x: SSAValue, y: SSAValue) -> SSAValue:
    return F.select(condition, x, y)


def Clip(x: SSAValue, *, min: float = -math.inf, max: float = math.inf) -> SSAValue:
    """Before opset 11 the bounds are attributes."""
    lowest = float(np.finfo(np.float32).min)
    if min > lowest:
        x = F.max_(x, F.scalar(x, min))
    return F.min_(x, F.scalar(x, max)) if max < -lowest else x


def Clip_11(x: SSAValue, low: SSAValue | None = None, high: SSAValue | None = None) -> SSAValue:
    if low is not None and high is not None:
        return F.clamp(x, low, high)
    if low is not None:
        return F.max_(x, low)
    return x if high is None else F.min_(x, high)


# --- change of type


def Cast(x: SSAValue, *, to: int, saturate: int = 1, round_mode: str = "up") -> SSAValue:
    """`saturate` and `round_mode` are about 8-bit floats, which xmlc does not have."""
    return converted(x, tensors.element_of(to))


def CastLike(x: SSAValue, target: Value, *, saturate: int = 1, round_mode: str = "up") -> SSAValue:
    return converted(x, next(e for e, dtype in TO_NUMPY.items() if dtype == target.dtype))


def converted(x: SSAValue, element: Attribute) -> SSAValue:
    """x as another element type; x itself where it already is of that type."""
    return x if element_of(x) == element else F.cast(x, element)


# --- dropout: the identity unless it trains


def Dropout(x: Value, *, ratio: float = 0.5, node: Node) -> tuple[Value, SSAValue | None]:
    return x, keep_everything(x) if node.wants(1) else None


def Dropout_12(
    x: Value, ratio: Value | None = None, training: Array | None = None, *, seed: int = 0, node: Node
) -> tuple[Value, SSAValue | None]:
    if training is not None and training.any() and (ratio is None or ratio.known().any()):
        raise Unsupported("dropout in training is not supported")
    return x, keep_everything(x) if node.wants(1) else None


def keep_everything(x: Value) -> SSAValue:
    """The mask of a dropout that drops nothing."""
    return F.broadcast(F.constant(np.array(True)), x.shape)
