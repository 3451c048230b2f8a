"""Bufferize: tensors become buffers, written in place where nothing still needs what they held.

Every tensor lives in a buffer. An op that makes a tensor from an earlier one (a linalg op's init, an insert's
destination, what a loop carries) takes over its buffer if that may be written and no tensor in it is read later;
otherwise it gets a new buffer and a copy. A tensor that must end up in a given place (a function's result, what a
loop or branch yields) carries a wish for that place backwards through the ops it is made of, so that the op which
makes it writes there and no copy remains. `Bufferizer` tells the rules that make this safe.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from xmlc.passes.bufferize import calls, control, linalg, tensor
from xmlc.passes.bufferize.bufferizer import Bufferizer, Rules
from xmlc.passes.bufferize.places import GlobalConstants
from xmlc.passes.bufferize.signature import convert_signature, in_place_of

RULES: Rules = {**calls.RULES, **control.RULES, **linalg.RULES, **tensor.RULES}


@dataclass(frozen=True)
class Bufferize(ModulePass):
    """Turn tensors into memrefs; results of functions become trailing out-parameters."""

    name = "bufferize"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        constants = GlobalConstants(op)
        functions = [each for each in op.body.block.ops if isinstance(each, func.FuncOp)]
        in_place = {each.sym_name.data: in_place_of(each) for each in functions}
        for function in functions:
            if function.is_declaration:
                convert_signature(function)
            else:
                Bufferizer(function, constants, RULES, in_place).run()
