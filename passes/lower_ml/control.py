"""Control flow of `ml` as loops and branches that carry tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from xdsl.ir import Operation, SSAValue

if TYPE_CHECKING:
    from xmlc.passes.lower_ml.lower import Lowering

REGIONS: dict[type[Operation], Callable[[Lowering, Any], Sequence[SSAValue]]] = {}
"""Op with regions -> f(lowering, op), which builds it and returns what stands for its results."""
