"""What `math` means: the exact function of the operands, rounded once to their type.

Functions that have no exact floating-point definition are evaluated in float64, then rounded: an
implementation is measured against this. Source: https://mlir.llvm.org/docs/Dialects/MathOps/
"""

from __future__ import annotations

import math as scalar
from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.dialects import math
from xdsl.ir import Operation

from xmlc.dialects.reference.arith import plain, unsigned, where

_erf = np.frompyfunc(scalar.erf, 1, 1)


def erf(x: Any) -> Any:
    """The error function of float64 numbers."""
    return np.asarray(_erf(x)).astype(np.float64)


def reciprocal_root(x: Any) -> Any:
    return 1 / np.sqrt(x)


def round_half_away(x: Any) -> Any:
    """The nearest integer; halves go away from zero."""
    whole = np.trunc(x)
    return where(np.abs(x - whole) >= 0.5, whole + np.copysign(1.0, x), whole)


def _float(function: Callable[..., Any]) -> Callable[..., Any]:
    def row(op: Operation, *operands: Any) -> Any:
        wide = [np.asarray(operand).astype(np.float64) for operand in operands]
        return np.asarray(function(*wide)).astype(operands[0].dtype)[()]

    return row


def fused_multiply_add(op: math.FmaOp, a: Any, b: Any, c: Any) -> Any:
    """a * b + c; long double makes the product of float64 numbers exact enough to round once."""
    wide = [np.asarray(x).astype(np.float64).astype(np.longdouble) for x in (a, b, c)]
    return (wide[0] * wide[1] + wide[2]).astype(np.float64).astype(a.dtype)[()]


def _bits(function: Callable[[int, int], int]) -> Callable[..., Any]:
    """A row for a function of (the bits as a number, their count)."""

    def row(op: Operation, x: Any) -> Any:
        width = 1 if x.dtype == np.bool_ else 8 * x.dtype.itemsize
        count = np.frompyfunc(lambda bits: function(int(bits), width), 1, 1)
        return np.asarray(count(unsigned(x))).astype(x.dtype)[()]

    return row


def integer_power(op: math.IPowIOp, base: Any, exponent: Any) -> Any:
    """base ** exponent, wrapping around; with a negative exponent 1 / base**-exponent, truncated."""
    modulus: int = 1 << (8 * base.dtype.itemsize)

    def power(x: Any, n: Any) -> int:
        if n >= 0:
            return pow(int(x), int(n), modulus)
        return {1: 1, -1: 1 - 2 * (int(n) % 2)}.get(int(x), 0) % modulus

    powers = np.asarray(np.frompyfunc(power, 2, 1)(base, exponent))
    return powers.astype(f"u{base.dtype.itemsize}").view(base.dtype)[()]


REFERENCE: dict[type[Operation], Callable[..., Any]] = {
    math.AbsFOp: plain(np.abs),
    math.AbsIOp: plain(np.abs),
    math.AcosOp: _float(np.arccos),
    math.AcoshOp: _float(np.arccosh),
    math.AsinOp: _float(np.arcsin),
    math.AsinhOp: _float(np.arcsinh),
    math.AtanOp: _float(np.arctan),
    math.AtanhOp: _float(np.arctanh),
    math.Atan2Op: _float(np.arctan2),
    math.CbrtOp: _float(np.cbrt),
    math.CeilOp: _float(np.ceil),
    math.CopySignOp: _float(np.copysign),
    math.CosOp: _float(np.cos),
    math.CoshOp: _float(np.cosh),
    math.CountLeadingZerosOp: _bits(lambda bits, width: width - bits.bit_length()),
    math.CountTrailingZerosOp: _bits(lambda bits, width: (bits & -bits).bit_length() - 1 if bits else width),
    math.CtPopOp: _bits(lambda bits, width: bits.bit_count()),
    math.ErfOp: _float(erf),
    math.ExpOp: _float(np.exp),
    math.Exp2Op: _float(np.exp2),
    math.ExpM1Op: _float(np.expm1),
    math.FloorOp: _float(np.floor),
    math.FmaOp: fused_multiply_add,
    math.FPowIOp: _float(np.power),
    math.IPowIOp: integer_power,
    math.LogOp: _float(np.log),
    math.Log10Op: _float(np.log10),
    math.Log1pOp: _float(np.log1p),
    math.Log2Op: _float(np.log2),
    math.PowFOp: _float(np.power),
    math.RoundOp: _float(round_half_away),
    math.RoundEvenOp: _float(np.rint),
    math.RsqrtOp: _float(reciprocal_root),
    math.SinOp: _float(np.sin),
    math.SinhOp: _float(np.sinh),
    math.SqrtOp: _float(np.sqrt),
    math.TanOp: _float(np.tan),
    math.TanhOp: _float(np.tanh),
    math.TruncOp: _float(np.trunc),
}
