"""Write the kernel of a scan.

A thread holds a few vectors of a row. It folds each by itself; what comes before a vector in its warp comes by
shuffles, what comes before the warp through shared memory. Where a row has several tiles, each is a block's, which
then looks back: it leaves its own sum in memory at once, and waits for the sums of the tiles since the last multiple
of 32, and for all up to there, of which the last tile of each 32 leaves the sum. So a tile waits for at most one chain
of every 32nd tile, and sums are always taken in the same order: results do not change from run to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from xdsl.dialects import arith, memref
from xdsl.dialects.builtin import MemRefType, i32, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.hints import isa

from xmlc.dialects import gpu
from xmlc.passes.gpu.code import Code, Index
from xmlc.passes.gpu.handoff import Handoff, handoff_memory, words_of
from xmlc.passes.gpu.map_transpose import store_at, vector_at
from xmlc.passes.gpu.outline import Kernels, Outline, captures
from xmlc.passes.gpu.rows.emit import Flat
from xmlc.passes.gpu.rows.schedule import WARP
from xmlc.passes.gpu.scans.schedule import ScanSchedule
from xmlc.passes.scans import Scan

READY = 1 << 32
"""The tag of a sum that is there."""


class ScanCode:
    """What kernels of a scan have in common: reading an element, folding, storing a result."""

    def __init__(self, scan: Scan, kernels: Kernels):
        self.scan, self.kernels = scan, kernels
        self.outline = Outline(kernels, scan.nest)
        self.code = Code(self.outline.body, scan.nest.location)
        flat = Flat(self.outline, self.code)
        self.source, self.target = flat.bring(scan.source), flat.bring(scan.target)
        for value in [scan.start, *captures(scan.inner.ops)]:
            if isinstance(value.owner, arith.ConstantOp):
                self.outline.bring(value)
        self.neutral = self.outline.inside[scan.start]

    def computed(self, wanted: SSAValue, known: dict[SSAValue, SSAValue]) -> SSAValue:
        """A value of the loop's body, where `known` says what others are."""
        if wanted in known:
            return known[wanted]
        if wanted in self.outline.inside:
            return self.outline.inside[wanted]
        owner = wanted.owner
        assert isinstance(owner, Operation)
        values = {operand: self.computed(operand, known) for operand in owner.operands}
        known[wanted] = self.code.value(owner.clone(values))
        return known[wanted]

    def element(self, loaded: SSAValue) -> SSAValue:
        return self.computed(self.scan.element, {self.scan.load.res: loaded})

    def folded(self, x: SSAValue, y: SSAValue) -> SSAValue:
        """What comes first, and what comes after it, as one."""
        op = self.scan.combine
        following = self.scan.element
        return self.code.value(op.clone({self.scan.carried: x, following: y}))

    def result(self, before: SSAValue, following: SSAValue) -> SSAValue:
        """What is stored for an element."""
        known = {self.scan.carried: before, self.scan.combine.results[0]: following}
        return self.computed(self.scan.store.value, known)

    def element_type(self, memory: SSAValue) -> Attribute:
        kind = memory.type
        assert isa(kind, MemRefType[Attribute])
        return kind.element_type

    def place(self, row: Index, column: Index, count: int) -> Index:
        """Where `count` elements from a column on lie in memory; columns count in the direction of the scan."""
        code, columns = self.code, self.scan.columns
        if self.scan.reverse:
            last = code.as_value(columns - count)
            column = code.value(arith.SubiOp(last, code.as_value(column)))
        return code.plus(code.times(row, columns), column)

    def load(self, at: Index, count: int) -> list[SSAValue]:
        """Elements in the order of the scan."""
        loaded = vector_at(self.code, self.source, at, count, self.element_type(self.source))
        return loaded[::-1] if self.scan.reverse else loaded

    def store(self, at: Index, results: Sequence[SSAValue]) -> None:
        ordered = results[::-1] if self.scan.reverse else results
        store_at(self.code, self.target, at, ordered, self.element_type(self.target))

    def chosen(self, condition: SSAValue | None, value: SSAValue) -> SSAValue:
        """The value where a condition holds, else what changes nothing; None always holds."""
        return value if condition is None else self.code.value(arith.SelectOp(condition, value, self.neutral))

    def same(self, x: Index, y: Index) -> SSAValue:
        return self.code.value(arith.CmpiOp(self.code.as_value(x), self.code.as_value(y), "eq"))

    def finish(self, name: str, blocks: int, threads: int) -> None:
        self.outline.launch(name, (blocks, 1, 1), (threads, 1, 1))
        self.scan.nest.detach()
        self.scan.nest.erase()


class TileScan(ScanCode):
    """The kernel in which each thread holds vectors of one tile."""

    def __init__(self, scan: Scan, schedule: ScanSchedule, kernels: Kernels):
        super().__init__(scan, kernels)
        self.schedule = schedule

    def emit(self, name: str) -> None:
        code, schedule, scan = self.code, self.schedule, self.scan
        state = self.state_memory() if schedule.tiles > 1 else None
        self.thread = code.value(gpu.ThreadIdOp("x"))
        self.lane = code.rest(self.thread, schedule.lanes) if schedule.block_rows > 1 else self.thread
        row, tile, row_valid = self.position()
        first = code.times(tile, schedule.tile)
        columns = [
            code.plus(
                first, code.plus(code.times(self.lane, schedule.vector), chunk * schedule.lanes * schedule.vector)
            )
            for chunk in range(schedule.chunks)
        ]
        exact = scan.columns % schedule.tile == 0
        valid = [None if exact else code.below(column, scan.columns) for column in columns]
        last = scan.columns - schedule.vector
        places = [self.place(row, column if exact else code.least(column, last), schedule.vector) for column in columns]
        loaded = [self.load(place, schedule.vector) for place in places]
        prefixes: list[list[SSAValue]] = []
        for elements, mine in zip(loaded, valid):
            totals: list[SSAValue] = []
            for each in elements:
                value = self.chosen(mine, self.element(each))
                totals.append(self.folded(totals[-1], value) if totals else value)
            prefixes.append(totals)
        before, total = self.before_vectors([each[-1] for each in prefixes])
        if state is not None:
            carried = self.looked_back(state, row, tile, total)
            before = [self.folded(carried, each) for each in before]
        for totals, ahead, mine, place in zip(prefixes, before, valid, places):
            with code.only_if(code.both(mine, row_valid)):
                sums = [ahead, *(self.folded(ahead, each) for each in totals)]
                self.store(place, [self.result(x, y) for x, y in pairwise(sums)])
        self.finish(name, -(-scan.rows // schedule.block_rows) * schedule.tiles, schedule.threads)

    def position(self) -> tuple[Index, Index, SSAValue | None]:
        """The row, the tile of it, and whether the row is one; tiles that come first are those of lower blocks."""
        code, schedule, rows = self.code, self.schedule, self.scan.rows
        block = code.value(gpu.BlockIdOp("x"))
        if schedule.block_rows == 1:
            return code.rest(block, rows), code.over(block, rows) if schedule.tiles > 1 else 0, None
        row = code.plus(code.times(block, schedule.block_rows), code.over(self.thread, schedule.lanes))
        if rows % schedule.block_rows == 0:
            return row, 0, None
        return code.least(row, rows - 1), 0, code.below(row, rows)

    # Within a tile

    def before_vectors(self, totals: Sequence[SSAValue]) -> tuple[list[SSAValue], SSAValue]:
        """The fold of all of the tile before each vector of the thread, and of the whole tile."""
        width = min(self.schedule.lanes, WARP)
        inclusive = [self.scanned(each, width) for each in totals]
        before = [self.shifted(each, width) for each in inclusive]
        sums = [self.from_lane(each, width - 1, width) for each in inclusive]  # of the warp, for each chunk
        if self.schedule.warps == 1:
            carried = self.neutral
            for chunk, each in enumerate(sums):
                before[chunk] = self.folded(carried, before[chunk])
                carried = self.folded(carried, each)
            return before, carried
        return self.before_warps(before, sums)

    def scanned(self, value: SSAValue, width: int) -> SSAValue:
        """The fold of the values of lanes up to this one, within groups of `width` lanes."""
        code, distance = self.code, 1
        while distance < width:
            other = self.shuffled(value, code.number(distance), width, "up")
            far = code.below(self.group_lane(width), distance)
            value = code.value(arith.SelectOp(far, value, self.folded(other, value)))
            distance *= 2
        return value

    def group_lane(self, width: int) -> Index:
        return self.code.rest(self.thread, width)

    def shifted(self, value: SSAValue, width: int) -> SSAValue:
        """The value of the lane before; in the first, what changes nothing."""
        if width == 1:
            return self.neutral
        other = self.shuffled(value, self.code.number(1), width, "up")
        return self.code.value(arith.SelectOp(self.same(self.group_lane(width), 0), self.neutral, other))

    def from_lane(self, value: SSAValue, lane: int, width: int) -> SSAValue:
        return value if width == 1 else self.shuffled(value, self.code.number(lane), width, "idx")

    def shuffled(self, value: SSAValue, offset: SSAValue, width: int, mode: str) -> SSAValue:
        return self.code.value(gpu.ShuffleOp(value, offset, self.code.number(width), mode))

    def before_warps(self, before: list[SSAValue], sums: Sequence[SSAValue]) -> tuple[list[SSAValue], SSAValue]:
        """The same across the warps of a tile: each warp scans the sums of all of them, chunk after chunk."""
        code, warps, chunks = self.code, self.schedule.warps, len(sums)
        count = warps * chunks
        assert count <= WARP
        place = code.value(self.kernels.shared_memory(self.scan.folded_type, count * self.schedule.block_rows))
        base = code.times(code.over(self.thread, self.schedule.lanes), count) if self.schedule.block_rows > 1 else 0
        warp = code.over(self.lane, WARP)
        with code.only_if(self.same(self.group_lane(WARP), 0)):
            for chunk, each in enumerate(sums):
                at = code.plus(base, code.plus(warp, chunk * warps))
                code.add(memref.StoreOp.get(each, place, [code.as_value(at)]))
        code.add(gpu.BarrierOp())
        mine = self.group_lane(WARP)
        at = code.plus(base, mine if count == WARP else code.least(mine, count - 1))
        found = code.value(memref.LoadOp.get(place, [code.as_value(at)]))
        scanned = self.scanned(found, WARP)
        ahead = self.shifted(scanned, WARP)
        offset = code.value(arith.IndexCastOp(code.as_value(warp), i32))
        for chunk in range(chunks):
            lane = code.value(arith.AddiOp(offset, code.number(chunk * warps)))
            before[chunk] = self.folded(self.shuffled(ahead, lane, WARP, "idx"), before[chunk])
        return before, self.from_lane(scanned, count - 1, WARP)

    # Across tiles

    def state_memory(self) -> Handoff:
        """Each tile's sum, then each sum of all up to a tile."""
        kind = self.scan.folded_type
        memory = handoff_memory(self.outline, 2 * self.all_tiles * words_of(kind))
        return Handoff(self.code, self.outline.bring(memory), kind)

    @property
    def all_tiles(self) -> int:
        return self.scan.rows * self.schedule.tiles

    def looked_back(self, state: Handoff, row: Index, tile: Index, total: SSAValue) -> SSAValue:
        """The fold of all tiles before this one, which every thread gets."""
        code, tiles = self.code, self.schedule.tiles
        shared = code.value(self.kernels.shared_memory(self.scan.folded_type, 1))
        here = code.plus(code.times(row, tiles), tile)
        in_window = code.rest(tile, WARP)
        start = code.value(arith.SubiOp(code.as_value(here), code.as_value(in_window)))
        ready = code.value(arith.ConstantOp.from_int_and_width(READY, i64))
        with code.only_if(code.below(self.thread, WARP)):
            is_first = self.same(self.thread, 0)
            with code.only_if(is_first):
                state.publish(here, total, ready)
            mine = code.below(self.thread, in_window)
            value = state.waited_for(mine, code.plus(start, self.thread), ready, self.neutral)
            if tiles > WARP:
                later = code.value(arith.CmpiOp(code.as_value(tile), code.as_value(WARP), "sge"))
                anchors = code.both(later, self.same(self.thread, WARP - 1))
                assert anchors is not None
                anchor = code.plus(start, self.all_tiles - 1)
                value = self.folded(state.waited_for(anchors, anchor, ready, self.neutral), value)
            distance = 1
            while distance < WARP:
                value = self.folded(value, self.shuffled(value, code.number(distance), WARP, "xor"))
                distance *= 2
            is_anchor = self.same(in_window, WARP - 1)
            if tiles > WARP:
                with code.only_if(code.both(is_first, is_anchor)):
                    state.publish(code.plus(here, self.all_tiles), self.folded(value, total), ready)
            with code.only_if(is_first):
                code.add(memref.StoreOp.get(value, shared, [code.as_value(0)]))
        code.add(gpu.BarrierOp())
        return code.value(memref.LoadOp.get(shared, [code.as_value(0)]))
