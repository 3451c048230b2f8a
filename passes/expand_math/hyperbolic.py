"""sinh, cosh, tanh from e**x - 1, and asinh, acosh, atanh from log(1 + x), with pairs where the formulas cancel."""

from __future__ import annotations

import math

from xmlc.passes.expand_math.constants import LN_2
from xmlc.passes.expand_math.exponential import exp_minus_one_reduced, expm1_pair
from xmlc.passes.expand_math.logarithm import log_of_pair
from xmlc.passes.expand_math.pair import Pair, quick_two_sum, two_product, two_sum
from xmlc.passes.number import Flag, Real, power_of_two, select

# tanh(x) is 1 after rounding above this.
TANH_LIMIT = {32: 9.5, 64: 20.0}
# Where sinh and cosh are infinite; and where they are e**x / 2 and are computed 2**32 times smaller.
SINH_LIMIT = {32: 90.0, 64: 711.0}
SINH_LARGE = {32: 40.0, 64: 80.0}
SINH_SCALE = 32
# Above this asinh(x) and acosh(x) are log(2 x).
ASINH_LARGE = {32: 2.0**30, 64: 2.0**60}


def tanh(x: Real) -> Real:
    """E / (E + 2) with E = e**(2 |x|) - 1."""
    doubled = (abs(x) * 2.0).at_most(2.0 * TANH_LIMIT[x.width])
    e = expm1_pair(doubled)
    return (e / (e + x.constant(2.0))).value().with_sign_of(x)


def half_exponentials(x: Real) -> tuple[Pair, Pair, Real, Real, Real]:
    """(a p, b p / (1 + p), a, b, scale): e**|x| / 2 = a (1 + p) scale and e**-|x| / 2 = b / (1 + p) scale."""
    magnitude = abs(x).at_most(SINH_LIMIT[x.width])
    k, p = exp_minus_one_reduced(magnitude)
    large = magnitude > SINH_LARGE[x.width]
    a = power_of_two(k - select(large, k.constant(SINH_SCALE + 1), 1), x.format)
    b = power_of_two(select(large, k.constant(-100), -1) - select(large, k.constant(0), k), x.format)
    one_plus = quick_two_sum(x.constant(1.0), p.high)
    ratio = p / quick_two_sum(one_plus.high, one_plus.low + p.low)
    grown = Pair(p.high * a, p.low * a)
    shrunk = Pair(ratio.high * b, ratio.low * b)
    return grown, shrunk, a, b, select(large, x.constant(2.0**SINH_SCALE), 1.0)


def sinh(x: Real) -> Real:
    """(e**x - e**-x) / 2 = (a - b) + a p + b p / (1 + p)."""
    grown, shrunk, a, b, scale = half_exponentials(x)
    base = quick_two_sum(a, -b)
    total = base + (grown + shrunk)
    return odd_of_tiny(x, (total.value() * scale).with_sign_of(x))


def cosh(x: Real) -> Real:
    """(e**x + e**-x) / 2 = (a + b) + a p - b p / (1 + p)."""
    grown, shrunk, a, b, scale = half_exponentials(x)
    base = quick_two_sum(a, b)
    total = base + (grown + -shrunk)
    return total.value() * scale


def asinh(x: Real) -> Real:
    """log(1 + (|x| + x² / (1 + sqrt(1 + x²))))."""
    magnitude = abs(x)
    large = magnitude > ASINH_LARGE[x.width]
    t = select(large, x.constant(1.0), magnitude)
    square = two_product(t, t)
    root = square_root(square + x.constant(1.0))
    excess = square / (root + x.constant(1.0))
    inner = with_one(excess + t)
    result = log_of_pair(select_pair(large, Pair(magnitude, x.constant(0.0)), inner))
    result = result + select(large, x.constant(float(LN_2)), 0.0)
    return odd_of_tiny(x, select(magnitude < math.inf, result, magnitude).with_sign_of(x))


def acosh(x: Real) -> Real:
    """log(1 + (t + sqrt(2 t + t²))) with t = x - 1; NaN below 1."""
    large = x > ASINH_LARGE[x.width]
    t = two_sum(select(large, x.constant(2.0), x), x.constant(-1.0))
    root = square_root(t * (t + x.constant(2.0)))
    inner = with_one(root + t)
    result = log_of_pair(select_pair(large, Pair(x, x.constant(0.0)), inner))
    result = result + select(large, x.constant(float(LN_2)), 0.0)
    result = select(x < math.inf, result, x)
    return select(x < 1.0, x.constant(math.nan), result)


def atanh(x: Real) -> Real:
    """log(1 + 2 |x| / (1 - |x|)) / 2; infinite at 1 and -1, NaN beyond."""
    magnitude = abs(x)
    inside = magnitude < 1.0
    t = select(inside, magnitude, 0.0)
    ratio = Pair(t + t, x.constant(0.0)) / two_sum(x.constant(1.0), -t)
    result = log_of_pair(with_one(ratio)) * 0.5
    outside = select(magnitude.equals(1.0), x.constant(math.inf), math.nan)
    return odd_of_tiny(x, select(inside, result, outside).with_sign_of(x))


def odd_of_tiny(x: Real, result: Real) -> Real:
    """x itself where x³ is below its precision: for functions x + c x³ + ... with |c| <= 1/3."""
    return select(abs(x) < 2.0 ** -(x.format.mantissa // 2 + 2), x, result)


def with_one(x: Pair) -> Pair:
    """1 + x, keeping a tiny x in the low part."""
    total = two_sum(x.high.constant(1.0), x.high)
    return Pair(total.high, total.low + x.low)


def square_root(x: Pair) -> Pair:
    """sqrt(x) by one Newton step; 0 for 0."""
    root = x.high.sqrt()
    rest = root.times_plus(-root, x.high) + x.low
    return quick_two_sum(root, select(root > 0.0, rest / (root + root), 0.0))


def select_pair(flag: Flag, then: Pair, otherwise: Pair) -> Pair:
    return Pair(select(flag, then.high, otherwise.high), select(flag, then.low, otherwise.low))
