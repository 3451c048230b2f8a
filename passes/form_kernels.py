"""Kernel formation: the ops of a function become calls of small functions, each a group worth compiling as one.

Groups grow forwards over a block. An op joins the groups of its operands as long as the result can still be
put in an order (no group may depend on itself through another), at most one op of a group is heavy (a
contraction, a sort …), and the group stays small. Ops that steer control flow stay in the host function, and so
does every region's own structure: kernels are formed inside regions too. A reshape only renames memory: it is in
a kernel between two of its ops, and in the host function at a kernel's edge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import cast

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import AnyFloat, FixedBitwidthType, FunctionType, IntegerType, ModuleOp, UnitAttr
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.traits import is_side_effect_free

from xmlc.dialects.dtypes import FLOATS
from xmlc.dialects.ml import channels_last, composite, contraction, elementwise, packed, reduction, shaping, winograd
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.dialects.sizes import typical
from xmlc.passes import remarks
from xmlc.passes.functions import defined_functions

KERNEL = "xmlc.kernel"

HEAVY: frozenset[type[Operation]] = frozenset(
    (
        *contraction.CONTRACTION,
        composite.AttentionOp,
        *packed.PACKED,
        *winograd.WINOGRAD,
        *channels_last.CHANNELS_LAST,
        reduction.SortOp,
        reduction.TopKOp,
        reduction.CumulativeSumOp,
        reduction.CumulativeProdOp,
        reduction.CumulativeMaxOp,
        shaping.ScatterElementsOp,
        shaping.ScatterNdOp,
    )
)
"""Ops that are a loop nest of their own: a group has at most one, and its epilogue."""

LIGHT: frozenset[type[Operation]] = (
    frozenset((*elementwise.ELEMENTWISE, *reduction.REDUCTION, *shaping.SHAPING)) - HEAVY - {shaping.ConstantOp}
)
"""Ops that may share a kernel with what makes their operands."""


@dataclass
class Group:
    """Ops that are to become one kernel, in program order, and the set (as bits) of groups it needs."""

    number: int
    ops: list[Operation] = field(default_factory=list[Operation])
    needs: int = 0
    heavy: bool = False
    fuses: bool = False
    """Whether it becomes a kernel, which others may join; else it is an op of the host."""
    elements: int = 0
    """The largest number of points any of its loop nests visits, contractions counted by their result."""

    bit: int = field(init=False)
    """Stands for the group where groups are sets of bits."""

    def __post_init__(self) -> None:
        self.bit = 1 << self.number


def is_free(op: Operation) -> bool:
    """Whether an op costs a contraction nothing that reads its operand in the op's place: it moves or widens."""
    match op:
        case elementwise.CastOp(x=x, out=out):
            return any(
                isinstance(element_of(x), kind) and isinstance(element_of(out), kind) and bits(x) < bits(out)
                for kind in (IntegerType, AnyFloat)
            )
        case shaping.TransposeOp():
            return True
        case _:
            return False


def is_kept_narrow(op: Operation) -> bool:
    """Whether only contractions read what an op widens: they do that themselves, from less memory."""
    return (
        isinstance(op, elementwise.CastOp) and is_free(op) and all(type(use.operation) in HEAVY for use in op.out.uses)
    )


def bits(value: SSAValue) -> int:
    return cast(FixedBitwidthType, element_of(value)).bitwidth


def give_each_its_own(block: Block) -> None:
    """Copy free ops for each contraction that reads them, so that each can be in its kernel."""
    waiting = [op for op in block.ops if type(op) in HEAVY]
    while waiting:
        op = waiting.pop()
        for number, operand in enumerate(op.operands):
            owner = operand.owner
            if not isinstance(owner, Operation) or owner.parent is not block or not is_free(owner):
                continue
            if len(list(operand.uses)) > 1:
                owner = owner.clone()
                block.insert_op_before(owner, op)
                op.operands[number] = owner.results[0]
            waiting.append(owner)


def points(op: Operation) -> int:
    """How many points the op's loop nest has, a contraction's counted by its result."""
    values = [*op.results] if type(op) in HEAVY else [*op.results, *op.operands]
    return max((typical(prod(shape_of(value))) for value in values), default=1)


class Grouping:
    """The groups of one block."""

    def __init__(self, block: Block, limit: int):
        self.limit = limit
        self.groups: dict[int, Group] = {}
        self.group_of: dict[Operation, Group] = {}
        self.last_effect: Group | None = None
        for op in block.ops:
            if not isinstance(op, shaping.ConstantOp):
                self.add(op)

    def add(self, op: Operation) -> None:
        """Give an op a group of its own, then merge it with the groups of its operands where that is worth it."""
        group = Group(len(self.group_of), [op], heavy=type(op) in HEAVY)
        self.groups[group.number] = group
        self.group_of[op] = group
        producers = self.producers(op)
        for producer in producers:
            group.needs |= producer.bit | producer.needs
        if type(op) not in LIGHT and type(op) not in HEAVY:
            self.keep_in_order(op, group)
            return
        group.fuses, group.elements = True, points(op)
        if type(op) in HEAVY or is_kept_narrow(op):
            for producer in producers:
                if all(is_free(each) for each in producer.ops):
                    self.merge(producer, self.group_of[op])
            return
        # heavy producers first: an epilogue is worth most
        for producer in sorted(producers, key=lambda each: (not each.heavy, -each.elements)):
            self.merge(producer, self.group_of[op])

    def keep_in_order(self, op: Operation, group: Group) -> None:
        """An op of the host that has effects comes after the one before it."""
        if is_side_effect_free(op):
            return
        if self.last_effect is not None:
            group.needs |= self.last_effect.bit | self.last_effect.needs
        self.last_effect = group

    def producers(self, op: Operation) -> list[Group]:
        """The groups whose results an op uses, including inside its regions."""
        found: dict[int, Group] = {}
        for user in op.walk():
            for operand in user.operands:
                owner = operand.owner
                if isinstance(owner, Operation) and (group := self.group_of.get(owner)) is not None:
                    found[group.number] = group
        return list(found.values())

    def merge(self, first: Group, second: Group) -> None:
        """Merge `second` into `first` if they may share a kernel."""
        if first is second or not first.fuses or self.why_apart(first, second) is not None:
            return
        needs = self.needs_of_both(first, second)
        first.ops += second.ops
        first.heavy |= second.heavy
        first.elements = max(first.elements, second.elements)
        first.needs = needs
        for op in second.ops:
            self.group_of[op] = first
        del self.groups[second.number]
        either, others = first.bit | second.bit, ~second.bit
        for each in self.groups.values():
            if each.needs & either and each is not first:
                each.needs = (each.needs | first.bit | needs) & others

    def why_apart(self, first: Group, second: Group) -> str | None:
        """None if two groups may share a kernel, the second after the first; else why not."""
        if first.heavy and second.heavy:
            return "each is a loop nest of its own"
        if len(first.ops) + len(second.ops) > self.limit:
            return f"together they have {len(first.ops) + len(second.ops)} ops, and a kernel has {self.limit} at most"
        if first.heavy and second.elements > first.elements:
            return f"it visits {second.elements} points, and what is before it only {first.elements}"
        needs = self.needs_of_both(first, second)
        either = first.bit | second.bit
        if any(each.needs & either and needs & each.bit for each in self.groups.values()):
            return "another kernel comes between them"
        return None

    @staticmethod
    def needs_of_both(first: Group, second: Group) -> int:
        """The groups that two groups need as one."""
        return (first.needs | second.needs) & ~(first.bit | second.bit)

    def remark_on_cuts(self) -> None:
        """Say, for each op that reads another kernel's result, why it is not in that kernel."""
        for op, group in self.group_of.items():
            for producer in self.producers(op):
                if producer is not group and producer.fuses and group.fuses:
                    self.remark_on_cut(op, group, producer)

    def remark_on_cut(self, op: Operation, group: Group, producer: Group) -> None:
        def message() -> str:
            if type(op) in HEAVY and not producer.heavy:
                reason = "its loop nest would do that work again and again"
            else:
                reason = self.why_apart(producer, group) or "another kernel came between them when it was decided"
            return f"{op.name} is not fused into the kernel {kernel_name(producer.ops)} that it reads: {reason}"

        remarks.missed(op, message)


def ordered(groups: Iterable[Group], position: Mapping[Operation, int]) -> list[Group]:
    """The groups in an order in which each comes after those it needs, as near to the program's as it can be."""
    waiting = sorted(groups, key=lambda group: max(position[op] for op in group.ops))
    done, result = 0, list[Group]()
    while waiting:
        ready = next(group for group in waiting if not group.needs & ~done)
        waiting.remove(ready)
        result.append(ready)
        done |= ready.bit
    return result


def is_constant(value: SSAValue) -> bool:
    """Constants are copied into each kernel that uses them."""
    return isinstance(value.owner, shaping.ConstantOp)


def peeled(ops: Sequence[Operation]) -> tuple[list[Operation], list[Operation], list[Operation]]:
    """The ops of a group as reshapes of what comes into it, ops of a kernel, and reshapes of what goes out."""
    before: list[Operation] = []
    after: list[Operation] = []
    inside = list(ops)
    for op in ops:
        if isinstance(op, shaping.ReshapeOp) and op.x.owner not in inside and not is_constant(op.x):
            inside.remove(op)
            before.append(op)
    for op in reversed(inside.copy()):
        if isinstance(op, shaping.ReshapeOp) and all(use.operation not in inside for use in op.out.uses):
            inside.remove(op)
            after.insert(0, op)
    return before, inside, after


TELLING: tuple[Collection[type[Operation]], ...] = (
    HEAVY,
    reduction.REDUCTION,
    frozenset(op for op in elementwise.ELEMENTWISE if op.ACCEPTS is FLOATS) - {elementwise.DivOp},
    shaping.SHAPING,
    (elementwise.AddOp, elementwise.SubOp, elementwise.MulOp, elementwise.DivOp),
)
"""What tells most about a kernel comes first: its contraction, its reductions, the functions it computes …"""

UNTOLD = (shaping.ReshapeOp, shaping.BroadcastOp)


def kernel_name(ops: Sequence[Operation]) -> str:
    """The most telling ops of a kernel, four at most, in the order it runs them: `matmul_reduce_max_exp`."""
    kinds = dict.fromkeys(type(op) for op in ops if type(op) not in UNTOLD)
    ranks = {kind: next((i for i, row in enumerate(TELLING) if kind in row), len(TELLING)) for kind in kinds}
    chosen = sorted(kinds, key=ranks.__getitem__)[:4]
    return "_".join(kind.name.removeprefix("ml.") for kind in kinds if kind in chosen) or "broadcast"


class Outliner:
    """Turns groups into functions of the module and calls of them."""

    def __init__(self, module: ModuleOp, limit: int):
        self.module = module
        self.limit = limit
        self.taken = {op.sym_name.data for op in module.ops if isinstance(op, func.FuncOp)}

    def block(self, block: Block) -> None:
        """Rebuild a block of calls and host ops, then the blocks inside its host ops."""
        give_each_its_own(block)
        position = {op: i for i, op in enumerate(block.ops)}
        constants = [op for op in position if isinstance(op, shaping.ConstantOp)]
        grouping = Grouping(block, self.limit)
        if remarks.wanted():
            grouping.remark_on_cuts()
        groups = ordered(grouping.groups.values(), position)
        for op in position:
            if op not in constants:
                op.detach()
        for group in groups:
            if group.fuses:
                before, inside, after = peeled(sorted(group.ops, key=position.__getitem__))
                block.add_ops(before)
                if inside:
                    self.outline(inside, block)
                block.add_ops(after)
                continue
            for op in group.ops:
                block.add_op(op)
                for region in op.regions:
                    for each in region.blocks:
                        self.block(each)
        for constant in constants:
            if not constant.out.uses:
                constant.detach()
                constant.erase()

    def outline(self, ops: Sequence[Operation], block: Block) -> None:
        """Move ops into a new private function, and call it at the end of `block`."""
        inside = set(ops)
        outputs = [
            result for op in ops for result in op.results if any(use.operation not in inside for use in result.uses)
        ]
        inputs: dict[SSAValue, None] = {}
        constants: dict[SSAValue, shaping.ConstantOp] = {}
        for operand in (operand for op in ops for operand in op.operands):
            if isinstance(operand.owner, shaping.ConstantOp):
                constants[operand] = operand.owner
            elif operand.owner not in inside:
                inputs[operand] = None

        body = Block(arg_types=[value.type for value in inputs])
        replaced: dict[SSAValue, SSAValue] = {}
        for value, argument in zip(inputs, body.args):
            replaced[value] = argument
            argument.name_hint = value.name_hint
        for value, constant in constants.items():
            copy = constant.clone()
            body.add_op(copy)
            replaced[value] = copy.out
        for op in ops:
            for i, operand in enumerate(op.operands):
                if operand in replaced:
                    op.operands[i] = replaced[operand]
            body.add_op(op)

        name = fresh_name(kernel_name(ops), self.taken)
        call = func.CallOp(name, list(inputs), [value.type for value in outputs])
        call.location = ops[-1].location
        block.add_op(call)
        for old, new in zip(outputs, call.results):
            new.name_hint = old.name_hint
            old.replace_uses_with_if(new, lambda use: use.operation not in inside)
        body.add_op(func.ReturnOp(*outputs))
        kind = FunctionType.from_lists([value.type for value in inputs], [value.type for value in outputs])
        kernel = func.FuncOp(name, kind, Region(body), visibility="private")
        kernel.attributes[KERNEL] = UnitAttr()
        self.module.body.block.add_op(kernel)


def fresh_name(wanted: str, taken: set[str]) -> str:
    """A name that is not taken yet, which it is from now on: `wanted`, `wanted_2` …"""
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    taken.add(name)
    return name


@dataclass(frozen=True)
class FormKernels(ModulePass):
    """Group the tensor ops of every function into kernels: private functions marked `xmlc.kernel`."""

    name = "form-kernels"
    limit: int = 24
    """The largest number of ops in a kernel."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        outliner = Outliner(op, self.limit)
        for function in defined_functions(op):
            if KERNEL not in function.attributes:
                outliner.block(function.body.block)
