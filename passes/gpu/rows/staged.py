"""The kernel of rows that a cluster shares, one row after the other.

Blocks stay: each has the same columns of every so many rows. The columns of the next rows are on their way into shared
memory (`cp.async`) while those of this row, held in registers, are folded, exchanged and stored, so memory is not idle
while blocks wait for each other. A thread reads only what it has copied itself, which takes no barrier.

What blocks of a cluster find they leave in each other's shared memory, with a tag that says of which row it is
(`handoff`): a barrier of the cluster would wait for all that was stored before, too.

All blocks of the grid run at the same time. Rows that a cluster cannot hold are `relayed`.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith, memref, vector
from xdsl.dialects.builtin import IntegerAttr, MemRefType, VectorType, i32, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.utils.hints import isa

from xmlc.dialects import gpu
from xmlc.dialects.nvvm.async_copy import CpAsyncCommitGroupOp, CpAsyncOp, CpAsyncWaitGroupOp
from xmlc.dialects.nvvm.attributes import GLOBAL, SHARED
from xmlc.dialects.nvvm.synchronization import ClusterArriveOp, ClusterWaitOp
from xmlc.passes.gpu.code import Index
from xmlc.passes.gpu.handoff import TAG_BITS, Handoff, words_of
from xmlc.passes.gpu.outline import BLOCKS_AT_ONCE
from xmlc.passes.gpu.rows.emit import Whole, aligned
from xmlc.passes.gpu.rows.program import Kind, Step, Stored
from xmlc.passes.gpu.rows.schedule import ACCESS_BYTES
from xmlc.passes.memory import element_size
from xmlc.passes.views import buffer_type, row_major

TURNS = 2
"""Rows whose results have places of their own: no block is more than one row ahead of another."""


class Staged(Whole):
    """Rows come through shared memory, `stages` of them at a time."""

    def emit(self, name: str) -> None:
        program, schedule, code = self.program, self.schedule, self.code
        self.columns = {}
        self.turns = TURNS
        splits = schedule.splits(program.columns)
        self.bring_all(program.steps)
        for buffer, _ in self.outputs:
            self.bring(buffer)
        self.slice = schedule.lanes * schedule.vector * schedule.chunks
        self.shared_bytes = 0
        self.streams = {buffer: self.places(buffer, schedule.stages) for buffer in self.streamed()}
        self.between_blocks = code.value(self.kernels.shared_memory(i64, self.words_of_all(schedule.cluster)))
        self.words = 0
        self.begin(splits)
        grid = schedule.groups * splits
        groups = code.over(code.value(gpu.GridDimOp("x")), splits)
        first = self.row
        held = self.offsets()
        for chunk in held:
            self.guarded_chunk(chunk)
        for stage in range(schedule.stages):
            self.copy_row(code.plus(first, code.times(groups, stage)), stage, held)
        self.clear_words()
        carried = [code.as_value(0), code.as_value(0)]
        with code.loop(program.rows, groups, carried, lower=first) as row:
            count, self.stage = carried
            self.row = row
            self.next_row = code.plus(row, code.times(groups, schedule.stages))
            self.turn = code.rest(count, self.turns)
            number = code.value(arith.IndexCastOp(code.as_value(code.plus(count, 1)), i64))
            shift = code.value(arith.ConstantOp.from_int_and_width(TAG_BITS, i64))
            self.tag = code.value(arith.ShLIOp(number, shift))
            code.add(CpAsyncWaitGroupOp(schedule.stages - 1))
            self.load_ahead(held)
            self.copied_ahead = False
            self.one_row(held)
            carried[:] = code.as_value(code.plus(count, 1)), self.stage_after()
        function = self.outline.launch(
            name,
            (grid, 1, 1),
            (schedule.threads, 1, 1),
            dynamic=self.shared_bytes,
            cluster=(schedule.cluster, 1, 1),
            together=splits,
        )
        function.attributes[BLOCKS_AT_ONCE] = IntegerAttr(schedule.resident, i32)

    def stage_after(self) -> SSAValue:
        code = self.code
        following = code.as_value(code.plus(self.stage, 1))
        last = code.value(arith.CmpiOp(following, code.as_value(self.schedule.stages), "eq"))
        return code.value(arith.SelectOp(last, code.as_value(0), following))

    # What is in shared memory

    def streamed(self) -> list[SSAValue]:
        """The operands with an element for each point."""
        found: dict[SSAValue, None] = {}
        for step in self.program.steps:
            for source in step.sources:
                if isinstance(source, Stored) and step.kind is not Kind.ROW and self.is_streamed(source, step):
                    found[source.buffer] = None
        return list(found)

    def is_streamed(self, source: Stored, step: Step) -> bool:
        return source.at.steps == row_major(step.extents) and source.at.start == 0

    def places(self, buffer: SSAValue, rows: int) -> SSAValue:
        """Shared memory for the block's columns of so many rows."""
        element = buffer_type(buffer).element_type
        kind = MemRefType(element, (rows * self.slice,), memory_space=gpu.WORKGROUP)
        whole = self.code.value(gpu.DynamicSharedMemoryOp())
        start = self.code.as_value(self.shared_bytes)
        self.shared_bytes += rows * self.slice * element_size(element)
        return self.code.value(memref.ViewOp.create(operands=(whole, start), result_types=(kind,)))

    def place(self, chunk: Index) -> Index:
        """Where the thread's vector of a chunk is in a row of shared memory."""
        return self.code.plus(self.code.times(self.lane, self.schedule.vector), chunk)

    def copy_row(self, row: Index, stage: Index, held: Sequence[Index]) -> None:
        """Begin to copy the thread's part of a row, if it is one; nothing or not, it is one group of copies."""
        code = self.code
        with code.only_if(code.below(row, self.program.rows)):
            start = code.times(row, self.program.columns)
            shift = code.times(stage, self.slice)
            for buffer, target in self.streams.items():
                for chunk in held:
                    column, _ = self.guarded_chunk(chunk)
                    self.copy(buffer, code.plus(start, column), target, code.plus(shift, self.place(chunk)))
        code.add(CpAsyncCommitGroupOp())

    def copy(self, buffer: SSAValue, source: Index, target: SSAValue, place: Index) -> None:
        """Begin to copy a vector of elements into shared memory."""
        size = element_size(buffer_type(buffer).element_type)
        whole = size * self.schedule.vector
        piece = min(whole, ACCESS_BYTES)
        for start in range(0, whole, piece):
            there = self.code.pointer(target, self.code.plus(self.code.times(place, size), start), SHARED)
            here = self.code.pointer(self.bring(buffer), self.code.plus(self.code.times(source, size), start), GLOBAL)
            self.code.add(CpAsyncOp(there, here, piece, "cg" if piece == ACCESS_BYTES else "ca"))

    def load_ahead(self, held: Sequence[Index]) -> None:
        """Hold all streamed operands in registers."""
        for chunk in held:
            for step in self.program.steps:
                for source in step.sources:
                    if step.kind is not Kind.ROW and isinstance(source, Stored) and self.is_streamed(source, step):
                        self.read(source, step, self.guarded_chunk(chunk)[0])

    def read(self, source: Stored, step: Step, column: Index) -> list[SSAValue]:
        """From shared memory what is there: the thread has copied it itself."""
        chunk = next((chunk for chunk, (at, _) in self.columns.items() if at is column), None)
        if chunk is None or not self.is_streamed(source, step):
            return super().read(source, step, column)
        memory, key = self.streams[source.buffer], (source.buffer, column)
        if key not in self.loaded:
            at = self.code.plus(self.code.times(self.stage, self.slice), self.place(chunk))
            self.loaded[key] = self.from_shared(memory, at)
        return self.loaded[key]

    def from_shared(self, memory: SSAValue, at: Index) -> list[SSAValue]:
        kind, count = memory.type, self.schedule.vector
        assert isa(kind, MemRefType[Attribute])
        if count == 1:
            return [self.code.value(memref.LoadOp.get(memory, [self.code.as_value(at)]))]
        load = vector.LoadOp(memory, [self.code.as_value(at)], VectorType(kind.element_type, [count]))
        aligned(load, kind.element_type, count)
        self.code.add(load)
        return self.code.elements(load.results[0], count, kind.element_type)

    # Exchanges

    def words_of_all(self, places: int, steps: Sequence[Step] | None = None) -> int:
        """How many words hold the results of reductions (of all), of each so many numbers, for rows in turn."""
        steps = [step for step in self.program.steps if step.kind is Kind.REDUCE] if steps is None else steps
        kinds = [kind for step in steps for kind in step.element_types]
        return self.turns * places * sum(map(words_of, kinds))

    def clear_words(self) -> None:
        """No block of the cluster is written to before it is ready."""
        code, count = self.code, self.words_of_all(self.schedule.cluster)
        zero = code.value(arith.ConstantOp.from_int_and_width(0, i64))
        with code.only_if(code.below(self.thread, count)):
            code.add(memref.StoreOp.get(zero, self.between_blocks, [self.thread]))
        code.add(ClusterArriveOp())
        code.add(ClusterWaitOp())

    def exchanged(self, step: Step, partial: list[SSAValue], lanes: int) -> list[SSAValue]:
        if not self.copied_ahead:  # what the thread has read, it has folded: the place is free for another row
            self.copied_ahead = True
            self.copy_row(self.next_row, self.stage, self.offsets())
        partial = self.within_block(step, partial, lanes)
        words = self.words
        self.words += self.turns * sum(words_of(value.type) for value in partial)
        return self.across_cluster(step, partial, words * self.schedule.cluster)

    def handoffs(self, memory: SSAValue, kinds: Sequence[Attribute], start: int, places: int) -> list[Handoff]:
        """For numbers of each type so many places for each turn, in memory from a word on."""
        found: list[Handoff] = []
        for kind in kinds:
            found.append(Handoff(self.code, memory, kind, start))
            start += self.turns * places * words_of(kind)
        return found

    def across_cluster(self, step: Step, partial: list[SSAValue], words: int) -> list[SSAValue]:
        """The results of the blocks of a cluster as one: each leaves its own in the shared memory of all of them."""
        code, cluster = self.code, self.schedule.cluster
        handoffs = self.handoffs(self.between_blocks, step.element_types, words, cluster)
        start = code.times(self.turn, cluster)
        with code.only_if(code.below(self.lane, cluster)):
            block = code.value(arith.IndexCastOp(code.as_value(self.lane), i32))
            for handoff, value in zip(handoffs, partial):
                handoff.publish(code.plus(start, self.split), value, self.tag, block)
        place = code.plus(start, code.rest(self.lane, cluster))
        return self.shuffled(step, [handoff.awaited(place, self.tag) for handoff in handoffs], cluster)

    def same(self, x: Index, y: Index) -> SSAValue:
        return self.code.value(arith.CmpiOp(self.code.as_value(x), self.code.as_value(y), "eq"))
