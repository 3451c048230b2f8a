"""The pass `strength-reduction`: dear ops become cheap ones that give the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects.dtypes import TO_NUMPY, is_integer, is_unsigned
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.contraction import ConvOp
from xmlc.dialects.ml.elementwise import (
    AbsOp,
    AddOp,
    DivOp,
    ExpOp,
    FloorDivOp,
    FloorOp,
    LogOp,
    MulOp,
    PowOp,
    RemOp,
    RsqrtOp,
    SqrtOp,
    SubOp,
)
from xmlc.dialects.ml.reduction import ReduceMeanOp
from xmlc.dialects.ml.types import element_of, rank_of, shape_of
from xmlc.passes.constants import filled, has_known_sizes, is_filled, is_real, splat, stretched, stretches_to
from xmlc.passes.laws import Holds, apply_laws, law

# --- powers


def exponent(op: PowOp) -> Any:
    """The power, where it is one number and the base has the result's shape."""
    return splat(op.rhs) if stretches_to(op.lhs, op.out) else None


@law
def power_zero(op: PowOp) -> SSAValue | None:
    """x ^ 0 -> 1, of NaN too (IEEE 754 pow)"""
    found = exponent(op)
    return filled(op.out, 1) if found is not None and found == 0 else None


@law
def power_one(op: PowOp) -> SSAValue | None:
    """x ^ 1 -> x"""
    found = exponent(op)
    return stretched(op.lhs, op.out) if found is not None and found == 1 else None


@law
def power_two(op: PowOp) -> SSAValue | None:
    """x ^ 2 -> x * x"""
    found = exponent(op)
    return stretched(F.mul(op.lhs, op.lhs), op.out) if found is not None and found == 2 else None


@law(holds=Holds.ON_REALS)
def small_power(op: PowOp) -> SSAValue | None:
    """x ^ 3 -> x * x * x; x ^ 4 -> (x * x) * (x * x): rounded twice instead of once, exact for integers"""
    found = exponent(op)
    if found is None or found not in (3, 4):
        return None
    square = F.mul(op.lhs, op.lhs)
    return stretched(F.mul(square, op.lhs if found == 3 else square), op.out)


@law
def power_minus_one(op: PowOp) -> SSAValue | None:
    """x ^ -1 -> 1 / x for floats"""
    found = exponent(op)
    if found is None or found != -1 or not is_real(op.out):
        return None
    return stretched(F.div(F.scalar(op.lhs, 1), op.lhs), op.out)


@law(holds=Holds.ON_REALS)
def power_minus_two(op: PowOp) -> SSAValue | None:
    """x ^ -2 -> 1 / (x * x), where x is a float"""
    found = exponent(op)
    if found is None or found != -2 or not is_real(op.out):
        return None
    return stretched(F.div(F.scalar(op.lhs, 1), F.mul(op.lhs, op.lhs)), op.out)


@law(holds=Holds.FAST_MATH)
def power_one_half(op: PowOp) -> SSAValue | None:
    """x ^ 0.5 -> sqrt(x), though pow gives inf of -inf and 0.0 of -0.0, and sqrt NaN and -0.0"""
    found = exponent(op)
    return stretched(F.sqrt(op.lhs), op.out) if found is not None and found == 0.5 else None


def is_never_negative(x: SSAValue) -> bool:
    """Whether no element can be below zero or -0.0: a square, an absolute value, a power of e, a sum of two such."""
    match x.owner:
        case MulOp(lhs=lhs, rhs=rhs):
            return lhs is rhs
        case AddOp(lhs=lhs, rhs=rhs):
            return is_never_negative(lhs) and is_never_negative(rhs)
        case ReduceMeanOp(x=y):
            return is_never_negative(y)
        case AbsOp() | ExpOp():
            return True
        case _:
            found = splat(x)
            return found is not None and bool(found > 0)


@law
def root_power(op: PowOp) -> SSAValue | None:
    """x ^ 0.5 -> sqrt(x) where x is a square, an absolute value, a power of e, a positive number, or a sum of such"""
    found = exponent(op)
    if found is None or found != 0.5 or not is_never_negative(op.lhs):
        return None
    return stretched(F.sqrt(op.lhs), op.out)


@law(holds=Holds.FAST_MATH)
def power_minus_one_half(op: PowOp) -> SSAValue | None:
    """x ^ -0.5 -> rsqrt(x), though pow gives 0 of -inf, and rsqrt NaN; -inf of -0.0 where pow gives inf"""
    found = exponent(op)
    return stretched(F.rsqrt(op.lhs), op.out) if found is not None and found == -0.5 else None


# --- roots and exponentials


@law(holds=Holds.ON_REALS)
def one_over_root(op: DivOp) -> SSAValue | None:
    """1 / sqrt(x) -> rsqrt(x)"""
    match op.rhs.owner:
        case SqrtOp(x=x) if is_filled(op.lhs, 1) and stretches_to(x, op.out):
            return stretched(F.rsqrt(x), op.out)
        case _:
            return None


@law(holds=Holds.ON_REALS)
def one_over_reciprocal_root(op: DivOp) -> SSAValue | None:
    """x / rsqrt(y) -> x * sqrt(y)"""
    match op.rhs.owner:
        case RsqrtOp(x=y):
            return F.mul(op.lhs, F.sqrt(y))
        case _:
            return None


@law(holds=Holds.FAST_MATH)
def root_of_square(op: SqrtOp) -> SSAValue | None:
    """sqrt(x * x) -> |x|, though x * x may overflow or vanish"""
    match op.x.owner:
        case MulOp(lhs=lhs, rhs=rhs) if lhs is rhs:
            return F.abs_(lhs)
        case _:
            return None


@law(holds=Holds.FAST_MATH)
def square_of_root(op: MulOp) -> SSAValue | None:
    """sqrt(x) * sqrt(x) -> x, though sqrt of a negative number is NaN"""
    match op.lhs.owner:
        case SqrtOp(x=x) if op.lhs is op.rhs:
            return x
        case _:
            return None


@law(holds=Holds.FAST_MATH)
def log_of_exp(op: LogOp) -> SSAValue | None:
    """log(e^x) -> x, though e^x may overflow or vanish"""
    match op.x.owner:
        case ExpOp(x=x):
            return x
        case _:
            return None


@law(holds=Holds.FAST_MATH)
def exp_of_log(op: ExpOp) -> SSAValue | None:
    """e^log(x) -> x, though the log of a negative number is NaN"""
    match op.x.owner:
        case LogOp(x=x):
            return x
        case _:
            return None


@law(holds=Holds.ON_REALS)
def exp_minus_one(op: SubOp) -> SSAValue | None:
    """e^x - 1 -> expm1(x), which does not cancel near 0"""
    match op.lhs.owner:
        case ExpOp(x=x) if is_filled(op.rhs, 1) and op.lhs.has_one_use() and stretches_to(x, op.out):
            return stretched(F.expm1(x), op.out)
        case _:
            return None


@law(holds=Holds.ON_REALS)
def log_of_one_plus(op: LogOp) -> SSAValue | None:
    """log(x + 1) -> log1p(x), which does not cancel near 0"""
    match op.x.owner:
        case AddOp(lhs=x, rhs=one) if is_filled(one, 1) and op.x.has_one_use() and x.type == op.out.type:
            return F.log1p(x)
        case _:
            return None


# --- division and remainder by numbers


@law
def divide_by_power_of_two(op: DivOp) -> SSAValue | None:
    """x / 2^k -> x * 2^-k for floats, both normal numbers"""
    found = splat(op.rhs)
    if found is None or not is_real(op.out) or not np.isfinite(found) or abs(math.frexp(float(found))[0]) != 0.5:
        return None
    limit = {"float64": 1022, "float32": 126, "float16": 14, "bfloat16": 126}[TO_NUMPY[element_of(op.out)].name]
    if abs(math.frexp(float(found))[1] - 1) > limit:
        return None
    return F.mul(op.lhs, F.scalar(op.rhs, 1 / float(found)))


@law(holds=Holds.FAST_MATH)
def divide_by_number(op: DivOp) -> SSAValue | None:
    """x / c -> x * (1 / c) for a float c: rounded twice, and 1 / c may vanish or overflow"""
    found = splat(op.rhs)
    if found is None or not is_real(op.out) or found == 0 or not np.isfinite(found):
        return None
    return F.mul(op.lhs, F.scalar(op.rhs, 1 / float(found)))


def power_of_two(value: SSAValue) -> int | None:
    """k where every element of an integer tensor is 2^k, k > 0."""
    found = splat(value)
    if found is None or not is_integer(element_of(value)):
        return None
    number = int(found)
    return number.bit_length() - 1 if number > 1 and number & (number - 1) == 0 else None


@law
def multiply_by_power_of_two(op: MulOp) -> SSAValue | None:
    """x * 2^k -> x << k for integers; both wrap around"""
    k = power_of_two(op.rhs)
    return None if k is None else F.shift_left(op.lhs, F.scalar(op.rhs, k))


@law
def floor_divide_by_power_of_two(op: FloorDivOp | DivOp) -> SSAValue | None:
    """floor(x / 2^k) -> x >> k for integers; x / 2^k, which rounds to zero, only for unsigned ones"""
    k = power_of_two(op.rhs)
    if k is None or (isinstance(op, DivOp) and not is_unsigned(element_of(op.out))):
        return None
    return F.shift_right(op.lhs, F.scalar(op.rhs, k))


@law
def remainder_of_power_of_two(op: RemOp) -> SSAValue | None:
    """x rem 2^k -> x and (2^k - 1) for unsigned integers: a remainder has the sign of x"""
    k = power_of_two(op.rhs)
    if k is None or not is_unsigned(element_of(op.out)):
        return None
    return F.and_(op.lhs, F.scalar(op.rhs, 2**k - 1))


@law
def floor_of_quotient(op: FloorOp) -> SSAValue | None:
    """floor(floor_div(x, y)) -> floor_div(x, y)"""
    return op.x if isinstance(op.x.owner, FloorDivOp) else None


# --- convolution


@law
def pointwise_convolution(op: ConvOp) -> SSAValue | None:
    """conv with windows of one element, strides of 1, no padding and one group -> weight (o, c) @ x (n, c, points)

    The layout (n, c, s) stays: the product reads x along its points, and its result is the conv's. The bias, one
    number a row, is added as (o, 1).
    """
    strides, _, low, high = op.window_lists()
    kernel = shape_of(op.weight)[2:]
    ones = all(each == 1 for each in (*kernel, *strides))
    if not ones or any((*low, *high)) or op.groups.value.data != 1 or not (has_known_sizes(op.x)):
        return None
    batch, channels, *sizes = shape_of(op.x)
    outputs = shape_of(op.weight)[0]
    points = math.prod(sizes)
    if rank_of(op.x) < 3 or not has_known_sizes(op.weight):
        return None
    weight = F.reshape(op.weight, (outputs, channels))
    bias = None if op.bias is None else F.reshape(op.bias, (outputs, 1))
    flat = (channels, points) if batch == 1 else (batch, channels, points)
    return F.reshape(F.matmul(weight, F.reshape(op.x, flat), bias), shape_of(op.out))


POWERS = (
    power_zero, power_one, power_two, small_power, power_minus_one, power_minus_two, root_power, power_one_half,
    power_minus_one_half,
)  # fmt: skip
ROOTS = (
    one_over_root, one_over_reciprocal_root, root_of_square, square_of_root, log_of_exp, exp_of_log, exp_minus_one,
    log_of_one_plus,
)  # fmt: skip
DIVISIONS = (
    divide_by_power_of_two, divide_by_number, multiply_by_power_of_two, floor_divide_by_power_of_two,
    remainder_of_power_of_two, floor_of_quotient,
)  # fmt: skip
CONVOLUTIONS = (pointwise_convolution,)
LAWS = (*POWERS, *ROOTS, *DIVISIONS)


@dataclass(frozen=True)
class StrengthReduction(ModulePass):
    """Replace dear ops by cheap ones: powers, roots, divisions by numbers, and convolutions of single points.

    What changes how NaN, infinities or signed zeros come out needs `fast_math`.
    """

    name = "strength-reduction"
    fast_math: bool = False
    pointwise: bool = True
    """Whether convolutions of single points become matrix products."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_laws(op, (*LAWS, *(CONVOLUTIONS if self.pointwise else ())), fast_math=self.fast_math)
