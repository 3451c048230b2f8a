"""The scalar operations that reductions, scans and scatters fold with, and what each starts from."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects import arith
from xdsl.dialects.utils.fast_math import FastMathFlag
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.dtypes import bit_width, is_float
from xmlc.passes.number import STRICT, build

REASSOCIATE = arith.FastMathFlagsAttr([FastMathFlag.REASSOC])
"""A floating-point sum or product may be taken in any order: `ml` does not fix it."""

WRAP = arith.IntegerOverflowAttr("none")


def fold_with(
    real: type[Operation],
    signed: type[Operation],
    unsigned: type[Operation] | None = None,
    *,
    reassociate: bool = False,
    wraps: bool = False,
) -> Callable[[SSAValue, SSAValue, bool], SSAValue]:
    """f(x, y, is_unsigned) on two scalars of one type."""

    def combine(x: SSAValue, y: SSAValue, is_unsigned: bool) -> SSAValue:
        if is_float(x.type):
            return build(real, (x, y), x.type, fastmath=REASSOCIATE if reassociate else STRICT)
        kind = unsigned if is_unsigned and unsigned else signed
        return build(kind, (x, y), x.type, **({"overflowFlags": WRAP} if wraps else {}))

    return combine


COMBINE: dict[str, Callable[[SSAValue, SSAValue, bool], SSAValue]] = {
    "add": fold_with(arith.AddfOp, arith.AddiOp, reassociate=True, wraps=True),
    "mul": fold_with(arith.MulfOp, arith.MuliOp, reassociate=True, wraps=True),
    "max": fold_with(arith.MaximumfOp, arith.MaxSIOp, arith.MaxUIOp),
    "min": fold_with(arith.MinimumfOp, arith.MinSIOp, arith.MinUIOp),
    "or": fold_with(arith.OrIOp, arith.OrIOp),
    "and": fold_with(arith.AndIOp, arith.AndIOp),
}


def neutral(name: str, element: Attribute, is_unsigned: bool) -> float | int:
    """What a fold of nothing gives."""
    if name in ("add", "or"):
        return 0
    if name in ("mul", "and"):
        return 1
    if is_float(element):
        return float("-inf") if name == "max" else float("inf")
    width = bit_width(element)
    if is_unsigned:
        return 0 if name == "max" else -1
    return -(2 ** (width - 1)) if name == "max" else 2 ** (width - 1) - 1
