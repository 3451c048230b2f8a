"""Compute the minimax polynomials of `expand-math` and write them to passes/expand_math/coefficients.py.

    python scripts/minimax.py > passes/expand_math/coefficients.py

Needs mpmath. Every row of POLYNOMIALS names a function, an interval, a degree for float32 and for float64, and the
weight that turns an error of the polynomial into a relative error of the final result. Remez's exchange algorithm in 60
digits finds the polynomial; its coefficients are then rounded to the type. A comment beside each result gives the
weighted error before that rounding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np
from mpmath import mp, mpf

mp.dps = 60
Function = Callable[[mpf], mpf]


@dataclass(frozen=True)
class Polynomial:
    """One approximation: `weight(x) * (function(x) - p(x))` is made as small as possible on the interval."""

    name: str
    law: str
    function: Function
    weight: Function
    interval: tuple[float, float]
    degrees: dict[int, int]


def remez(function: Function, weight: Function, low: mpf, high: mpf, degree: int) -> tuple[list[mpf], mpf]:
    """Coefficients, lowest power first, and the largest weighted error."""
    count = degree + 2
    middle, half = (low + high) / 2, (high - low) / 2
    points = [middle + half * mpmath.cos(mpmath.pi * (2 * i + 1) / (2 * count)) for i in range(count)][::-1]
    grid = [middle + half * mpmath.cos(mpmath.pi * (2 * i + 1) / 1600) for i in range(800)][::-1]
    values, weights = [function(x) for x in grid], [weight(x) for x in grid]
    coefficients: list[mpf] = []
    for _ in range(30):
        rows = [
            [((x - middle) / half) ** j for j in range(degree + 1)] + [(-1) ** i / weight(x)]
            for i, x in enumerate(points)
        ]
        solution = mpmath.lu_solve(mpmath.matrix(rows), mpmath.matrix([function(x) for x in points]))
        coefficients = [solution[j] for j in range(degree + 1)]
        errors = [
            w * (v - mpmath.polyval(coefficients[::-1], (x - middle) / half)) for x, v, w in zip(grid, values, weights)
        ]
        # One extremum for each run of errors of equal sign; the largest `count` in a row are the next points.
        extrema: list[int] = []
        for i, error in enumerate(errors):
            if extrema and (errors[extrema[-1]] > 0) == (error > 0):
                if abs(error) > abs(errors[extrema[-1]]):
                    extrema[-1] = i
            else:
                extrema.append(i)
        while len(extrema) > count:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        if len(extrema) < count:
            break
        points = [grid[i] for i in extrema]
        sizes = [abs(errors[i]) for i in extrema]
        if max(sizes) < min(sizes) * mpf("1.02"):
            break
    return recentred(coefficients, middle, half), max(abs(e) for e in errors)


def recentred(coefficients: list[mpf], middle: mpf, half: mpf) -> list[mpf]:
    """The same polynomial in x instead of (x - middle) / half."""
    result = [mpf(0)]
    for c in reversed(coefficients):
        shifted = [mpf(0), *[r / half for r in result]]
        for i, r in enumerate(result):
            shifted[i] -= r * middle / half
        shifted[0] += c
        result = shifted
    return result[: len(coefficients)]


def away_from_zero(function: Function) -> Function:
    """The function, with a removable singularity at zero stepped over."""
    return lambda x: function(x if abs(x) > mpf("1e-12") else mpf("1e-12"))


HALF_LN2 = 0.3467
TAN_PI_8 = float(mpmath.tan(mpmath.pi / 8)) * 1.0001
ONE = mpf(1)


def root(x: mpf) -> mpf:
    return mpmath.sqrt(x)


def tail_weight(t: mpf) -> mpf:
    return mpmath.erfc(t)


def log_remainder(z: mpf) -> mpf:
    """R with log(1 + f) = f - f²/2 + s (f²/2 + R(s²)), s = f / (2 + f)."""
    s = root(z)
    return 2 * mpmath.atanh(s) / s - 2


POLYNOMIALS = (
    Polynomial(
        "EXP", "exp(r) = 1 + r + r² p(r)",
        lambda r: (mpmath.expm1(r) - r) / r**2, lambda r: r**2 / abs(r) ** 0.5, (-HALF_LN2, HALF_LN2), {32: 4, 64: 9},
    ),
    Polynomial(
        "EXP_SIXTEENTH", "exp(r) = 1 + r + r² p(r) around multiples of ln 2 / 16",
        lambda r: (mpmath.expm1(r) - r) / r**2, lambda r: r**2, (-HALF_LN2 / 16, HALF_LN2 / 16), {32: 1},
    ),
    Polynomial(
        "EXPM1", "exp(r) - 1 = r + r² p(r), relative to exp(r) - 1",
        lambda r: (mpmath.expm1(r) - r) / r**2, abs, (-HALF_LN2, HALF_LN2), {32: 5, 64: 10},
    ),
    Polynomial(
        "EXP2", "2**r = 1 + r p(r)",
        lambda r: mpmath.expm1(r * mpmath.log(2)) / r, abs, (-0.5, 0.5), {32: 5, 64: 10},
    ),
    Polynomial(
        "LOG_CUBE", "log(1 + f) = f - f²/2 + f³ p(f)",
        lambda f: (mpmath.log1p(f) - f + f * f / 2) / f**3, lambda f: f * f, (-0.2930, 0.4143), {32: 7},
    ),
    Polynomial(
        "LOG_SERIES", "log(1 + f) = f - f²/2 + s (f²/2 + s² p(s²)), s = f / (2 + f)",
        lambda z: log_remainder(z) / z, lambda z: z, (1e-9, 0.02945), {64: 6},
    ),
    Polynomial(
        "SIN", "sin(r) = r + r³ p(r²)",
        lambda z: (mpmath.sin(root(z)) / root(z) - 1) / z, lambda z: z, (1e-9, 0.6170), {32: 2, 64: 5},
    ),
    Polynomial(
        "COS", "cos(r) = 1 - r²/2 + r⁴ p(r²)",
        lambda z: (mpmath.cos(root(z)) - 1 + z / 2) / z**2, lambda z: z * z, (1e-9, 0.6170), {32: 2, 64: 5},
    ),
    Polynomial(
        "ASIN", "asin(x) = x + x³ p(x²)",
        lambda z: (mpmath.asin(root(z)) / root(z) - 1) / z, lambda z: z, (1e-9, 0.2501), {32: 4, 64: 12},
    ),
    Polynomial(
        "ATAN", "atan(x) = x + x³ p(x²)",
        lambda z: (mpmath.atan(root(z)) / root(z) - 1) / z, lambda z: z, (1e-9, TAN_PI_8**2), {32: 4, 64: 10},
    ),
    Polynomial(
        "ERF", "erf(x) = x + x p(x²), 0 <= x <= 1",
        lambda z: mpmath.erf(root(z)) / root(z) - 1, lambda z: ONE, (1e-9, 1.0), {32: 6, 64: 12},
    ),
    Polynomial(
        "ERF_TAIL", "erf(t) = 1 - exp(p(t)), t >= 1",
        lambda t: mpmath.log(mpmath.erfc(t)), tail_weight, (1.0, 3.93), {32: 6},
    ),
    Polynomial(
        "ERF_TAIL", "erf(t) = 1 - exp(p(t)), t >= 1",
        lambda t: mpmath.log(mpmath.erfc(t)), tail_weight, (1.0, 5.95), {64: 18},
    ),
    Polynomial(
        "CBRT", "the cube root of m = p(m), a first guess",
        lambda m: m ** (ONE / 3), lambda m: m ** (-ONE / 3), (1.0, 8.0), {32: 4, 64: 4},
    ),
    Polynomial(
        "POW_LOG_SINGLE", "2 atanh(s) / s = p(s²), in float64 for a float32 result",
        lambda z: 2 * mpmath.atanh(root(z)) / root(z), lambda z: ONE, (1e-9, 0.02945), {32: 4},
    ),
    Polynomial(
        "POW_EXP_SINGLE", "2**r = p(r), in float64 for a float32 result",
        lambda r: mpf(2) ** r, lambda r: ONE, (-0.5, 0.5), {32: 6},
    ),
    Polynomial(
        "POW_LOG", "2 atanh(s) / s = 2 + 2/3 s² + s⁴ p(s²)",
        lambda z: (2 * mpmath.atanh(root(z)) / root(z) - 2 - 2 * z / 3) / z**2,
        lambda z: z * z, (1e-9, 0.02945), {64: 7},
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Piecewise:
    """An odd function by PIECES polynomials in t = x - k width, k = 0, 1, ...: the relative error is made small."""

    name: str
    function: Function
    width: float
    degree: int


PIECES = 16
PIECEWISE = (
    Piecewise("ERF_PIECES", mpmath.erf, 67 / 256, 5),
    Piecewise("TANH_PIECES", mpmath.tanh, 155 / 256, 7),
)


def pieces(row: Piecewise) -> tuple[list[list[float]], float]:
    """For each power the coefficients of all pieces, and the largest error. The first piece is that of f(t) - t."""
    width, worst = mpf(row.width), mpf(0)
    found: list[list[mpf]] = []

    def fitted(function: Function, degree: int) -> list[mpf]:
        nonlocal worst
        function = away_from_zero(function)
        made, error = remez(function, lambda t: 1 / function(t), -width / 2, width / 2, degree)
        worst = max(worst, error)
        return made

    slope, *others = fitted(lambda t: row.function(t) / t, row.degree - 1)
    found.append([mpf(0), slope - 1, *others])
    found += [fitted(lambda t, at=k * width: row.function(at + t), row.degree) for k in range(1, PIECES)]
    return [[float(np.float32(float(c))) for c in power] for power in zip(*found)], float(mpmath.log(worst, 2))


# Computed with float64 inside, hence rounded to float64 even for a float32 result.
IN_DOUBLE = {"SIN", "COS", "POW_LOG_SINGLE", "POW_EXP_SINGLE"}


def main() -> None:
    """Print the module of coefficients."""
    tables: dict[str, tuple[str, dict[int, tuple[list[float], float]]]] = {}
    for row in POLYNOMIALS:
        low, high = (mpf(x) for x in row.interval)
        for width, degree in row.degrees.items():
            found, error = remez(away_from_zero(row.function), away_from_zero(row.weight), low, high, degree)
            rounded = [float(c) if width == 64 or row.name in IN_DOUBLE else float(np.float32(c)) for c in found]
            print(row.name, width, mpmath.nstr(mpmath.log(error, 2), 4), file=sys.stderr)
            tables.setdefault(row.name, (row.law, {}))[1][width] = (rounded, float(mpmath.log(error, 2)))
    print('"""Minimax coefficients by width of the result, lowest power first: written by scripts/minimax.py."""\n')
    print("from __future__ import annotations\n\nTable = dict[int, tuple[float, ...]]")
    print("Pieces = tuple[float, tuple[tuple[float, ...], ...]]")
    print('"""The width of a piece; for each power, lowest first, the coefficients of all pieces. For float32."""')
    for name, (law, widths) in tables.items():
        print(f"\n# {law}\n{name}: Table = {{")
        for width, (values, error) in widths.items():
            print(f"    {width}: (  # error 2**{error:.1f}")
            print("".join(f"        {value!r},\n" for value in values) + "    ),")
        print("}")
    for each in PIECEWISE:
        powers, error = pieces(each)
        print(f"\n# Error 2**{error:.1f}\n{each.name}: Pieces = (\n    {each.width!r},\n    (")
        for row in powers:
            print("        (\n" + "".join(f"            {value!r},\n" for value in row) + "        ),")
        print("    ),\n)")


if __name__ == "__main__":
    main()
