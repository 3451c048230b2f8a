"""Donate buffers: results are made in the memory of arguments that the caller gives away.

An argument of a public function that is marked `ml.donated` belongs to the function, which may write to it. A result is
given the place of such an argument where it is made of it in place: by an op, or by a call of a kernel, that reads each
element of the argument before it writes the same element of the result. The pass marks both functions' arguments with
`xmlc.in_place`, the number of the result; `bufferize` then gives that result no buffer of its own. An op that updates
an argument moves behind the last that reads it, where nothing that it makes is needed before.

What is marked stays right whatever the marks are: where an argument is needed later after all, bufferize copies it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from xdsl.context import Context
from xdsl.dialects import func, linalg, scf, tensor
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, ModuleOp, StringAttr, SymbolRefAttr, i64
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass

from xmlc.passes import remarks
from xmlc.passes.bufferize.bufferizer import KERNEL
from xmlc.passes.bufferize.signature import IN_PLACE
from xmlc.passes.bufferize.sources import visits_once
from xmlc.passes.form_kernels import fresh_name

DONATED = "ml.donated"
"""Attribute of an argument that the caller gives away."""

Pairs = dict[int, int]
"""Number of an argument -> number of the result that is made in its place."""

_RESHAPES = (tensor.CollapseShapeOp, tensor.ExpandShapeOp)


@dataclass(frozen=True)
class DonateBuffers(ModulePass):
    """Find a result for the memory of each argument marked `ml.donated`."""

    name = "donate-buffers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = [each for each in op.ops if isinstance(each, func.FuncOp) and not each.is_declaration]
        givers = [each for each in functions if donated_arguments(each)]
        if not givers:
            return
        kernels = {each.sym_name.data: each for each in functions if KERNEL in each.attributes}
        plans = [Plan(each, {name: updated_in_place(kernel) for name, kernel in kernels.items()}) for each in givers]
        for plan in plans:
            plan.make()
        mark_kernels(op, kernels, plans)


def donated_arguments(function: func.FuncOp) -> list[BlockArgument]:
    attributes = function.arg_attrs.data if function.arg_attrs else ()
    return [function.body.block.args[i] for i, each in enumerate(attributes) if DONATED in each.data]


@dataclass(frozen=True)
class Update:
    """A result that can be made in the place of an argument, and the op that overwrites it.

    `writer` is None where the argument itself is returned.
    """

    argument: BlockArgument
    result: int
    writer: Operation | None
    direct: tuple[int, int] | None = None
    """Which operand of the writer is the argument, if one is, and which result is made in its place."""


@dataclass
class Plan:
    """Which results of a function are made in the place of which arguments."""

    function: func.FuncOp
    kernels: Mapping[str, Mapping[int, list[int]]]
    """For each kernel: the number of a result -> those of the arguments in whose place it can be made."""
    updates: list[Update] = field(default_factory=list[Update])

    def make(self) -> None:
        last = self.function.body.block.last_op
        assert isinstance(last, func.ReturnOp)
        free = set(donated_arguments(self.function))
        choices = [list(self.found(number, value)) for number, value in enumerate(last.operands)]
        for each in sorted(choices, key=len):  # who can choose waits for who cannot
            found = next((update for update in each if update.argument in free), None)
            if found is not None and self.is_last(found, move=True):
                free.remove(found.argument)
                self.updates.append(found)
        self.updates = [each for each in self.updates if self.is_last(each)]
        mark(self.function, {each.argument.index: each.result for each in self.updates})
        used = {each.argument for each in self.updates}
        for argument in donated_arguments(self.function):
            name = argument.name_hint or f"number {argument.index}"
            if argument in used:
                remarks.passed(self.function, lambda name=name: f"a result takes the memory of the argument {name}")
            else:
                remarks.missed(
                    self.function,
                    lambda name=name: (
                        f"no result takes the memory of the argument {name}: none of its type is made of "
                        "it element by element, or it is needed later"
                    ),
                )

    def found(self, result: int, value: SSAValue) -> Iterator[Update]:
        """The arguments in whose place a returned value can be made: those it is made of, element by element."""
        value = reshaped(value)
        wanted = self.function.function_type.outputs.data[result]
        if isinstance(value, BlockArgument):
            if value.type == wanted:
                yield Update(value, result, None)
            return
        seen: set[SSAValue] = set()
        waiting = [value]
        while waiting:
            made = waiting.pop()
            for writer, read, number in self.read_in_place(made):
                source = reshaped(writer.operands[read])
                if source in seen:
                    continue
                seen.add(source)
                if not isinstance(source, BlockArgument):
                    waiting.append(source)
                elif source.type == wanted:
                    direct = (read, number) if made is value else None
                    yield Update(source, result, cast(Operation, value.owner), direct)

    def read_in_place(self, value: SSAValue) -> Iterator[tuple[Operation, int, int]]:
        """The op that makes a value, which operand it may be made in the place of, and which result it is."""
        writer = value.owner
        if not isinstance(writer, Operation):
            return
        made = writer.results.index(value)  # pyright: ignore[reportArgumentType]
        if isinstance(writer, func.CallOp):
            for read in self.kernels.get(writer.callee.string_value(), {}).get(made, ()):
                yield writer, read, made
        else:
            for read in operands_in_place(value):
                yield writer, read, made

    def is_last(self, update: Update, *, move: bool = False) -> bool:
        """Whether nothing reads the argument once it is overwritten; `move` lets its writer move behind what does."""
        block, writer = self.function.body.block, update.writer
        if writer is None:
            return True
        readers = [each for each in readers_of(update.argument, block) if each is not writer]
        late = [each for each in readers if writer.is_before_in_block(each)]
        if not late:
            return True
        last = latest(late)
        users = [ancestor(use.operation, block) for result in writer.results for use in result.uses]
        if not move or not all(last.is_before_in_block(each) for each in users):
            return False
        writer.detach()
        block.insert_op_after(writer, last)
        return True


def latest(ops: list[Operation]) -> Operation:
    found = ops[0]
    for each in ops[1:]:
        if found.is_before_in_block(each):
            found = each
    return found


def reshaped(value: SSAValue) -> SSAValue:
    """What a value is a reshape of."""
    while isinstance(value.owner, _RESHAPES):
        value = value.owner.operands[0]
    return value


def uses_of(value: SSAValue) -> Iterator[tuple[Operation, SSAValue]]:
    """The ops that read a value, itself or through a reshape, with what they read."""
    for use in value.uses:
        if isinstance(use.operation, _RESHAPES):
            yield from uses_of(use.operation.results[0])
        else:
            yield use.operation, value


def readers_of(value: SSAValue, block: Block) -> Iterator[Operation]:
    """The ops of a block that read a value, they or what is inside of them."""
    return (ancestor(op, block) for op, _ in uses_of(value))


def ancestor(op: Operation, block: Block) -> Operation:
    found = block.find_ancestor_op_in_block(op)
    assert found is not None
    return found


def operands_in_place(value: SSAValue) -> Iterator[int]:
    """Which operands of the op that makes a value hold at each element what is read before that is written."""
    match value.owner:
        case linalg.ops.GenericOp() as op:
            for i, source in enumerate(op.inputs):
                if source.type == value.type and reads_elements(op, source):
                    yield i
            yield len(op.inputs) + op.res.index(value)
        case tensor.InsertOp() | tensor.InsertSliceOp():
            yield 1
        case scf.ForOp() as op:
            yield 3 + op.res.index(value)
        case _:
            return


def reads_elements(op: linalg.ops.GenericOp, source: SSAValue) -> bool:
    """Whether an op reads of a tensor the very element that it makes, wherever it reads it."""
    maps = [each.data for each in op.indexing_maps]
    written = maps[len(op.inputs) :]
    if any(each != written[0] for each in written) or not visits_once(written[0]):
        return False
    body = op.body.block
    if any(source in inner.operands for inner in body.walk()):
        return False
    return all(read == written[0] for read, each in zip(maps, op.operands) if each is source)


def updated_in_place(kernel: func.FuncOp) -> dict[int, list[int]]:
    """For each result of a kernel the arguments in whose place it can be made without a copy.

    Ops of a kernel are fused further below. Only what reads single elements may read such an argument: each element
    is then read for the last time when that of the result is made, whatever the order of the loops.
    """
    block = kernel.body.block
    last = block.last_op
    assert isinstance(last, func.ReturnOp)
    found: dict[int, list[int]] = {}
    for argument in block.args:
        readers = list(uses_of(argument))
        single = [isinstance(op, linalg.ops.GenericOp) and reads_elements(op, value) for op, value in readers]
        for number, value in enumerate(last.operands):
            writer = reshaped(value).owner
            if value.type != argument.type or not isinstance(writer, Operation):
                continue
            in_place = [writer.operands[each] for each in operands_in_place(reshaped(value))]
            if all(
                is_single or (op is writer and any(each is seen for each in in_place))
                for is_single, (op, seen) in zip(single, readers)
            ) and not any(writer.is_before_in_block(ancestor(op, block)) for op, _ in readers):
                found.setdefault(number, []).append(argument.index)
    return found


def mark(function: func.FuncOp, pairs: Pairs) -> None:
    """Say in the function's signature which results are made in the place of which arguments."""
    count = len(function.function_type.inputs.data)
    attributes = list(function.arg_attrs.data) if function.arg_attrs else [DictionaryAttr({})] * count
    for argument, result in pairs.items():
        attributes[argument] = DictionaryAttr({**attributes[argument].data, IN_PLACE: IntegerAttr(result, i64)})
    if pairs:
        function.properties["arg_attrs"] = ArrayAttr(attributes)


def mark_kernels(module: ModuleOp, kernels: Mapping[str, func.FuncOp], plans: list[Plan]) -> None:
    """Mark the kernels that update in place; one that other calls use otherwise gets a copy that does."""
    wanted: dict[func.CallOp, Pairs] = {}
    for plan in plans:
        for update in plan.updates:
            if isinstance(update.writer, func.CallOp) and update.direct:
                read, made = update.direct
                wanted.setdefault(update.writer, {})[read] = made
    calls: dict[str, list[func.CallOp]] = {}
    for each in module.walk():
        if isinstance(each, func.CallOp) and (name := each.callee.string_value()) in kernels:
            calls.setdefault(name, []).append(each)
    taken = {each.sym_name.data for each in module.ops if isinstance(each, func.FuncOp)}
    for name, callers in calls.items():
        variants: dict[tuple[tuple[int, int], ...], list[func.CallOp]] = {}
        for call in callers:
            variants.setdefault(tuple(sorted(wanted.get(call, {}).items())), []).append(call)
        for pairs, its in sorted(variants.items()):
            if not pairs:
                continue
            kernel = kernels[name]
            if len(variants) > 1:
                kernel = kernel.clone()
                kernel.properties["sym_name"] = StringAttr(fresh_name(f"{name}_in_place", taken))
                module.body.block.insert_op_after(kernel, kernels[name])
                for call in its:
                    call.properties["callee"] = SymbolRefAttr(kernel.sym_name.data)
            mark(kernel, dict(pairs))
        if all(variants) and len(variants) > 1:  # nobody calls the kernel as it was
            kernels[name].detach()
            kernels[name].erase()
