"""Write the kernels that sort rows by the digits of their keys, the last digit first.

A row of one tile is sorted by one block, which goes over all digits without leaving it. Rows of several tiles take a
kernel that counts all digits of all rows, and one for each digit, in which a block puts its tile in order and looks
back for how many words of each digit are in tiles before it (Adinets, Merrill, Onesweep, 2022). Tiles publish their
counts at once, and those of all tiles up to them as soon as they know; whoever comes by adds what it finds. The sums
are of integers: the order in which they are found does not show.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import arith, linalg, llvm, memref, scf
from xdsl.dialects.builtin import IntegerAttr, MemRefType, i32, i64
from xdsl.ir import Attribute, Block, SSAValue

from xmlc.dialects import gpu
from xmlc.dialects.fused_sort import FusedSortOp
from xmlc.dialects.nvvm.attributes import GLOBAL
from xmlc.passes.gpu.code import INDEX, Code, Index
from xmlc.passes.gpu.handoff import ASSIGN, MONOTONIC, TAG_BITS, WORD_BYTES, handoff_memory
from xmlc.passes.gpu.outline import Kernels, Outline
from xmlc.passes.gpu.rows.emit import Flat
from xmlc.passes.gpu.sorts.ranks import DIGIT_BITS, DIGITS, THREADS, Ranks
from xmlc.passes.gpu.sorts.words import KEY, Order, Words
from xmlc.passes.memory import ALIGNMENT, array_type

ADD = 1
"""A kind of memref.atomic_rmw."""
MOST_ITEMS = 16
"""Words of a thread."""
GREATEST = -1
"""The bits of a word that is behind all others: of no element."""


@dataclass(frozen=True)
class Sort:
    """Rows of `columns` elements, of which the first `kept` in order are wanted."""

    op: FusedSortOp
    rows: int
    columns: int
    kept: int
    order: Order

    @property
    def items(self) -> int:
        """Words of a thread."""
        return min(MOST_ITEMS, -(-self.columns // THREADS))

    @property
    def tile(self) -> int:
        return THREADS * self.items

    @property
    def tiles(self) -> int:
        return -(-self.columns // self.tile)

    @property
    def digits(self) -> int:
        """How many digits a key has."""
        return -(-self.order.bits // DIGIT_BITS)

    @property
    def halves(self) -> int:
        """How many words have a key between them, one after the other."""
        return 2 if self.order.is_wide else 1

    @property
    def digits_of_word(self) -> int:
        return self.digits // self.halves


def emit_sort(sort: Sort, kernels: Kernels, name: str) -> None:
    """Launch the kernels of a sort in its place; the op is erased."""
    if sort.tiles == 1:
        RowKernel(sort, kernels).emit(name)
    else:
        outline = Outline(kernels, sort.op)
        counts = allocated(outline, MemRefType(i32, (sort.rows * sort.digits * DIGITS,)))
        zero = outline.host(arith.ConstantOp.from_int_and_width(0, i32))
        outline.host_op(linalg.ops.FillOp((zero,), (counts,), ()))
        CountKernel(sort, kernels, counts).emit(f"{name}_count")
        handed_on = handoff_memory(outline, sort.rows * sort.tiles * DIGITS)
        words = MemRefType(i64, (sort.rows * sort.columns,))
        buffers = [allocated(outline, words) for _ in range(min(2, sort.digits - 1))]
        for digit in range(sort.digits):
            source = buffers[(digit - 1) % 2] if digit else None
            target = buffers[digit % 2] if digit < sort.digits - 1 else None
            DigitKernel(sort, kernels, digit, counts, handed_on, source, target).emit(name)
    sort.op.detach()
    sort.op.erase()


def allocated(outline: Outline, kind: MemRefType[Attribute]) -> SSAValue:
    alloc = memref.AllocOp.create(
        result_types=(kind,),
        properties={"alignment": IntegerAttr(ALIGNMENT, i64), "operandSegmentSizes": array_type((0, 0))},
    )
    outline.host_op(alloc)
    return alloc.memref


class SortCode:
    """What kernels of a sort have in common: where a block is, reading words, storing results."""

    def __init__(self, sort: Sort, kernels: Kernels):
        self.sort, self.kernels = sort, kernels
        self.outline = Outline(kernels, sort.op)
        self.code = Code(self.outline.body, sort.op.location)
        self.flat = Flat(self.outline, self.code)
        self.words = Words(self.code, sort.order)

    def begin(self) -> None:
        code, sort = self.code, self.sort
        self.thread = code.value(gpu.ThreadIdOp("x"))
        block = code.value(gpu.BlockIdOp("x"))
        self.row: Index = code.over(block, sort.tiles)
        self.tile: Index = code.rest(block, sort.tiles)
        self.first = code.times(self.tile, sort.tile)
        self.start = code.times(self.row, sort.columns)
        """The row's first element."""

    def guarded(self, place: Index) -> tuple[Index, SSAValue | None]:
        """A column to read, and whether the tile's place is one."""
        code, sort = self.code, self.sort
        column = code.plus(self.first, place)
        if sort.columns % sort.tile == 0:
            return column, None
        return code.least(column, sort.columns - 1), code.below(column, sort.columns)

    def read(self, place: Index, source: SSAValue | None, half: int = 0) -> SSAValue:
        """The word at a place of the tile: from memory of words, or made of the element."""
        code = self.code
        column, valid = self.guarded(place)
        at = code.as_value(code.plus(self.start, column))
        if source is not None:
            word = code.value(memref.LoadOp.get(source, [at]))
        else:
            element = code.value(memref.LoadOp.get(self.flat.bring(self.sort.op.x), [at]))
            word = self.words.word(element, code.value(arith.IndexCastOp(code.as_value(column), i64)), half)
        if valid is None:
            return word
        return code.value(arith.SelectOp(valid, word, self.words.wide(GREATEST)))

    def origin(self, word: SSAValue) -> SSAValue:
        """The element that a word comes from."""
        column = self.code.value(arith.IndexCastOp(self.words.place(word), INDEX))
        at = self.code.as_value(self.code.plus(self.start, column))
        return self.code.value(memref.LoadOp.get(self.flat.bring(self.sort.op.x), [at]))

    def with_high_half(self, word: SSAValue) -> SSAValue:
        """The word of the high half of a key in the place of that of the low half."""
        code = self.code
        nothing = code.value(arith.CmpiOp(word, self.words.wide(GREATEST), "eq"))
        some = code.value(arith.SelectOp(nothing, self.words.wide(0), word))
        found = self.words.word(self.origin(some), self.words.place(some), half=1)
        return code.value(arith.SelectOp(nothing, word, found))

    def leave(self, word: SSAValue, at: Index, valid: SSAValue | None) -> None:
        """Store what a word stands for at a place of the row, if that is wanted."""
        code, sort = self.code, self.sort
        if sort.kept < sort.columns:
            valid = code.both(valid, code.below(at, sort.kept))
        with code.only_if(valid):
            place = code.as_value(code.plus(code.times(self.row, sort.kept), at))
            element = self.origin(word) if sort.order.is_wide else self.words.element(word)
            code.add(memref.StoreOp.get(element, self.flat.bring(sort.op.values), [place]))
            code.add(memref.StoreOp.get(self.words.place(word), self.flat.bring(sort.op.indices), [place]))

    def bring(
        self, source: SSAValue | None = None, target: SSAValue | None = None
    ) -> tuple[SSAValue | None, SSAValue | None]:
        """What the kernel reads and writes, inside of it: words, or where there are none the sort's operands."""
        op, words = self.sort.op, self.outline.bring
        if source is None or self.sort.order.is_wide:
            self.flat.bring(op.x)
        if target is None:
            self.flat.bring(op.values)
            self.flat.bring(op.indices)
        return None if source is None else words(source), None if target is None else words(target)

    def launch(self, name: str) -> None:
        self.outline.launch(name, (self.sort.rows * self.sort.tiles, 1, 1), (THREADS, 1, 1))

    def atomic(self, kind: int, value: SSAValue, memory: SSAValue, at: Index) -> None:
        self.code.add(
            memref.AtomicRMWOp.create(
                operands=(value, memory, self.code.as_value(at)),
                result_types=(value.type,),
                properties={"kind": IntegerAttr(kind, i64)},
            )
        )


class RowKernel(SortCode):
    """A block sorts a row: words are put in order by one digit after the other in shared memory."""

    def emit(self, name: str) -> None:
        code, sort = self.code, self.sort
        self.bring()
        self.begin()
        ranks = Ranks(code, self.kernels, self.thread, sort.items)
        places = ranks.places()
        words = [self.read(place, None) for place in places]
        for half in range(sort.halves):
            if half:
                words = [self.with_high_half(word) for word in words]
            with code.loop(KEY + sort.digits_of_word * DIGIT_BITS, DIGIT_BITS, words, lower=KEY) as shift:
                found, _, _ = ranks.ranked(words, code.value(arith.IndexCastOp(shift, i64)))
                ranks.exchanged(words, found)
                words[:] = [ranks.load(ranks.words, place) for place in places]
        for word, place in zip(words, places):
            valid = None if sort.columns == sort.tile else code.below(place, sort.columns)
            self.leave(word, place, valid)
        self.launch(name)


class CountKernel(SortCode):
    """Counts, for each row and each digit of the keys, the words that have it."""

    def __init__(self, sort: Sort, kernels: Kernels, counts: SSAValue):
        super().__init__(sort, kernels)
        self.counts = counts

    def emit(self, name: str) -> None:
        code, sort = self.code, self.sort
        self.flat.bring(sort.op.x)
        counts = self.outline.bring(self.counts)
        self.begin()
        shared = code.value(self.kernels.shared_memory(i32, sort.digits * DIGITS))
        zero, one = code.number(0), code.number(1)
        for digit in range(sort.digits):
            at = code.as_value(code.plus(self.thread, digit * DIGITS))
            code.add(memref.StoreOp.get(zero, shared, [at]))
        code.add(gpu.BarrierOp())
        for item in range(sort.items):
            place = code.plus(self.thread, item * THREADS)
            words = [self.read(place, None, half) for half in range(sort.halves)]
            _, valid = self.guarded(place)
            with code.only_if(valid):
                for digit in range(sort.digits):
                    half, number = divmod(digit, sort.digits_of_word)
                    shift = self.words.wide(KEY + number * DIGIT_BITS)
                    moved = code.value(arith.TruncIOp(code.value(arith.ShRUIOp(words[half], shift)), i32))
                    found = code.value(arith.AndIOp(moved, code.number(DIGITS - 1)))
                    at = code.plus(code.value(arith.IndexCastOp(found, INDEX)), digit * DIGITS)
                    self.atomic(ADD, one, shared, at)
        code.add(gpu.BarrierOp())
        for digit in range(sort.digits):
            at = code.plus(self.thread, digit * DIGITS)
            value = code.value(memref.LoadOp.get(shared, [code.as_value(at)]))
            self.atomic(ADD, value, counts, code.plus(code.times(self.row, sort.digits * DIGITS), at))
        self.launch(name)


class DigitKernel(SortCode):
    """Puts the words of rows in order by one digit."""

    def __init__(
        self,
        sort: Sort,
        kernels: Kernels,
        digit: int,
        counts: SSAValue,
        handed_on: SSAValue,
        source: SSAValue | None,
        target: SSAValue | None,
    ):
        """From the elements themselves where there is no source; to the results where there is no target."""
        super().__init__(sort, kernels)
        self.digit, self.counts, self.handed_on = digit, counts, handed_on
        self.source, self.target = source, target

    def emit(self, name: str) -> None:
        code, sort = self.code, self.sort
        counts, self.state = self.outline.bring(self.counts), self.outline.bring(self.handed_on)
        source, target = self.bring(self.source, self.target)
        self.begin()
        ranks = Ranks(code, self.kernels, self.thread, sort.items)
        half, number = divmod(self.digit, sort.digits_of_word)
        shift = self.words.wide(KEY + number * DIGIT_BITS)
        words = [self.read(place, source) for place in ranks.places()]
        if half and not number:
            words = [self.with_high_half(word) for word in words]
        at = code.plus(code.times(self.row, sort.digits * DIGITS), self.digit * DIGITS)
        all_of_row = code.value(memref.LoadOp.get(counts, [code.as_value(code.plus(at, self.thread))]))
        found, count, start = ranks.ranked(words, shift)
        ahead = self.in_tiles_before(count)
        begins = code.value(arith.AddiOp(ranks.before(all_of_row), ahead))
        offsets = code.value(self.kernels.shared_memory(i32, DIGITS))
        ranks.store(code.value(arith.SubiOp(begins, start)), offsets, self.thread)
        ranks.exchanged(words, found)
        for item in range(sort.items):
            place = code.plus(self.thread, item * THREADS)
            _, valid = self.guarded(place)
            word = ranks.load(ranks.words, place)
            offset = ranks.load(offsets, ranks.index(ranks.digit(word, shift)))
            to = code.plus(ranks.index(offset), place)
            if target is None:
                self.leave(word, to, valid)
                continue
            with code.only_if(valid):
                code.add(memref.StoreOp.get(word, target, [code.as_value(code.plus(self.start, to))]))
        self.launch(name)

    # What is in tiles before: the tag says whether a count is of the tile alone or of all up to it

    def in_tiles_before(self, count: SSAValue) -> SSAValue:
        """How many words of the thread's digit are in tiles before this one."""
        code, sort = self.code, self.sort
        here = code.plus(code.times(self.row, sort.tiles), self.tile)
        own, up_to = (self.words.wide(2 * self.digit + 1 + each << TAG_BITS) for each in (0, 1))
        is_first = code.value(arith.CmpiOp(code.as_value(self.tile), code.as_value(0), "eq"))
        self.publish(here, count, code.value(arith.SelectOp(is_first, up_to, own)))
        outer, code.block = code.block, Block()
        code.add(scf.YieldOp(code.number(0)))
        nothing, code.block = code.block, Block()
        found = self.looked_back(here)
        self.publish(here, code.value(arith.AddiOp(found, count)), up_to)
        code.add(scf.YieldOp(found))
        search, code.block = code.block, outer
        return code.value(scf.IfOp(is_first, [i32], [nothing], [search]))

    def place(self, tile: Index) -> Index:
        return self.code.plus(self.code.times(tile, DIGITS), self.thread)

    def publish(self, tile: Index, count: SSAValue, tag: SSAValue) -> None:
        word = self.code.value(arith.OrIOp(self.code.value(arith.ExtUIOp(count, i64)), tag))
        self.atomic(ASSIGN, word, self.state, self.place(tile))

    def looked_back(self, here: Index) -> SSAValue:
        """The sum of counts of tiles before, back to one that knows those before it."""
        code = self.code
        one, zero = code.as_value(1), code.number(0)
        last = code.value(arith.SubiOp(code.as_value(here), one))
        shift = self.words.wide(TAG_BITS)
        own, up_to = self.words.wide(2 * self.digit + 1), self.words.wide(2 * self.digit + 2)
        before = Block(arg_types=[INDEX, i32])
        outer, code.block = code.block, before
        tile, total = before.args
        pointer = code.pointer(self.state, code.times(self.place(tile), WORD_BYTES), GLOBAL)
        word = code.value(llvm.LoadOp(pointer, i64, alignment=WORD_BYTES, ordering=MONOTONIC))
        tag = code.value(arith.ShRUIOp(word, shift))
        is_there = code.value(arith.CmpiOp(tag, own, "uge"))
        ends = code.value(arith.CmpiOp(tag, up_to, "eq"))
        more = code.value(arith.AddiOp(total, code.value(arith.TruncIOp(word, i32))))
        total = code.value(arith.SelectOp(is_there, more, total))
        tile = code.value(arith.SelectOp(is_there, code.value(arith.SubiOp(tile, one)), tile))
        goes_on = code.value(arith.XOrIOp(ends, code.value(arith.ConstantOp.from_int_and_width(-1, 1))))
        code.add(scf.ConditionOp(goes_on, tile, total))
        after = code.block = Block(arg_types=[INDEX, i32])
        code.add(scf.YieldOp(*after.args))
        code.block = outer
        return code.add(scf.WhileOp((last, zero), (INDEX, i32), [before], [after])).results[1]
