"""The pass `decompose`: every op of `ml` that is made of others becomes them.

An op's decomposition is a row of the file of this folder that is named like the file that declares the op. It
is a function of the op that builds with `xmlc.dialects.ml.functions` and returns the value, or the values, to
put in place of the op's results. It may use ops that have rows themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.builder import ImplicitBuilder
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnknownLoc
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.composite import AttentionOp
from xmlc.passes.decompose import composite, contraction, derivatives, random, recurrent, reduction, shaping

Row = Callable[[Any], SSAValue | Sequence[SSAValue]]

KINDS: dict[str, dict[type[Operation], Row]] = {
    "derivatives": {**derivatives.DECOMPOSITIONS},
    "composite": {**composite.DECOMPOSITIONS},
    "recurrent": {**recurrent.DECOMPOSITIONS},
    "random": {**random.DECOMPOSITIONS},
    "reduction": {**reduction.DECOMPOSITIONS},
    "shaping": {**shaping.DECOMPOSITIONS},
    "contraction": {**contraction.DECOMPOSITIONS},
}
"""The rows of each file."""

DECOMPOSITIONS: dict[type[Operation], Row] = {op: row for rows in KINDS.values() for op, row in rows.items()}


def decompose(op: Operation) -> None:
    """Put what the op is made of in its place. What is made has the op's location."""
    block = Block()
    with ImplicitBuilder(block):
        results = DECOMPOSITIONS[type(op)](op)
    made = list(block.walk())
    for part in made:
        if isinstance(part.location, UnknownLoc):
            part.location = op.location
    Rewriter.inline_block(block, InsertPoint.before(op))
    Rewriter.replace_op(op, (), (results,) if isinstance(results, SSAValue) else results)
    decompose_all(made)


def decompose_all(ops: Sequence[Operation]) -> None:
    for op in ops:
        if type(op) in DECOMPOSITIONS:
            decompose(op)


@dataclass(frozen=True)
class Decompose(ModulePass):
    """Replace composites, recurrent layers, random tensors, means, tiles and transposed convolutions by what they
    are made of; exact on reals, rounded as the ops say. CompileError where that needs a size not yet known.

    `only` leaves all but ops of one kind as they are; what they are made of is decomposed whatever its kind.
    """

    name = "decompose"
    only: str | None = None
    fuses_attention: bool = False
    """Leave attention that `lower-attention` has loops for as it is."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.only is not None and self.only not in KINDS:
            raise CompileError(f"unknown kind of op '{self.only}'", hint=f"the kinds are {', '.join(KINDS)}")
        wanted = DECOMPOSITIONS if self.only is None else KINDS[self.only]
        decompose_all([each for each in op.walk() if type(each) in wanted and not self.leaves(each)])

    def leaves(self, op: Operation) -> bool:
        return self.fuses_attention and isinstance(op, AttentionOp) and composite.is_fusible(op)
