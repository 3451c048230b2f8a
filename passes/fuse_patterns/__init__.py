"""The pass `fuse-patterns`: groups of ops as exporters spell them become the one op that they mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.dialects.ml.contraction import MatmulOp
from xmlc.passes import remarks
from xmlc.passes.fuse_patterns.activation import ACTIVATION
from xmlc.passes.fuse_patterns.affine import AFFINE
from xmlc.passes.fuse_patterns.attention import ATTENTION, why_no_attention
from xmlc.passes.fuse_patterns.normalization import NORMALIZATION
from xmlc.passes.fuse_patterns.one_hot import ONE_HOT
from xmlc.passes.laws import apply_laws

LAWS = (*ACTIVATION, *NORMALIZATION, *AFFINE, *ATTENTION, *ONE_HOT)


@dataclass(frozen=True)
class FusePatterns(ModulePass):
    """Find activations, norms, softmax, attention, look-ups and affine maps that are spelled out; write them as one op.

    Wants constants on the right, as `simplify` leaves them. What is folded into weights becomes ops on weights,
    which `hoist-weights` moves to load time; where weights are not marked as such, nothing is folded into them.
    """

    name = "fuse-patterns"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_laws(op, LAWS)
        if remarks.wanted():
            for each in op.walk():
                if isinstance(each, MatmulOp) and (reason := why_no_attention(each)) is not None:
                    remarks.missed(each, partial(str, reason))
