"""Laws of sums, products, quotients and signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import ml_dtypes
import numpy as np
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import TO_NUMPY, computing_type, is_integer
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.elementwise import (
    AbsOp,
    AddOp,
    AndOp,
    BinaryOp,
    CastOp,
    CeilOp,
    DivOp,
    FloorDivOp,
    FloorOp,
    MaxOp,
    MinOp,
    MulOp,
    NegOp,
    OrOp,
    ReluOp,
    RemOp,
    RoundOp,
    SignOp,
    SubOp,
    XorOp,
)
from xmlc.dialects.ml.types import element_of
from xmlc.passes.constants import (
    filled,
    has_known_sizes,
    is_constant,
    is_filled,
    is_real,
    is_zero,
    splat,
    stretched,
    stretches_to,
    used_once,
)
from xmlc.passes.laws import Holds, law


@law
def constants_to_the_right(op: AddOp | MulOp | MaxOp | MinOp | AndOp | OrOp | XorOp) -> SSAValue | None:
    """c + x -> x + c, and so for every commutative op"""
    if is_constant(op.lhs) and not is_constant(op.rhs):
        return type(op)(op.rhs, op.lhs).out
    return None


# --- neutral and absorbing numbers


@law
def add_nothing(op: AddOp) -> SSAValue | None:
    """x + 0 -> x for integers, x + -0.0 -> x for floats: x + 0.0 would turn -0.0 into 0.0"""
    return stretched(op.lhs, op.out) if is_filled(op.rhs, -0.0 if is_real(op.rhs) else 0) else None


@law(holds=Holds.FAST_MATH)
def add_zero(op: AddOp) -> SSAValue | None:
    """x + 0.0 -> x, which keeps the sign of a zero"""
    return stretched(op.lhs, op.out) if is_zero(op.rhs) else None


@law
def subtract_nothing(op: SubOp) -> SSAValue | None:
    """x - 0 -> x, of floats too: -0.0 - 0.0 is -0.0"""
    return stretched(op.lhs, op.out) if is_filled(op.rhs, 0) else None


@law
def times_one(op: MulOp | DivOp) -> SSAValue | None:
    """x * 1 -> x; x / 1 -> x"""
    return stretched(op.lhs, op.out) if is_filled(op.rhs, 1) else None


@law
def times_minus_one(op: MulOp | DivOp) -> SSAValue | None:
    """x * -1 -> -x; x / -1 -> -x"""
    found = splat(op.rhs)
    if found is None or found != -1 or (x := stretched(op.lhs, op.out)) is None:
        return None
    return F.neg(x)


@law
def times_zero(op: MulOp) -> SSAValue | None:
    """x * 0 -> 0 for integers"""
    return filled(op.out, 0) if not is_real(op.out) and is_zero(op.rhs) else None


@law(holds=Holds.FAST_MATH)
def real_times_zero(op: MulOp) -> SSAValue | None:
    """x * 0.0 -> 0.0, though inf * 0.0 is NaN and -1.0 * 0.0 is -0.0"""
    return filled(op.out, 0) if is_real(op.out) and is_zero(op.rhs) else None


@law
def difference_with_itself(op: SubOp | XorOp) -> SSAValue | None:
    """x - x -> 0 for integers; x xor x -> 0"""
    return filled(op.out, 0) if op.lhs is op.rhs and not is_real(op.out) else None


@law(holds=Holds.FAST_MATH)
def real_difference_with_itself(op: SubOp) -> SSAValue | None:
    """x - x -> 0.0, though inf - inf is NaN"""
    return filled(op.out, 0) if op.lhs is op.rhs and is_real(op.out) else None


@law(holds=Holds.FAST_MATH)
def quotient_with_itself(op: DivOp) -> SSAValue | None:
    """x / x -> 1.0, though 0 / 0 is NaN"""
    return filled(op.out, 1) if op.lhs is op.rhs and is_real(op.out) else None


@law
def combined_with_itself(op: AndOp | OrOp | MaxOp | MinOp) -> SSAValue | None:
    """x and x -> x; x or x -> x; max(x, x) -> x; min(x, x) -> x"""
    return op.lhs if op.lhs is op.rhs else None


@law
def bits_with_none(op: AndOp | OrOp | XorOp) -> SSAValue | None:
    """x and 0 -> 0; x or 0 -> x; x xor 0 -> x"""
    if not is_zero(op.rhs):
        return None
    return filled(op.out, 0) if isinstance(op, AndOp) else stretched(op.lhs, op.out)


@law
def bits_with_all(op: AndOp | OrOp | XorOp) -> SSAValue | None:
    """x and ~0 -> x; x or ~0 -> ~0; x xor ~0 -> ~x"""
    found = splat(op.rhs)
    if found is None or np.invert(found) != 0 or (x := stretched(op.lhs, op.out)) is None:
        return None
    if isinstance(op, AndOp):
        return x
    return F.not_(x) if isinstance(op, XorOp) else filled(op.out, found)


@law
def floor_divide_by_one(op: FloorDivOp) -> SSAValue | None:
    """floor(x / 1) -> x for integers"""
    return stretched(op.lhs, op.out) if not is_real(op.out) and is_filled(op.rhs, 1) else None


@law
def remainder_of_one(op: RemOp) -> SSAValue | None:
    """x rem 1 -> 0 for integers"""
    return filled(op.out, 0) if not is_real(op.out) and is_filled(op.rhs, 1) else None


# --- signs


@law
def opposite_of_opposite(op: NegOp) -> SSAValue | None:
    """-(-x) -> x"""
    match op.x.owner:
        case NegOp(x=x):
            return x
        case _:
            return None


@law
def absolute_of_sign_change(op: AbsOp) -> SSAValue | None:
    """|-x| -> |x|; ||x|| -> |x|"""
    match op.x.owner:
        case NegOp(x=x) | AbsOp(x=x):
            return F.abs_(x)
        case _:
            return None


@law
def absolute_of_relu(op: AbsOp) -> SSAValue | None:
    """|relu(x)| -> relu(x)"""
    return op.x if isinstance(op.x.owner, ReluOp) else None


@law
def sign_of_sign(op: SignOp) -> SSAValue | None:
    """sign(sign(x)) -> sign(x)"""
    return op.x if isinstance(op.x.owner, SignOp) else None


@law
def relu_of_relu(op: ReluOp) -> SSAValue | None:
    """relu(relu(x)) -> relu(x)"""
    return op.x if isinstance(op.x.owner, ReluOp) else None


@law
def rounded_twice(op: FloorOp | CeilOp | RoundOp) -> SSAValue | None:
    """floor, ceil and round change nothing that one of them gave, or that was cast from an integer"""
    match op.x.owner:
        case FloorOp() | CeilOp() | RoundOp():
            return op.x
        case CastOp(x=x) if is_integer(element_of(x)):
            return op.x
        case _:
            return None


@law
def add_opposite(op: AddOp) -> SSAValue | None:
    """x + -y -> x - y; -y + x -> x - y"""
    match op.lhs.owner, op.rhs.owner:
        case _, NegOp(x=y):
            return F.sub(op.lhs, y)
        case NegOp(x=y), _:
            return F.sub(op.rhs, y)
        case _:
            return None


@law
def subtract_opposite(op: SubOp) -> SSAValue | None:
    """x - -y -> x + y"""
    match op.rhs.owner:
        case NegOp(x=y):
            return F.add(op.lhs, y)
        case _:
            return None


@law
def product_of_opposites(op: MulOp | DivOp) -> SSAValue | None:
    """-x * -y -> x * y; -x / -y -> x / y for floats"""
    match op.lhs.owner, op.rhs.owner:
        case NegOp(x=x), NegOp(x=y) if isinstance(op, MulOp) or is_real(op.out):
            return type(op)(x, y).out
        case _:
            return None


# --- chains of constants


COMPUTE: dict[type[BinaryOp], Callable[[Any, Any], Any]] = {AddOp: np.add, MulOp: np.multiply, DivOp: np.divide}


def smallest_normal(dtype: np.dtype[Any]) -> float:
    """The smallest positive float that is not subnormal; ml_dtypes knows bfloat16 too."""
    return cast(float, ml_dtypes.finfo(dtype).tiny)  # pyright: ignore[reportUnknownMemberType]


def computed(op: type[BinaryOp], like: SSAValue, x: Any, y: Any) -> SSAValue | None:
    """x op y as a scalar constant, rounded to the type of `like`; None where floats leave the normal range."""
    dtype = TO_NUMPY[element_of(like)]
    wide = TO_NUMPY[computing_type(element_of(like))].type
    with np.errstate(all="ignore"):
        value = COMPUTE[op](wide(x), wide(y)).astype(dtype)
        if is_real(like):
            least = 0.0 if op is AddOp else smallest_normal(dtype)
            if not least <= abs(float(value)) < np.inf:
                return None
    return F.scalar(like, value)


def scaled(
    op: type[BinaryOp], out: SSAValue, x: SSAValue, constants: tuple[type[BinaryOp], Any, Any]
) -> SSAValue | None:
    """x op (the constants combined), of the type of `out`"""
    if not stretches_to(x, out) or (number := computed(constants[0], out, *constants[1:])) is None:
        return None
    return stretched(op(x, number).out, out)


@law(holds=Holds.ON_REALS)
def sum_of_constants(op: AddOp) -> SSAValue | None:
    """(x + c) + d -> x + (c + d), c and d numbers, where nothing else uses x + c"""
    match op.lhs.owner, splat(op.rhs):
        case AddOp(lhs=x, rhs=y), d if d is not None and op.lhs.has_one_use() and (c := splat(y)) is not None:
            return scaled(AddOp, op.out, x, (AddOp, c, d))
        case _:
            return None


@law(holds=Holds.ON_REALS)
def product_of_constants(op: MulOp) -> SSAValue | None:
    """(x * c) * d -> x * (c * d), for numbers whose product neither overflows nor vanishes; x * c used here only"""
    match op.lhs.owner, splat(op.rhs):
        case MulOp(lhs=x, rhs=y), d if d is not None and op.lhs.has_one_use() and (c := splat(y)) is not None:
            return scaled(MulOp, op.out, x, (MulOp, c, d))
        case _:
            return None


@law(holds=Holds.ON_REALS)
def quotient_of_constants(op: MulOp | DivOp) -> SSAValue | None:
    """(x / c) * d -> x * (d / c); (x * c) / d -> x * (c / d); (x / c) / d -> x / (c * d), for floats"""
    d = splat(op.rhs)
    if d is None or not is_real(op.out) or not op.lhs.has_one_use():
        return None
    match op, op.lhs.owner:
        case MulOp(), DivOp(lhs=x, rhs=y) if (c := splat(y)) is not None:
            return scaled(MulOp, op.out, x, (DivOp, d, c))
        case DivOp(), MulOp(lhs=x, rhs=y) if (c := splat(y)) is not None:
            return scaled(MulOp, op.out, x, (DivOp, c, d))
        case DivOp(), DivOp(lhs=x, rhs=y) if (c := splat(y)) is not None:
            return scaled(DivOp, op.out, x, (MulOp, c, d))
        case _:
            return None


# --- common factors


@law(holds=Holds.ON_REALS)
def common_factor(op: AddOp | SubOp) -> SSAValue | None:
    """x * a + x * b -> x * (a + b), and with -, where nothing else uses the products

    Integers are exact. An a + b that overflows where the two products do not is not seen: keep numbers moderate.
    """
    match op.lhs.owner, op.rhs.owner:
        case MulOp(lhs=a, rhs=b), MulOp(lhs=c, rhs=d) if (
            used_once(op.lhs) and used_once(op.rhs) and has_known_sizes(op.out)
        ):
            for x, y, z, w in ((a, b, c, d), (a, b, d, c), (b, a, c, d), (b, a, d, c)):
                if x is z:
                    return F.mul(x, type(op)(y, w).out)
        case _:
            pass
    return None


ARITHMETIC = (
    constants_to_the_right, add_nothing, add_zero, subtract_nothing, times_one, times_minus_one, times_zero,
    real_times_zero, difference_with_itself, real_difference_with_itself, quotient_with_itself, combined_with_itself,
    bits_with_none, bits_with_all, floor_divide_by_one, remainder_of_one, opposite_of_opposite,
    absolute_of_sign_change, absolute_of_relu, sign_of_sign, relu_of_relu, rounded_twice, add_opposite,
    subtract_opposite, product_of_opposites, sum_of_constants, product_of_constants, quotient_of_constants,
    common_factor,
)  # fmt: skip
