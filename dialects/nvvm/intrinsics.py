"""Instructions that have no op of their own: the names of LLVM's intrinsics for them."""

from __future__ import annotations

from xdsl.dialects import math
from xdsl.dialects.utils import FastMathFlag

EXP2 = "llvm.nvvm.ex2.approx.f32"
EXP2_TO_ZERO = "llvm.nvvm.ex2.approx.ftz.f32"
"""Results below 2**-126 are zero, which saves three instructions."""


def exp2_intrinsic(op: math.Exp2Op) -> str:
    """Of 2**x on f32: where an approximation is allowed (`afn`), the one without subnormal results."""
    return EXP2_TO_ZERO if FastMathFlag.APPROX_FUNC in op.fastmath.data else EXP2
