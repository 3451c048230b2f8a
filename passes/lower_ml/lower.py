"""The pass `lower-ml`: every op of `ml` becomes loop nests and tensor ops of the linalg level.

Functions are rebuilt in one forward walk, with a map from old values to new ones (patterns cost several times
more: xDSL spends tens of microseconds on every op it creates or replaces).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xdsl.builder import ImplicitBuilder
from xdsl.context import Context
from xdsl.dialects.arith import ConstantOp as ScalarConstantOp
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType, UnknownLoc
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects.context_variables import setting
from xmlc.dialects.diagnostics import CompileError, Diagnostic, place_of
from xmlc.dialects.ml.control import YieldOp
from xmlc.dialects.ml.shaping import ConstantOp
from xmlc.dialects.ml.types import DYNAMIC, shape_of
from xmlc.passes.lower_ml import (
    channels_last,
    composite,
    contraction,
    derivatives,
    elementwise,
    packed,
    reduction,
    shaping,
    sorting,
    winograd,
)
from xmlc.passes.lower_ml.control import REGIONS
from xmlc.passes.lower_ml.structured import SIZES, stored
from xmlc.passes.size_values import SizeValues

Row = Callable[..., SSAValue | Sequence[SSAValue]]

LOWER: dict[type[Operation], Row] = {
    **elementwise.LOWER,
    **shaping.LOWER,
    **reduction.LOWER,
    **composite.LOWER,
    **contraction.LOWER,
    **packed.LOWER,
    **winograd.LOWER,
    **channels_last.LOWER,
    **derivatives.LOWER,
}
"""Op -> f(op, *its operands at the linalg level), which builds there and returns what stands for the results."""


def is_tensor(type: Attribute) -> bool:
    return isinstance(type, TensorType)


def stored_type(type: Attribute) -> Attribute:
    """The type that a value of `type` has at the linalg level."""
    return stored(type) if is_tensor(type) else type


class Lowering:
    """The forward walk over one function, and the values made so far."""

    def __init__(self, rows: Mapping[type[Operation], Row]) -> None:
        self.rows = rows
        self.values: dict[SSAValue, SSAValue] = {}

    def value(self, old: SSAValue) -> SSAValue:
        """What stands for a value. A constant is made anew for each use: one made in a region ends with it."""
        if isinstance(old.owner, ConstantOp):
            return shaping.constant(old.owner)
        return self.values[old]

    def stand_for(self, old: Sequence[SSAValue], new: Sequence[SSAValue]) -> None:
        """From now on `new` stand for `old`, and have their names."""
        for before, after in zip(old, new, strict=True):
            self.values[before] = after
            after.name_hint = after.name_hint or before.name_hint

    def block(self, source: Block, arguments: Sequence[Attribute] | None = None) -> Block:
        """What stands for a block; `arguments` replaces the types of its arguments."""
        types = [stored_type(each.type) for each in source.args] if arguments is None else arguments
        target = Block(arg_types=types)
        self.into(target, source)
        return target

    def into(self, target: Block, source: Block) -> None:
        """Fill a block, which has its arguments, with what stands for the ops of another."""
        self.stand_for(source.args, target.args)
        with ImplicitBuilder(target):
            self.ops(source, target)

    def ops(self, source: Block, target: Block) -> None:
        """Build at the end of `target` what stands for the ops of `source`, but for constants and `ml.yield`."""
        for op in source.ops:
            if isinstance(op, ConstantOp | YieldOp):
                continue
            before = target.last_op
            self.stand_for(op.results, self.results(op))
            locate_after(before, target, op)

    def results(self, op: Operation) -> Sequence[SSAValue]:
        """Build what stands for an op; an op without a row is copied."""
        if (row := self.rows.get(type(op))) is not None:
            made = row(op, *map(self.value, op.operands))
            return (made,) if isinstance(made, SSAValue) else made
        if (region_row := REGIONS.get(type(op))) is not None:
            return region_row(self, op)
        copy = op.create(
            operands=[self.value(operand) for operand in op.operands],
            result_types=[stored_type(result.type) for result in op.results],
            properties=op.properties,
            attributes=op.attributes,
            regions=[Region([self.block(block) for block in region.blocks]) for region in op.regions],
        )
        return copy.results


def locate_after(before: Operation | None, block: Block, origin: Operation) -> None:
    """Give the ops that were made after `before` the place of the op they stand for; drop unused constants."""
    made = block.first_op if before is None else before.next_op
    while made is not None:
        following = made.next_op
        if isinstance(made, ScalarConstantOp) and not made.result.uses:
            made.detach()
            made.erase()
        elif not isinstance(origin.location, UnknownLoc):
            for each in made.walk():
                if isinstance(each.location, UnknownLoc):
                    each.location = origin.location
        made = following


def lower_function(function: FuncOp, rows: Mapping[type[Operation], Row] = LOWER) -> None:
    """Rebuild a function at the linalg level, in place."""
    inputs = [stored_type(type) for type in function.function_type.inputs]
    outputs = [stored_type(type) for type in function.function_type.outputs]
    function.properties["function_type"] = FunctionType.from_lists(inputs, outputs)
    if function.body.blocks:
        source = function.body.block
        block = Block(arg_types=[stored_type(each.type) for each in source.args])
        with setting(SIZES, SizeValues.of(function, block)):
            Lowering(rows).into(block, source)
        function.body.detach_block(function.body.block)
        function.body.add_block(block)


def require_static(module: ModuleOp) -> None:
    """Raise CompileError, naming every op whose result has a size that is not known."""
    found: list[Diagnostic] = []
    for op in module.walk():
        for result in op.results:
            if is_tensor(result.type) and DYNAMIC in shape_of(result):
                message = f"the size of the result of {op.name}, {result.type}, is not known"
                found.append(Diagnostic(message, place_of(op.location), "bind every free dimension to a size"))
    if found:
        raise CompileError.of(found)


@dataclass(frozen=True)
class LowerMl(ModulePass):
    """Lower every op of `ml` to loop nests over tensors: linalg, tensor, scf and arith."""

    name = "lower-ml"
    sorted_bits: int = 0
    """Leave sorts of elements of so many bits at most whole, as `fused.sort`: a target has kernels for them."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        require_static(op)
        for function in op.ops:
            if isinstance(function, FuncOp):
                lower_function(function, LOWER | sorting.lowerings(self.sorted_bits))
