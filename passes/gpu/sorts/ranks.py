"""Where the words of a block go when they are put in order by one digit, equal ones as they were.

A warp counts the lanes that have a digit by `match`, so words of equal digits get places one after the other; counts of
warps and digits are added up in shared memory (Merrill, Grimshaw, High performance and scalable radix sorting, 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from xdsl.dialects import arith, math, memref
from xdsl.dialects.builtin import i32, i64
from xdsl.ir import SSAValue

from xmlc.dialects import gpu
from xmlc.dialects.nvvm.synchronization import WarpBarrierOp
from xmlc.dialects.nvvm.warp import ALL_LANES, MatchSyncOp
from xmlc.passes.gpu.code import INDEX, Code, Index
from xmlc.passes.gpu.outline import Kernels
from xmlc.passes.gpu.rows.schedule import WARP

DIGIT_BITS = 8
DIGITS = 1 << DIGIT_BITS
THREADS = DIGITS
"""Threads of a block: one for each digit."""
WARPS = THREADS // WARP


class Ranks:
    """Ranks of the words of a block: thread t of warp w has words w * 32 * items + i * 32 + t of it."""

    def __init__(self, code: Code, kernels: Kernels, thread: SSAValue, items: int):
        self.code, self.thread, self.items = code, thread, items
        self.counts = code.value(kernels.shared_memory(i32, WARPS * DIGITS))
        """Of each warp and digit."""
        self.sums = code.value(kernels.shared_memory(i32, WARPS))
        self.starts = code.value(kernels.shared_memory(i32, DIGITS))
        """Where each digit begins."""
        self.words = code.value(kernels.shared_memory(i64, THREADS * items))
        self.lane, self.warp = code.rest(thread, WARP), code.over(thread, WARP)

    def of(self, items: int) -> Ranks:
        """The same for fewer words."""
        found = copy(self)
        found.items = items
        return found

    def places(self) -> list[Index]:
        """Where the thread's words are among those of the block."""
        code = self.code
        first = code.plus(code.times(self.warp, WARP * self.items), self.lane)
        return [code.plus(first, item * WARP) for item in range(self.items)]

    def digit(self, word: SSAValue, shift: SSAValue) -> SSAValue:
        code = self.code
        moved = code.value(arith.TruncIOp(code.value(arith.ShRUIOp(word, shift)), i32))
        return code.value(arith.AndIOp(moved, code.number(DIGITS - 1)))

    def load(self, memory: SSAValue, at: Index) -> SSAValue:
        return self.code.value(memref.LoadOp.get(memory, [self.code.as_value(at)]))

    def store(self, value: SSAValue, memory: SSAValue, at: Index) -> None:
        self.code.add(memref.StoreOp.get(value, memory, [self.code.as_value(at)]))

    def index(self, number: SSAValue) -> SSAValue:
        return self.code.value(arith.IndexCastOp(number, INDEX))

    def ranked(self, words: Sequence[SSAValue], shift: SSAValue) -> tuple[list[SSAValue], SSAValue, SSAValue]:
        """The place of each word in the order of the digit; how many words have the thread's, and where it begins."""
        code = self.code
        for warp in range(WARPS):
            self.store(code.number(0), self.counts, code.plus(self.thread, warp * DIGITS))
        code.add(gpu.BarrierOp())
        mask = code.number(ALL_LANES)
        own = code.value(arith.ShLIOp(code.number(1), code.value(arith.IndexCastOp(code.as_value(self.lane), i32))))
        below = code.value(arith.SubiOp(own, code.number(1)))
        counters: list[SSAValue] = []
        ranks: list[SSAValue] = []
        digits = [self.digit(word, shift) for word in words]
        for digit in digits:
            counter = code.as_value(code.plus(code.times(self.warp, DIGITS), self.index(digit)))
            equal = code.value(MatchSyncOp(mask, digit, "any"))
            before = code.value(math.CtPopOp(code.value(arith.AndIOp(equal, below))))
            with code.choice(code.value(arith.CmpiOp(before, code.number(0), "eq")), [i32]) as counted:
                count = self.load(self.counts, counter)
                self.store(code.value(arith.AddiOp(count, code.value(math.CtPopOp(equal)))), self.counts, counter)
                counted[:] = [count]
            leader = code.value(math.CountTrailingZerosOp(equal))
            count = code.value(gpu.ShuffleOp(counted[0], leader, code.number(WARP), "idx"))
            code.add(WarpBarrierOp(mask))
            counters.append(counter)
            ranks.append(code.value(arith.AddiOp(count, before)))
        code.add(gpu.BarrierOp())
        total = code.number(0)
        for warp in range(WARPS):
            at = code.plus(self.thread, warp * DIGITS)
            count = self.load(self.counts, at)
            self.store(total, self.counts, at)
            total = code.value(arith.AddiOp(total, count))
        start = self.before(total)
        self.store(start, self.starts, self.thread)
        code.add(gpu.BarrierOp())
        found: list[SSAValue] = []
        for digit, counter, rank in zip(digits, counters, ranks):
            first = code.value(arith.AddiOp(self.load(self.starts, self.index(digit)), self.load(self.counts, counter)))
            found.append(code.value(arith.AddiOp(first, rank)))
        return found, total, start

    def before(self, value: SSAValue) -> SSAValue:
        """The sum of the values of all threads before this one."""
        code = self.code
        total = self.scanned(value)
        with code.only_if(self.same(self.lane, WARP - 1)):
            self.store(total, self.sums, self.warp)
        code.add(gpu.BarrierOp())
        sums = self.scanned(self.load(self.sums, code.least(self.lane, WARPS - 1)))
        warp = code.value(arith.IndexCastOp(code.as_value(self.warp), i32))
        lane = code.value(arith.SubiOp(warp, code.number(1)))
        lane = code.value(arith.MaxSIOp(lane, code.number(0)))
        others = code.value(gpu.ShuffleOp(sums, lane, code.number(WARP), "idx"))
        first = self.same(self.warp, 0)
        carried = code.value(arith.SelectOp(first, code.number(0), others))
        code.add(gpu.BarrierOp())  # the sums have been read: they may be written anew
        return code.value(arith.AddiOp(carried, code.value(arith.SubiOp(total, value))))

    def scanned(self, value: SSAValue) -> SSAValue:
        """The sum of the values of the lanes up to this one."""
        code, distance = self.code, 1
        while distance < WARP:
            other = code.value(gpu.ShuffleOp(value, code.number(distance), code.number(WARP), "up"))
            both = code.value(arith.AddiOp(value, other))
            value = code.value(arith.SelectOp(code.below(self.lane, distance), value, both))
            distance *= 2
        return value

    def same(self, x: Index, y: Index) -> SSAValue:
        return self.code.value(arith.CmpiOp(self.code.as_value(x), self.code.as_value(y), "eq"))

    def exchanged(self, words: Sequence[SSAValue], places: Sequence[SSAValue]) -> None:
        """Put words where they belong among those of the block."""
        for word, place in zip(words, places):
            self.store(word, self.words, self.index(place))
        self.code.add(gpu.BarrierOp())
