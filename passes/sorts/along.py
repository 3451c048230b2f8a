"""A row sorted by itself: its words lie along memory, in vectors.

A network compares the same places whatever they hold: vectors do that without a branch. Rows are as long as the next
power of two, the places beyond their end hold what comes last. Sorted blocks of n merge into one of 2n: each place is
compared with its mirror image, then with those n/2, n/4, … 1 places away; the lesser word goes to the lower place.
Distances shorter than a vector are shuffles in registers. Of the longer ones three at a time are done in registers,
between eight vectors, and the last of them go on to the short ones.

Where no more than a vector's words are asked for, a vector of the first ones so far goes through the row: of it and
the next vector, sorted, in mirror image, the lesser words are the first ones of both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.ir import SSAValue

from xmlc.passes.contractions.emitter import View, whole_view
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.lower_transposes import shuffled
from xmlc.passes.sorts.sort import At, Sort
from xmlc.passes.sorts.words import PlacedWords

STEPS = 3
"""Distances that are done at a time: between twice as many vectors with each."""


class Along(Sort):
    """Emits the sort of each row of a buffer."""

    def remark(self) -> str:
        return f"rows of {self.size} elements go through a network of vectors"

    @property
    def padded(self) -> int:
        return max(self.lanes, super().padded)

    def emit(self) -> None:
        def nested(axis: int, at: At) -> None:
            if axis == len(self.shape) - 1:
                self.row(at)
            else:
                with self.emitter.loop(self.shape[axis], parallel=True) as index:
                    nested(axis + 1, {**at, axis: index})

        nested(0, {})

    def row(self, at: At) -> None:
        """Sort one row: in a buffer of its own, which the first cache holds if it is short."""
        if self.first <= self.lanes <= self.size:
            self.few(at)
            return
        places = whole_view(self.emitter.buffer(self.words.type.element_type, (self.padded,)))
        self.fetch(at, places)
        width = 2 * self.lanes
        while width <= self.padded:
            self.merge(places, width)
            width *= 2
        self.give(at, places)

    def fetch(self, at: At, places: View) -> None:
        """Copy a row, each vector of it sorted, and fill up with what comes last."""
        emitter, lanes = self.emitter, self.lanes
        size = self.size
        whole = size // lanes * lanes
        last = self.words.last
        if whole:
            with emitter.loop(whole, lanes) as index:
                self.put(self.sorted_lanes(self.found(at, index)), places, index)
        if whole < size:
            self.put(self.sorted_lanes(self.found(at, whole)), places, whole)
        filled = -(-size // lanes) * lanes
        if filled < self.padded:
            with emitter.loop(self.padded - filled, lanes) as index:
                self.put(last, places, emitter.plus(index, filled))

    def few(self, at: At) -> None:
        """The first words of a row. Two vectors of them go through it, which need not wait for one another."""
        emitter, lanes = self.emitter, self.lanes
        size = self.size
        whole = size // lanes * lanes
        last = self.words.last

        def merged(first: SSAValue, found: SSAValue) -> SSAValue:
            least, _ = self.words.compared(first, self.mirrored(self.sorted_lanes(found)))
            return self.halved_lanes(least)

        def both(index: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            places = (index, emitter.plus(index, lanes))
            return [merged(first, self.found(at, place)) for first, place in zip(carried, places)]

        pairs = size // (2 * lanes) * 2 * lanes
        one, other = emitter.fold(pairs, [last, last], both, 2 * lanes)
        if pairs < whole:
            one = merged(one, self.found(at, pairs))
        if whole < size:
            other = merged(other, self.found(at, whole))
        least, _ = self.words.compared(one, self.mirrored(other))
        mask = None if self.first == lanes else emitter.mask(self.first, lanes)
        self.give_vector(at, self.halved_lanes(least), 0, mask)
        if self.wants_places and self.wants_values:
            self.give_values(at, len(self.shape) - 1)

    def give(self, at: At, places: View) -> None:
        """Give the first elements and their places, as far as they are asked for."""
        lanes = self.lanes
        whole = self.first // lanes * lanes
        if whole:
            with self.emitter.loop(whole, lanes) as index:
                self.give_vector(at, self.get(places, index), index, None)
        if whole < self.first:
            self.give_vector(at, self.get(places, whole), whole, self.emitter.mask(self.first - whole, lanes))
        if self.wants_places and self.wants_values:
            self.give_values(at, len(self.shape) - 1)

    def give_vector(self, at: At, found: SSAValue, index: Index, mask: SSAValue | None) -> None:
        """Store what a vector of sorted words holds: places, or elements where nobody asks for places."""
        if isinstance(self.words, PlacedWords):
            given, target = self.words.places(found), self.indices
        else:
            given, target = self.words.elements(found), self.values
        where = self.emitter.indices(target, {**at, len(self.shape) - 1: index})
        self.emitter.store_vector(given, target, where, mask)

    def found(self, at: At, index: Index) -> SSAValue:
        """A vector of the words of elements from `index` on; beyond the row what comes last."""
        emitter, lanes, size = self.emitter, self.lanes, self.size
        count = lanes if not isinstance(index, int) else min(lanes, size - index)
        mask = None if count == lanes else emitter.mask(count, lanes)
        where = emitter.indices(self.x, {**at, len(self.shape) - 1: index})
        made = self.words.of(emitter.load_vector(self.x, where, lanes, mask), index, 1)
        if mask is None:
            return made
        return shuffled(emitter, made, self.words.last, [k if k < count else lanes + k for k in range(lanes)])

    # Between vectors

    def merge(self, places: View, width: int) -> None:
        """Sorted blocks of half the width become sorted blocks of the width."""
        emitter, lanes = self.emitter, self.lanes
        with emitter.loop(self.padded, width) as block, emitter.loop(width // 2, lanes) as index:
            low = emitter.plus(block, index)
            high = emitter.less(emitter.plus(block, width - lanes), index)
            first, second = self.words.compared(self.get(places, low), self.mirrored(self.get(places, high)))
            self.put(first, places, low)
            self.put(self.mirrored(second), places, high)
        distance = width // 4
        while distance >= lanes:
            count = min(STEPS, (distance // lanes).bit_length())
            self.halve(places, distance, count)
            distance >>= count
        if width == 2 * lanes:
            with emitter.loop(self.padded, lanes) as index:
                self.put(self.halved_lanes(self.get(places, index)), places, index)

    def halve(self, places: View, distance: int, count: int) -> None:
        """Compare places so far apart, then half as far, `count` times; at the end of that, those within vectors."""
        emitter, lanes = self.emitter, self.lanes
        apart = distance >> (count - 1)
        with emitter.loop(self.padded, 2 * distance) as block, emitter.loop(apart, lanes) as index:
            start = emitter.plus(block, index)
            at = [emitter.plus(start, place * apart) for place in range(1 << count)]
            vectors = [self.get(places, each) for each in at]
            step = len(vectors) // 2
            while step:
                for low in [place for place in range(len(vectors)) if not place & step]:
                    vectors[low], vectors[low + step] = self.words.compared(vectors[low], vectors[low + step])
                step //= 2
            for value, each in zip(vectors, at):
                self.put(self.halved_lanes(value) if apart == lanes else value, places, each)

    # Within vectors

    def sorted_lanes(self, value: SSAValue) -> SSAValue:
        """The lanes of a vector in order."""
        width = 2
        while width <= self.lanes:
            value = self.exchanged(value, lambda lane, width=width: lane ^ (width - 1))
            value = self.halved_lanes(value, width // 4)
            width *= 2
        return value

    def halved_lanes(self, value: SSAValue, distance: int | None = None) -> SSAValue:
        """Compare lanes so far apart (else by half a vector), then half as far, down to neighbours."""
        distance = self.lanes // 2 if distance is None else distance
        while distance:
            value = self.exchanged(value, lambda lane, distance=distance: lane ^ distance)
            distance //= 2
        return value

    def exchanged(self, value: SSAValue, partner: Callable[[int], int]) -> SSAValue:
        """Compare each lane with its partner: the lesser word goes to the lower lane."""
        lanes = range(self.lanes)
        other = shuffled(self.emitter, value, value, [partner(lane) for lane in lanes])
        least, most = self.words.compared(value, other)
        return shuffled(
            self.emitter, least, most, [lane if lane < partner(lane) else self.lanes + lane for lane in lanes]
        )

    # Memory

    def get(self, places: View, index: Index) -> SSAValue:
        return self.emitter.load_vector(places, [self.emitter.index(index)], self.lanes)

    def put(self, value: SSAValue, places: View, index: Index) -> None:
        self.emitter.store_vector(value, places, [self.emitter.index(index)])
