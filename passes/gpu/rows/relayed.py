"""The kernel of long rows that go through phases, each of them a few rows behind the one before.

Blocks stay, and each has the same columns of every so many rows, which are on their way into shared memory (`cp.async`)
before they are needed, and stay there. A row has a phase for each level of its reductions and one for what is stored.
What a block finds in a phase it leaves in global memory for the others that share the row; nobody waits for it there
and then: the next phase of that row comes `apart` turns later, when the others have long left theirs.

In one turn of the loop each phase has a row of its own:

    row i - 2 apart:   store; its place in shared memory is for another row
    row i - apart:     fold the second level, which needs the first one of this row
    row i:             fold the first level

A thread reads only what it has copied itself, which takes no barrier. All blocks of the grid run at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.dialects import arith, memref, vector
from xdsl.dialects.builtin import IntegerAttr, i32, i64
from xdsl.ir import SSAValue

from xmlc.dialects import gpu
from xmlc.dialects.nvvm.async_copy import CpAsyncWaitGroupOp
from xmlc.passes.gpu.code import Index
from xmlc.passes.gpu.handoff import TAG_BITS, Handoff, handoff_memory, words_of
from xmlc.passes.gpu.outline import BLOCKS_AT_ONCE
from xmlc.passes.gpu.rows.emit import Elements, aligned
from xmlc.passes.gpu.rows.linear import Linear
from xmlc.passes.gpu.rows.program import Kind, Made, Step, Stored, split_at
from xmlc.passes.gpu.rows.schedule import WARP, WEIGHTS_HELD, power_of_two
from xmlc.passes.gpu.rows.staged import Staged
from xmlc.passes.views import buffer_type


class Relayed(Staged):
    """Rows of several blocks; their phases are a turn apart."""

    def emit(self, name: str) -> None:
        program, schedule, code = self.program, self.schedule, self.code
        self.columns = {}
        self.reduced = [step for step in program.steps if step.kind is Kind.REDUCE]
        self.phases = max(self.levels[step] for step in self.reduced) + 1
        """Levels of reductions; what is stored is one phase more."""
        self.delay = self.phases * schedule.apart
        self.turns = power_of_two(max(2, self.phases) * schedule.apart)
        self.blocks = schedule.splits(program.columns)
        self.slice = schedule.width
        self.shared_bytes = 0
        self.bring_all(program.steps)
        for buffer, _ in self.outputs:
            self.bring(buffer)
        self.streams = {buffer: self.places(buffer, schedule.stages) for buffer in self.streamed()}
        memory = handoff_memory(self.outline, self.words_of_all(schedule.groups * self.blocks))
        self.between_blocks = self.outline.bring(memory)
        self.found = self.shared_results(self.turns)
        self.of_warps = self.shared_results(schedule.lanes // WARP)
        self.begin(self.blocks)
        self.group = self.row
        self.groups = code.over(code.value(gpu.GridDimOp("x")), self.blocks)
        last = code.value(arith.SubiOp(code.as_value(program.rows - 1), code.as_value(self.group)))
        self.count = code.plus(code.made(arith.DivUIOp, last, self.groups), 1)
        self.held = self.offsets()
        for chunk in self.held:
            self.guarded_chunk(chunk)
        self.hold_columns()
        self.rewritten = self.overwriting()
        self.ahead = schedule.stages - self.delay
        for stage in range(self.ahead):
            self.copy_row(self.row_at(stage), stage, self.held)
        carried = [code.as_value(0)]
        with code.loop(code.plus(self.count, self.delay), 1, carried) as turn:
            (self.newest,) = carried
            self.take_turn(turn)
            carried[:] = [self.following(self.newest)]
        function = self.outline.launch(
            name,
            (schedule.groups * self.blocks, 1, 1),
            (schedule.threads, 1, 1),
            dynamic=self.shared_bytes,
            together=self.blocks,
        )
        function.attributes[BLOCKS_AT_ONCE] = IntegerAttr(schedule.resident, i32)

    def shared_results(self, places: int) -> dict[Step, list[SSAValue]]:
        """For each reduction shared memory for so many of its results."""
        memory = self.kernels.shared_memory
        return {step: [self.code.value(memory(kind, places)) for kind in step.element_types] for step in self.reduced}

    def hold_columns(self) -> None:
        """Load what has an element for each column, the same for all rows: into registers, or shared memory."""
        each = {
            (source.buffer, source.at): (source, step)
            for step in self.program.steps
            for source in step.sources
            if isinstance(source, Stored) and self.is_of_columns(source, step)
        }
        self.in_shared: dict[tuple[SSAValue, Linear], SSAValue] = {}
        in_registers = len(each) * self.schedule.vector * len(self.held) <= WEIGHTS_HELD
        for key, (source, step) in each.items():
            memory = None if in_registers else self.places(source.buffer, 1)
            for chunk in self.held:
                elements = self.read(source, step, self.guarded_chunk(chunk)[0])
                if memory is not None:
                    self.into_shared(elements, memory, self.place(chunk))
            if memory is not None:
                self.in_shared[key] = memory
        self.kept = dict(self.loaded) if in_registers else {}

    def into_shared(self, elements: Sequence[SSAValue], memory: SSAValue, at: Index) -> None:
        indices = [self.code.as_value(at)]
        if len(elements) == 1:
            self.code.add(memref.StoreOp.get(elements[0], memory, indices))
            return
        store = vector.StoreOp(self.code.packed(elements), memory, indices)
        aligned(store, elements[0].type, len(elements))
        self.code.add(store)

    def read(self, source: Stored, step: Step, column: Index) -> list[SSAValue]:
        known = self.in_shared.get((source.buffer, source.at))
        if known is None or not self.is_of_columns(source, step):
            return super().read(source, step, column)
        key = (source.buffer, source.at, column)
        if key not in self.loaded:
            chunk = next(chunk for chunk, (at, _) in self.columns.items() if at is column)
            self.loaded[key] = self.from_shared(known, self.place(chunk))
        return self.loaded[key]

    def is_of_columns(self, source: Stored, step: Step) -> bool:
        written = any(buffer is source.buffer for buffer, _ in self.outputs)
        if step.kind is Kind.ROW or written or self.is_streamed(source, step):
            return False
        position = split_at(step.extents, self.program.rows)
        return position is not None and not any(source.at.steps[:position]) and any(source.at.steps[position:])

    # What takes much to compute again

    def overwriting(self) -> Step | None:
        """The step whose results take the place of the operand that it is made of: no later phase needs that one."""
        if len(self.streams) != 1:
            return None
        (operand,) = self.streams
        last = self.phases - 1
        done = [step for reduction in self.reductions(last) for step in points_before(reduction)]
        left = [made.step for _, made in self.outputs if made.step.kind is Kind.POINT]
        for step in done:
            if self.levels[step] != last or len(step.element_types) != 1 or not is_costly(step):
                continue
            if step.element_types[0] != buffer_type(operand).element_type:
                continue
            if step not in left and not any(self.needs_other(each, step) for each in left):
                return step
        return None

    def needs_other(self, step: Step, known: Step) -> bool:
        """Whether a step is made of an operand otherwise than through a known one."""
        for source in step.sources:
            match source:
                case Stored():
                    needs = self.is_streamed(source, step)
                case Made(step=maker):
                    needs = maker.kind is Kind.POINT and maker is not known and self.needs_other(maker, known)
                case _:
                    needs = False
            if needs:
                return True
        return False

    def write_in_place(self, step: Step) -> None:
        (memory,) = self.streams.values()
        for key, chunk in enumerate(self.held):
            (elements,) = self.points[step, key]
            self.into_shared(
                elements, memory, self.code.plus(self.code.times(self.stage, self.slice), self.place(chunk))
            )

    def elements(self, step: Step, column: Index, key: int) -> Elements:
        if step is self.rewritten and self.level > self.levels[step] and (step, key) not in self.points:
            (memory,) = self.streams.values()
            at = self.code.plus(self.code.times(self.stage, self.slice), self.place(self.held[key]))
            self.points[step, key] = [self.from_shared(memory, at)]
        return super().elements(step, column, key)

    # Rows and their places

    def row_at(self, number: Index) -> Index:
        """The block's row of a number."""
        return self.code.plus(self.group, self.code.times(self.groups, number))

    def behind(self, turn: Index, rows: int) -> Index:
        """The number of the row that is so many rows behind the newest: it may be none."""
        return self.code.plus(turn, -rows)

    def exists(self, number: Index) -> SSAValue:
        """Whether there is a row of a number, which may be negative."""
        return self.code.value(arith.CmpiOp(self.code.as_value(number), self.code.as_value(self.count), "ult"))

    def tag_of(self, number: Index) -> SSAValue:
        code = self.code
        shift = code.value(arith.ConstantOp.from_int_and_width(TAG_BITS, i64))
        return code.value(arith.ShLIOp(code.value(arith.IndexCastOp(code.as_value(code.plus(number, 1)), i64)), shift))

    def following(self, stage: Index) -> SSAValue:
        after = self.code.as_value(self.code.plus(stage, 1))
        return self.wrapped(after, self.same(after, self.schedule.stages), -self.schedule.stages)

    def stage_behind(self, rows: int) -> Index:
        """Where the row is that is so many rows behind the newest."""
        if rows == 0:
            return self.newest
        behind = self.code.as_value(self.code.plus(self.newest, -rows))
        return self.wrapped(behind, self.code.below(behind, 0), self.schedule.stages)

    def wrapped(self, stage: SSAValue, outside: SSAValue, shift: int) -> SSAValue:
        return self.code.value(arith.SelectOp(outside, self.code.as_value(self.code.plus(stage, shift)), stage))

    # One turn

    def take_turn(self, turn: Index) -> None:
        """All phases, the last one first: it frees the place that another row is copied to."""
        code, apart = self.code, self.schedule.apart
        oldest = self.behind(turn, self.delay)
        with code.only_if(self.exists(oldest)):
            self.begin_phase(self.phases, oldest)
            self.leave_points(self.held)
            self.store_rows()
        self.copy_row(self.row_at(code.plus(turn, self.ahead)), self.stage_behind(self.delay), self.held)
        seen: list[list[SSAValue]] = []
        for level in reversed(range(self.phases)):
            number = self.behind(turn, level * apart)
            steps = self.reductions(level)
            if level == 0:
                seen = [self.look_ahead(turn, each) for each in range(self.phases)]
                code.add(CpAsyncWaitGroupOp(self.ahead))
            self.begin_phase(level, number)
            self.leave_for_block(steps, self.fold_points(steps, self.starts(steps), self.held))
            if self.rewritten is not None and self.levels[self.rewritten] == level:
                self.write_in_place(self.rewritten)
        code.add(gpu.BarrierOp())
        for level in range(self.phases):
            self.hand_on(level, self.behind(turn, level * apart))
            self.wait_for_others(turn, level, seen[level])
        code.add(gpu.BarrierOp())

    def needed_next(self, turn: Index, level: int) -> Index:
        """The row whose results of a level the next turn needs first."""
        return self.behind(turn, (level + 1) * self.schedule.apart - 1)

    def look_ahead(self, turn: Index, level: int) -> list[SSAValue]:
        """The words that the next turn needs of a level, as they are now: read while the thread does something else."""
        number = self.needed_next(turn, level)
        kinds = [kind for step in self.reductions(level) for kind in step.element_types]
        words = sum(map(words_of, kinds)) * -(-self.blocks // WARP)
        with self.code.choice(self.is_of_warp(2 * level + 1, number), [i64] * words) as seen:
            for step in self.reductions(level):
                handoffs, start = self.left(step, number)
                for place in self.places_of_others(start):
                    for handoff in handoffs:
                        seen += handoff.seen(place)
        return seen

    def wait_for_others(self, turn: Index, level: int, seen: Sequence[SSAValue]) -> None:
        """Have the results of all blocks where the next turn finds them."""
        code = self.code
        lane, number = code.rest(self.thread, WARP), self.needed_next(turn, level)
        with code.only_if(self.is_of_warp(2 * level + 1, number)):
            for step in self.reductions(level):
                values, seen = self.of_all(step, number, lane, seen)
                values = self.shuffled(step, values, min(WARP, power_of_two(self.blocks)))
                with code.only_if(self.same(lane, 0)):
                    self.keep(step, number, values)

    def keep(self, step: Step, number: Index, values: Sequence[SSAValue]) -> None:
        """Leave a row's results for the threads of the block."""
        place = self.code.as_value(self.code.rest(number, self.turns))
        for value, memory in zip(values, self.found[step]):
            self.code.add(memref.StoreOp.get(value, memory, [place]))

    def begin_phase(self, level: int, number: Index) -> None:
        """Have a row's results of lower levels, and what follows from them."""
        code = self.code
        number = code.value(arith.SelectOp(self.exists(number), code.as_value(number), code.as_value(0)))
        self.level, self.row, self.stage = level, self.row_at(number), self.stage_behind(level * self.schedule.apart)
        self.points, self.loaded, self.reciprocals, self.rows = {}, dict(self.kept), {}, {}
        place = code.as_value(code.rest(number, self.turns))
        self.row_steps(0)
        for below in range(level):
            for step in self.reductions(below):
                for result, memory in enumerate(self.found[step]):
                    self.rows[step, result] = code.value(memref.LoadOp.get(memory, [place]))
            self.row_steps(below + 1)
        self.invert_divisors()

    # What blocks hand on

    def is_of_warp(self, warp: int, number: Index) -> SSAValue:
        """Whether the thread is of a warp, counted round, and there is a row of that number."""
        mine = self.same(self.code.over(self.thread, WARP), warp % (self.schedule.lanes // WARP))
        return self.code.value(arith.AndIOp(mine, self.exists(number)))

    def left(self, step: Step, number: Index) -> tuple[list[Handoff], Index]:
        """Where the blocks of a row leave their results of a reduction, and the place of the first of them."""
        code, places = self.code, self.schedule.groups * self.blocks
        start = self.words_of_all(places, self.reduced[: self.reduced.index(step)])
        handoffs = self.handoffs(self.between_blocks, step.element_types, start, places)
        turn = code.times(code.rest(number, self.turns), self.schedule.groups)
        return handoffs, code.times(code.plus(turn, self.group), self.blocks)

    def leave_for_block(self, steps: Sequence[Step], partial: list[SSAValue]) -> None:
        """Put together what the threads of a warp found."""
        code = self.code
        first = self.same(code.rest(self.thread, WARP), 0)
        warp = code.as_value(code.over(self.thread, WARP))
        for step in steps:
            mine, partial = partial[: len(step.starts)], partial[len(step.starts) :]
            values = self.shuffled(step, mine, WARP)
            with code.only_if(first):
                for value, memory in zip(values, self.of_warps[step]):
                    code.add(memref.StoreOp.get(value, memory, [warp]))

    def hand_on(self, level: int, number: Index) -> None:
        """Put together what the warps found, for the other blocks."""
        code, warps = self.code, self.schedule.lanes // WARP
        lane = code.rest(self.thread, WARP)
        with code.only_if(self.is_of_warp(2 * level, number)):
            place = code.as_value(code.rest(lane, warps))
            for step in self.reductions(level):
                values = [code.value(memref.LoadOp.get(memory, [place])) for memory in self.of_warps[step]]
                values = self.shuffled(step, values, warps)
                handoffs, start = self.left(step, number)
                with code.only_if(self.same(lane, 0)):
                    for handoff, value in zip(handoffs, values):
                        handoff.publish(code.plus(start, self.split), value, self.tag_of(number))

    def places_of_others(self, start: Index) -> list[Index]:
        """The places of blocks that a lane reads."""
        code = self.code
        lane = code.rest(self.thread, WARP)
        every = range(0, self.blocks, WARP)
        return [code.plus(start, code.least(code.plus(lane, first), self.blocks - 1)) for first in every]

    def of_all(
        self, step: Step, number: Index, lane: Index, seen: Sequence[SSAValue]
    ) -> tuple[list[SSAValue], Sequence[SSAValue]]:
        """What a lane's blocks left, folded, always in the same order; and what has been seen of other steps."""
        code, tag = self.code, self.tag_of(number)
        handoffs, start = self.left(step, number)
        total: list[SSAValue] = []
        for index, place in enumerate(self.places_of_others(start)):
            values: list[SSAValue] = []
            for handoff in handoffs:
                values.append(handoff.awaited(place, tag, seen[: handoff.words]))
                seen = seen[handoff.words :]
            if (index + 1) * WARP > self.blocks:
                is_one = code.below(code.plus(lane, index * WARP), self.blocks)
                neutral = self.starts([step])
                values = [code.value(arith.SelectOp(is_one, value, other)) for value, other in zip(values, neutral)]
            total = self.combined(step, total, values) if total else values
        return total, seen


def points_before(step: Step) -> Iterator[Step]:
    """The steps at points that a step is made of."""
    for source in step.sources:
        if isinstance(source, Made) and source.step.kind is Kind.POINT:
            yield source.step
            yield from points_before(source.step)


def is_costly(step: Step) -> bool:
    """Whether a step takes more than a few instructions at a point."""
    return any(isinstance(op, arith.DivfOp) or op.name.startswith("math.") for op in step.body.ops)
