"""What `arith.select`, `arith.cmpf` and `arith.cmpi` mean, on single numbers and lane by lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.ir import Operation

from xmlc.dialects.lanewise import CmpfOp, CmpiOp, SelectOp
from xmlc.dialects.reference.arith import compare_floats, compare_integers, select

REFERENCE: dict[type[Operation], Callable[..., Any]] = {
    SelectOp: select,
    CmpfOp: compare_floats,
    CmpiOp: compare_integers,
}
