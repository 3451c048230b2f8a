"""powf, fpowi, ipowi, cbrt, rsqrt."""

from __future__ import annotations

import math

from xmlc.passes.expand_math.coefficients import CBRT, POW_EXP_SINGLE, POW_LOG, POW_LOG_SINGLE
from xmlc.passes.expand_math.constants import LN_2, LOG2_E
from xmlc.passes.expand_math.exponential import exp_of_pair
from xmlc.passes.expand_math.logarithm import split, split_any
from xmlc.passes.expand_math.pair import Pair, constant_pair, quick_two_sum, split_constant, two_product, two_sum
from xmlc.passes.number import (
    DOUBLE,
    Flag,
    Integer,
    Real,
    nearest_integer,
    polynomial,
    power_of_two,
    select,
    small_integer_to_real,
)

# 2/3, the second coefficient of the series of 2 atanh(s)
TWO_THIRDS = "0.66666666666666666666666666666666666666666666666667"


def positive_power_single(x: Real, y: Real) -> Real:
    """x**y for numbers of float32 given in float64, x finite and positive: 2**(y log2(x)) to 30 bits."""
    k, m = split(x)  # every positive float32 is a normal float64
    s = (m - 1.0) / (m + 1.0)
    log = s * polynomial(s * s, POW_LOG_SINGLE[32])
    exponent = y * log.times_plus(float(LOG2_E), small_integer_to_real(k, DOUBLE))
    n, integer = nearest_integer(exponent.at_most(300.0).at_least(-300.0))
    r = exponent.at_most(300.0).at_least(-300.0) - n
    return polynomial(r, POW_EXP_SINGLE[32]) * power_of_two(integer, DOUBLE)


def log_pair(x: Real) -> Pair:
    """log(x) as a pair with an error below 2**-66 of it, for finite positive x."""
    k, m = split_any(x)
    numerator = m - 1.0
    s = Pair(numerator, x.constant(0.0)) / two_sum(m, x.constant(1.0))
    z = s * s
    # 2 s + s z (2/3 + z p(z))
    tail = Pair(z.high * polynomial(z.high, POW_LOG[64]), x.constant(0.0)) + constant_pair(x, TWO_THIRDS)
    mantissa = Pair(s.high * 2.0, s.low * 2.0) + (s * z) * tail
    high, low = split_constant(LN_2, x.format, zeros=11)
    return mantissa + quick_two_sum(k * high, k * low)


def positive_power_double(x: Real, y: Real) -> Real:
    """x**y in float64 for finite positive x."""
    log = log_pair(x)
    product = two_product(y, log.high)
    low = log.low.times_plus(y, product.low)
    # Where the product overflows so does the power; its low part is then meaningless.
    low = select(abs(product.high) < 2000.0, low, 0.0)
    return exp_of_pair(Pair(product.high, low))


def power(x: Real, y: Real, odd: Flag, integral: Flag) -> Real:
    """x**y, given whether y is an odd integer and whether it is an integer; the special values are those of C's pow.

    A float32 x comes with a float64 y that holds a float32 or a 32-bit integer.
    """
    wide = x.widened() if x.width == 32 else x
    magnitude = abs(wide)
    ordinary = (magnitude > 0.0) & (magnitude < math.inf)
    base = select(ordinary, magnitude, 1.0)
    result = positive_power_single(base, y) if x.width == 32 else positive_power_double(base, y)
    # 0 and infinity: 0**y is 0 for y > 0 and infinity for y < 0, and the other way round
    becomes_zero = magnitude.equals(0.0) ^ (y < 0.0)
    result = select(ordinary, result, select(becomes_zero, wide.constant(0.0), math.inf))
    negative = wide.as_bits().compare("lt", 0)
    result = select((wide < 0.0) & ~integral & (magnitude < math.inf), result.constant(math.nan), result)
    result = select(negative & odd, -result, result)
    result = select(magnitude.equals(1.0) & abs(y).equals(math.inf), result.constant(1.0), result)
    result = select(wide.unordered(y), wide + y, result)
    result = select(wide.equals(1.0) | y.equals(0.0), result.constant(1.0), result)
    return result.narrowed() if x.width == 32 else result


def powf(x: Real, y: Real) -> Real:
    """x**y."""
    y = y.widened() if y.width == 32 else y
    integral = y.truncated().equals(y)
    half = y * 0.5
    odd = integral & ~half.truncated().equals(half)
    return power(x, y, odd & (abs(y) < math.inf), integral)


def fpowi(x: Real, n: Integer) -> Real:
    """x**n for an integer n; an n beyond 2**53 is rounded, but keeps its parity."""
    odd = (n & 1).compare("ne", 0)
    return power(x, n.to_real(DOUBLE), odd, odd | ~odd)


def ipowi(base: Integer, exponent: Integer) -> Integer:
    """base**exponent, wrapping around; for a negative exponent 1 / base**-exponent rounded to zero, and 0 for base 0.

    Square and multiply over every bit of the exponent, so that it stays free of branches.
    """
    result, square = base.constant(1), base
    for bit in range(base.bit_width - 1):
        taken = ((exponent >> bit) & 1).compare("ne", 0)
        result = select(taken, result * square, result)
        square = square * square
    unit = base.compare("eq", 1) | base.compare("eq", -1)
    # 1 and -1 are their own inverses; the low bits of a negative exponent still give its parity.
    return select(exponent.compare("ge", 0) | unit, result, 0)


def cbrt(x: Real) -> Real:
    """The cube root: x = 2**(3 k) m, 1 <= m < 8; a polynomial, then Newton's steps, the last with an exact residual."""
    format = x.format
    magnitude = abs(x)
    subnormal = magnitude < format.smallest_normal
    lift = 3 * ((format.mantissa + 2) // 3)
    normal = select(subnormal, magnitude * 2.0**lift, magnitude)
    exponent = (normal.as_bits() >> format.mantissa) - format.bias
    e = small_integer_to_real(exponent, format)
    # floor(e / 3), since e - 1 is at least 1/3 from where rounding changes
    _, thirds = nearest_integer((e - 1.0) * (1.0 / 3.0))
    m = (normal.as_bits() - ((thirds * 3) << format.mantissa)).as_real(format)
    root = polynomial(m, CBRT[x.width])
    for _ in range(1 if x.width == 32 else 2):
        root = root - (root * root).times_plus(root, -m) / (root * root * 3.0)
    square = two_product(root, root)
    residual = square.high.times_plus(root, -m) + square.low * root
    root = root - residual / (square.high * 3.0)
    scale = power_of_two(select(subnormal, thirds - lift // 3, thirds), format)
    ordinary = (magnitude > 0.0) & (magnitude < math.inf)
    return select(ordinary, root * scale, x + x).with_sign_of(x)


def rsqrt(x: Real) -> Real:
    """1 / sqrt(x)."""
    return 1.0 / x.sqrt()
