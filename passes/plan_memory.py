"""Plan memory: every buffer gets its place in one arena, shared by those that are never needed at the same time.

A private function (a kernel) has no memory of its own: its buffers become trailing arguments, buffers of one type that
are not needed at once the same argument, and each caller allocates them before the call. A public function gets
one trailing argument, the arena, and its buffers become views of it at offsets found by best fit, largest first.
Buffers whose sizes are known only at run time lie behind the others, at offsets computed at the function's entry.
The arena's size is the attribute `xmlc.arena_bytes` of the function, in words
where it depends on free sizes; `xmlc.live_bytes` (what is needed at the worst
moment, which no plan can beat) and `xmlc.buffer_bytes` (what it would be without sharing) tell how good the plan is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects import func, memref
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    StringAttr,
    UnitAttr,
    i8,
    i64,
)
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.sizes import is_natural, is_symbolic, typical
from xmlc.passes import remarks
from xmlc.passes.functions import defined_functions
from xmlc.passes.index_arithmetic import IndexConstants
from xmlc.passes.memory import ALIGNMENT, array_type, element_size
from xmlc.passes.size_values import KnownSizes, SizeValues, function_around

ARENA = "xmlc.arena"
ARENA_BYTES = "xmlc.arena_bytes"
LIVE_BYTES = "xmlc.live_bytes"
BUFFER_BYTES = "xmlc.buffer_bytes"
WORKSPACE = "xmlc.workspace"


@dataclass(frozen=True)
class PlanMemory(ModulePass):
    """Place all buffers of a program in one arena, by liveness."""

    name = "plan-memory"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {function.sym_name.data: function for function in defined_functions(op)}
        calls: dict[str, list[func.CallOp]] = {name: [] for name in functions}
        callees: dict[str, list[str]] = {name: [] for name in functions}
        for name, function in functions.items():
            for inner in function.walk():
                if isinstance(inner, func.CallOp) and (callee := inner.callee.string_value()) in functions:
                    calls[callee].append(inner)
                    callees[name].append(callee)
        for name in _callees_first(callees):
            function = functions[name]
            if function.sym_visibility is not None and function.sym_visibility.data == "private":
                _give_workspaces(function, calls[name])
            else:
                if calls[name]:
                    raise PassFailedException(f"public function @{name} is called from inside the module")
                _give_arena(function)


def _callees_first(callees: dict[str, list[str]]) -> list[str]:
    order: list[str] = []
    active: set[str] = set()

    def visit(name: str) -> None:
        if name in active:
            raise PassFailedException(f"function @{name} calls itself: its memory has no fixed size")
        if name not in order:
            active.add(name)
            for callee in callees[name]:
                visit(callee)
            active.remove(name)
            order.append(name)

    for name in callees:
        visit(name)
    return order


@dataclass(frozen=True)
class Lifetime:
    """A buffer, its size, and the first and last position at which it is needed."""

    alloc: memref.AllocOp
    size: int
    first: int
    last: int
    shape: tuple[int, ...] = ()

    def overlaps(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last


_VIEWS = (
    memref.CastOp,
    memref.CollapseShapeOp,
    memref.ExpandShapeOp,
    memref.SubviewOp,
    memref.ViewOp,
    memref.ReinterpretCastOp,
)


def lifetimes(function: func.FuncOp) -> list[Lifetime]:
    """When each memref.alloc of a function is needed, through all its views.

    A use inside a nested region counts for the whole op that holds the region, up to the block of the alloc: what is
    made outside a loop and used inside it is needed until the loop ends, what is made inside only within an
    iteration. Allocs that nothing uses are erased with their views.
    """
    start: dict[Operation, int] = {}
    end: dict[Operation, int] = {}
    _number(function.body.blocks, start, end)
    known = KnownSizes(function)
    found: list[Lifetime] = []
    for alloc in [op for op in function.walk() if isinstance(op, memref.AllocOp)]:
        uses = list(_real_uses(alloc.memref))
        if not uses:
            _erase_unused(alloc)
            continue
        assert alloc.parent is not None
        within = [_ancestor_in(alloc.parent, op) for op in uses]
        shape = known.shape(alloc.memref.type, alloc.dynamic_sizes)
        if shape is None:
            raise CompileError(
                f"the size of a buffer, {alloc.memref.type}, is not known when the program starts",
                place=place_of(alloc.location),
            )
        found.append(
            Lifetime(
                alloc,
                prod(shape) * element_size(alloc.memref.type.element_type),
                min(start[op] for op in within),
                max(end[op] for op in within),
                shape,
            )
        )
    return found


def _number(blocks: Iterable[Block], start: dict[Operation, int], end: dict[Operation, int]) -> None:
    for block in blocks:
        for op in block.ops:
            start[op] = len(start) + len(end)
            for region in op.regions:
                _number(region.blocks, start, end)
            end[op] = len(start) + len(end)


def _real_uses(value: SSAValue) -> Iterable[Operation]:
    """The ops that read or write a buffer, itself or through a view."""
    for use in value.uses:
        if isinstance(use.operation, _VIEWS):
            yield from _real_uses(use.operation.results[0])
        else:
            yield use.operation


def _erase_unused(op: Operation) -> None:
    for use in list(op.results[0].uses):
        _erase_unused(use.operation)
    op.detach()
    op.erase()


def _ancestor_in(block: Block, op: Operation) -> Operation:
    found = block.find_ancestor_op_in_block(op)
    assert found is not None, "a buffer is used outside the block that makes it"
    return found


# Private functions


def _give_workspaces(function: func.FuncOp, calls: Sequence[func.CallOp]) -> None:
    """Allocs become trailing arguments; callers allocate them before the call."""
    shared: list[tuple[BlockArgument, list[Lifetime]]] = []
    sizes = {call: SizeValues.of(function_around(call)) for call in calls}
    entry = function.body.block
    for lifetime in lifetimes(function):
        type_ = lifetime.alloc.memref.type
        argument = next(
            (
                argument
                for argument, others in shared
                if argument.type == type_
                and others[0].shape == lifetime.shape
                and not any(map(lifetime.overlaps, others))
            ),
            None,
        )
        if argument is None:
            argument = entry.insert_arg(type_, len(entry.args))
            argument.name_hint = "workspace"
            shared.append((argument, [lifetime]))
        else:
            next(others for known, others in shared if known is argument).append(lifetime)
        lifetime.alloc.memref.replace_all_uses_with(argument)
        lifetime.alloc.detach()
        lifetime.alloc.erase()
    if not shared:
        return
    add_arguments(function, [argument for argument, _ in shared], WORKSPACE)
    for call in calls:
        allocs: list[memref.AllocOp] = []
        for argument, (first, *_) in shared:
            free = sizes[call].all(first.shape)
            allocs.append(
                memref.AllocOp.create(
                    operands=free,
                    result_types=(argument.type,),
                    properties={
                        "alignment": IntegerAttr(ALIGNMENT, i64),
                        "operandSegmentSizes": array_type((len(free), 0)),
                    },
                    location=call.location,
                )
            )
        assert call.parent is not None
        call.parent.insert_ops_before(allocs, call)
        call.operands = [*call.operands, *(alloc.memref for alloc in allocs)]


def add_arguments(function: func.FuncOp, arguments: Sequence[BlockArgument], mark: str) -> None:
    """Update the signature for trailing arguments just added to the entry block; they carry the attribute `mark`."""
    old = function.function_type
    inputs = [arg.type for arg in function.body.block.args]
    function.properties["function_type"] = FunctionType.from_lists(inputs, list(old.outputs))
    attributes = list(function.arg_attrs) if function.arg_attrs else [DictionaryAttr({})] * len(old.inputs)
    attributes += [DictionaryAttr({mark: UnitAttr()})] * len(arguments)
    function.properties["arg_attrs"] = ArrayAttr(attributes)


# Public functions


def _give_arena(function: func.FuncOp) -> None:
    """Allocs become views of the arena, the last argument."""
    buffers = lifetimes(function)
    fixed = [buffer for buffer in buffers if not is_symbolic(buffer.shape)]
    free = [buffer for buffer in buffers if is_symbolic(buffer.shape)]
    offsets, fixed_total = best_fit(fixed)
    free_offsets, total = slots(free, fixed_total)
    entry = function.body.block
    size = DYNAMIC_INDEX if is_symbolic((total,)) else total
    arena = entry.insert_arg(MemRefType(i8, (size,)), len(entry.args))
    arena.name_hint = "arena"
    add_arguments(function, [arena], ARENA)
    constants, sizes = IndexConstants(function.body.block), SizeValues.of(function)
    for buffer, offset in zip((*fixed, *free), (*offsets, *free_offsets)):
        alloc = buffer.alloc
        shift = sizes[offset] if is_symbolic((offset,)) else constants[offset]
        view = memref.ViewOp.create(
            operands=(arena, shift, *alloc.dynamic_sizes), result_types=(alloc.memref.type,), location=alloc.location
        )
        view.result.name_hint = alloc.memref.name_hint
        assert alloc.parent is not None
        alloc.parent.insert_op_before(view, alloc)
        alloc.memref.replace_all_uses_with(view.result)
        alloc.detach()
        alloc.erase()
    if free:
        function.attributes[ARENA_BYTES] = StringAttr(str(total))
        remarks.analysis(function, lambda: f"{len(buffers)} buffers share an arena of {total} bytes")
        return
    live, apart = live_bytes(buffers), sum(_aligned(buffer.size) for buffer in buffers)
    for name, value in ((ARENA_BYTES, total), (LIVE_BYTES, live), (BUFFER_BYTES, apart)):
        function.attributes[name] = IntegerAttr(value, i64)
    remarks.analysis(
        function,
        lambda: (
            f"{len(buffers)} buffers share an arena of {total:,} bytes; {live:,} are needed at the worst moment, "
            f"{apart:,} it would be without sharing"
        ),
    )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def slots(buffers: Sequence[Lifetime], start: int) -> tuple[list[int], int]:
    """Offsets of buffers whose sizes are known only at run time, behind `start`, and where they end.

    Largest first (by what is typical), each shares the slot of others that are provably no smaller and not needed at
    the same time, or gets a slot of its own behind them.
    """
    made: list[tuple[int, int, list[Lifetime]]] = []
    offsets = [0] * len(buffers)
    end = start
    for number in sorted(range(len(buffers)), key=lambda number: -typical(buffers[number].size)):
        buffer, size = buffers[number], _aligned(buffers[number].size)
        for offset, room, others in made:
            if is_natural(room - size) and not any(map(buffer.overlaps, others)):
                others.append(buffer)
                offsets[number] = offset
                break
        else:
            made.append((end, size, [buffer]))
            offsets[number] = end
            end = end + size
    return offsets, end


def live_bytes(buffers: Sequence[Lifetime]) -> int:
    """The bytes needed at the worst moment: no plan needs less."""
    changes = [(buffer.first, _aligned(buffer.size)) for buffer in buffers]
    changes += [(buffer.last + 1, -_aligned(buffer.size)) for buffer in buffers]
    live = worst = 0
    for _, change in sorted(changes):
        live += change
        worst = max(worst, live)
    return worst


def best_fit(buffers: Sequence[Lifetime]) -> tuple[list[int], int]:
    """Offsets such that no two buffers needed at once share bytes, and the bytes that takes in all.

    Largest first, each into the smallest gap that holds it between those placed before that overlap it in time
    (Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020: greedy by size).
    """
    offsets = [0] * len(buffers)
    placed: list[int] = []  # by offset
    total = 0
    for number in sorted(range(len(buffers)), key=lambda number: -buffers[number].size):
        buffer, size = buffers[number], _aligned(buffers[number].size)
        best, best_gap, end = -1, -1, 0
        for other in placed:
            if not buffer.overlaps(buffers[other]):
                continue
            gap = offsets[other] - end
            if gap >= size and (best < 0 or gap < best_gap):
                best, best_gap = end, gap
            end = max(end, offsets[other] + _aligned(buffers[other].size))
        offsets[number] = best if best >= 0 else end
        total = max(total, offsets[number] + size)
        at = next((i for i, other in enumerate(placed) if offsets[other] > offsets[number]), len(placed))
        placed.insert(at, number)
    return offsets, total
