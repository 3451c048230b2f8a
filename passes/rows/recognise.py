"""Recognition: runs of linalg ops on buffers that all go through the same rows, each op touching its own row only.

A group has rows (loops that are parallel in every op) and columns (loops that some op reduces). Its ops run through
rows and columns, or through rows alone. If in every buffer that is written a row is the same elements to all ops, then
doing all ops for one row, and then for the next one, means the same as doing one op for all rows after another.
A chain is a group without columns: ops element by element.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

from xdsl.dialects import arith, linalg, math, memref
from xdsl.dialects.builtin import DYNAMIC_INDEX, FixedBitwidthType, IndexType, MemRefType
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.utils import FastMathFlag
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import AffineExpr

from xmlc.passes.combiners import COMBINERS
from xmlc.passes.contractions.recognise import Operand, distinct, extents_of, operand_of, root

LinalgOp = linalg.ops.GenericOp | linalg.ops.FillOp


@dataclass(frozen=True)
class Fold:
    """total = combine(total, value): the op that combines, and the value of each element."""

    combine: Operation
    value: SSAValue

    @property
    def kind(self) -> str:
        return COMBINERS[type(self.combine)]


@dataclass(frozen=True, eq=False)
class Step:
    """A linalg op as the group's loops see it: the loops it runs through, and its operands by their strides."""

    op: LinalgOp
    loops: tuple[int, ...]
    """For each loop of the op the group's loop; -1 for one of a single iteration."""
    inputs: tuple[Operand | SSAValue, ...]
    outputs: tuple[Operand, ...]
    reads_output: tuple[bool, ...]
    is_full: bool
    """Whether it runs through the columns too."""
    fold: Fold | None

    @property
    def operands(self) -> tuple[Operand, ...]:
        return (*(each for each in self.inputs if isinstance(each, Operand)), *self.outputs)


@dataclass(frozen=True)
class Group:
    """Steps in program order over loops of these extents, in the order in which they are nested."""

    extents: tuple[int, ...]
    is_column: tuple[bool, ...]
    steps: tuple[Step, ...]

    @property
    def rows(self) -> list[int]:
        return [loop for loop, column in enumerate(self.is_column) if not column]

    @property
    def columns(self) -> list[int]:
        return [loop for loop, column in enumerate(self.is_column) if column]


def groups_of(block: Block) -> list[Group]:
    """The groups of a block: runs of ops around a reduction, as long as they can be; chains of what remains."""
    found: list[Group] = []
    for run in runs(block):
        while run:
            start, end, group = first_group(run)
            found += chains_of(run[:start] if group is not None else run[:end])
            if group is not None:
                found.append(group)
            assert end > start
            run = run[end:]
    return found


def chains_of(run: Sequence[LinalgOp]) -> list[Group]:
    """The ops of a run that reduce nothing, those of the same loops together."""
    found: list[Group] = []
    open_: Group | None = None
    for op in run:
        longer = open_ and with_step(open_, op)
        if longer is None:
            found += [open_] if open_ else []
            longer = with_step(Group(moving_loops(op), (False,) * len(moving_loops(op)), ()), op)
        open_ = longer
    found += [open_] if open_ else []
    return [merged(each) for each in found]


def with_step(group: Group, op: LinalgOp) -> Group | None:
    """A chain with one more op; None where that does not fit."""
    step = step_of(op, group.extents, group.is_column)
    if step is None or step.fold is not None or not step.is_full:
        return None
    longer = replace(group, steps=(*group.steps, step))
    return longer if group.extents and keeps_to_rows(longer) else None


def moving_loops(op: LinalgOp) -> tuple[int, ...]:
    """The extents of an op's loops, without those of one iteration; none where one is not known, or empty."""
    extents = loops_of(op) or ()
    return () if 0 in extents else tuple(extent for extent in extents if extent != 1)


def runs(block: Block) -> list[list[LinalgOp]]:
    """Ops of linalg with nothing between them that touches memory."""
    found: list[list[LinalgOp]] = [[]]
    for op in block.ops:
        if isinstance(op, LinalgOp):
            found[-1].append(op)
        elif not isinstance(op, TOUCHES_NOTHING):
            found.append([])
    return [run for run in found if run]


TOUCHES_NOTHING = (
    arith.ConstantOp,
    memref.AllocOp,
    memref.AllocaOp,
    memref.GetGlobalOp,
    memref.CollapseShapeOp,
    memref.ExpandShapeOp,
)


def first_group(run: Sequence[LinalgOp]) -> tuple[int, int, Group | None]:
    """The group around the first reduction of a run, and which ops it has; no group where there is none."""
    shapes = ((place, shape_of_rows(op)) for place, op in enumerate(run) if isinstance(op, linalg.ops.GenericOp))
    place, shape = next(((place, shape) for place, shape in shapes if shape is not None), (0, None))
    if shape is None:
        return 0, len(run), None
    extents, is_column = shape
    steps: list[Step] = []
    start = place
    while start > 0 and (step := step_of(run[start - 1], extents, is_column)) is not None:
        steps.insert(0, step)
        start -= 1
    end = place
    while end < len(run) and (step := step_of(run[end], extents, is_column)) is not None:
        steps.append(step)
        end += 1
    while steps and not keeps_to_rows(Group(extents, is_column, tuple(steps))):
        if end > place + 1:
            steps.pop()
            end -= 1
        else:
            steps.pop(0)
            start += 1
    return start, max(end, place + 1), merged(Group(extents, is_column, tuple(steps))) if steps else None


def shape_of_rows(op: linalg.ops.GenericOp) -> tuple[tuple[int, ...], tuple[bool, ...]] | None:
    """The loops of a reduction, without those of one iteration, and which of them reduce."""
    reduces = [iterator.data != IteratorType.PARALLEL for iterator in op.iterator_types]
    extents = loops_of(op)
    if extents is None or 0 in extents:
        return None
    kept = [loop for loop, extent in enumerate(extents) if extent != 1]
    columns = tuple(reduces[loop] for loop in kept)
    if not any(columns):
        return None
    return tuple(extents[loop] for loop in kept), columns


def loops_of(op: LinalgOp) -> tuple[int, ...] | None:
    """The extents of an op's loops; None where one is not known."""
    if isinstance(op, linalg.ops.FillOp):
        shape = cast(MemRefType[Attribute], op.outputs[0].type).get_shape()
        return None if DYNAMIC_INDEX in shape else tuple(shape)
    maps = [tuple(attribute.data.results) for attribute in op.indexing_maps]
    return extents_of(op.operands, maps, len(op.iterator_types))


def step_of(op: LinalgOp, extents: Sequence[int], is_column: Sequence[bool]) -> Step | None:
    """An op as a step of a group with these loops; None where it does not fit."""
    own = loops_of(op)
    if own is None or 0 in own:
        return None
    kept = [loop for loop, extent in enumerate(own) if extent != 1]
    rows = [loop for loop, column in enumerate(is_column) if not column]
    sizes = [own[loop] for loop in kept]
    if sizes == list(extents):
        group_loops = list(range(len(extents)))
    elif sizes == [extents[loop] for loop in rows]:
        group_loops = rows
    else:
        return None
    is_full = len(group_loops) == len(extents)
    loops = [-1] * len(own)
    for loop, place in zip(kept, group_loops):
        loops[loop] = place

    def seen(value: SSAValue, indices: Iterable[AffineExpr]) -> Operand | None:
        operand = operand_of(value, tuple(indices), len(own))
        if operand is None:
            return None
        strides = [0] * len(extents)
        for loop, place in enumerate(loops):
            if place >= 0:
                strides[place] = operand.strides[loop]
        return Operand(value, tuple(strides), operand.offset) if min(strides, default=0) >= 0 else None

    if isinstance(op, linalg.ops.FillOp):
        target = seen(op.outputs[0], map(AffineExpr.dimension, range(len(own))))
        return target and Step(op, tuple(loops), (op.inputs[0],), (target,), (False,), is_full, None)

    reduced = [loops[loop] for loop in kept if op.iterator_types.data[loop].data != IteratorType.PARALLEL]
    fold = None
    if reduced:
        if sorted(reduced) != [loop for loop, column in enumerate(is_column) if column]:
            return None
        if (fold := fold_of(op)) is None:
            return None
    body = op.body.block
    if not all(isinstance(inner, linalg.ops.YieldOp | linalg.ops.IndexOp) or is_scalar(inner) for inner in body.ops):
        return None
    operands: list[Operand | SSAValue] = []
    for value, attribute in zip(op.operands, op.indexing_maps):
        if isinstance(value.type, MemRefType):
            operand = seen(value, attribute.data.results)
            if operand is None:
                return None
            operands.append(operand)
        else:
            operands.append(value)
    outputs = tuple(each for each in operands[len(op.inputs) :] if isinstance(each, Operand))
    reads = tuple(bool(argument.uses) for argument in body.args[len(op.inputs) :])
    return Step(op, tuple(loops), tuple(operands[: len(op.inputs)]), outputs, reads, is_full, fold)


def is_scalar(op: Operation) -> bool:
    """Whether an op works on numbers alone, so that it works on vectors of them as well."""
    if op.regions or not op.name.startswith(("arith.", "math.")):
        return False
    values = (*op.operands, *op.results)
    return all(isinstance(value.type, FixedBitwidthType | IndexType) for value in values) and not isinstance(
        op, math.FPowIOp | math.IPowIOp
    )


def fold_of(op: linalg.ops.GenericOp) -> Fold | None:
    """How a reduction folds its elements; None where it does more, or may not be done in another order."""
    if len(op.outputs) != 1:
        return None
    body = op.body.block
    total = body.args[-1]
    last = body.last_op
    assert last is not None
    combine = last.operands[0].owner
    if not isinstance(combine, Operation) or type(combine) not in COMBINERS or combine.parent is not body:
        return None
    if not total.has_one_use() or not combine.results[0].has_one_use() or total not in combine.operands:
        return None
    if isinstance(combine, arith.AddfOp | arith.MulfOp) and FastMathFlag.REASSOC not in combine.fastmath.data:
        return None
    value = next(operand for operand in combine.operands if operand is not total)
    return Fold(combine, value)


def keeps_to_rows(group: Group) -> bool:
    """Whether in every buffer that is written a row is the same elements to all steps, and no two rows share one."""
    places: dict[SSAValue, set[tuple[tuple[int, ...], int]]] = {}
    written: set[SSAValue] = set()
    for step in group.steps:
        for operand in step.operands:
            places.setdefault(root(operand.value), set()).add((operand.strides, operand.offset))
        for operand in step.outputs:
            written.add(root(operand.value))
            reduces = [stride == 0 for stride in operand.strides]
            rows_move = all(operand.strides[row] for row in group.rows)
            columns_move = not step.is_full or step.fold or all(operand.strides[column] for column in group.columns)
            if not rows_move or not columns_move or not distinct(operand, group.extents, reduces):
                return False
    return all(len(places[each]) == 1 for each in written)


def merged(group: Group) -> Group:
    """The group with loops merged that run through memory one inside the other in every operand."""
    indexed = {
        step.loops[inner.dim.value.data]
        for step in group.steps
        for inner in step.op.walk()
        if isinstance(inner, linalg.ops.IndexOp)
    }
    while (pair := mergeable(group, indexed)) is not None:
        outer, inner = pair
        extents = list(group.extents)
        extents[inner] *= extents[outer]
        kept = [loop for loop in range(len(extents)) if loop != outer]
        number = {loop: place for place, loop in enumerate(kept)} | {-1: -1, outer: -1}

        def picked(operand: Operand, kept: Sequence[int] = kept) -> Operand:
            return replace(operand, strides=tuple(operand.strides[loop] for loop in kept))

        steps = [
            replace(
                step,
                loops=tuple(number[loop] for loop in step.loops),
                inputs=tuple(picked(each) if isinstance(each, Operand) else each for each in step.inputs),
                outputs=tuple(map(picked, step.outputs)),
            )
            for step in group.steps
        ]
        is_column = tuple(group.is_column[loop] for loop in kept)
        indexed = {number[loop] for loop in indexed}
        group = Group(tuple(extents[loop] for loop in kept), is_column, tuple(steps))
    return group


def mergeable(group: Group, indexed: set[int]) -> tuple[int, int] | None:
    """Two neighbouring loops that can be one: neither is asked for its index."""
    for outer, inner in pairwise(range(len(group.extents))):
        if group.is_column[outer] != group.is_column[inner] or indexed & {outer, inner}:
            continue
        extent = group.extents[inner]
        if all(each.strides[outer] == each.strides[inner] * extent for s in group.steps for each in s.operands):
            return outer, inner
    return None
