"""log, log1p, log2, log10: x = 2**k m with sqrt(1/2) <= m < sqrt(2), then a series in f = m - 1."""

from __future__ import annotations

import math

from xmlc.passes.expand_math.coefficients import LOG_CUBE, LOG_SERIES
from xmlc.passes.expand_math.constants import LN_2, LOG2_E, LOG10_2, LOG10_E
from xmlc.passes.expand_math.pair import Pair, constant_pair, quick_two_sum, split_constant, two_sum
from xmlc.passes.number import Integer, Real, polynomial, select, small_integer_to_real


def split(x: Real) -> tuple[Integer, Real]:
    """(k, m): x = 2**k m, for a normal positive x."""
    format = x.format
    bits = x.as_bits()
    k = (bits - format.pattern(math.sqrt(0.5))) >> format.mantissa
    return k, (bits - (k << format.mantissa)).as_real(format)


def split_any(x: Real) -> tuple[Real, Real]:
    """(k, m): x = 2**k m, for any finite positive x."""
    format = x.format
    subnormal = x < format.smallest_normal
    k, m = split(select(subnormal, x * 2.0**format.mantissa, x))
    k = select(subnormal, k - format.mantissa, k)
    return small_integer_to_real(k, format), m


def log_one_plus(f: Real, correction: Real | None = None) -> Real:
    """log(1 + f) - f + correction, for 1 + f in [sqrt(1/2), sqrt(2)].

    float32 by a polynomial in f; float64, which would need 20 terms, by the series of atanh in s = f / (2 + f) with 7.
    """
    square = f * f
    if f.width == 32:
        cube = square * f
        rest = cube * polynomial(f, LOG_CUBE[32]) if correction is None else cube.times_plus(
            polynomial(f, LOG_CUBE[32]), correction
        )  # fmt: skip
        return square.times_plus(-0.5, rest)
    half = square * 0.5
    s = f / (f + 2.0)
    z = s * s
    rest = s * (half + z * polynomial(z, LOG_SERIES[64]))
    return (rest if correction is None else rest + correction) - half


def of_positive(x: Real, result: Real) -> Real:
    """The logarithm of x, given the result for finite positive x: -inf at 0, inf at inf, NaN for negative x and NaN."""
    result = select(x.equals(math.inf), x, result)
    at_most_zero = select(x.equals(0.0), x.constant(-math.inf), math.nan)
    return select(x > 0.0, result, at_most_zero)


def log_sum(k: Real, f: Real, rest: Real) -> Real:
    """k ln 2 + f + rest."""
    high, low = split_constant(LN_2, f.format, zeros=11)
    return k.times_plus(high, f + k.times_plus(low, rest))


def log(x: Real) -> Real:
    """The natural logarithm."""
    k, m = split_any(x)
    f = m - 1.0
    return of_positive(x, log_sum(k, f, log_one_plus(f)))


def log_in_base(x: Real, log_e: str, log_2: str) -> Real:
    """log(x) / log(base), given the logarithms of e and of 2 in that base; both products are kept as pairs."""
    k, m = split_any(x)
    f = m - 1.0
    mantissa = quick_two_sum(f, log_one_plus(f)) * constant_pair(x, log_e)
    high, low = split_constant(log_2, x.format, zeros=11)
    total = quick_two_sum(k * high, mantissa.high)
    return of_positive(x, total.high + (total.low + k.times_plus(low, mantissa.low)))


def log2(x: Real) -> Real:
    """The logarithm in base 2, exact for powers of two."""
    return log_in_base(x, LOG2_E, "1")


def log10(x: Real) -> Real:
    """The logarithm in base 10."""
    return log_in_base(x, LOG10_E, LOG10_2)


def log_of_pair(x: Pair) -> Real:
    """log(x.high + x.low) for a normal finite positive x.high, where x.low may be the whole difference from 1."""
    exponent, m = split(x.high)
    k = small_integer_to_real(exponent, m.format)
    f = m - 1.0
    # log(high + low) = log(high) + low / high, but for low², which is below the precision
    return log_sum(k, f, log_one_plus(f, x.low / x.high))


def log1p(x: Real) -> Real:
    """log(1 + x), of the unrounded sum."""
    # For x below -1 the result is replaced; -1 itself gives -inf.
    result = log_of_pair(two_sum(x.constant(1.0), x))
    result = select(x.equals(math.inf), x, result)
    at_most = select(x.equals(-1.0), x.constant(-math.inf), math.nan)
    return select(x > -1.0, result, at_most).with_sign_of(x)
