"""exp, exp2, expm1: x = k ln 2 + r, then a polynomial in |r| <= ln(2) / 2, then an exact multiplication by 2**k."""

from __future__ import annotations

from xmlc.passes.expand_math.coefficients import EXP, EXP2, EXPM1
from xmlc.passes.expand_math.constants import LN_2, LOG2_E
from xmlc.passes.expand_math.pair import Pair, quick_two_sum, split_constant, two_sum
from xmlc.passes.number import (
    Integer,
    Real,
    nearest_integer,
    nearest_integer_of_product,
    polynomial,
    power_of_two,
    scaled,
    scaled_by_floor,
    scales,
    select,
)

# Beyond these exp(x) is 0 or infinity after rounding, and inside them 2**k is a product of two normal numbers.
EXP_RANGE = {32: (-104.0, 89.0), 64: (-746.0, 710.0)}
EXP2_RANGE = {32: (-151.0, 129.0), 64: (-1076.0, 1025.0)}
# expm1(x) is -1 after rounding below the first.
EXPM1_RANGE = {32: (-20.0, 89.0), 64: (-40.0, 710.0)}


def reduced(x: Real) -> tuple[Integer, Real, Real]:
    """(k, r, unrounded): x = k ln 2 + r, where `unrounded` + k * LOW is r before its last rounding."""
    high, low = split_constant(LN_2, x.format, zeros=11)
    k, exponent = nearest_integer(x * float(LOG2_E))
    unrounded = k.times_plus(-high, x)
    return exponent, unrounded, k * -low


def exp(x: Real) -> Real:
    """e**x: 1 + r + r² p(r), times 2**k, where r is x - k ln 2."""
    x = x.at_least(EXP_RANGE[x.width][0]).at_most(EXP_RANGE[x.width][1])
    high, low = split_constant(LN_2, x.format, zeros=11)
    k, exponent = nearest_integer_of_product(x, float(LOG2_E))
    r = k.times_plus(-low, k.times_plus(-high, x))
    mantissa = polynomial(r, (1.0, 1.0, *EXP[x.width]))
    return scaled_by_floor(mantissa, k) if scales(x) else scaled(mantissa, exponent)


def exp_of_pair(x: Pair) -> Real:
    """e**(x.high + x.low), for pairs in the range of exp or beyond; x.low must be finite."""
    lowest, highest = EXP_RANGE[x.high.width]
    k, high, low = reduced(x.high.at_least(lowest).at_most(highest))
    low = low + x.low
    r = high + low
    rest = (high - r) + low
    tail = (r * r).times_plus(polynomial(r, EXP[r.width]), rest)
    return scaled((r + tail) + 1.0, k)


def exp2(x: Real) -> Real:
    """2**x: 1 + r p(r), times 2**k."""
    x = x.at_least(EXP2_RANGE[x.width][0]).at_most(EXP2_RANGE[x.width][1])
    k, exponent = nearest_integer(x)
    r = x - k
    return scaled(r.times_plus(polynomial(r, EXP2[x.width]), 1.0), exponent)


def exp_minus_one_reduced(x: Real) -> tuple[Integer, Pair]:
    """(k, p): e**x = 2**k (1 + p), |p| < 0.42, with p as a pair."""
    k, high, low = reduced(x)
    r = quick_two_sum(high, low)
    # d(e**r - 1) = e**r dr, hence r.low counts (1 + r) times; r² is halved exactly.
    correction = r.low.times_plus(r.high, r.low)
    tail = (r.high * r.high).times_plus(polynomial(r.high, EXPM1[x.width]), correction)
    return k, quick_two_sum(r.high, tail)


def expm1_pair(x: Real) -> Pair:
    """e**x - 1 as a pair, for x in EXPM1_RANGE and 2**k a normal number."""
    k, p = exp_minus_one_reduced(x)
    scale = power_of_two(k, x.format)
    total = two_sum(p.high * scale, scale - 1.0)
    return quick_two_sum(total.high, p.low.times_plus(scale, total.low))


def expm1(x: Real) -> Real:
    """e**x - 1: 2**k p + (2**k - 1), both halved because 2**k may be too large by one."""
    low, high = EXPM1_RANGE[x.width]
    k, p = exp_minus_one_reduced(x.at_least(low).at_most(high))
    scale = power_of_two(k - 1, x.format)
    total = two_sum(p.high * scale, scale - 0.5)
    result = (total.high + p.low.times_plus(scale, total.low)) * 2.0
    # A tiny x is the result: it keeps its sign when zero, and its digits when subnormal.
    return select(abs(x) < 2.0 ** -(x.format.mantissa + 2), x, result)
