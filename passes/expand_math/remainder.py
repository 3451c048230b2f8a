"""remf for float32: the exact remainder of a division that rounds to zero, by long division in float64."""

from __future__ import annotations

import math

from xmlc.passes.expand_math.number import Real, select

# The quotient of two float32 is below 2**277; a step of float64 takes 52 bits off.
STEPS = 6


def remf(x: Real, y: Real) -> Real:
    """x - trunc(x / y) y, exactly, with the sign of x: C's fmod.

    The rest after subtracting q y is exact for the rounded quotient q (it needs no more bits than x and y have), and it is smaller than
    y or than 2**-52 of what was left, whatever its sign.
    """
    assert x.width == 32
    divisor = abs(y).widened()
    rest = abs(x).widened()
    for _ in range(STEPS):
        rest = (rest / divisor).truncated().times_plus(-divisor, rest)
    rest = select(rest < 0.0, rest + divisor, rest)
    # x mod inf is x, but for an infinite x
    keep = divisor.equals(math.inf) & (abs(x) < math.inf)
    return select(keep, x, rest.narrowed()).with_sign_of(x)
