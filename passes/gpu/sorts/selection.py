"""Write the kernels that find the first k of a row without sorting all of it.

A block finds the key of its tile's k-th word digit by digit, the first digit first: it counts the digits of the words
that agree with what is known of the key. What comes before that key, and of its equals as many as are wanted, keeps its
order. What the tiles of a row leave is put together and gone over again, until it is one tile, which is then sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.dialects import arith, math, memref
from xdsl.dialects.builtin import MemRefType, i32, i64
from xdsl.ir import SSAValue

from xmlc.dialects import gpu
from xmlc.dialects.nvvm.warp import ALL_LANES, VoteSyncOp
from xmlc.passes.gpu.outline import Kernels, Outline
from xmlc.passes.gpu.rows.schedule import WARP
from xmlc.passes.gpu.sorts.emit import ADD, GREATEST, Sort, SortCode, allocated
from xmlc.passes.gpu.sorts.ranks import DIGIT_BITS, DIGITS, THREADS, Ranks
from xmlc.passes.gpu.sorts.words import KEY

MOST_KEPT = 1024
"""How many of a row are selected; more are what is left of sorting it."""


def selects(sort: Sort) -> bool:
    """Whether few of a row are wanted, by a key that one word has: others are what is left of sorting it."""
    return not sort.order.is_wide and sort.kept <= min(MOST_KEPT, sort.columns // 4)


def emit_selection(sort: Sort, kernels: Kernels, name: str) -> None:
    """Launch the kernels in the place of a sort; the op is erased."""
    outline = Outline(kernels, sort.op)
    source: SSAValue | None = None
    level = sort
    while level.tiles > 1:
        left = level.tiles * sort.kept
        target = allocated(outline, MemRefType(i64, (sort.rows * left,)))
        SelectKernel(level, kernels, source, target).emit(f"{name}_select")
        source, level = target, replace(level, columns=left)
    SelectKernel(level, kernels, source, None).emit(name)
    sort.op.detach()
    sort.op.erase()


class SelectKernel(SortCode):
    """The first `kept` words of each tile, in the order of their places, or sorted as the results."""

    def __init__(self, sort: Sort, kernels: Kernels, source: SSAValue | None, target: SSAValue | None):
        """From the elements themselves where there is no source; to the results where there is no target."""
        super().__init__(sort, kernels)
        self.source, self.target = source, target

    def emit(self, name: str) -> None:
        code, sort = self.code, self.sort
        source, target = self.bring(self.source, self.target)
        self.begin()
        ranks = self.ranks = Ranks(code, self.kernels, self.thread, sort.items)
        self.found = code.value(self.kernels.shared_memory(i32, 2))
        words = [self.read(place, source) for place in ranks.places()]
        keys = [self.words.key_of(word) for word in words]
        last, wanted = self.last_key(keys)
        equal = [self.compared(key, last, "eq") for key in keys]
        before = self.in_order(equal)
        taken: list[SSAValue] = []
        for key, same, rank in zip(keys, equal, before):
            among = code.both(same, self.compared(rank, wanted, "slt"))
            assert among is not None
            taken.append(code.value(arith.OrIOp(self.compared(key, last, "ult"), among)))
        for word, take, rank in zip(words, taken, self.in_order(taken)):
            with code.only_if(take):
                ranks.store(word, ranks.words, ranks.index(rank))
        code.add(gpu.BarrierOp())
        if target is None:
            self.sorted()
        else:
            start = code.times(code.plus(code.times(self.row, sort.tiles), self.tile), sort.kept)
            for first in range(0, sort.kept, THREADS):
                at = code.plus(self.thread, first)
                with code.only_if(None if first + THREADS <= sort.kept else code.below(at, sort.kept)):
                    code.add(
                        memref.StoreOp.get(ranks.load(ranks.words, at), target, [code.as_value(code.plus(start, at))])
                    )
        self.launch(name)

    def compared(self, x: SSAValue, y: SSAValue, how: str) -> SSAValue:
        return self.code.value(arith.CmpiOp(x, y, how))

    def last_key(self, keys: Sequence[SSAValue]) -> tuple[SSAValue, SSAValue]:
        """The key of the tile's last word that is wanted, and how many words of that key are."""
        code, ranks = self.code, self.ranks
        known, wanted = code.number(0), code.number(self.sort.kept)
        agree: list[SSAValue] = []
        counts = ranks.starts
        for digit in reversed(range(self.sort.digits)):
            ranks.store(code.number(0), counts, self.thread)
            code.add(gpu.BarrierOp())
            shift = code.number(digit * DIGIT_BITS)
            digits = [
                code.value(arith.AndIOp(code.value(arith.ShRUIOp(key, shift)), code.number(DIGITS - 1))) for key in keys
            ]
            for number, found in enumerate(digits):
                with code.only_if(agree[number] if agree else None):
                    self.atomic(ADD, code.number(1), counts, ranks.index(found))
            code.add(gpu.BarrierOp())
            count = ranks.load(counts, self.thread)
            start = ranks.before(count)
            end = code.value(arith.AddiOp(start, count))
            is_it = code.both(self.compared(start, wanted, "slt"), self.compared(wanted, end, "sle"))
            with code.only_if(is_it):
                own = code.value(arith.IndexCastOp(self.thread, i32))
                ranks.store(own, self.found, 0)
                ranks.store(code.value(arith.SubiOp(wanted, start)), self.found, 1)
            code.add(gpu.BarrierOp())
            chosen, wanted = ranks.load(self.found, 0), ranks.load(self.found, 1)
            code.add(gpu.BarrierOp())
            known = code.value(arith.OrIOp(code.value(arith.ShLIOp(known, code.number(DIGIT_BITS))), chosen))
            same = [self.compared(found, chosen, "eq") for found in digits]
            agree = [code.value(arith.AndIOp(a, b)) for a, b in zip(agree, same)] if agree else same
        return known, wanted

    def in_order(self, flags: Sequence[SSAValue]) -> list[SSAValue]:
        """How many flags are set at places before each of the thread's words."""
        code, ranks = self.code, self.ranks
        lane = code.value(arith.IndexCastOp(code.as_value(ranks.lane), i32))
        below = code.value(arith.SubiOp(code.value(arith.ShLIOp(code.number(1), lane)), code.number(1)))
        mask = code.number(ALL_LANES)
        total = code.number(0)
        found: list[SSAValue] = []
        for flag in flags:
            votes = code.value(VoteSyncOp(mask, flag, "ballot"))
            mine = code.value(math.CtPopOp(code.value(arith.AndIOp(votes, below))))
            found.append(code.value(arith.AddiOp(total, mine)))
            total = code.value(arith.AddiOp(total, code.value(math.CtPopOp(votes))))
        is_last = ranks.same(ranks.lane, WARP - 1)
        of_warp = code.value(arith.SelectOp(is_last, total, code.number(0)))
        first = code.value(gpu.ShuffleOp(ranks.before(of_warp), code.number(0), code.number(WARP), "idx"))
        return [code.value(arith.AddiOp(first, each)) for each in found]

    def sorted(self) -> None:
        """Sort the words that are left, and store what they stand for."""
        code, sort, ranks = self.code, self.sort, self.ranks
        few = ranks.of(-(-sort.kept // THREADS))
        places = few.places()
        words: list[SSAValue] = []
        for place in places:
            word = few.load(ranks.words, place)
            if sort.kept % THREADS:
                word = code.value(arith.SelectOp(code.below(place, sort.kept), word, self.words.wide(GREATEST)))
            words.append(word)
        with code.loop(KEY + sort.digits * DIGIT_BITS, DIGIT_BITS, words, lower=KEY) as shift:
            found, _, _ = few.ranked(words, code.value(arith.IndexCastOp(shift, i64)))
            few.exchanged(words, found)
            words[:] = [few.load(few.words, place) for place in places]
        for word, place in zip(words, places):
            with code.only_if(None if sort.kept % THREADS == 0 else code.below(place, sort.kept)):
                self.leave(word, place, None)
