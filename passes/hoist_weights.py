"""The pass `hoist-weights`: what depends on weights alone is computed once, when the program is loaded.

@main of a program with weights becomes two functions:

    @prepare(the weights that are used so) -> the values made of them
    @main(inputs, the weights it still uses itself, the prepared values)

Both mark weights by `ml.weight`; a prepared value has the name `prepared.N`, as a result of @prepare and as an
argument of @main. Whoever loads the program calls @prepare once, and passes its results on to every call of @main.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    IntegerType,
    ModuleOp,
    StringAttr,
    TensorType,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.traits import is_side_effect_free

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml.elementwise import CastOp
from xmlc.dialects.ml.shaping import ConstantOp, SizesOp
from xmlc.dialects.ml.types import element_of, has_static_shape, shape_of

NAME, WEIGHT, PREPARE = "ml.name", "ml.weight", "prepare"


def bytes_of(value: SSAValue) -> int:
    return prod(shape_of(value)) * TO_NUMPY[element_of(value)].itemsize


def argument_attributes(function: FuncOp, position: int) -> dict[str, Attribute]:
    return dict(function.arg_attrs.data[position].data) if function.arg_attrs else {}


def sources_in_weights(function: FuncOp) -> dict[SSAValue, frozenset[BlockArgument]]:
    """For each value of a function that is made of weights and constants alone: the weights it is made of."""
    sources: dict[SSAValue, frozenset[BlockArgument]] = {}
    for argument in function.body.block.args:
        if WEIGHT in argument_attributes(function, argument.index):
            sources[argument] = frozenset((argument,))
    for op in function.body.block.ops:
        known = not op.regions and is_side_effect_free(op) and all(is_static(each) for each in op.results)
        if known and all(each in sources for each in op.operands):
            found = frozenset(each for operand in op.operands for each in sources[operand])
            sources.update((result, found) for result in op.results)
    return sources


@dataclass
class Plan:
    """Which ops of a function move to @prepare, and which weights each of them is made of."""

    function: FuncOp
    growth: float
    slack: int
    sources: dict[SSAValue, frozenset[BlockArgument]] = field(
        default_factory=dict[SSAValue, "frozenset[BlockArgument]"]
    )
    """The weights that a value is made of, for values made of weights and constants alone."""
    moved: set[Operation] = field(default_factory=set[Operation])

    def make(self) -> None:
        """Find the ops, then leave those behind whose results would take too much memory."""
        self.sources = sources_in_weights(self.function)
        for op in self.function.body.block.ops:
            if any(self.sources.get(result) for result in op.results) and all(map(self.is_there, op.operands)):
                self.moved.add(op)
        for op in reversed(list(self.moved_in_order())):
            if any(self.leaves(result) and (widens(op) or not self.is_worth_it(result)) for result in op.results):
                self.stay(op)

    def stay(self, op: Operation) -> None:
        """Leave an op where it is, and what is made of it."""
        self.moved.discard(op)
        for result in op.results:
            for use in result.uses:
                if use.operation in self.moved:
                    self.stay(use.operation)

    def is_there(self, value: SSAValue) -> bool:
        """Whether @prepare has a value: a weight, a constant, or what an op makes that moves."""
        return (
            not isinstance(value.owner, Operation) or isinstance(value.owner, ConstantOp) or value.owner in self.moved
        )

    def moved_in_order(self) -> list[Operation]:
        return [op for op in self.function.body.block.ops if op in self.moved]

    def leaves(self, value: SSAValue) -> bool:
        """Whether something that stays uses the value."""
        return any(use.operation not in self.moved for use in value.uses)

    def is_worth_it(self, value: SSAValue) -> bool:
        """Whether keeping the value takes no more memory than the weights it is made of, times `growth`."""
        return bytes_of(value) <= max(self.slack, self.growth * sum(map(bytes_of, self.sources[value])))


def widens(op: Operation) -> bool:
    """Whether an op makes integers wider and no more: what reads them does that as it reads, from less memory."""
    if not isinstance(op, CastOp):
        return False
    before, after = element_of(op.x), element_of(op.out)
    return isinstance(before, IntegerType) and isinstance(after, IntegerType) and before.bitwidth < after.bitwidth


def part_casts(block: Block) -> None:
    """Give each use of a cast that widens a cast of its own: one may move where another stays."""
    for op in list(block.ops):
        if widens(op):
            for use in list(op.results[0].uses)[1:]:
                copy = op.clone()
                block.insert_op_after(copy, op)
                use.operation.operands[use.index] = copy.results[0]


def is_static(value: SSAValue) -> bool:
    """Whether a value is the same in every call for all that its type and its op say: neither depends on free sizes."""
    if isinstance(value.owner, SizesOp):
        return False
    return isinstance(value.type, TensorType) and has_static_shape(value)


def hoist(module: ModuleOp, function: FuncOp, growth: float, slack: int) -> None:
    """Split @main into itself and @prepare, if there is anything to prepare."""
    part_casts(function.body.block)
    plan = Plan(function, growth, slack)
    plan.make()
    ops = plan.moved_in_order()
    if not ops:
        return
    block = function.body.block
    names = [argument_attributes(function, i).get(NAME, StringAttr(f"input{i}")) for i in range(len(block.args))]
    prepared = [result for op in ops for result in op.results if plan.leaves(result)]
    weights = [argument for argument in block.args if any(use.operation in plan.moved for use in argument.uses)]
    labels = [DictionaryAttr({NAME: StringAttr(f"prepared.{i}")}) for i in range(len(prepared))]
    marked = [DictionaryAttr({**each.data, WEIGHT: UnitAttr()}) for each in labels]
    weight_labels = [DictionaryAttr({NAME: names[each.index], WEIGHT: UnitAttr()}) for each in weights]

    body = Block(arg_types=[each.type for each in weights])
    replaced: dict[SSAValue, SSAValue] = dict(zip(weights, body.args))
    for op in ops:
        for operand in op.operands:
            if isinstance(operand.owner, ConstantOp) and operand not in replaced:
                copy = operand.owner.clone()
                body.add_op(copy)
                replaced[operand] = copy.out
    for result in prepared:
        argument = block.insert_arg(result.type, len(block.args))
        result.replace_uses_with_if(argument, lambda use: use.operation not in plan.moved)
    for op in ops:
        op.detach()
        for i, operand in enumerate(op.operands):
            if operand in replaced:
                op.operands[i] = replaced[operand]
        body.add_op(op)
    body.add_op(ReturnOp(*prepared))
    for constant in [op for op in block.ops if isinstance(op, ConstantOp) and op.out.first_use is None]:
        constant.detach()
        constant.erase()

    attributes = [DictionaryAttr({**argument_attributes(function, i), NAME: name}) for i, name in enumerate(names)]
    attributes += marked
    for argument in reversed(block.args):
        if argument.first_use is None and argument in weights:
            del attributes[argument.index]
            block.erase_arg(argument)
    function.properties["arg_attrs"] = ArrayAttr(attributes)
    results = function.function_type.outputs.data
    function.properties["function_type"] = FunctionType.from_lists([each.type for each in block.args], results)
    kind = FunctionType.from_lists([each.type for each in weights], [each.type for each in prepared])
    made = FuncOp(
        PREPARE, kind, Region(body), "public", arg_attrs=ArrayAttr(weight_labels), res_attrs=ArrayAttr(labels)
    )
    module.body.block.insert_op_after(made, function)


@dataclass(frozen=True)
class HoistWeights(ModulePass):
    """Move the ops of @main that depend on arguments marked `ml.weight` alone into a function @prepare.

    A prepared value takes at most `growth` times the memory of the weights it is made of, or `slack` bytes; ops
    that would make larger ones stay. Weights that @main does not use any more are dropped from it.
    """

    name = "hoist-weights"
    growth: float = 4.0
    slack: int = 65536

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {each.sym_name.data: each for each in op.ops if isinstance(each, FuncOp)}
        main = functions.get("main")
        if main is not None and PREPARE not in functions and len(list(main.body.blocks)) == 1:
            hoist(op, main, self.growth, self.slack)
