"""What GPUs compute otherwise: exponentials through the instruction that computes 2**x for f32.

The instruction errs by at most 2 units in the last place; what x * log2(e) loses to rounding is made up for by a
factor close to 1, so that the error does not grow with |x|.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation

from xmlc.passes.expand_math import error_function, exponential
from xmlc.passes.expand_math.constants import LN_2, LOG2_E
from xmlc.passes.expand_math.pair import split_constant
from xmlc.passes.number import Number, Real, build

FARTHEST = 1000.0
"""Beyond this e**x is 0 or infinity, and so it is there."""
LOG2_E_BITS = 0


def exp(x: Real) -> Real:
    """e**x = 2**t (1 + d ln 2), where t + d is x log2(e) and t its rounding."""
    if x.width != 32:
        return exponential.exp(x)
    x = Real(build(arith.MinimumfOp, (x.value, x.constant(FARTHEST).value), f32))
    x = Real(build(arith.MaximumfOp, (x.value, x.constant(-FARTHEST).value), f32))
    high, low = split_constant(LOG2_E, x.format, zeros=LOG2_E_BITS)
    t = x * high
    d = x.times_plus(low, x.times_plus(high, -t))
    return exp2(t) * d.times_plus(float(LN_2), 1.0)


def exp2(x: Real) -> Real:
    """2**x: an instruction for f32."""
    return Real(build(math.Exp2Op, (x.value,), f32)) if x.width == 32 else exponential.exp2(x)


def erf(x: Real) -> Real:
    return error_function.erf(x, exp)


DEVICE: dict[type[Operation], Callable[..., Number]] = {math.ExpOp: exp, math.ErfOp: erf}
"""What takes the place of a row of EXPANSIONS."""


def is_instruction(op: Operation) -> bool:
    """Whether GPUs have an instruction for an op that elsewhere is a function."""
    operands: list[Any] = [operand.type for operand in op.operands]
    return isinstance(op, math.Exp2Op) and operands == [f32]
