"""Map columns: reductions over dimensions before the last become kernels that read memory in order.

A block takes a strip of columns, sixteen bytes of a row for each thread, and some of the rows, which its warps share;
their partial results meet in shared memory. Where that leaves too few blocks, several share a strip: each leaves its
results in memory, and a second kernel of the same kind folds those, always in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import gcd, prod

from xdsl.context import Context
from xdsl.dialects import arith, linalg, memref
from xdsl.dialects.builtin import IntegerAttr, MemRefType, ModuleOp, i64
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.passes import ModulePass

from xmlc.dialects import gpu
from xmlc.passes.functions import defined_functions
from xmlc.passes.gpu.code import Code, Index
from xmlc.passes.gpu.device_buffers import on_the_heap
from xmlc.passes.gpu.map_transpose import vector_at
from xmlc.passes.gpu.outline import Kernels, Outline, captures
from xmlc.passes.gpu.roofline import Demand
from xmlc.passes.gpu.rows.emit import Flat, merged_loops
from xmlc.passes.gpu.rows.linear import Linear, linear_of
from xmlc.passes.gpu.rows.program import TRANSPARENT, Kind, Step, combiner, is_neutral, loop_extents, ops_and_fills
from xmlc.passes.gpu.rows.schedule import ACCESS_BYTES, MULTIPROCESSORS, WARP, power_of_two
from xmlc.passes.gpu.stated import Candidate, Schedules
from xmlc.passes.memory import ALIGNMENT, array_type, element_size
from xmlc.passes.views import buffer_type, contiguous_root, root, row_major

BLOCK, LONG_BLOCK, MOST_ROW_LANES, UNROLLED = 256, 512, 8, 8
"""Threads of a block, and of one that has many rows; how they are shared out, and rows that a thread loads at once."""
BLOCKS = 2 * MULTIPROCESSORS
"""As many large blocks as run at once: a few more would be a second wave."""
MOST_SPLITS = 128
"""Blocks of a strip: the second kernel folds what each of them leaves."""
LEAST_ROWS = 2


@dataclass(frozen=True)
class MapColumns(ModulePass):
    """Make kernels of reductions over rows: each column of the result is the fold of a column."""

    name = "map-columns"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = Kernels(op)
        for function in defined_functions(op):
            on_the_heap(function)
            schedules = Schedules(function, "columns")
            for reduction in reductions(function.body.block):
                emit(reduction, kernels, schedules)


@dataclass(frozen=True)
class Operand:
    """An argument of the reduction's body: where it is in memory, over (batch, rows, columns)."""

    buffer: SSAValue
    at: Linear


@dataclass(frozen=True)
class Reduction:
    """out[b, c] = f(the fold over r of g(x[b, r, c], …))"""

    step: Step
    combine: Operation
    fill: linalg.ops.FillOp
    operands: tuple[Operand | None, ...]
    """For each input; None for one that is not read."""
    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    after: linalg.ops.GenericOp | None
    """An elementwise op that alone reads the results."""

    @property
    def target(self) -> SSAValue:
        return root(self.step.outputs[0] if self.after is None else self.after.outputs[0])


def reductions(block: Block) -> list[Reduction]:
    """The column reductions of a block."""
    found: list[Reduction] = []
    for op, fills in ops_and_fills(block):
        if isinstance(op, linalg.ops.GenericOp):
            fill = fills.get(root(op.outputs[0]))
            if fill is not None and (made := reduction_of(op, fill)) is not None:
                found.append(made)
    return found


def reduction_of(op: linalg.ops.GenericOp, fill: linalg.ops.FillOp) -> Reduction | None:
    """The op as a reduction of columns; None where it is none."""
    extents = loop_extents(op)
    if extents is None or len(op.outputs) != 1 or 0 in extents:
        return None
    if any(isinstance(inner, linalg.ops.IndexOp | memref.LoadOp) or inner.regions for inner in op.body.block.ops):
        return None
    loops = tuple(loop for loop, size in enumerate(extents) if size != 1)
    reduced = [op.iterator_types.data[loop].data != IteratorType.PARALLEL for loop in loops]
    if True not in reduced or reduced[-1]:
        return None
    first, last = reduced.index(True), len(reduced) - reduced[::-1].index(True)
    if not all(reduced[first:last]):
        return None
    sizes = tuple(extents[loop] for loop in loops)
    batch, rows, columns = sizes[:first], sizes[first:last], sizes[last:]
    step = Step(op, Kind.REDUCE, loops, sizes)
    combine = combiner(step)
    if not isinstance(combine, Operation) or not is_neutral(step, 0, fill.inputs[0]) or prod(rows) < LEAST_ROWS:
        return None
    maps = [each.data.results for each in op.indexing_maps]
    written = linear_of(maps[-1], buffer_type(op.outputs[0]), len(extents))
    kept = row_major((*batch, *columns))
    wanted = (*kept[:first], *[0] * len(rows), *kept[first:])
    if written is None or written.start or written.over(loops).steps != wanted or not contiguous_root(op.outputs[0]):
        return None
    operands: list[Operand | None] = []
    for value, results, argument in zip(op.inputs, maps, op.body.block.args):
        if not argument.uses:
            operands.append(None)
            continue
        if not isinstance(value.type, MemRefType) or root(value) is root(op.outputs[0]) or not contiguous_root(value):
            return None
        at = linear_of(results, buffer_type(value), len(extents))
        if at is None:
            return None
        _, strides = merged_loops(columns, at.over(loops).steps[last:])
        if len(strides) != 1 or strides[0] not in (0, 1):
            return None
        operands.append(Operand(root(value), at.over(loops)))
    return Reduction(step, combine, fill, tuple(operands), batch, rows, columns, elementwise_after(op))


def elementwise_after(op: linalg.ops.GenericOp) -> linalg.ops.GenericOp | None:
    """The op that alone reads a result, element by element, if it is the next one."""
    buffer = root(op.outputs[0])
    following = op.next_op
    while following is not None and isinstance(following, TRANSPARENT):
        following = following.next_op
    if not isinstance(following, linalg.ops.GenericOp) or not isinstance(buffer.owner, memref.AllocOp):
        return None
    users = {use.operation for use in buffer.uses}
    readers = {user for user in users if not isinstance(user, linalg.ops.FillOp) and user is not op}
    plain = (
        len(following.inputs) == len(following.outputs) == 1
        and all(kind.data == IteratorType.PARALLEL for kind in following.iterator_types)
        and all(each.data == AffineMap.identity(each.data.num_dims) for each in following.indexing_maps)
        and following.inputs[0] is op.outputs[0] is buffer
        and not following.body.block.args[1].uses
        and not any(isinstance(inner, linalg.ops.IndexOp | memref.LoadOp) for inner in following.body.walk())
    )
    if readers != {following} or not plain or not contiguous_root(following.outputs[0]):
        return None
    return following


@dataclass(frozen=True)
class ColumnSchedule:
    """A block is `row_lanes` × `lanes` threads, of `vector` columns each; `splits` blocks share a strip."""

    vector: int
    lanes: int
    row_lanes: int
    splits: int
    unrolled: int
    """Rows that a thread loads before it folds them."""

    @property
    def strip(self) -> int:
        return self.lanes * self.vector

    @property
    def threads(self) -> int:
        return self.lanes * self.row_lanes

    def rows_of_block(self, rows: int) -> int:
        step = self.row_lanes * self.unrolled
        return -(-rows // (self.splits * step)) * step


def choose(rows: int, columns: int, batches: int, vector: int) -> ColumnSchedule:
    row_lanes = min(MOST_ROW_LANES, power_of_two(-(-rows // 4)))
    lanes = min(BLOCK // row_lanes, power_of_two(-(-columns // vector)))
    if rows > row_lanes * lanes:
        row_lanes = LONG_BLOCK // lanes
    blocks = -(-columns // (lanes * vector)) * batches
    unrolled = min(UNROLLED, power_of_two(-(-rows // row_lanes)))
    most = max(1, rows // (row_lanes * unrolled))
    splits = max(1, min(most, MOST_SPLITS, BLOCKS // blocks))
    return ColumnSchedule(vector, lanes, row_lanes, splits, unrolled)


LANES, ROW_LANES, ROWS_AT_ONCE, SPLITS = (32, 64, 128, 256), (1, 2, 4, 8, 16, 32), (2, 4, 8), (1, 2, 4, 8, 16, 32, 64)
"""What the autotuner chooses from."""


def candidates(reduction: Reduction, vector: int) -> Iterator[Candidate[ColumnSchedule]]:
    """Every schedule of the table that fits, with what it asks of the device."""
    rows, columns, batches = prod(reduction.rows), prod(reduction.columns), prod(reduction.batch)
    size = sum(element_size(buffer_type(each.buffer).element_type) for each in reduction.operands if each is not None)
    for lanes, row_lanes, unrolled, splits in product(LANES, ROW_LANES, ROWS_AT_ONCE, SPLITS):
        schedule = ColumnSchedule(vector, lanes, row_lanes, splits, unrolled)
        if not 2 * WARP <= schedule.threads <= 1024 or row_lanes * unrolled * splits > rows:
            continue
        if lanes > WARP and lanes * vector > 2 * columns:
            continue
        asked = Demand(
            blocks=-(-columns // schedule.strip) * splits * batches,
            threads=schedule.threads,
            moved=batches * rows * columns * size * max(1.0, schedule.strip / columns),
            in_flight=vector * unrolled * size,
            registers=24 + vector * (unrolled + 1),
            shared=schedule.threads * vector * 4,
            meetings=1,
            kernels=1 if splits == 1 else 2,
        )
        yield Candidate(schedule, asked)


def emit(reduction: Reduction, kernels: Kernels, schedules: Schedules) -> None:
    """Launch the reduction in the place of its op, which is erased, with the ops that it takes into itself."""
    op, name = reduction.step.op, schedules.function.sym_name.data
    before = reduction.after or op
    rows, columns, batches = prod(reduction.rows), prod(reduction.columns), prod(reduction.batch)
    vector = vector_length(reduction)
    schedule = schedules.next(choose(rows, columns, batches, vector), lambda: candidates(reduction, vector))
    kernel = ColumnKernel(reduction, schedule, kernels, before)
    if schedule.splits == 1:
        kernel.emit(name, reduction.target, whole=True)
    else:
        element = buffer_type(op.outputs[0]).element_type
        partial = memref.AllocOp.create(
            result_types=(MemRefType(element, (batches * schedule.splits * columns,)),),
            properties={"alignment": IntegerAttr(ALIGNMENT, i64), "operandSegmentSizes": array_type((0, 0))},
        )
        kernel.outline.host_op(partial)
        kernel.emit(name, partial.memref, whole=False)
        width = gcd(columns, ACCESS_BYTES // element_size(element))
        second = replace(choose(schedule.splits, columns, batches, width), splits=1)
        ColumnKernel(reduction, second, kernels, before, partial.memref, schedule.splits).emit(
            f"{name}_finish", reduction.target, whole=True
        )
    done: tuple[Operation | None, ...] = (reduction.after, op, reduction.fill)
    for each in done:
        if each is not None:
            each.detach()
            each.erase()


def vector_length(reduction: Reduction) -> int:
    """As many columns as sixteen bytes hold of the smallest element, and as every address is a multiple of."""
    first = len(reduction.batch) + len(reduction.rows)
    length = prod(reduction.columns)
    sizes: list[int] = []
    for operand in reduction.operands:
        if operand is not None and any(operand.at.steps[first:]):
            sizes.append(element_size(buffer_type(operand.buffer).element_type))
            length = gcd(length, operand.at.start, *operand.at.steps[:first])
    return gcd(length, ACCESS_BYTES // min(*sizes, ACCESS_BYTES, ACCESS_BYTES))


class ColumnKernel:
    """The kernel of a reduction, or of the partial results of one."""

    def __init__(
        self,
        reduction: Reduction,
        schedule: ColumnSchedule,
        kernels: Kernels,
        before: Operation,
        partial: SSAValue | None = None,
        splits: int = 1,
    ):
        """`partial` holds the results of `splits` blocks for each column: they are what is folded."""
        self.reduction, self.schedule, self.kernels = reduction, schedule, kernels
        self.outline = Outline(kernels, before)
        self.code = Code(self.outline.body, reduction.step.op.location)
        self.flat = Flat(self.outline, self.code)
        self.partial = partial
        self.rows = prod(reduction.rows) if partial is None else splits
        self.columns = prod(reduction.columns)
        self.neutral = self.outline.bring(reduction.fill.inputs[0])
        bodies = [reduction.step.body, *([reduction.after.body.block] if reduction.after else [])]
        for body in bodies:
            for value in captures(body.ops):
                if value not in body.args:
                    self.outline.bring(value)

    def emit(self, name: str, target: SSAValue, *, whole: bool) -> None:
        """`whole`: the results are complete; else they are those of one of several blocks."""
        code, schedule = self.code, self.schedule
        read = [each.buffer for each in self.reduction.operands if each] if self.partial is None else [self.partial]
        for buffer in read:
            self.flat.bring(buffer)
        memory = self.flat.bring(target)
        thread = code.value(gpu.ThreadIdOp("x"))
        self.lane, row_lane = code.rest(thread, schedule.lanes), code.over(thread, schedule.lanes)
        strips = -(-self.columns // schedule.strip)
        batches = prod(self.reduction.batch)
        batch, split, strip = code.split(
            code.value(gpu.BlockIdOp("x")), (batches, schedule.splits, strips), batches * schedule.splits * strips
        )
        first_column = code.times(strip, schedule.strip)
        column = code.plus(first_column, code.times(self.lane, schedule.vector))
        if self.columns % schedule.strip:
            column = code.least(column, self.columns - schedule.vector)
        partial = self.folded_rows(batch, split, row_lane, column)
        shared = self.gathered(partial, thread, row_lane)
        line = code.plus(code.times(batch, schedule.splits), split)
        self.store(shared, memory, thread, code.plus(code.times(line, self.columns), first_column), first_column, whole)
        self.outline.launch(name, (batches * schedule.splits * strips, 1, 1), (schedule.threads, 1, 1))

    def folded_rows(self, batch: Index, split: Index, row_lane: Index, column: Index) -> list[SSAValue]:
        """The thread's columns, folded over its rows."""
        code, schedule = self.code, self.schedule
        of_block = schedule.rows_of_block(self.rows)
        first = code.plus(code.times(split, of_block), row_lane)
        exact = of_block * schedule.splits == self.rows
        partial = [self.neutral] * schedule.vector
        step = schedule.row_lanes * schedule.unrolled
        with code.loop(of_block, step, partial) as base:
            rows = [code.plus(code.plus(first, base), turn * schedule.row_lanes) for turn in range(schedule.unrolled)]
            valid = [None if exact else code.below(row, self.rows) for row in rows]
            inside = [row if exact else code.least(row, self.rows - 1) for row in rows]
            loaded = [self.load(batch, row, column) for row in inside]
            for values, mine in zip(loaded, valid):
                following = [
                    self.step(total, [None if each is None else each[lane] for each in values])
                    for lane, total in enumerate(partial)
                ]
                if mine is not None:
                    following = [code.value(arith.SelectOp(mine, x, y)) for x, y in zip(following, partial)]
                partial[:] = following
        return partial

    def load(self, batch: Index, row: Index, column: Index) -> list[list[SSAValue] | None]:
        """What the body reads for the thread's columns of a row."""
        code, vector = self.code, self.schedule.vector
        if self.partial is not None:
            at = code.plus(code.times(code.plus(code.times(batch, self.rows), row), self.columns), column)
            return [self.vector(self.partial, at)]
        reduction = self.reduction
        first, last = len(reduction.batch), len(reduction.batch) + len(reduction.rows)
        found: list[list[SSAValue] | None] = []
        for operand in reduction.operands:
            if operand is None:
                found.append(None)
                continue
            steps = operand.at.steps
            at: Index = operand.at.start
            at = code.plus(at, self.address(batch, reduction.batch, steps[:first]))
            at = code.plus(at, self.address(row, reduction.rows, steps[first:last]))
            if any(steps[last:]):
                found.append(self.vector(operand.buffer, code.plus(at, column)))
            else:
                memory = self.flat.bring(operand.buffer)
                found.append([code.value(memref.LoadOp.get(memory, [code.as_value(at)]))] * vector)
        return found

    def vector(self, buffer: SSAValue, at: Index) -> list[SSAValue]:
        return vector_at(self.code, self.flat.bring(buffer), at, self.schedule.vector, buffer_type(buffer).element_type)

    def address(self, number: Index, extents: Sequence[int], steps: Sequence[int]) -> Index:
        sizes, strides = merged_loops(extents, steps)
        total: Index = 0
        for index, stride in zip(self.code.split(number, sizes, prod(sizes)), strides):
            total = self.code.plus(total, self.code.times(index, stride))
        return total

    def step(self, total: SSAValue, values: Sequence[SSAValue | None]) -> SSAValue:
        """A partial result with an element folded in."""
        if self.partial is not None:
            (value,) = values
            assert value is not None
            return self.combined(total, value)
        return self.body(self.reduction.step.body, [*values, total])

    def combined(self, x: SSAValue, y: SSAValue) -> SSAValue:
        op = self.reduction.combine
        return self.code.value(op.clone({op.operands[0]: x, op.operands[1]: y}))

    def body(self, block: Block, arguments: Sequence[SSAValue | None]) -> SSAValue:
        values = dict(self.outline.inside)
        values.update({each: value for each, value in zip(block.args, arguments) if value is not None})
        for op in block.ops:
            if isinstance(op, linalg.ops.YieldOp):
                return values.get(op.operands[0], op.operands[0])
            self.code.block.add_op(op.clone(values))
        raise AssertionError("a body without a yield")

    def gathered(self, partial: Sequence[SSAValue], thread: SSAValue, row_lane: Index) -> Shared:
        """What the block's threads found, in shared memory."""
        code, schedule = self.code, self.schedule
        memory = code.value(self.kernels.shared_memory(partial[0].type, schedule.threads * schedule.vector))
        shared = Shared(memory, schedule)
        for number, value in enumerate(partial):
            code.add(memref.StoreOp.get(value, memory, [shared.place(code, self.lane, number, row_lane)]))
        code.add(gpu.BarrierOp())
        return shared

    def store(
        self, shared: Shared, memory: SSAValue, thread: SSAValue, start: Index, first_column: Index, whole: bool
    ) -> None:
        """A thread folds and stores each column of the strip; `start` is where the first belongs."""
        code, schedule = self.code, self.schedule
        for first in range(0, schedule.strip, schedule.threads):
            at = code.plus(thread, first)
            inside = None if first + schedule.threads <= schedule.strip else code.below(at, schedule.strip)
            with code.only_if(inside):
                lane, number = code.rest(at, schedule.lanes), code.over(at, schedule.lanes)
                column = code.plus(code.times(lane, schedule.vector), number)
                exact = self.columns % schedule.strip == 0
                with code.only_if(None if exact else code.below(code.plus(first_column, column), self.columns)):
                    total = shared.get(code, lane, number, 0)
                    for row in range(1, schedule.row_lanes):
                        total = self.combined(total, shared.get(code, lane, number, row))
                    if whole and self.reduction.after is not None:
                        total = self.body(self.reduction.after.body.block, [total, None])
                    code.add(memref.StoreOp.get(total, memory, [code.as_value(code.plus(start, column))]))


@dataclass(frozen=True)
class Shared:
    """The partial results of a block: threads that differ in their lane access neighbouring words."""

    memory: SSAValue
    schedule: ColumnSchedule

    def place(self, code: Code, lane: Index, number: Index, row_lane: Index) -> SSAValue:
        """Where the result for a lane's column of that number is, of the thread with that row lane."""
        line = code.plus(code.times(number, self.schedule.row_lanes), row_lane)
        return code.as_value(code.plus(code.times(line, self.schedule.lanes), lane))

    def get(self, code: Code, lane: Index, number: Index, row_lane: Index) -> SSAValue:
        return code.value(memref.LoadOp.get(self.memory, [self.place(code, lane, number, row_lane)]))
