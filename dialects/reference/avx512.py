"""What the ops of `avx512` mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xdsl.ir import Operation

from xmlc.dialects.avx512 import ENTRIES, LookUpOp, ScaleOp
from xmlc.dialects.reference.arith import plain

FARTHEST = 400.0
"""Farther exponents do to f32 what this one does."""


def scale(x: Any, k: Any) -> Any:
    """x * 2**floor(k); an infinite or undefined k multiplies by 2**k as IEEE arithmetic has it."""
    finite = np.isfinite(k)
    steps = np.floor(np.clip(np.where(finite, k, 0), -FARTHEST, FARTHEST)).astype(np.int32)
    with np.errstate(all="ignore"):
        return np.where(finite, np.ldexp(x, steps), x * np.exp2(k)).astype(np.float32)


def look_up(table: Any, k: Any) -> Any:
    return table[k & (ENTRIES - 1)]


REFERENCE: dict[type[Operation], Callable[..., Any]] = {ScaleOp: plain(scale), LookUpOp: plain(look_up)}
