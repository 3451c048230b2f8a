"""sin, cos, tan: x = q pi/2 + r by exact arithmetic in turns, for every x, then polynomials in |r| <= pi/4.

The reduction is Payne and Hanek's idea in floating point: x / (2 pi) is a sum of products of x with pieces of
1 / (2 pi), and whole turns are dropped from every product before they are added, so that no digit of the fraction is
lost however large x is.
"""

from __future__ import annotations

from collections.abc import Sequence

from xmlc.passes.expand_math.coefficients import COS, SIN
from xmlc.passes.expand_math.constants import INVERSE_TWO_PI, INVERSE_TWO_PI_BITS, TWO_PI
from xmlc.passes.expand_math.pair import Pair, constant_pair, quick_two_sum, two_product, two_sum
from xmlc.passes.number import Integer, Real, nearest_integer, polynomial, select

# float32: a piece of 29 bits times a significand of 24 is exact in float64.
SINGLE_BITS, SINGLE_PIECES = 29, 5
# float64: products are pairs; 2**1023 needs pieces up to number 18 + 5.
DOUBLE_BITS, DOUBLE_PIECES = 53, 24
ANGLE_OF_SMALL = 0.785


def inverse_two_pi(first: int, count: int) -> float:
    """Bits first .. first + count of 1 / (2 pi) after the point, as an integer."""
    return float((INVERSE_TWO_PI >> (INVERSE_TWO_PI_BITS - first - count)) & ((1 << count) - 1))


def fraction(turns: Real) -> Real:
    """The turns without the whole ones."""
    return turns - turns.to_even()


def quarter_of(turns: Real) -> tuple[Integer, Real]:
    """(q, rest): turns = q / 4 + rest, |rest| <= 1/8; exact."""
    quarters, q = nearest_integer(turns * 4.0)
    return q, quarters.times_plus(-0.25, turns)


def distilled(terms: Sequence[Real]) -> tuple[Real, list[Real]]:
    """The sum of the terms in order, and what each of its roundings lost."""
    total, lost = terms[0], list[Real]()
    for term in terms[1:]:
        step = two_sum(total, term)
        total = step.high
        lost.append(step.low)
    return total, lost


def reduced_single(x: Real) -> tuple[Integer, Real]:
    """(q, r): x = q pi/2 + r for an x of float32 given in float64; r in float64, q modulo 4."""
    turns = fraction(x * (inverse_two_pi(0, SINGLE_BITS) * 2.0**-SINGLE_BITS))
    for piece in range(1, SINGLE_PIECES):
        end = SINGLE_BITS * (piece + 1)
        turns = turns + fraction(x * (inverse_two_pi(end - SINGLE_BITS, SINGLE_BITS) * 2.0**-end))
    last = SINGLE_BITS * SINGLE_PIECES
    turns = x.times_plus(inverse_two_pi(last, 53) * 2.0 ** -(last + 53), turns)
    q, rest = quarter_of(turns)
    return q, rest * float(TWO_PI)


def reduced_double(x: Real) -> tuple[Integer, Pair]:
    """(q, r): x = q pi/2 + r in float64, q modulo 4.

    Piece i of 1 / (2 pi) is scaled by 2**(53 i). A barrel shifter picks the five pieces that matter: for a large x,
    the first `shift` pieces only make whole turns, so they are skipped and x is scaled to match.
    """
    pieces = [
        x.constant(inverse_two_pi(DOUBLE_BITS * i, DOUBLE_BITS) * 2.0**-DOUBLE_BITS) for i in range(DOUBLE_PIECES)
    ]
    magnitude = x
    for shift in (16, 8, 4, 2, 1):
        large = abs(magnitude) >= 2.0 ** (DOUBLE_BITS * shift + DOUBLE_BITS - 1)
        magnitude = select(large, magnitude * 2.0 ** (-DOUBLE_BITS * shift), magnitude)
        # After this stage x can still skip `shift - 1` pieces.
        pieces = [
            select(large, pieces[i + shift], piece) if i + shift < len(pieces) else piece
            for i, piece in enumerate(pieces[: shift + 4])
        ]
    products = [two_product(magnitude * 2.0 ** (-DOUBLE_BITS * i), piece) for i, piece in enumerate(pieces)]
    first, second, third, fourth, fifth = products
    # Whole turns only occur in these three.
    parts = (fraction(first.high), fraction(first.low), fraction(second.high), second.low, third.high)
    total, lost = distilled(parts)
    # Near a multiple of pi/2 the total cancels and what it lost is the result, so that needs two floats as well.
    rest, least = distilled((*lost, third.low, fourth.high))
    q, turns = quarter_of(total)
    angle = two_sum(turns, rest)
    low = angle.low
    for term in (*least, fourth.low, fifth.high):
        low = low + term
    r = quick_two_sum(angle.high, low) * constant_pair(x, TWO_PI)
    # A small x is its own remainder; its products above would underflow.
    small = abs(x) < ANGLE_OF_SMALL
    return q, Pair(select(small, x, r.high), select(small, x.constant(0.0), r.low))


def sine_and_cosine(x: Real) -> tuple[Integer, Pair, Pair]:
    """(q, sin(r), cos(r)) with x = q pi/2 + r; in float64, the low parts only for a float64 x."""
    if x.width == 32:
        q, r = reduced_single(x.widened())
        z = r * r
        sine = (r * z).times_plus(polynomial(z, SIN[32]), r)
        cosine = (z * z).times_plus(polynomial(z, COS[32]), z.times_plus(-0.5, 1.0))
        zero = r.constant(0.0)
        return q, Pair(sine, zero), Pair(cosine, zero)
    q, angle = reduced_double(x)
    r, low = angle.high, angle.low
    z = r * r
    half = z * 0.5
    # sin(r + low) = sin(r) + low cos(r); cos(r + low) = cos(r) - low sin(r)
    sine = (r * z).times_plus(polynomial(z, SIN[64]), low - half * low)
    rounded = 1.0 - half
    lost = (1.0 - rounded) - half
    cosine = (z * z).times_plus(polynomial(z, COS[64]), lost - r * low)
    return q, quick_two_sum(r, sine), quick_two_sum(rounded, cosine)


def quadrant_value(x: Real, quarter_turns: int) -> Real:
    """sin(x + quarter_turns pi/2): the sine or cosine of the remainder, with its sign."""
    q, sine, cosine = sine_and_cosine(x)
    q = q + quarter_turns
    swapped = (q & 1).compare("ne", 0)
    result = select(swapped, cosine.value(), sine.value())
    result = (result.as_bits() ^ ((q & 2) << 62)).as_real(result.format)
    return result.narrowed() if x.width == 32 else result


def sin(x: Real) -> Real:
    """The sine, of every finite x."""
    return select(x.equals(0.0), x, quadrant_value(x, 0))


def cos(x: Real) -> Real:
    """The cosine, of every finite x."""
    return quadrant_value(x, 1)


def tan(x: Real) -> Real:
    """sin / cos in the first quadrant, -cos / sin in the second."""
    q, sine, cosine = sine_and_cosine(x)
    swapped = (q & 1).compare("ne", 0)
    numerator = Pair(select(swapped, -cosine.high, sine.high), select(swapped, -cosine.low, sine.low))
    denominator = Pair(select(swapped, sine.high, cosine.high), select(swapped, sine.low, cosine.low))
    result = (numerator.high / denominator.high).narrowed() if x.width == 32 else (numerator / denominator).value()
    return select(x.equals(0.0), x, result)
