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
from xdsl.dialects.builtin import ModuleOp, UnknownLoc, f32
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.composite import AttentionOp
from xmlc.dialects.ml.types import element_of
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
    """Put what the op is made of, down to ops that are made of no others, in its place."""
    decompose_all(put_in_place(op, DECOMPOSITIONS[type(op)]))


def put_in_place(op: Operation, row: Row) -> list[Operation]:
    """Put what a function of the op builds in its place; the ops that it built, which have the op's location."""
    block = Block()
    with ImplicitBuilder(block):
        results = row(op)
    made = list(block.walk())
    for part in made:
        if isinstance(part.location, UnknownLoc):
            part.location = op.location
    Rewriter.inline_block(block, InsertPoint.before(op))
    Rewriter.replace_op(op, (), (results,) if isinstance(results, SSAValue) else results)
    return made


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
    """Leave attention that `lower-attention` has loops for as it is; that of f16 and bf16 is put in f32."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.only is not None and self.only not in KINDS:
            raise CompileError(f"unknown kind of op '{self.only}'", hint=f"the kinds are {', '.join(KINDS)}")
        wanted = DECOMPOSITIONS if self.only is None else KINDS[self.only]
        attentions, others = self.split([each for each in op.walk() if type(each) in wanted])
        decompose_all(others)
        for each in attentions:
            if element_of(each.out) != f32:
                put_in_place(each, composite.attention_in_f32)

    def split(self, ops: Sequence[Operation]) -> tuple[list[AttentionOp], list[Operation]]:
        """Attention that is left whole, and the other ops."""
        if not self.fuses_attention:
            return [], list(ops)
        whole = [each for each in ops if isinstance(each, AttentionOp) and composite.is_fusible(each)]
        return whole, [each for each in ops if each not in whole]
