"""The dialect `fused`: operations of the graph that stay whole below it, until one pass makes all of their code."""

from __future__ import annotations

from xdsl.ir import Dialect

from xmlc.dialects.fused_attention import FusedAttentionOp
from xmlc.dialects.fused_sort import FusedSortOp

FUSED = Dialect("fused", [FusedAttentionOp, FusedSortOp])
