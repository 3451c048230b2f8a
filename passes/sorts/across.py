"""Rows sorted side by side: a lane for each row, a vector for each place, so that no lane meets another.

Rows are transposed in registers as they are read and as they are written. A vector's worth of places is sorted by a
network of exchanges in registers; sorted blocks of n then merge into one of 2n: each place is compared with its mirror
image, then with those n/2, n/4, … 1 places away (Batcher, "Sorting networks", 1968). As many of these distances
as registers hold the places of are done at a time. Rows are as long as the next power of two: the places beyond
their end hold what comes last, and where blocks hold nothing else they are left alone.

Where few words are asked for, a block of the first ones so far goes through the places: of it and the next block,
sorted, in mirror image, the lesser words are the first ones of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from xdsl.ir import SSAValue

from xmlc.passes.contractions.emitter import View, is_row_major, whole_view
from xmlc.passes.contractions.recognise import Operand
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.lower_transposes import transposed
from xmlc.passes.sorts.sort import Sort
from xmlc.passes.sorts.words import PlacedWords
from xmlc.passes.views import shape_of

NEAR = 16 << 10
"""Bytes of places that are sorted before the next ones: half of a first cache."""

ROW, COLUMN = 0, 1


class Across(Sort):
    """Emits the sort of as many rows as a vector has lanes, and so on."""

    def fits(self) -> bool:
        """Whether there are rows for half the lanes, whose places the second cache holds."""
        views = (self.x, self.values, self.indices)
        in_order = all(is_row_major(shape_of(each.value), each.strides) for each in views)
        return in_order and 2 * self.rows >= self.lanes and self.padded * self.machine.vector_bits // 8 <= self.most

    @property
    def most(self) -> int:
        """Bytes that the places of rows may take."""
        return self.machine.second_cache

    @property
    def rows(self) -> int:
        return prod(self.shape[:-1])

    def remark(self) -> str:
        return f"{self.lanes} rows of {self.size} elements at a time go through a network, a lane for each"

    def emit(self) -> None:
        emitter = self.emitter
        self.x, self.values, self.indices = (self.in_rows(each) for each in (self.x, self.values, self.indices))
        with emitter.loop(self.rows, self.lanes, parallel=True) as first:
            # the last row fills the lanes that have none
            rows = [emitter.least(emitter.plus(first, lane), self.rows - 1) for lane in range(self.lanes)]
            if self.first <= self.lanes < self.size:
                self.few(rows)
            else:
                self.all(rows)

    def in_rows(self, view: View) -> View:
        """A buffer whose dimensions but the last are one."""
        *outer, columns = shape_of(view.value)
        return self.emitter.view(Operand(view.value, (columns, 1), 0), (prod(outer), columns))

    # All words

    def all(self, rows: Sequence[Index]) -> None:
        """Sort some rows."""
        emitter, lanes, padded = self.emitter, self.lanes, self.padded
        places = whole_view(emitter.buffer(self.words.type.element_type, (padded, lanes)))
        near = min(padded, max(lanes, NEAR // (self.machine.vector_bits // 8)))
        whole = self.size // near * near
        if whole:
            with emitter.loop(whole, near) as start:
                self.near(rows, places, start, near, near)
        if whole < self.size:
            self.near(rows, places, whole, self.size - whole, near)
        filled = -(-self.size // near) * near
        if filled < padded:
            with emitter.loop(padded - filled) as place:
                self.put(self.words.last, places, emitter.plus(filled, place))
        width = near
        while width < padded:
            width *= 2
            with emitter.loop(-(-self.size // width) * width, width) as start:
                self.merge(places, start, width)
        self.give(rows, places)

    def near(self, rows: Sequence[Index], places: View, start: Index, count: int, size: int) -> None:
        """Sort `size` places from `start` on, of which `count` are within the rows."""
        emitter, lanes = self.emitter, self.lanes
        block = min(lanes, size)
        whole = count // lanes * lanes
        if whole:
            with emitter.loop(whole, lanes) as local:
                self.fetch(rows, places, emitter.plus(start, local), lanes, block)
        if whole < count:
            self.fetch(rows, places, emitter.plus(start, whole), count - whole, block)
        filled = -(-count // block) * block
        if filled < size:
            with emitter.loop(size - filled) as place:
                self.put(self.words.last, places, emitter.plus(emitter.plus(start, filled), place))
        width = block
        while width < size:
            width *= 2
            with emitter.loop(-(-count // width) * width, width) as local:
                self.merge(places, emitter.plus(start, local), width)

    def fetch(self, rows: Sequence[Index], places: View, start: Index, count: int, block: int) -> None:
        """Put the words of a block of places there, in order."""
        for place, word in enumerate(self.in_order(self.found(rows, start, count)[:block])):
            self.put(word, places, self.emitter.plus(start, place))

    def found(self, rows: Sequence[Index], start: Index, count: int) -> list[SSAValue]:
        """The words of some rows, a vector for each place from `start` on, of which `count` are within the rows."""
        emitter, lanes = self.emitter, self.lanes
        mask = None if count == lanes else emitter.mask(count, lanes)
        read = [
            emitter.load_vector(self.x, emitter.indices(self.x, {ROW: row, COLUMN: start}), lanes, mask) for row in rows
        ]
        words = [
            self.words.of(each, emitter.plus(start, place), 0)
            for place, each in enumerate(transposed(emitter, read)[:count])
        ]
        return [*words, *[self.words.last] * (lanes - count)]

    def merge(self, places: View, start: Index, width: int) -> None:
        """The sorted halves of a block become a sorted block."""
        most = self.steps.bit_length() - 1
        part, count = width, (width.bit_length() - 2) % most + 1
        while part > 1:
            self.exchange(places, start, width, part, count)
            part, count = part >> count, most

    @property
    def steps(self) -> int:
        """Places that registers hold, beside as many for what is made of them."""
        return max(2, self.machine.vector_registers // 2)

    def exchange(self, places: View, start: Index, width: int, part: int, count: int) -> None:
        """In each part of a block compare places half of it away, then half as far, `count` times.

        The first of these, of the whole block, compares the second half from its end on.
        """
        emitter = self.emitter
        is_first = part == width
        apart, half = part >> count, 1 << (count - 1)
        together = min(apart, max(1, self.steps >> count))
        with emitter.loop(width, part) as offset, emitter.loop(apart, together) as index:
            for each in range(together):
                local = emitter.plus(index, each)
                mirror = emitter.less(apart - 1, local) if is_first else local
                origin = emitter.plus(start, offset)
                low, high = emitter.plus(origin, local), emitter.plus(origin, mirror)
                at = [emitter.plus(low if k < half else high, k * apart) for k in range(2 * half)]
                words = [self.get(places, place) for place in at]
                for x, y in exchanges(2 * half, is_first):
                    words[x], words[y] = self.words.compared(words[x], words[y])
                for word, place in zip(words, at):
                    self.put(word, places, place)

    def give(self, rows: Sequence[Index], places: View) -> None:
        """Give the first elements of each row and their places, as far as they are asked for."""
        emitter, lanes = self.emitter, self.lanes
        whole = self.first // lanes * lanes
        if whole:
            with emitter.loop(whole, lanes) as start:
                self.give_block(rows, [self.get(places, emitter.plus(start, k)) for k in range(lanes)], start, lanes)
        if whole < self.first:
            left = self.first - whole
            words = [self.get(places, min(whole + k, self.padded - 1)) for k in range(lanes)]
            self.give_block(rows, words, whole, left)
        self.give_all_values(rows)

    def give_block(self, rows: Sequence[Index], words: Sequence[SSAValue], start: Index, count: int) -> None:
        """Store what as many words as there are lanes hold: places, or elements where nobody asks for places."""
        emitter, lanes = self.emitter, self.lanes
        mask = None if count == lanes else emitter.mask(count, lanes)
        if isinstance(self.words, PlacedWords):
            given, target = [self.words.places(each) for each in words], self.indices
        else:
            given, target = [self.words.elements(each) for each in words], self.values
        for row, each in zip(rows, transposed(emitter, given)):
            emitter.store_vector(each, target, emitter.indices(target, {ROW: row, COLUMN: start}), mask)

    def give_all_values(self, rows: Sequence[Index]) -> None:
        if self.wants_places and self.wants_values:
            for row in rows:
                self.give_values({ROW: row}, COLUMN)

    # The first few

    def few(self, rows: Sequence[Index]) -> None:
        """The first words of some rows."""
        emitter, lanes = self.emitter, self.lanes
        count = 1 << (self.first - 1).bit_length()
        whole = self.size // lanes * lanes

        def merged(best: Sequence[SSAValue], words: Sequence[SSAValue]) -> Sequence[SSAValue]:
            for start in range(0, len(words), count):
                block = self.in_order(words[start : start + count])
                made = [self.words.least(x, y) for x, y in zip(best, reversed(block))]
                for x, y in exchanges(count, is_first=False):
                    made[x], made[y] = self.words.compared(made[x], made[y])
                best = made
            return best

        best: Sequence[SSAValue] = [self.words.last] * count
        best = emitter.fold(whole, best, lambda start, carried: merged(carried, self.found(rows, start, lanes)), lanes)
        if whole < self.size:
            left = self.size - whole
            best = merged(best, self.found(rows, whole, left)[: -(-left // count) * count])
        self.give_block(rows, [*best, *[best[-1]] * (lanes - count)], 0, self.first)
        self.give_all_values(rows)

    # Vectors

    def in_order(self, words: Sequence[SSAValue]) -> list[SSAValue]:
        """Vectors whose words of the same lane are in order."""
        found = list(words)
        for x, y in sorting_network(len(found)):
            found[x], found[y] = self.words.compared(found[x], found[y])
        return found

    def get(self, places: View, place: Index) -> SSAValue:
        return self.emitter.load_vector(places, [self.emitter.index(place), self.emitter.index(0)], self.lanes)

    def put(self, value: SSAValue, places: View, place: Index) -> None:
        self.emitter.store_vector(value, places, [self.emitter.index(place), self.emitter.index(0)])


def exchanges(count: int, is_first: bool) -> Iterator[tuple[int, int]]:
    """The pairs of a merge of `count` words, at half as many places, a quarter, …; the first may be mirror images."""
    step = count // 2
    while step:
        for low in range(count):
            if not low & step:
                yield low, count - 1 - low if is_first and 2 * step == count else low + step
        step //= 2


def sorting_network(count: int) -> Iterator[tuple[int, int]]:
    """The pairs that sort `count` words, a power of two: merges of those at even places and those at odd ones."""
    block = 1
    while block < count:
        step = block
        while step:
            for start in range(step % block, count - step, 2 * step):
                for low in range(start, min(start + step, count - step)):
                    if low // (2 * block) == (low + step) // (2 * block):
                        yield low, low + step
            step //= 2
        block *= 2
