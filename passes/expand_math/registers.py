"""What registers of sixteen numbers compute otherwise: functions by tables that stay in registers.

With the powers 2**(j/16) in a table, e**x needs three terms of its series. And erf and tanh are sixteen polynomials,
one for each piece of the axis, whose coefficients are looked up: a table for each power.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.dialects import math
from xdsl.dialects.builtin import VectorType, f32
from xdsl.ir import Attribute, Operation

from xmlc.passes.expand_math.coefficients import ERF_PIECES, EXP_SIXTEENTH, TANH_PIECES, Pieces
from xmlc.passes.expand_math.constants import LN_2, LOG2_E
from xmlc.passes.expand_math.exponential import EXP_RANGE
from xmlc.passes.expand_math.pair import split_constant
from xmlc.passes.number import (
    SINGLE,
    Integer,
    Number,
    Real,
    looked_up,
    nearest_multiple,
    polynomial,
    scaled_by_floor,
    select,
)

PLACES = 4
PIECES = 1 << PLACES
ROOTS = tuple(2.0 ** (j / PIECES) for j in range(PIECES))
# sixteen times as many multiples of ln 2 / 16 as of ln 2, for which the first part of ln 2 leaves room
ZEROS = 12
LEAST_EXPONENT = -126
LEAST_NORMAL = LEAST_EXPONENT * float(LN_2)
"""Below it powers are no normal numbers."""
EXP2_SIXTEENTH = tuple(
    coefficient * float(LN_2) ** power for power, coefficient in enumerate((1.0, *EXP_SIXTEENTH[32]), start=1)
)
"""2**r = 1 + r p(r) around multiples of 1/16"""


def is_register(type_: Attribute) -> bool:
    return type_ == VectorType(f32, (PIECES,))


def exp(x: Real) -> Real:
    """e**x = 2**floor(k) 2**(j/16) e**r, where k = floor(k) + j/16 is a multiple of 1/16 and r = x - k ln 2."""
    low, high = EXP_RANGE[x.width]
    x = x.at_least(low).at_most(high)
    k, bits = nearest_multiple(x, float(LOG2_E), 1 / PIECES)
    first, rest = split_constant(LN_2, x.format, zeros=ZEROS)
    r = k.times_plus(-rest, k.times_plus(-first, x))
    root = looked_up(ROOTS, bits)
    return scaled_by_floor((root * r).times_plus(polynomial(r, (1.0, *EXP_SIXTEENTH[x.width])), root), k)


def exp_below_zero(x: Real) -> Real:
    """e**x for x <= 0: `exp`, but floor(k) is added to the exponent of 2**(j/16), and one float is ln 2.

    It is right to 1.6 ulp down to -20, 5 ulp at the end; what is no normal number is 0.
    """
    k, bits = nearest_multiple(x, float(LOG2_E), 1 / PIECES)
    r = k.times_plus(-float(LN_2), x)
    power = times_root(bits, r, (1.0, *EXP_SIXTEENTH[x.width]))
    return select(x < LEAST_NORMAL, x.constant(0.0), power)


def exp2_below_zero(x: Real) -> Real:
    """2**x for x <= 0, as `exp_below_zero` does it: without multiplications by ln 2, r is exact."""
    magic = x.format.magic / PIECES
    shifted = x + magic
    r = x - (shifted - magic)
    power = times_root(shifted.as_bits(), r, EXP2_SIXTEENTH)
    return select(x < LEAST_EXPONENT, x.constant(0.0), power)


def times_root(bits: Integer, r: Real, coefficients: Sequence[float]) -> Real:
    """2**(bits / 16) (1 + r p(r)), where it is a normal number."""
    exponent = r.format.mantissa - PLACES
    root = (looked_up(roots_without(exponent), bits).as_bits() + (bits << exponent)).as_real(r.format)
    return (root * r).times_plus(polynomial(r, coefficients), root)


def roots_without(exponent: int) -> list[float]:
    """2**(j/16) less j at that bit, which adding the multiple of 1/16 itself brings back."""
    return [SINGLE.number(SINGLE.pattern(root) - (j << exponent)) for j, root in enumerate(ROOTS)]


def erf(x: Real) -> Real:
    return odd(x, ERF_PIECES)


def tanh(x: Real) -> Real:
    return odd(x, TANH_PIECES)


def odd(x: Real, pieces: Pieces) -> Real:
    """An odd function by the polynomial of the piece that |x| is in, around its middle; beyond the last, as at its end.

    The first piece adds x to its polynomial, which is small then: what the slope at 0 is rounded by does not count.
    """
    width, coefficients = pieces
    magnitude = abs(x).at_most((PIECES - 0.51) * width)
    place, bits = nearest_multiple(magnitude, 1 / width, 1.0)
    t = place.times_plus(-width, magnitude)
    made = looked_up(coefficients[-1], bits)
    for each in reversed(coefficients[1:-1]):
        made = made.times_plus(t, looked_up(each, bits))
    middle = select(place < 1.0, magnitude, looked_up(coefficients[0], bits))
    return made.times_plus(t, middle).with_sign_of(x)


REGISTERS: dict[type[Operation], Callable[[Any], Number]] = {math.ExpOp: exp, math.ErfOp: erf, math.TanhOp: tanh}
"""What takes the place of a row of EXPANSIONS for vectors of sixteen f32."""
REGISTERS_BELOW_ZERO: dict[type[Operation], Callable[[Any], Number]] = {
    math.ExpOp: exp_below_zero,
    math.Exp2Op: exp2_below_zero,
}
"""What takes its place where an op says that no operand is above zero."""
