"""asin, acos, atan, atan2: an odd polynomial of a reduced argument, added to a multiple of pi/4 kept as a pair."""

from __future__ import annotations

import math

from xmlc.passes.expand_math.coefficients import ASIN, ATAN
from xmlc.passes.expand_math.constants import HALF_PI, PI, QUARTER_PI
from xmlc.passes.expand_math.pair import Pair, quick_two_sum, split_constant
from xmlc.passes.number import Flag, Real, polynomial, select

TAN_PI_8 = math.tan(math.pi / 8)


def small_arcsine(x: Real) -> tuple[Flag, Pair]:
    """(large, a): a = asin(|x|) for |x| <= 1/2, else asin(sqrt((1 - |x|) / 2)) = (pi/2 - asin(|x|)) / 2."""
    magnitude = abs(x)
    large = magnitude > 0.5
    complement = magnitude.times_plus(-0.5, 0.5)
    z = select(large, complement, x * x)
    root = complement.sqrt()
    # What sqrt rounded away; at root = 0 there is nothing.
    lost = root.times_plus(-root, complement) / (root + root)
    lost = select(large & (root > 0.0), lost, 0.0)
    s = select(large, root, magnitude)
    return large, Pair(s, (s * z).times_plus(polynomial(z, ASIN[x.width]), lost))


def asin(x: Real) -> Real:
    """The arc sine; NaN outside [-1, 1]."""
    large, a = small_arcsine(x)
    high, low = split_constant(HALF_PI, x.format)
    # pi/2 - 2 (a.high + a.low), the exact difference first
    difference = quick_two_sum(x.constant(high), a.high * -2.0)
    from_right = difference.high + (a.low.times_plus(-2.0, difference.low + low))
    return select(large, from_right, a.high + a.low).with_sign_of(x)


def acos(x: Real) -> Real:
    """The arc cosine; NaN outside [-1, 1]."""
    large, a = small_arcsine(x)
    negative = x < 0.0
    # x > 1/2: 2 a;   x < -1/2: pi - 2 a;   otherwise pi/2 - asin(x)
    half_high, half_low = split_constant(HALF_PI, x.format)
    high, low = split_constant(PI, x.format)
    base = select(large, select(negative, x.constant(high), 0.0), half_high)
    base_low = select(large, select(negative, x.constant(low), 0.0), half_low)
    factor = select(large, select(negative, x.constant(-2.0), 2.0), select(negative, x.constant(1.0), -1.0))
    term = a.high * factor
    # The base is 0 or the larger part.
    total = quick_two_sum(base, term)
    return total.high + a.low.times_plus(factor, total.low + base_low)


def arctangent_of_ratio(y: Real, x: Real) -> Pair:
    """atan(y / x) in [0, pi/2] for y >= 0, x >= 0, not both 0 or infinite; one division.

    With t = min / max: below tan(pi/8) the polynomial in t, else pi/4 + atan((min - max) / (min + max)).
    """
    format = x.format
    steep = y > x
    least, most = select(steep, x, y), select(steep, y, x)
    middle = least > most * TAN_PI_8
    # The small one is |.| <= the large one, so that quick sums are exact.
    difference, total = quick_two_sum(-most, least), quick_two_sum(most, least)
    numerator = Pair(select(middle, difference.high, least), select(middle, difference.low, 0.0))
    denominator = Pair(select(middle, total.high, most), select(middle, total.low, 0.0))
    ratio = numerator / denominator
    t = ratio.high
    z = t * t
    tail = (t * z).times_plus(polynomial(z, ATAN[x.width]), ratio.low)
    quarter_high, quarter_low = split_constant(QUARTER_PI, format)
    base = select(middle, x.constant(quarter_high), 0.0)
    flat = quick_two_sum(base, t)
    flat_low = flat.low + (tail + select(middle, x.constant(quarter_low), 0.0))
    # The steep half: pi/2 - flat
    half_high, half_low = split_constant(HALF_PI, format)
    turned = quick_two_sum(x.constant(half_high), -flat.high)
    turned_low = turned.low + (half_low - flat_low)
    return Pair(select(steep, turned.high, flat.high), select(steep, turned_low, flat_low))


def atan(x: Real) -> Real:
    """The arc tangent."""
    # 2**100 stands for all larger numbers, so that nothing overflows.
    return arctangent_of_ratio(abs(x).at_most(2.0**100), x.constant(1.0)).value().with_sign_of(x)


def atan2(y: Real, x: Real) -> Real:
    """The angle of the point (x, y) in [-pi, pi], with the signs of zeros and infinities of C."""
    height, width = abs(y), abs(x)
    # (inf, 1) has the direction of (1, 0), and (inf, inf) that of (1, 1).
    high_infinite, wide_infinite = height.equals(math.inf), width.equals(math.inf)
    infinite = high_infinite | wide_infinite
    height = select(infinite, select(high_infinite, x.constant(1.0), 0.0), height)
    width = select(infinite, select(wide_infinite, x.constant(1.0), 0.0), width)
    # Neither the sum nor tan(pi/8) times the larger may leave the range: scale the very large and the very small.
    format = x.format
    top, bottom = 2.0 ** (format.bias - 2), 2.0 ** (1 - format.bias + 2 * format.mantissa)
    huge = (height > top) | (width > top)
    tiny = (height < bottom) & (width < bottom)
    scale = select(huge, x.constant(0.125), select(tiny, x.constant(2.0 ** (3 * format.mantissa)), 1.0))
    height, width = height * scale, width * scale
    # Both zero: 0 / 1
    width_or_one = select(height.equals(0.0) & width.equals(0.0), width.constant(1.0), width)
    angle = arctangent_of_ratio(height, width_or_one)
    high, low = split_constant(PI, format)
    turned = quick_two_sum(x.constant(high), -angle.high)
    left = turned.high + (turned.low + (low - angle.low))
    # The sign bit decides, so that -0 counts as negative.
    negative = x.as_bits().compare("lt", 0)
    return select(x.unordered(y), x + y, select(negative, left, angle.value()).with_sign_of(y))
