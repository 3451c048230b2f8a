"""Pairs of floats whose unrounded sum is one number: arithmetic with twice the precision of the type.

The error-free sums and product are those of Dekker and Knuth; see Muller et al., Handbook of Floating-Point Arithmetic,
chapter 4. `low` is at most about half a unit in the last place of `high`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from xmlc.passes.number import Format, Real


def two_sum(a: Real, b: Real) -> Pair:
    """a + b exactly."""
    total = a + b
    part = total - a
    return Pair(total, (a - (total - part)) + (b - part))


def quick_two_sum(a: Real, b: Real) -> Pair:
    """a + b exactly, for |a| >= |b| or a = 0."""
    total = a + b
    return Pair(total, b - (total - a))


def two_product(a: Real, b: Real | float) -> Pair:
    """a * b exactly, unless it underflows."""
    product = a * b
    return Pair(product, a.times_plus(b, -product))


@dataclass(frozen=True)
class Pair:
    """The number high + low."""

    high: Real
    low: Real

    def value(self) -> Real:
        """Rounded to one float."""
        return self.high + self.low

    def __neg__(self) -> Pair:
        return Pair(-self.high, -self.low)

    def __add__(self, other: Pair | Real) -> Pair:
        if isinstance(other, Real):
            total = two_sum(self.high, other)
            return quick_two_sum(total.high, total.low + self.low)
        total = two_sum(self.high, other.high)
        return quick_two_sum(total.high, total.low + (self.low + other.low))

    def __mul__(self, other: Pair | Real) -> Pair:
        if isinstance(other, Real):
            product = two_product(self.high, other)
            return quick_two_sum(product.high, self.low.times_plus(other, product.low))
        product = two_product(self.high, other.high)
        cross = self.high.times_plus(other.low, product.low)
        return quick_two_sum(product.high, self.low.times_plus(other.high, cross))

    def __truediv__(self, other: Pair) -> Pair:
        inverse = 1.0 / other.high
        quotient = self.high * inverse
        rest = quotient.times_plus(-other.high, self.high) + (self.low - quotient * other.low)
        return quick_two_sum(quotient, rest * inverse)


def split_constant(number: str, format: Format, zeros: int = 0) -> tuple[float, float]:
    """A decimal constant as high + low; the last `zeros` bits of high are zero: its small multiples are exact."""
    exact = Fraction(number)
    high = format.number(format.pattern(float(exact)) >> zeros << zeros)
    return high, format.rounded(float(exact - Fraction(high)))


def constant_pair(x: Real, number: str) -> Pair:
    """A decimal constant of the type of x."""
    high, low = split_constant(number, x.format)
    return Pair(x.constant(high), x.constant(low))
