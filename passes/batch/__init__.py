"""The pass `batch`: beside a function, one that computes it for a whole batch of arguments at once.

How an op computes for a batch is a row of the file of this folder that is named like the file that declares the op. Ops
without one are decomposed, or run for one element of the batch after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.context import Context
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint

from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.ml.types import element_of, shape_of, tensor
from xmlc.passes.batch import composite, contraction, control, derivatives, elementwise, reduction, shaping
from xmlc.passes.batch.batching import Batched, Batching
from xmlc.passes.building import building

ROWS: dict[type[Operation], Any] = {
    **elementwise.ROWS,
    **shaping.ROWS,
    **contraction.ROWS,
    **reduction.ROWS,
    **composite.ROWS,
    **control.ROWS,
    **derivatives.ROWS,
}
"""Op -> how it computes for a batch: `xmlc.passes.batch.batching.Row`."""


def batched(function: FuncOp, size: int, positions: Sequence[int]) -> FuncOp:
    """@NAME_batched: takes `size` of each of the arguments at `positions`, and of the others one for all; gives `size`
    of every result.
    """
    source = function.clone().body.block
    chosen = positions or range(len(source.args))
    types = [
        tensor((size, *shape_of(each)), element_of(each)) if i in chosen else each.type
        for i, each in enumerate(source.args)
    ]
    block = Block(arg_types=types)
    for old, new in zip(source.args, block.args):
        new.name_hint = old.name_hint
    batching = Batching(size)
    batching.rebuilt(source, [Batched(each, i in chosen) for i, each in enumerate(block.args)], block)
    end = source.last_op
    assert isinstance(end, ReturnOp)
    with building(InsertPoint.at_end(block), end.location):
        returned = ReturnOp(*batching.fulls(end.operands))
    made = FuncOp(
        f"{function.sym_name.data}_batched",
        FunctionType.from_lists(types, [each.type for each in returned.operands]),
        Region(block),
        arg_attrs=function.arg_attrs,
        res_attrs=function.res_attrs,
    )
    made.location = function.location
    return made


@dataclass(frozen=True)
class Batch(ModulePass):
    """Put beside a function one that computes it for `size` arguments at once: `@main_batched`. `arguments` are the
    positions of those that there are `size` of; all by default. Every result comes `size` times, in a new dimension 0.
    """

    name = "batch"
    size: int
    function: str = "main"
    arguments: tuple[int, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {each.sym_name.data: each for each in op.ops if isinstance(each, FuncOp)}
        if self.function not in functions:
            raise CompileError(f"no function @{self.function} to batch", place=place_of(op.location))
        found = functions[self.function]
        for position in self.arguments:
            if not 0 <= position < len(found.function_type.inputs.data):
                raise CompileError(
                    f"@{self.function} has no argument {position} to batch, counted from 0",
                    place=place_of(found.location),
                )
        op.body.block.insert_op_after(batched(found, self.size, self.arguments), found)
