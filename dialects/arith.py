"""xDSL's `arith` with what it lacks: register it in the place of xDSL's."""

from __future__ import annotations

from xdsl.dialects.arith import Arith
from xdsl.ir import Dialect

from xmlc.dialects.conversions import widen
from xmlc.dialects.float_remainder import RemfOp
from xmlc.dialects.lanewise import CmpfOp, CmpiOp, SelectOp

OURS = (RemfOp, SelectOp, CmpfOp, CmpiOp)
ARITH = Dialect(
    "arith",
    [*(op for op in Arith.operations if op.name not in {each.name for each in OURS}), *OURS],
    [*Arith.attributes],
)

widen()
