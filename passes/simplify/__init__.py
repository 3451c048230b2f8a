"""The pass `simplify`: the algebraic laws of `ml`, a file for each family like the files that declare its ops."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.passes.laws import apply_laws
from xmlc.passes.simplify.arithmetic import ARITHMETIC
from xmlc.passes.simplify.comparison import COMPARISON
from xmlc.passes.simplify.contraction import CONTRACTION
from xmlc.passes.simplify.reduction import REDUCTION
from xmlc.passes.simplify.shaping import SHAPING

LAWS = (*ARITHMETIC, *COMPARISON, *SHAPING, *REDUCTION, *CONTRACTION)


@dataclass(frozen=True)
class Simplify(ModulePass):
    """Apply the algebraic laws of `ml` until none of them matches.

    Each law says whether it is exact or only exact on reals; those that need fast-math are left out by default.
    """

    name = "simplify"
    fast_math: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        apply_laws(op, LAWS, fast_math=self.fast_math)
