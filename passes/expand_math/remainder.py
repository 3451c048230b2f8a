"""remf: the exact remainder of a division that rounds to zero, by long division with 52 bits of the quotient a step."""

from __future__ import annotations

import math

from xmlc.passes.number import Real, select

# The quotient of two float32 is below 2**277: that many steps of 53 bits.
SINGLE_STEPS = 6
# Powers of two that scale the divisor of a float64, 52 bits a step; 2**-1074 * 2**2045 is within 2**53 of every x.
DOUBLE_SCALES = (*range(2045, 0, -52), 0)
LARGEST_SCALE = 1023


def remf(x: Real, y: Real) -> Real:
    """x - trunc(x / y) y with the sign of x: C's fmod.

    A step subtracts q d from what is left, for a divisor d = y 2**n and the rounded quotient q below 2**53. The
    difference is exact: a multiple of the last place of d, no larger than d. It may be negative, by the rounding of q.
    """
    rest = remainder_single(x, y) if x.width == 32 else remainder_double(x, y)
    # x mod inf is x, but for an infinite x.
    keep = abs(y).equals(math.inf) & (abs(x) < math.inf)
    return select(keep, x, rest).with_sign_of(x)


def remainder_single(x: Real, y: Real) -> Real:
    """In float64, where a larger q is rounded to 53 bits and the difference is exact all the same."""
    divisor = abs(y).widened()
    rest = abs(x).widened()
    for _ in range(SINGLE_STEPS):
        rest = (rest / divisor).truncated().times_plus(-divisor, rest)
    return select(rest < 0.0, rest + divisor, rest).narrowed()


def remainder_double(x: Real, y: Real) -> Real:
    """With y scaled so that no quotient overflows; a divisor that overflows is above x and is skipped."""
    divisor = abs(y)
    # The largest scales are no float64 themselves: multiply in two steps.
    raised = divisor * 2.0**LARGEST_SCALE
    rest = abs(x)
    for scale in DOUBLE_SCALES:
        above = scale - LARGEST_SCALE
        scaled = raised * 2.0**above if above > 0 else divisor * 2.0**scale
        reduced = (rest / scaled).truncated().times_plus(-scaled, rest)
        rest = select(scaled.equals(math.inf), rest, reduced) if scale else reduced
    return select(rest < 0.0, rest + divisor, rest)
