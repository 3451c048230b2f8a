"""How attention may be computed, and the choice among it."""

from __future__ import annotations

from xmlc.dialects.fused_attention import FusedAttentionOp
from xmlc.passes.attention.blocks import Blocks
from xmlc.passes.attention.few import FewQueries
from xmlc.passes.attention.problem import Attention
from xmlc.passes.index_arithmetic import IndexConstants
from xmlc.passes.machine import Machine

SCHEDULES: dict[str, type[Attention]] = {"few": FewQueries, "blocks": Blocks}
"""The first that fits is taken."""


def lower(op: FusedAttentionOp, machine: Machine, constants: IndexConstants, wanted: str | None) -> None:
    """Emit attention in the place of one op; the schedule `wanted` is taken wherever it fits."""
    names = sorted(SCHEDULES, key=lambda name: name != wanted)
    made = (SCHEDULES[name](op, machine, constants) for name in names)
    next(each for each in made if each.fits()).emit()
    op.detach()
    op.erase()
