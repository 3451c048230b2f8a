"""Scans as textbooks have them: a block for each row, tile after tile through shared memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from xdsl.dialects import arith, memref
from xdsl.ir import SSAValue

from xmlc.dialects import gpu
from xmlc.passes.gpu.code import Index
from xmlc.passes.gpu.outline import Kernels
from xmlc.passes.gpu.rows.schedule import WARP, power_of_two
from xmlc.passes.gpu.scans.emit import ScanCode
from xmlc.passes.scans import Scan

MOST_THREADS = 1024


class LadderScan(ScanCode):
    """What both have in common: the loop over the tiles of a row, and what it carries from one to the next."""

    of_thread: int
    """Elements of a thread."""

    def __init__(self, scan: Scan, kernels: Kernels):
        super().__init__(scan, kernels)
        self.threads = min(MOST_THREADS, max(WARP, power_of_two(-(-scan.columns // self.of_thread))))
        self.tile = self.threads * self.of_thread

    def emit(self, name: str) -> None:
        code, columns = self.code, self.scan.columns
        self.thread = code.value(gpu.ThreadIdOp("x"))
        self.row = code.value(gpu.BlockIdOp("x"))
        self.allocate()
        carried = [self.neutral]
        with code.loop(-(-columns // self.tile) * self.tile, self.tile, carried) as first:
            self.first: Index = first
            carried[:] = [self.folded(carried[0], self.scan_tile(carried[0]))]
        self.finish(name, self.scan.rows, self.threads)

    def allocate(self) -> None:
        raise NotImplementedError

    def scan_tile(self, carried: SSAValue) -> SSAValue:
        """Store the results of a tile, after all that came before it; returns the fold of the tile."""
        raise NotImplementedError

    def shared(self, size: int) -> SSAValue:
        return self.code.value(self.kernels.shared_memory(self.scan.folded_type, size))

    def get(self, memory: SSAValue, at: Index) -> SSAValue:
        return self.code.value(memref.LoadOp.get(memory, [self.code.as_value(at)]))

    def put(self, memory: SSAValue, at: Index, value: SSAValue) -> None:
        self.code.add(memref.StoreOp.get(value, memory, [self.code.as_value(at)]))

    def barrier(self) -> None:
        self.code.add(gpu.BarrierOp())

    def read(self, place: Index) -> SSAValue:
        """An element of the tile; past the end of the row, what changes nothing."""
        code, columns = self.code, self.scan.columns
        column = code.plus(self.first, place)
        (loaded,) = self.load(self.place(self.row, code.least(column, columns - 1), 1), 1)
        return self.chosen(code.below(column, columns), self.element(loaded))

    def write(self, place: Index, before: SSAValue, following: SSAValue) -> None:
        code, columns = self.code, self.scan.columns
        column = code.plus(self.first, place)
        with code.only_if(code.below(column, columns)):
            self.store(self.place(self.row, column, 1), [self.result(before, following)])


class HillisSteele(LadderScan):
    """Step by step each element takes what is 1, 2, 4 … places before it, from one row of shared memory to another."""

    of_thread = 1

    def allocate(self) -> None:
        self.memory = [self.shared(self.tile), self.shared(self.tile)]

    def scan_tile(self, carried: SSAValue) -> SSAValue:
        code, (source, target) = self.code, self.memory
        self.barrier()  # all have read what the tile before left
        self.put(source, self.thread, self.read(self.thread))
        self.barrier()
        distance = 1
        while distance < self.tile:
            mine = self.get(source, self.thread)
            far = code.below(self.thread, distance)
            other = self.get(source, self.place_before(distance))
            self.put(target, self.thread, self.selected(far, mine, self.folded(other, mine)))
            self.barrier()
            source, target = target, source
            distance *= 2
        mine = self.folded(carried, self.get(source, self.thread))
        first = self.same(self.thread, 0)
        before = self.get(source, self.place_before(1))
        self.write(self.thread, self.selected(first, carried, self.folded(carried, before)), mine)
        return self.get(source, self.tile - 1)

    def place_before(self, distance: int) -> Index:
        """The place so far before the thread's, or 0."""
        code = self.code
        return code.value(
            arith.MaxSIOp(code.value(arith.SubiOp(self.thread, code.as_value(distance))), code.as_value(0))
        )

    def minus_one(self) -> Index:
        return self.place_before(1)

    def selected(self, condition: SSAValue, yes: SSAValue, no: SSAValue) -> SSAValue:
        return self.code.value(arith.SelectOp(condition, yes, no))


class WorkEfficient(LadderScan):
    """Sums of pairs, of pairs of pairs … up to the whole; then back down, each left half handing on what is before."""

    of_thread = 2

    def allocate(self) -> None:
        self.memory = self.shared(self.tile)

    def scan_tile(self, carried: SSAValue) -> SSAValue:
        code, memory, thread = self.code, self.memory, self.thread
        places = [thread, code.plus(thread, self.threads)]
        elements = [self.read(place) for place in places]
        self.barrier()  # all have read what the tile before left
        for place, element in zip(places, elements):
            self.put(memory, place, element)
        self.barrier()
        distance = 1
        while distance < self.tile:
            with self.at_nodes(distance) as (left, right):
                self.put(memory, right, self.folded(self.get(memory, left), self.get(memory, right)))
            self.barrier()
            distance *= 2
        whole = self.get(memory, self.tile - 1)
        self.barrier()
        with code.only_if(self.same(thread, 0)):
            self.put(memory, self.tile - 1, self.neutral)
        self.barrier()
        while distance > 1:
            distance //= 2
            with self.at_nodes(distance) as (left, right):
                half, before = self.get(memory, left), self.get(memory, right)
                self.put(memory, left, before)
                self.put(memory, right, self.folded(before, half))
            self.barrier()
        for place, element in zip(places, elements):
            before = self.folded(carried, self.get(memory, place))
            self.write(place, before, self.folded(before, element))
        return whole

    @contextmanager
    def at_nodes(self, distance: int) -> Generator[tuple[Index, Index]]:
        """The last places of the left and of the right half of the thread's node, if it has one at this level."""
        code = self.code
        nodes = self.tile // (2 * distance)
        with code.only_if(None if nodes >= self.threads else code.below(self.thread, nodes)):
            left = code.plus(code.times(self.thread, 2 * distance), distance - 1)
            yield left, code.plus(left, distance)
