"""Activations as exporters spell them: GELU in both forms, SiLU, hard swish, softplus, sigmoid, leaky ReLU."""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.elementwise import (
    AddOp,
    ClampOp,
    CompareOp,
    DivOp,
    ErfOp,
    ExpOp,
    GeluForm,
    HardSigmoidOp,
    Log1pOp,
    LogOp,
    MaxOp,
    MulOp,
    NegOp,
    Predicate,
    SelectOp,
    SigmoidOp,
    TanhOp,
)
from xmlc.passes.constants import is_filled, is_near, is_real, is_zero, near, splat
from xmlc.passes.fuse_patterns.matching import goes_on, peeled, product, times
from xmlc.passes.laws import Holds, law


def plus(value: SSAValue, number: float) -> SSAValue | None:
    """x where the value is x + number."""
    match value.owner:
        case AddOp(lhs=x, rhs=y) if x.type == value.type and is_near(y, number):
            return x
        case AddOp(lhs=y, rhs=x) if x.type == value.type and is_near(y, number):
            return x
        case _:
            return None


def pair(op: MulOp | DivOp) -> tuple[SSAValue, SSAValue, float] | None:
    """The two factors of a product, and the number it has besides; not of a part of a larger product."""
    if goes_on(op.out) or (found := product(op.out)) is None:
        return None
    factors, number = found
    return (*factors, number) if len(factors) == 2 else None  # pyright: ignore


def rest(x: SSAValue, number: float, usual: float, op: MulOp | DivOp) -> SSAValue | None:
    """x times what is left of a number when the pattern's own is taken out of it."""
    return times(x, number / usual, near(number, usual, op.out))


@law(holds=Holds.ON_REALS)
def gelu_by_erf(op: MulOp | DivOp) -> SSAValue | None:
    """x / 2 * (1 + erf(x / sqrt 2)) -> gelu(x), its factors in any order, products and quotients"""
    if (found := pair(op)) is None:
        return None
    first, second, number = found
    for x, y in ((first, second), (second, first)):
        match (inner := plus(y, 1)) and inner.owner:
            case ErfOp(x=z):
                base, factor = peeled(z)
                if base is x and x.type == op.out.type and near(factor, math.sqrt(0.5), x) and number != 0:
                    return rest(F.gelu(x), number, 0.5, op)
            case _:
                pass
    return None


@law(holds=Holds.ON_REALS)
def gelu_by_tanh(op: MulOp | DivOp) -> SSAValue | None:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) -> gelu(x) in the tanh form, in any order"""
    if (found := pair(op)) is None:
        return None
    first, second, number = found
    for x, y in ((first, second), (second, first)):
        match (inner := plus(y, 1)) and inner.owner:
            case TanhOp(x=z) if x.type == op.out.type and number != 0 and is_tanh_argument(z, x):
                return rest(F.gelu(x, GeluForm.TANH), number, 0.5, op)
            case _:
                pass
    return None


def is_tanh_argument(z: SSAValue, x: SSAValue) -> bool:
    """Whether z is sqrt(2 / pi) * (x + 0.044715 x^3), or sqrt(2 / pi) * x * (1 + 0.044715 x^2)."""
    if (found := product(z)) is None:
        return False
    factors, number = found
    if not near(number, math.sqrt(2 / math.pi), x):
        return False
    match [each.owner for each in factors]:
        case [AddOp(lhs=a, rhs=b)]:
            return any(one is x and is_power(other, x, 3) for one, other in ((a, b), (b, a)))
        case [_, _] if x in factors:
            other = factors[1] if factors[0] is x else factors[0]
            return (square := plus(other, 1)) is not None and is_power(square, x, 2)
        case _:
            return False


def is_power(value: SSAValue, x: SSAValue, count: int) -> bool:
    """Whether a value is 0.044715 * x^count, written as products."""
    found = product(value)
    if found is None:
        return False
    factors, number = found
    left: list[SSAValue] = []
    for each in factors:
        inner = each.owner  # a square that something else uses too
        left += (inner.lhs, inner.rhs) if isinstance(inner, MulOp) and each is not x else (each,)
    return len(left) == count and all(each is x for each in left) and near(number, 0.044715, x)


@law(holds=Holds.ON_REALS)
def silu(op: MulOp | DivOp) -> SSAValue | None:
    """x * sigmoid(x) -> silu(x)"""
    if (found := pair(op)) is None:
        return None
    first, second, number = found
    for x, y in ((first, second), (second, first)):
        match y.owner:
            case SigmoidOp(x=z) if z is x and x.type == op.out.type:
                return rest(F.silu(x), number, 1, op)
            case _:
                pass
    return None


@law(holds=Holds.ON_REALS)
def hard_swish(op: MulOp | DivOp) -> SSAValue | None:
    """x * clamp(x + 3, 0, 6) / 6 -> hard_swish(x); x * hard_sigmoid(x) with 1/6 and 1/2 too"""
    if (found := pair(op)) is None:
        return None
    first, second, number = found
    for x, y in ((first, second), (second, first)):
        if x.type != op.out.type or number == 0:
            continue
        match y.owner:
            case ClampOp(x=z, low=low, high=high) if is_zero(low) and is_near(high, 6) and plus(z, 3) is x:
                return rest(F.hard_swish(x), number, 1 / 6, op)
            case HardSigmoidOp(x=z, alpha=alpha, beta=beta) if z is x:
                # exporters write 1/6 with few digits
                if math.isclose(alpha.value.data, 1 / 6, rel_tol=1e-6) and beta.value.data == 0.5:
                    return rest(F.hard_swish(x), number, 1, op)
            case _:
                pass
    return None


@law(holds=Holds.ON_REALS)
def hard_sigmoid_of_six(op: MulOp | DivOp) -> SSAValue | None:
    """clamp(x + 3, 0, 6) / 6 -> hard_sigmoid(x) with 1/6 and 1/2"""
    base, factor = peeled(op.out)
    match base.owner:
        case ClampOp(x=z, low=low, high=high) if is_zero(low) and is_near(high, 6) and near(factor, 1 / 6, op.out):
            x = plus(z, 3)
            return F.hard_sigmoid(x, 1 / 6, 0.5) if x is not None and x.type == op.out.type else None
        case _:
            return None


@law(holds=Holds.ON_REALS)
def hard_sigmoid(op: ClampOp) -> SSAValue | None:
    """clamp(x * a + b, 0, 1) -> hard_sigmoid(x) with a and b, for numbers a and b of a float x"""
    match op.x.owner:
        case AddOp(lhs=y, rhs=b) if (beta := splat(b)) is not None and is_real(y) and y.type == op.out.type:
            x, alpha = peeled(y)
            if is_zero(op.low) and is_filled(op.high, 1) and alpha != 1:
                return F.hard_sigmoid(x, alpha, float(beta))
            return None
        case _:
            return None


@law(holds=Holds.ON_REALS)
def softplus(op: LogOp | Log1pOp) -> SSAValue | None:
    """log(1 + e^x) -> softplus(x); log1p(e^x) too; it does not overflow"""
    inner = plus(op.x, 1) if isinstance(op, LogOp) else op.x
    match inner and inner.owner:
        case ExpOp(x=x):
            return F.softplus(x)
        case _:
            return None


@law(holds=Holds.ON_REALS)
def sigmoid(op: DivOp) -> SSAValue | None:
    """1 / (1 + e^-x) -> sigmoid(x)"""
    inner = plus(op.rhs, 1)
    match inner and inner.owner:
        case ExpOp(x=y) if is_filled(op.lhs, 1) and y.type == op.out.type:
            match y.owner:
                case NegOp(x=x):
                    return F.sigmoid(x)
                case _:
                    return None
        case _:
            return None


@law
def leaky_relu_by_max(op: MaxOp) -> SSAValue | None:
    """max(x, x * a) -> leaky_relu(x) with a, for a number 0 < a < 1"""
    for x, y in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        match y.owner:
            case MulOp(lhs=z, rhs=a) if z is x and is_real(x) and (alpha := splat(a)) is not None and 0 < alpha < 1:
                return F.leaky_relu(x, float(alpha)) if x.type == op.out.type else None
            case _:
                pass
    return None


@law
def leaky_relu_by_select(op: SelectOp) -> SSAValue | None:
    """select(x >= 0, x, x * a) -> leaky_relu(x) with a"""
    match op.condition.owner, op.rhs.owner:
        case CompareOp(lhs=x, rhs=zero, predicate=predicate), MulOp(lhs=y, rhs=a) if x is y and x is op.lhs:
            if predicate.data is not Predicate.GE or not is_zero(zero) or not is_real(x) or splat(a) is None:
                return None
            return F.leaky_relu(x, float(splat(a))) if x.type == op.out.type else None
        case _:
            return None


ACTIVATION = (
    gelu_by_erf, gelu_by_tanh, silu, hard_swish, hard_sigmoid_of_six, hard_sigmoid, softplus, sigmoid,
    leaky_relu_by_max, leaky_relu_by_select,
)  # fmt: skip
