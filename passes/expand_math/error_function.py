"""erf: an odd polynomial up to 1, and 1 - exp(polynomial) beyond."""

from __future__ import annotations

from collections.abc import Callable

from xmlc.passes.expand_math.coefficients import ERF, ERF_TAIL
from xmlc.passes.expand_math.exponential import exp
from xmlc.passes.number import Real, polynomial, select

# erf(x) is 1 after rounding above this.
ERF_LIMIT = {32: 3.93, 64: 5.95}


def erf(x: Real, exp: Callable[[Real], Real] = exp) -> Real:
    """The error function, by way of `exp`."""
    z = x * x
    near = x.times_plus(polynomial(z, ERF[x.width]), x)
    t = abs(x).at_most(ERF_LIMIT[x.width])
    far = (1.0 - exp(polynomial(t, ERF_TAIL[x.width]))).with_sign_of(x)
    return select(t < 1.0, near, far)
