"""Row programs: runs of linalg ops on memrefs in which every point needs only its own row.

A program has `rows` × `columns` points. Its steps are elementwise over all points, reductions over the columns, or
elementwise over the rows; what one step makes the next reads at the same point or row, from a register. Only what is
read outside the program is stored.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from typing import cast

from xdsl.dialects import arith, linalg, memref
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, MemRefType
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.ir import Attribute, Block, Operation, SSAValue

from xmlc.passes.combiners import COMBINERS
from xmlc.passes.gpu.rows.linear import Linear, linear_of
from xmlc.passes.views import VIEWS, buffer_type, contiguous_root, root, row_major


class Kind(Enum):
    """What a step is computed for."""

    POINT = "each point"
    ROW = "each row"
    REDUCE = "each row, from all its points"


@dataclass(frozen=True, eq=False)
class Stored:
    """An operand in memory."""

    buffer: SSAValue
    at: Linear


@dataclass(frozen=True, eq=False)
class Made:
    """An operand that a step of the program makes: its result of that number."""

    step: Step
    number: int


Source = Stored | Made | SSAValue
"""A linalg operand: memory, what a step makes, or a scalar."""


@dataclass(eq=False)
class Step:
    """A linalg.generic of a program. Loops of one iteration are left out of `loops`."""

    op: linalg.ops.GenericOp
    kind: Kind
    loops: tuple[int, ...]
    extents: tuple[int, ...]
    sources: list[Source | None] = field(default_factory=list[Source | None])
    """For each argument of the body; None for what it does not read."""
    starts: tuple[SSAValue, ...] = ()
    """What a reduction starts from."""

    @property
    def outputs(self) -> Sequence[SSAValue]:
        return self.op.outputs

    @property
    def body(self) -> Block:
        return self.op.body.block

    @property
    def element_types(self) -> list[Attribute]:
        return [buffer_type(each).element_type for each in self.outputs]


@dataclass(eq=False)
class Program:
    """Steps in order. `columns` is all points, and `rows` is 1, as long as nothing is reduced."""

    points: int
    rows: int = 1
    steps: list[Step] = field(default_factory=list[Step])
    made: dict[SSAValue, Made] = field(default_factory=dict[SSAValue, Made])
    """Buffer -> what it holds."""
    fills: list[Operation] = field(default_factory=list[Operation])
    """Fills that reductions take into themselves."""

    @property
    def columns(self) -> int:
        return self.points // self.rows

    @property
    def reduces(self) -> bool:
        return any(step.kind is Kind.REDUCE for step in self.steps)


TRANSPARENT = (arith.ConstantOp, memref.GetGlobalOp, memref.AllocOp, memref.AllocaOp, *VIEWS)
"""Ops that may stand between the steps of a program."""


def programs(block: Block) -> list[Program]:
    """The programs of a block, as long as they can be, in order."""
    found: list[Program] = []
    now: Program | None = None
    for op, fills in ops_and_fills(block):
        if isinstance(op, linalg.ops.FillOp):
            if now is not None and touches(now, root(op.outputs[0])):
                now = None
            continue
        if isinstance(op, linalg.ops.GenericOp):
            made = extended(now, op, fills)
            if made is None and now is not None:
                made = extended(None, op, fills)
            if made is not None:
                if made is not now:
                    found.append(made)
                now = made
                continue
        now = None
    return found


def ops_and_fills(block: Block) -> Generator[tuple[Operation, dict[SSAValue, linalg.ops.FillOp]]]:
    """The ops of a block that do something; with each, the fills before it whose buffers nothing has touched since."""
    fills: dict[SSAValue, linalg.ops.FillOp] = {}
    for op in block.ops:
        if isinstance(op, TRANSPARENT):
            continue
        yield op, fills
        for operand in op.operands:
            fills.pop(root(operand), None)
        if isinstance(op, linalg.ops.FillOp):
            fills[root(op.outputs[0])] = op
        elif op.regions and not isinstance(op, linalg.ops.GenericOp):
            fills.clear()


def touches(program: Program, buffer: SSAValue) -> bool:
    return any(root(operand) is buffer for step in program.steps for operand in step.op.operands)


def extended(
    program: Program | None, op: linalg.ops.GenericOp, fills: dict[SSAValue, linalg.ops.FillOp]
) -> Program | None:
    """The program with the op as its last step, or a new one; None where the op does not fit."""
    described = described_step(op)
    if described is None:
        return None
    step, reduced = described
    points = prod(step.extents)
    if points == 0:
        return None
    rows = points // reduced
    if program is None:
        program = Program(points, rows if step.kind is Kind.REDUCE else 1)
    elif step.kind is Kind.REDUCE:
        if points != program.points or not agrees(program, rows):
            return None
    elif points != program.points:
        if points != program.rows or not program.reduces:
            return None
        step.kind = Kind.ROW
    rows = rows if step.kind is Kind.REDUCE else program.rows
    used: list[Operation] = []
    sources = sources_of(program, step, rows, fills, used)
    if sources is None:
        return None
    if any(overwrites(program, step, each, rows) for each in step.outputs):
        return None
    step.sources = sources
    program.rows = rows
    program.steps.append(step)
    program.fills += used
    for number, output in enumerate(step.outputs):
        program.made[root(output)] = Made(step, number)
    return program


def agrees(program: Program, rows: int) -> bool:
    """Whether a reduction to so many rows fits: there is none yet, or one to as many."""
    return not program.reduces or program.rows == rows


def split_at(extents: Sequence[int], rows: int) -> int | None:
    """How many of the loops are over rows."""
    total = 1
    for position in range(len(extents) + 1):
        if total == rows:
            return position
        if position < len(extents):
            total *= extents[position]
    return None


def loop_extents(op: linalg.ops.GenericOp) -> list[int] | None:
    """How many iterations each loop has; None where that is not known."""
    extents: list[int | None] = [None] * len(op.iterator_types)
    for value, attribute in zip(op.operands, op.indexing_maps):
        if not isinstance(value.type, MemRefType):
            continue
        for expression, size in zip(attribute.data.results, buffer_type(value).get_shape(), strict=True):
            for loop in expression.used_dims():
                if str(expression) == f"d{loop}":
                    extents[loop] = size
    if None in extents or any(size is not None and size < 0 for size in extents):
        return None
    return cast("list[int]", extents)


def described_step(op: linalg.ops.GenericOp) -> tuple[Step, int] | None:
    """The op as a step, and over how many points it reduces; None where it can be none."""
    kinds = [each.data for each in op.iterator_types]
    count = len(kinds)
    known = loop_extents(op)
    if known is None:
        return None
    loops = tuple(loop for loop in range(count) if known[loop] != 1)
    reduced = [loop for loop in loops if kinds[loop] != IteratorType.PARALLEL]
    if list(loops[len(loops) - len(reduced) :]) != reduced:
        return None  # rows are what the last loops run through
    inner = tuple(known[loop] for loop in loops)
    is_reduction = any(kind != IteratorType.PARALLEL for kind in kinds)
    body_ops = [each for each in op.body.block.ops if each.regions]
    if any(isinstance(each, linalg.ops.IndexOp) for outer in body_ops for each in outer.walk()):
        return None
    kept = inner[: len(loops) - len(reduced)]
    for value, attribute in zip(op.outputs, list(op.indexing_maps)[len(op.inputs) :]):
        at = linear_of(attribute.data.results, buffer_type(value), count)
        wanted = (*row_major(kept if is_reduction else inner), *([0] * len(reduced) if is_reduction else ()))
        if at is None or at.start or at.over(loops).steps != wanted:
            return None
        if prod(buffer_type(value).get_shape()) != prod(kept if is_reduction else inner):
            return None
        if not contiguous_root(value):
            return None
    step = Step(op, Kind.REDUCE if is_reduction else Kind.POINT, loops, inner)
    if is_reduction and combiner(step) is None:
        return None
    return step, prod(known[loop] for loop in reduced)


def sources_of(
    program: Program,
    step: Step,
    rows: int,
    fills: dict[SSAValue, linalg.ops.FillOp],
    used: list[Operation],
) -> list[Source | None] | None:
    """Where each argument of a step's body comes from; None where one cannot be had in a register or from memory."""
    op, count = step.op, len(step.op.iterator_types)
    sources: list[Source | None] = []
    starts: list[SSAValue] = []
    for number, (value, attribute) in enumerate(zip(op.operands, op.indexing_maps)):
        is_output = number >= len(op.inputs)
        if is_output and step.kind is Kind.REDUCE:
            fill = fills.get(root(value))
            if fill is None or not is_neutral(step, number - len(op.inputs), fill.inputs[0]):
                return None
            if sum(root(each) is root(value) for each in op.operands) != 1:
                return None
            starts.append(fill.inputs[0])
            used.append(fill)
            sources.append(None)
            continue
        if not step.body.args[number].uses:
            sources.append(None)
            continue
        if not isinstance(value.type, MemRefType):
            sources.append(value)
            continue
        at = linear_of(attribute.data.results, buffer_type(value), count)
        if at is None or not contiguous_root(value) or root(value) in fills:
            return None
        at = at.over(step.loops)
        made = program.made.get(root(value))
        if made is None:
            sources.append(Stored(root(value), at))
        elif reads_own(step, made, at, rows):
            sources.append(made)
        else:
            return None
    for inner in step.body.walk():
        if isinstance(inner, memref.LoadOp) and (
            root(inner.memref) in program.made or not contiguous_root(inner.memref)
        ):
            return None
    step.starts = tuple(starts)
    return sources


def reads_own(step: Step, made: Made, at: Linear, rows: int) -> bool:
    """Whether a step reads what an earlier one made at the same point, or in the same row."""
    if at.start:
        return False
    if made.step.kind is Kind.POINT or step.kind is Kind.ROW:
        return at.steps == row_major(step.extents)
    position = split_at(step.extents, rows)
    if position is None:
        return False
    outer = step.extents[:position]
    return at.steps == (*row_major(outer), *[0] * (len(step.extents) - position))


def overwrites(program: Program, step: Step, output: SSAValue, rows: int) -> bool:
    """Whether a step writes where an earlier one, or another row of this one, still reads something else."""
    buffer = root(output)
    for each in (*program.steps, step):
        for source in each.sources:
            if isinstance(source, Stored) and source.buffer is buffer and source.at.steps != row_major(each.extents):
                return True
        for inner in each.body.walk():
            if isinstance(inner, memref.LoadOp) and root(inner.memref) is buffer:
                return True
    for value, attribute in zip(step.op.inputs, step.op.indexing_maps):
        if isinstance(value.type, MemRefType) and root(value) is buffer and buffer not in program.made:
            at = linear_of(attribute.data.results, buffer_type(value), len(step.op.iterator_types))
            if at is None or at.start or at.over(step.loops).steps != row_major(step.extents):
                return True
    return False


# Folding: how a reduction's partial results are combined


def combiner(step: Step) -> Operation | tuple[Operation, Operation] | None:
    """The op that folds a value into the result so far; for an extreme and its place, the two selects.

    None where the body is neither.
    """
    count = len(step.op.inputs)
    carried = step.body.args[count:]
    last = step.body.last_op
    assert last is not None
    if len(carried) == 1:
        (result,) = last.operands
        op = result.owner
        if not isinstance(op, Operation) or type(op) not in COMBINERS:
            return None
        return op if carried[0].has_one_use() and carried[0] in op.operands else None
    if len(carried) == 2:
        first, second = (each.owner for each in last.operands)
        if not (isinstance(first, arith.SelectOp) and isinstance(second, arith.SelectOp) and first.cond is second.cond):
            return None
        is_place = isinstance(second.lhs.owner, arith.IndexCastOp) and isinstance(
            second.lhs.owner.input.owner, linalg.ops.IndexOp
        )
        if is_place and first.rhs is carried[0] and second.rhs is carried[1] and carried[1].has_one_use():
            return first, second
    return None


def is_neutral(step: Step, number: int, value: SSAValue) -> bool:
    """Whether a fold may start from `value` in every thread."""
    op = combiner(step)
    if isinstance(op, tuple):
        return True  # the least there is, at place 0: see ml's lowering of argmax
    owner = value.owner
    if not isinstance(owner, arith.ConstantOp) or not isinstance(owner.value, FloatAttr | IntegerAttr):
        return False
    found = owner.value.value.data
    if isinstance(op, arith.AddfOp | arith.AddiOp | arith.OrIOp):
        return found == 0
    if isinstance(op, arith.AndIOp):
        return found in (1, -1)  # of i1: true
    if isinstance(op, arith.MulfOp | arith.MuliOp):
        return found == 1
    return True  # an extreme may be folded in any number of times
