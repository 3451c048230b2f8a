"""Powers of numbers that are never above zero, as those of a softmax: `exp` may be computed otherwise for them.

They may be off by more than the 2 ulp of the function `exp`, where their own operand's rounding is the greater error.
The attribute says so of `ml.exp` and of `math.exp`. Where an op is made anew without it nothing is lost but time.
"""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Operation, SSAValue

BELOW_ZERO = "xmlc.below_zero"


def marked(power: SSAValue) -> SSAValue:
    """The result of an `exp` whose operand is zero, below it, or NaN."""
    cast(Operation, power.owner).attributes[BELOW_ZERO] = UnitAttr()
    return power


def is_marked(op: Operation) -> bool:
    return BELOW_ZERO in op.attributes
