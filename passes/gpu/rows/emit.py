"""Write the kernel of a row program.

Each thread takes `chunks` vectors of a row, a block's width apart, so that neighbouring threads touch neighbouring
memory. It folds them into its own partial result; partial results are exchanged by shuffles within a warp, then
between warps through shared memory; every thread of the row ends with the result. A row that fits in registers is
loaded once. Of others each level of reductions goes over the row again, from the second time on through the cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from xdsl.dialects import arith, linalg, math, memref, vector
from xdsl.dialects.arith import FastMathFlagsAttr
from xdsl.dialects.builtin import (
    FloatAttr,
    IntegerAttr,
    MemRefType,
    VectorType,
    f32,
    i32,
    i64,
)
from xdsl.dialects.utils import FastMathFlag
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.hints import isa

from xmlc.dialects import gpu
from xmlc.dialects.nvvm.synchronization import ClusterArriveOp, ClusterArriveRelaxedOp, ClusterWaitOp
from xmlc.passes.gpu.code import Code, Index
from xmlc.passes.gpu.compute_narrow import NARROW
from xmlc.passes.gpu.outline import Kernels, Outline, captures
from xmlc.passes.gpu.rows.levels import levels_of
from xmlc.passes.gpu.rows.program import Kind, Made, Program, Step, Stored, combiner, split_at
from xmlc.passes.gpu.rows.schedule import THROUGH_SHARED, WARP, Schedule, period
from xmlc.passes.lower_ml.structured import reassociation
from xmlc.passes.memory import ALIGNMENT, array_type, element_size
from xmlc.passes.views import root, row_major

LOG2_E = 1.4426950408889634
Elements = list[list[SSAValue]]
"""For each result of a step, an element for each lane of a vector."""


def stored_outputs(program: Program) -> list[tuple[SSAValue, Made]]:
    """The buffers that are read after the program, or elsewhere, and what they hold at its end."""
    own = {*program.fills, *(step.op for step in program.steps)}
    return [
        (buffer, made)
        for buffer, made in program.made.items()
        if not isinstance(buffer.owner, memref.AllocOp | memref.AllocaOp) or any(use not in own for use in uses(buffer))
    ]


def made_type(made: Made) -> Attribute:
    return made.step.element_types[made.number]


def uses(buffer: SSAValue) -> Iterable[Operation]:
    """The ops that use a buffer, itself or through views."""
    for use in buffer.uses:
        if use.operation.results and root(use.operation.results[0]) is root(buffer):
            yield from uses(use.operation.results[0])
        else:
            yield use.operation


class Flat:
    """Buffers inside a kernel, as one dimension (or none, where they have none)."""

    def __init__(self, outline: Outline, code: Code):
        self.outline, self.code = outline, code
        self.known: dict[SSAValue, SSAValue] = {}

    def bring(self, buffer: SSAValue) -> SSAValue:
        if buffer in self.known:
            return self.known[buffer]
        inside = self.outline.bring(buffer)
        kind = inside.type
        assert isa(kind, MemRefType[Attribute])
        rank = kind.get_num_dims()
        if rank > 1:
            inside = self.code.value(
                memref.CollapseShapeOp.create(
                    operands=(inside,),
                    result_types=(MemRefType(kind.element_type, (prod(kind.get_shape()),)),),
                    properties={"reassociation": reassociation([list(range(rank))])},
                )
            )
        self.known[buffer] = inside
        return inside


class Emitter:
    """What the kernels of a program have in common: reading, computing at a point, folding, exchanging."""

    def __init__(
        self,
        program: Program,
        schedule: Schedule,
        kernels: Kernels,
        before: Operation,
        outputs: Sequence[tuple[SSAValue, Made]],
    ):
        self.program, self.schedule, self.kernels = program, schedule, kernels
        self.outputs = outputs
        self.levels = levels_of(program)
        self.outline = Outline(kernels, before)
        self.code = Code(self.outline.body, before.location)
        self.flat = Flat(self.outline, self.code)
        self.is_narrow = program.reduces and all(isinstance(made_type(made), NARROW) for _, made in outputs)
        """Whether all that is left of the program is rounded to 16 bits."""
        self.points: dict[tuple[Step, int], Elements] = {}
        """What steps gave for the points of a chunk."""
        self.loaded: dict[object, list[SSAValue]] = {}
        self.reciprocals: dict[SSAValue, tuple[SSAValue, SSAValue]] = {}
        """Value of the row -> a power of two, and 1 / (the value times it)."""
        self.rows: dict[tuple[Step, int], SSAValue] = {}
        """What steps gave for the row."""
        self.row: Index = 0
        self.split: Index = 0
        """Which of the blocks that share a row it is."""
        self.lane: Index = 0
        self.valid: dict[Index, SSAValue] = {}
        """Column that a thread reads at -> whether it is the thread's own; not there: always."""
        self.first: Index = 0
        """The block's first column."""
        self.nearest: Index = 0
        """The column of the thread's first vector."""
        self.row_valid: SSAValue | None = None
        self.met = False
        """Whether the blocks of a cluster have waited for each other to begin."""
        self.turn: Index = 0
        """Which of `turns` places in shared memory threads leave their results in: the next row needs others."""
        self.turns = 1

    # Memory

    def bring(self, buffer: SSAValue) -> SSAValue:
        return self.flat.bring(buffer)

    def bring_all(self, steps: Iterable[Step]) -> None:
        """Have all that steps need at the start of the kernel."""
        for step in steps:
            for source in step.sources:
                if isinstance(source, Stored):
                    self.bring(source.buffer)
                elif isinstance(source, SSAValue):
                    self.outline.bring(source)
            for start in step.starts:
                self.outline.bring(start)
            for value in captures(step.body.ops):
                if value not in step.body.args:
                    self.outline.bring(value)

    def load(self, buffer: SSAValue, at: Index) -> SSAValue:
        memory = self.bring(buffer)
        kind = memory.type
        assert isa(kind, MemRefType[Attribute])
        indices = [self.code.as_value(at)] if kind.get_num_dims() else []
        return self.code.value(memref.LoadOp.get(memory, indices))

    def load_vector(self, buffer: SSAValue, at: Index, count: int) -> list[SSAValue]:
        """Consecutive elements; their address is a multiple of all of them."""
        if count == 1:
            return [self.load(buffer, at)]
        memory = self.bring(buffer)
        kind = memory.type
        assert isa(kind, MemRefType[Attribute])
        load: Operation = vector.LoadOp(memory, [self.code.as_value(at)], VectorType(kind.element_type, [count]))
        aligned(load, kind.element_type, count)
        self.code.add(load)
        return self.code.elements(load.results[0], count, kind.element_type)

    def store(self, buffer: SSAValue, at: Index, elements: Sequence[SSAValue]) -> None:
        memory = self.bring(buffer)
        kind = memory.type
        assert isa(kind, MemRefType[Attribute])
        indices = [self.code.as_value(at)] if kind.get_num_dims() else []
        if len(elements) == 1:
            self.code.add(memref.StoreOp.get(elements[0], memory, indices))
            return
        store = vector.StoreOp(self.code.packed(elements), memory, indices)
        aligned(store, kind.element_type, len(elements))
        self.code.add(store)

    # Points

    def column(self, chunk: Index) -> Index:
        """The first column of a thread's vector in a chunk, as it is; `chunk` counts columns from the block's first."""
        return self.code.plus(self.code.plus(self.first, chunk), self.code.times(self.lane, self.schedule.vector))

    def read(self, source: Stored, step: Step, column: Index) -> list[SSAValue]:
        """The elements that a step reads for the points of a vector."""
        at, extents = source.at, step.extents
        column = self.alike(source, step, column)
        merged_extents, merged = merged_loops(extents, at.steps)
        key = (source.buffer, at.start, tuple(merged_extents), tuple(merged), column)
        if key not in self.loaded:
            self.loaded[key] = self.read_if_written(source, step, column)
        return self.loaded[key]

    def alike(self, source: Stored, step: Step, column: Index) -> Index:
        """The column of the thread's first vector, where all of them read the same elements."""
        stride, points = self.schedule.stride, period(source, step)
        return self.nearest if stride and points < self.program.points and stride % points == 0 else column

    def read_if_written(self, source: Stored, step: Step, column: Index) -> list[SSAValue]:
        """What is also written is read by the thread alone that writes it: others would be too late, or too early."""
        count = self.schedule.vector
        written = any(buffer is source.buffer for buffer, _ in self.outputs)
        mine = self.code.both(self.valid.get(column), self.row_valid) if written else None
        if mine is None:
            return self.read_anew(source, step.extents, column, count)
        kind = source.buffer.type
        assert isa(kind, MemRefType[Attribute])
        with self.code.choice(mine, [kind.element_type] * count) as found:
            found[:] = self.read_anew(source, step.extents, column, count)
        return found

    def read_anew(self, source: Stored, extents: Sequence[int], column: Index, count: int) -> list[SSAValue]:
        code, buffer = self.code, source.buffer
        start, steps = source.at.start, source.at.steps
        aligned_start = start % count == 0
        if not any(steps):
            return [self.load(buffer, start)] * count
        position = split_at(extents, self.program.rows)
        if steps == row_major(extents) and aligned_start:
            return self.load_vector(buffer, code.plus(self.point(column), start), count)
        if position is not None:
            outer, inner = steps[:position], steps[position:]
            if not any(outer) and inner == row_major(extents[position:]) and aligned_start:
                return self.load_vector(buffer, code.plus(column, start), count)
            if not any(inner) and outer == row_major(extents[:position]):
                key = (buffer, start, "row")
                if key not in self.loaded:
                    self.loaded[key] = [self.load(buffer, code.plus(self.row, start))]
                return self.loaded[key] * count
        sizes, strides = merged_loops(extents, steps)
        if sizes[-1] % count == 0:
            at = self.address(self.point(column), sizes, strides, start)
            if strides[-1] == 0:
                return [self.load(buffer, at)] * count
            if strides[-1] == 1 and all(each % count == 0 for each in (*strides[:-1], start)):
                return self.load_vector(buffer, at, count)
            return [self.load(buffer, code.plus(at, lane * strides[-1])) for lane in range(count)]
        return [
            self.load(buffer, self.address(code.plus(self.point(column), lane), sizes, strides, start))
            for lane in range(count)
        ]

    def point(self, column: Index) -> Index:
        return self.code.plus(self.code.times(self.row, self.program.columns), column)

    def address(self, point: Index, sizes: Sequence[int], strides: Sequence[int], start: int) -> Index:
        total: Index = start
        for index, stride in zip(self.code.split(point, sizes, self.program.points), strides):
            total = self.code.plus(total, self.code.times(index, stride))
        return total

    def elements(self, step: Step, column: Index, key: int) -> Elements:
        """What a step at points gives for a vector."""
        known = self.points.get((step, key))
        if known is None:
            known = self.points[step, key] = self.computed(step, column, key)
        return known

    def arguments(self, step: Step, column: Index, key: int) -> list[list[SSAValue] | None]:
        """For each argument of a step's body, an element for each lane of a vector."""
        count = self.schedule.vector
        found: list[list[SSAValue] | None] = []
        for source in step.sources:
            match source:
                case None:
                    found.append(None)
                case Stored():
                    found.append(self.read(source, step, column))
                case Made(step=maker, number=number):
                    if maker.kind is Kind.POINT:
                        found.append(self.elements(maker, column, key)[number])
                    else:
                        found.append([self.rows[maker, number]] * count)
                case _:
                    found.append([self.outline.inside[source]] * count)
        return found

    def computed(self, step: Step, column: Index, key: int) -> Elements:
        arguments = self.arguments(step, column, key)
        lanes: Elements = []
        for lane in range(self.schedule.vector):
            values = [None if each is None else each[lane] for each in arguments]
            lanes.append(self.body(step, values, self.indices(step, column, lane)))
        return [list(each) for each in zip(*lanes)]

    def indices(self, step: Step, column: Index, lane: int) -> list[Index]:
        """The index of each loop of a step at a point, where its body asks for one."""
        if not any(isinstance(op, linalg.ops.IndexOp) for op in step.body.ops):
            return []
        point = self.row if step.kind is Kind.ROW else self.point(column)
        inner = step.extents[-1] if step.extents else 1
        if inner % self.schedule.vector == 0 and step.kind is not Kind.ROW:
            found = self.code.split(point, step.extents, self.program.points)
            if found:
                found[-1] = self.code.plus(found[-1], lane)
        else:
            found = self.code.split(self.code.plus(point, lane), step.extents, self.program.points)
        every: list[Index] = [0] * len(step.op.iterator_types)
        for loop, index in zip(step.loops, found):
            every[loop] = index
        return every

    def body(self, step: Step, arguments: Sequence[SSAValue | None], indices: Sequence[Index]) -> list[SSAValue]:
        """A step's body on scalars."""
        values = dict(self.outline.inside)
        for argument, value in zip(step.body.args, arguments):
            if value is not None:
                values[argument] = value
        for op in step.body.ops:
            if isinstance(op, linalg.ops.YieldOp):
                return [values.get(each, each) for each in op.operands]
            if isinstance(op, linalg.ops.IndexOp):
                values[op.result] = self.code.as_value(indices[op.dim.value.data])
                continue
            if isinstance(op, math.ExpOp) and self.is_narrow and op.operand.type == f32:
                values[op.result] = self.short_exponential(values.get(op.operand, op.operand))
                continue
            if isinstance(op, arith.DivfOp) and (divided := self.divided_by_row(values, op)) is not None:
                values[op.result] = divided
                continue
            copy = op.clone(values)
            copy.location = op.location
            self.code.block.add_op(copy)
        raise AssertionError("a body without a yield")

    def short_exponential(self, x: SSAValue) -> SSAValue:
        """2**(x log2(e)): the product's rounding costs |x| 2**-24 of the result, which 16 bits do not show.

        What is below 2**-126 is zero.
        """
        factor = self.code.value(arith.ConstantOp(FloatAttr(LOG2_E, f32)))
        product = self.code.value(arith.MulfOp(x, factor))
        return self.code.value(math.Exp2Op(product, FastMathFlagsAttr((FastMathFlag.APPROX_FUNC,))))

    def divided_by_row(self, values: dict[SSAValue, SSAValue], op: arith.DivfOp) -> SSAValue | None:
        """x / y where y belongs to the whole row: x times what 1 / y is, computed once; None where it does not.

        y is scaled before and x * (1 / y) after, so that 1 / y neither overflows nor is subnormal. One more
        rounding than a division has: the error is less than 1.5 units in the last place.
        """
        y = values.get(op.rhs, op.rhs)
        x = values.get(op.lhs, op.lhs)
        if y not in self.reciprocals or x in self.rows.values():
            return None
        scale, inverse = self.reciprocals[y]
        product = self.code.value(arith.MulfOp(x, inverse))
        return self.code.value(arith.MulfOp(product, scale))

    def invert_divisors(self) -> None:
        """Compute what points are divided by, where all of them can see it."""
        for step in self.program.steps:
            if step.kind is Kind.ROW:
                continue
            for argument, source in zip(step.body.args, step.sources):
                if not isinstance(source, Made) or source.step.kind is Kind.POINT:
                    continue
                value = self.rows.get((source.step, source.number))
                divides = any(isinstance(use.operation, arith.DivfOp) and use.index == 1 for use in argument.uses)
                if divides and value is not None and value.type == f32 and value not in self.reciprocals:
                    self.reciprocals[value] = self.reciprocal(value)

    def reciprocal(self, y: SSAValue) -> tuple[SSAValue, SSAValue]:
        """(a power of two, 1 / (y times it))"""
        code = self.code

        def number(value: float) -> SSAValue:
            return code.value(arith.ConstantOp(FloatAttr(value, f32)))

        size = code.value(math.AbsFOp(y))
        small = code.value(arith.CmpfOp(size, number(2.0**-64), "olt"))
        large = code.value(arith.CmpfOp(size, number(2.0**64), "ogt"))
        scale = code.value(arith.SelectOp(large, number(2.0**-64), number(1.0)))
        scale = code.value(arith.SelectOp(small, number(2.0**64), scale))
        return scale, code.value(arith.DivfOp(number(1.0), code.value(arith.MulfOp(y, scale))))

    # Rows

    def row_step(self, step: Step) -> None:
        """A step that is computed once for a row."""
        arguments: list[SSAValue | None] = []
        for source in step.sources:
            match source:
                case None:
                    arguments.append(None)
                case Made(step=maker, number=number):
                    arguments.append(self.rows[maker, number])
                case Stored(buffer=buffer, at=at):
                    sizes, strides = merged_loops(step.extents, at.steps)
                    if len(sizes) == 1:
                        place = self.code.plus(self.code.times(self.row, strides[0]), at.start)
                    else:
                        place = self.address(self.row, sizes, strides, at.start)
                    arguments.append(self.load(buffer, place))
                case _:
                    arguments.append(self.outline.inside[source])
        for number, value in enumerate(self.body(step, arguments, self.indices(step, 0, 0))):
            self.rows[step, number] = value

    def row_steps(self, level: int) -> None:
        for step in self.program.steps:
            if step.kind is Kind.ROW and self.levels[step] == level:
                self.row_step(step)

    def folded(
        self, step: Step, so_far: Sequence[SSAValue], column: Index, key: int, valid: SSAValue | None
    ) -> list[SSAValue]:
        """Partial results of a reduction with a vector folded in; where `valid` does not hold, without it."""
        arguments = self.arguments(step, column, key)
        count = len(step.op.inputs)
        before = list(so_far)
        for lane in range(self.schedule.vector):
            values = [None if each is None else each[lane] for each in arguments[:count]]
            so_far = self.body(step, [*values, *so_far], self.indices(step, column, lane))
        if valid is None:
            return list(so_far)
        return [self.code.value(arith.SelectOp(valid, new, old)) for new, old in zip(so_far, before)]

    def combined(self, step: Step, x: Sequence[SSAValue], y: Sequence[SSAValue]) -> list[SSAValue]:
        """Two partial results of a reduction as one."""
        op = combiner(step)
        if not isinstance(op, tuple):
            assert op is not None
            return [self.code.value(op.clone({op.operands[0]: x[0], op.operands[1]: y[0]}))]
        code = self.code
        better, worse = self.better(step, y[0], x[0]), self.better(step, x[0], y[0])
        nearer = code.value(arith.CmpiOp(y[1], x[1], "slt"))
        not_worse = code.value(arith.XOrIOp(worse, code.value(arith.ConstantOp.from_int_and_width(-1, 1))))
        takes = code.value(arith.OrIOp(better, code.value(arith.AndIOp(not_worse, nearer))))
        return [code.value(arith.SelectOp(takes, b, a)) for a, b in zip(x, y)]

    def better(self, step: Step, value: SSAValue, best: SSAValue) -> SSAValue:
        """Whether an extreme reduction prefers `value` to `best`: the condition of its selects, on these."""
        op = combiner(step)
        assert isinstance(op, tuple)
        select = op[0]
        assert isinstance(select, arith.SelectOp)
        values = {**self.outline.inside, select.lhs: value, step.body.args[len(step.op.inputs)]: best}

        def made(wanted: SSAValue) -> SSAValue:
            if wanted not in values:
                owner = wanted.owner
                assert isinstance(owner, Operation)
                for operand in owner.operands:
                    made(operand)
                values[wanted] = self.code.value(owner.clone(values))
            return values[wanted]

        return made(select.cond)

    def exchanged(self, step: Step, partial: list[SSAValue], lanes: int) -> list[SSAValue]:
        """The results of all threads of a row as one, which each of them gets."""
        partial = self.within_block(step, partial, lanes)
        return partial if self.schedule.cluster == 1 else self.across_blocks(step, partial)

    def within_block(self, step: Step, partial: list[SSAValue], lanes: int) -> list[SSAValue]:
        """The results of the threads of a row as one, as far as they are in one block."""
        if self.schedule.exchange == THROUGH_SHARED:
            return self.by_tree(step, partial, lanes)
        partial = self.shuffled(step, partial, min(lanes, WARP))
        return partial if lanes <= WARP else self.across_warps(step, partial, lanes // WARP)

    def by_tree(self, step: Step, partial: list[SSAValue], lanes: int) -> list[SSAValue]:
        """The results of all threads of a row as one: half of them add what the other half has, again and again."""
        code, thread = self.code, self.thread
        size = self.schedule.threads
        places = [code.value(self.kernels.shared_memory(value.type, self.turns * size)) for value in partial]
        thread = code.as_value(code.plus(thread, code.times(self.turn, size)))

        def get(at: Index) -> list[SSAValue]:
            return [code.value(memref.LoadOp.get(place, [code.as_value(at)])) for place in places]

        def put(values: Sequence[SSAValue]) -> None:
            for value, place in zip(values, places):
                code.add(memref.StoreOp.get(value, place, [thread]))

        put(partial)
        distance = lanes // 2
        while distance:
            code.add(gpu.BarrierOp())
            with code.only_if(code.below(self.lane, distance)):
                put(self.combined(step, get(thread), get(code.plus(thread, distance))))
            distance //= 2
        code.add(gpu.BarrierOp())
        return get(code.value(arith.SubiOp(thread, code.as_value(self.lane))))

    def across_warps(self, step: Step, partial: list[SSAValue], warps: int) -> list[SSAValue]:
        """The results of the warps of a block as one, through shared memory."""
        code = self.code
        thread = self.thread
        places = [code.value(self.kernels.shared_memory(value.type, self.turns * warps)) for value in partial]
        start = code.times(self.turn, warps)
        with code.only_if(code.value(arith.CmpiOp(code.as_value(code.rest(thread, WARP)), code.as_value(0), "eq"))):
            for value, place in zip(partial, places):
                code.add(memref.StoreOp.get(value, place, [code.as_value(code.plus(start, code.over(thread, WARP)))]))
        code.add(gpu.BarrierOp())
        at = [code.as_value(code.plus(start, code.rest(thread, warps)))]
        return self.shuffled(step, [code.value(memref.LoadOp.get(place, at)) for place in places], warps)

    def across_blocks(self, step: Step, partial: list[SSAValue]) -> list[SSAValue]:
        """The results of the blocks of a cluster as one: each leaves its own in the shared memory of all of them."""
        code, cluster = self.code, self.schedule.cluster
        places = [code.value(self.kernels.shared_memory(value.type, cluster)) for value in partial]
        if not self.met:
            self.met = True
            code.add(ClusterWaitOp())  # for all to have begun: see `begin`
        with code.only_if(code.below(self.lane, cluster)):
            block = code.value(arith.IndexCastOp(code.as_value(self.lane), i32))
            for value, place in zip(partial, places):
                there = code.value(gpu.PeerMemoryOp(place, block))
                code.add(memref.StoreOp.get(value, there, [code.as_value(self.split)]))
        code.add(ClusterArriveOp())
        code.add(ClusterWaitOp())
        at = [code.as_value(code.rest(self.lane, cluster))]
        return self.shuffled(step, [code.value(memref.LoadOp.get(place, at)) for place in places], cluster)

    def shuffled(self, step: Step, partial: list[SSAValue], lanes: int) -> list[SSAValue]:
        """The results of neighbouring lanes as one, by an exchange with the lane 1, 2, 4 … away."""
        distance = lanes // 2
        while distance:
            offset, width = self.code.number(distance), self.code.number(WARP)
            others = [self.code.value(gpu.ShuffleOp(value, offset, width, "xor")) for value in partial]
            partial = self.combined(step, partial, others)
            distance //= 2
        return partial

    # The kernel

    def begin(self, splits: int) -> None:
        """Where the thread is: its row, its place in it, and the block's first column."""
        code, schedule, program = self.code, self.schedule, self.program
        if schedule.cluster > 1 and not schedule.stages:
            code.add(ClusterArriveRelaxedOp())
        self.thread = code.value(gpu.ThreadIdOp("x"))
        block: Index = code.value(gpu.BlockIdOp("x"))
        self.split = code.rest(block, splits)
        self.first = code.times(self.split, schedule.lanes * schedule.vector if schedule.stride else schedule.width)
        block = code.over(block, splits)
        if schedule.block_rows == 1:
            self.lane, self.row = self.thread, block if program.rows > 1 else 0
            return
        self.lane = code.rest(self.thread, schedule.lanes)
        row = code.plus(code.times(block, schedule.block_rows), code.over(self.thread, schedule.lanes))
        self.row = row
        if program.rows % schedule.block_rows:
            self.row_valid = code.below(row, program.rows)
            self.row = code.least(row, program.rows - 1)

    def guarded(self, column: Index) -> tuple[Index, SSAValue | None]:
        """A column to read from, and whether it is one; None where it always is."""
        if self.program.columns == self.schedule.splits(self.program.columns) * self.schedule.width:
            return column, None
        valid = self.code.below(column, self.program.columns)
        column = self.code.least(column, self.program.columns - self.schedule.vector)
        self.valid[column] = valid
        return column, valid

    def store_points(self, column: Index, key: int, valid: SSAValue | None) -> None:
        """Store what the program leaves at the points of a vector."""
        found = [
            (buffer, self.elements(made.step, column, key)[made.number])
            for buffer, made in self.outputs
            if made.step.kind is Kind.POINT
        ]
        if not found:
            return
        at = self.point(column)
        with self.code.only_if(self.code.both(valid, self.row_valid)):
            for buffer, elements in found:
                self.store(buffer, at, elements)

    def store_rows(self) -> None:
        """Store what the program leaves for the row: one thread does."""
        found = [(buffer, made) for buffer, made in self.outputs if made.step.kind is not Kind.POINT]
        if not found:
            return
        code = self.code
        first = code.value(arith.CmpiOp(code.as_value(self.lane), code.as_value(0), "eq"))
        if not isinstance(self.split, int):
            first = code.both(first, code.value(arith.CmpiOp(code.as_value(self.split), code.as_value(0), "eq")))
        with code.only_if(self.code.both(first, self.row_valid)):
            for buffer, made in found:
                self.store(buffer, self.row, [self.rows[made.step, made.number]])

    def reductions(self, level: int) -> list[Step]:
        return [step for step in self.program.steps if step.kind is Kind.REDUCE and self.levels[step] == level]

    def starts(self, steps: Iterable[Step]) -> list[SSAValue]:
        return [self.outline.inside[start] for step in steps for start in step.starts]

    def fold_points(self, steps: Sequence[Step], partial: list[SSAValue], chunks: Iterable[Index]) -> list[SSAValue]:
        """Partial results with the vectors at `chunks` folded in."""
        for key, chunk in enumerate(chunks):
            column, valid = self.guarded_chunk(chunk)
            following: list[SSAValue] = []
            for step in steps:
                mine = partial[len(following) : len(following) + len(step.starts)]
                following += self.folded(step, mine, column, key, valid)
            partial = following
        return partial

    def guarded_chunk(self, chunk: Index) -> tuple[Index, SSAValue | None]:
        known = self.columns.get(chunk)
        if known is None:
            known = self.columns[chunk] = self.guarded(self.column(chunk))
        return known

    columns: dict[Index, tuple[Index, SSAValue | None]]

    def offsets(self, base: Index = 0) -> list[Index]:
        """Where the thread's vectors begin, in columns from `base`."""
        step = self.schedule.stride or self.schedule.lanes * self.schedule.vector
        return [self.code.plus(base, chunk * step) for chunk in range(self.schedule.chunks)]

    def fold_all(self, steps: Sequence[Step], held: list[Index] | None) -> list[SSAValue]:
        """The thread's partial results over all its columns, held in registers or gone over in a loop."""
        partial = self.starts(steps)
        if held is not None:
            return self.fold_points(steps, partial, held)
        with self.code.loop(self.schedule.width, self.schedule.span, partial) as base:
            self.forget()
            partial[:] = self.fold_points(steps, partial, self.offsets(base))
            self.forget()
        return partial

    def forget(self) -> None:
        """Values of a loop's body are not those of another one."""
        self.points, self.columns = {}, {}
        self.loaded = {key: value for key, value in self.loaded.items() if isinstance(key, tuple) and key[-1] == "row"}

    def leave_points(self, held: list[Index] | None) -> None:
        """Store everything that is at points."""
        if not any(made.step.kind is Kind.POINT for _, made in self.outputs):
            return
        if held is not None:
            for key, chunk in enumerate(held):
                self.store_points(self.guarded_chunk(chunk)[0], key, self.guarded_chunk(chunk)[1])
            return
        with self.code.loop(self.schedule.width, self.schedule.span, []) as base:
            self.forget()
            for key, chunk in enumerate(self.offsets(base)):
                self.store_points(self.guarded_chunk(chunk)[0], key, self.guarded_chunk(chunk)[1])
            self.forget()

    def load_ahead(self, held: Sequence[Index]) -> None:
        """Load what a thread holds of its row before it computes: loads that wait for nothing overlap."""
        for chunk in held:
            for step in self.program.steps:
                if step.kind is Kind.ROW:
                    continue
                for source in step.sources:
                    if isinstance(source, Stored) and source.at.steps == row_major(step.extents):
                        self.read(source, step, self.guarded_chunk(chunk)[0])


class Whole(Emitter):
    """A kernel in which a row is one block's, or one warp's."""

    def emit(self, name: str) -> None:
        program, schedule = self.program, self.schedule
        self.columns = {}
        splits = schedule.splits(program.columns)
        self.bring_all(program.steps)
        for buffer, _ in self.outputs:
            self.bring(buffer)
        self.begin(splits)
        held = None if schedule.looped else self.offsets()
        if not program.reduces:
            self.row_steps(0)
            self.at_points(self.offsets())
            return self.finish(name, splits)
        if held is not None:
            self.load_ahead(held)
        self.one_row(held)
        return self.finish(name, splits)

    def one_row(self, held: list[Index] | None) -> None:
        """Fold the row, level after level, and store what is left of it."""
        self.row_steps(0)
        for level in range(max(self.levels.values()) + 1):
            steps = self.reductions(level)
            if not steps:
                continue
            partial = self.fold_all(steps, held)
            for step in steps:
                mine, partial = partial[: len(step.starts)], partial[len(step.starts) :]
                for number, value in enumerate(self.exchanged(step, mine, self.schedule.lanes)):
                    self.rows[step, number] = value
            self.row_steps(level + 1)
            self.invert_divisors()
        self.leave_points(held)
        self.store_rows()

    def at_points(self, chunks: Sequence[Index]) -> None:
        """Nothing is reduced: a thread has nothing to do at columns that are none."""
        code, columns = self.code, self.program.columns
        exact = columns % self.schedule.width == 0
        self.nearest = self.column(chunks[0])
        if exact:
            self.load_ahead(chunks)
        for key, chunk in enumerate(chunks):
            column = self.column(chunk)
            with code.only_if(None if exact else code.below(column, columns)):
                self.columns[chunk] = column, None
                self.store_points(column, key, None)
                if not exact:
                    self.forget()

    def finish(self, name: str, splits: int) -> None:
        program, schedule = self.program, self.schedule
        blocks = -(-program.rows // schedule.block_rows) * splits
        cluster = None if schedule.cluster == 1 else (schedule.cluster, 1, 1)
        self.outline.launch(name, (blocks, 1, 1), (schedule.threads, 1, 1), cluster=cluster)


class Partial(Emitter):
    """The first of two kernels for rows that several blocks share: each block leaves its own result in memory."""

    places: list[memref.AllocOp]

    def emit(self, name: str) -> None:
        program, schedule = self.program, self.schedule
        self.columns = {}
        steps = self.reductions(0)
        splits = schedule.splits(program.columns)
        self.places = []
        for step in steps:
            for element in step.element_types:
                alloc = memref.AllocOp.create(
                    result_types=(MemRefType(element, (program.rows * splits,)),),
                    properties={"alignment": IntegerAttr(ALIGNMENT, i64), "operandSegmentSizes": array_type((0, 0))},
                )
                self.outline.host_op(alloc)
                self.places.append(alloc)
        at_points = [step for step in program.steps if step.kind is not Kind.ROW]
        self.bring_all(at_points)
        self.outputs = [(buffer, made) for buffer, made in self.outputs if made.step.kind is Kind.POINT]
        for buffer in [*(buffer for buffer, _ in self.outputs), *(place.memref for place in self.places)]:
            self.bring(buffer)
        self.begin(splits)
        held = None if schedule.looped else self.offsets()
        partial = self.fold_all(steps, held)
        found: list[SSAValue] = []
        for step in steps:
            mine, partial = partial[: len(step.starts)], partial[len(step.starts) :]
            found += self.exchanged(step, mine, schedule.lanes)
        self.leave_points(held)
        code = self.code
        place = code.plus(code.times(self.row, splits), self.split)
        with code.only_if(code.value(arith.CmpiOp(code.as_value(self.lane), code.as_value(0), "eq"))):
            for value, alloc in zip(found, self.places):
                self.store(alloc.memref, place, [value])
        self.outline.launch(name, (program.rows * splits, 1, 1), (schedule.threads, 1, 1))


class Finish(Emitter):
    """The second kernel: a warp for each row folds what the blocks left, always in the same order."""

    def __init__(
        self,
        program: Program,
        schedule: Schedule,
        kernels: Kernels,
        before: Operation,
        outputs: Sequence[tuple[SSAValue, Made]],
        places: Sequence[memref.AllocOp],
    ):
        super().__init__(program, schedule, kernels, before, outputs)
        self.places = places

    def emit(self, name: str) -> None:
        program, code = self.program, self.code
        self.columns = {}
        steps = self.reductions(0)
        splits = self.schedule.splits(program.columns)
        self.bring_all(step for step in program.steps if step.kind is Kind.ROW)
        self.outputs = [(buffer, made) for buffer, made in self.outputs if made.step.kind is not Kind.POINT]
        for buffer in [*(buffer for buffer, _ in self.outputs), *(place.memref for place in self.places)]:
            self.bring(buffer)
        for step in steps:
            for start in step.starts:
                self.outline.bring(start)
            for value in captures(step.body.ops):
                if value not in step.body.args and not isinstance(value.type, MemRefType):
                    self.outline.bring(value)
        self.lane = self.thread = code.value(gpu.ThreadIdOp("x"))
        self.row = code.value(gpu.BlockIdOp("x")) if program.rows > 1 else 0
        partial = self.starts(steps)
        rounds = -(-splits // WARP)
        for turn in range(rounds):
            at = code.plus(self.lane, turn * WARP)
            valid = code.below(at, splits) if (turn + 1) * WARP > splits else None
            place = code.plus(code.times(self.row, splits), code.least(at, splits - 1) if valid else at)
            values = [self.load(each.memref, place) for each in self.places]
            following: list[SSAValue] = []
            for step in steps:
                start, stop = len(following), len(following) + len(step.starts)
                new = self.combined(step, partial[start:stop], values[start:stop])
                if valid is not None:
                    new = [code.value(arith.SelectOp(valid, a, b)) for a, b in zip(new, partial[start:stop])]
                following += new
            partial = following
        for step in steps:
            mine, partial = partial[: len(step.starts)], partial[len(step.starts) :]
            for number, value in enumerate(self.shuffled(step, mine, WARP)):
                self.rows[step, number] = value
        self.row_steps(0)
        self.row_steps(1)
        self.store_rows()
        self.outline.launch(name, (program.rows, 1, 1), (WARP, 1, 1))


def aligned(op: Operation, element: Attribute, count: int) -> None:
    """Say that an access of several elements is aligned to all of them, as the schedule has it."""
    op.attributes["alignment"] = IntegerAttr(count * element_size(element), i64)


def merged_loops(extents: Sequence[int], steps: Sequence[int]) -> tuple[list[int], list[int]]:
    """Loops that run through an operand one inside the other, as one."""
    sizes: list[int] = []
    strides: list[int] = []
    for extent, step in zip(extents, steps):
        if sizes and strides[-1] == step * extent:
            sizes[-1] *= extent
            strides[-1] = step
        else:
            sizes.append(extent)
            strides.append(step)
    return sizes or [1], strides or [0]
