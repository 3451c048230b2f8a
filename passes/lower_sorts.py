"""Lower sorts: rows are sorted by a network that merges (Batcher, "Sorting networks", 1968).

What is sorted are numbers of 64 bits that hold an element's key above, ordered like the elements, and its place below:
no two are equal, so that the sort is stable. A network compares the same places whatever they hold: vectors do that
without a branch. Rows are as long as the next power of two, the places beyond their end hold the largest number. Sorted
blocks of n merge into one of 2n: each place is compared with its mirror image, then with those n/2, n/4, … 1 places
away; the smaller number goes to the lower place. Distances shorter than a vector are shuffles in registers. Of the
longer ones three at a time are done in registers, between eight vectors, and the last of them go on to the short ones.

Where no more than a vector's numbers are asked for, a vector of the first ones so far goes through the row: of it and
the next vector, sorted, in mirror image, the lesser numbers are the first ones of both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    AnyFloat,
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    ModuleOp,
    VectorType,
    f32,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass

import xmlc.dialects.arith  # noqa: F401  # pyright: ignore[reportUnusedImport]  # lets conversions take vectors
from xmlc.dialects.fused_sort import FusedSortOp
from xmlc.dialects.lanewise import CmpfOp, SelectOp
from xmlc.passes import remarks
from xmlc.passes.attention.problem import shape_of, whole_view
from xmlc.passes.contractions.emitter import INDEX, Emitter, View
from xmlc.passes.functions import defined_functions
from xmlc.passes.index_arithmetic import Index, IndexConstants
from xmlc.passes.lower_ml.combine import WRAP
from xmlc.passes.lower_transposes import shuffled
from xmlc.passes.machine import Machine
from xmlc.passes.number import FLOAT_PREDICATES, STRICT, element_of

PROPERTIES: dict[type[Operation], dict[str, Attribute]] = {
    arith.AddfOp: {"fastmath": STRICT},
    **{kind: {"overflowFlags": WRAP} for kind in (arith.AddiOp, arith.SubiOp, arith.ShLIOp)},
}
PLACE = 2**32 - 1
"""The bits of a number that hold a place."""
LAST = 2**63 - 1
"""What comes after all numbers."""
STEPS = 3
"""Distances that are done at a time: between twice as many vectors with each."""


@dataclass(frozen=True)
class LowerSorts(ModulePass):
    """Turn fused.sort into loops over vectors."""

    name = "lower-sorts"
    vector_bits: int = Machine.vector_bits

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        lanes = max(2, Machine(self.vector_bits).lanes(64))
        for function in defined_functions(op):
            constants = IndexConstants(function.body.block)
            for sort in [each for each in function.walk() if isinstance(each, FusedSortOp)]:
                *_, size = shape_of(sort.x)
                remarks.passed(sort, lambda size=size: f"rows of {size} elements go through a network of vectors")
                Network(Emitter(sort, constants), sort, lanes).emit()
                sort.detach()
                sort.erase()


class Network:
    """Emits the sort of all rows of a buffer."""

    def __init__(self, emitter: Emitter, op: FusedSortOp, lanes: int):
        self.emitter = emitter
        self.x, self.values, self.indices = map(whole_view, (op.x, op.values, op.indices))
        self.shape = shape_of(op.x)
        self.first = shape_of(op.values)[-1]
        self.is_descending, self.is_unsigned = op.descending is not None, op.unsigned is not None
        self.lanes = lanes
        self.size = max(lanes, 1 << (self.shape[-1] - 1).bit_length())
        """Places of the network."""

    def emit(self) -> None:
        def nested(axis: int, at: dict[int, Index]) -> None:
            if axis == len(self.shape) - 1:
                self.row(at)
            else:
                with self.emitter.loop(self.shape[axis], parallel=True) as index:
                    nested(axis + 1, {**at, axis: index})

        nested(0, {})

    def row(self, at: dict[int, Index]) -> None:
        """Sort one row: in a buffer of its own, which the first cache holds if it is short."""
        if self.first <= self.lanes <= self.shape[-1]:
            self.few(at)
            return
        places = whole_view(self.emitter.buffer(i64, (self.size,)))
        self.fetch(at, places)
        width = 2 * self.lanes
        while width <= self.size:
            self.merge(places, width)
            width *= 2
        self.give(at, places)

    def fetch(self, at: dict[int, Index], places: View) -> None:
        """Copy a row, each vector of it sorted, and fill up with what comes last."""
        emitter, lanes = self.emitter, self.lanes
        size = self.shape[-1]
        whole = size // lanes * lanes
        last = emitter.number(LAST, VectorType(i64, (lanes,)))
        if whole:
            with emitter.loop(whole, lanes) as index:
                self.put(self.sorted_lanes(self.found(at, index)), places, index)
        if whole < size:
            self.put(self.sorted_lanes(self.found(at, whole)), places, whole)
        filled = -(-size // lanes) * lanes
        if filled < self.size:
            with emitter.loop(self.size - filled, lanes) as index:
                self.put(last, places, emitter.plus(index, filled))

    def few(self, at: dict[int, Index]) -> None:
        """The first numbers of a row. Two vectors of them go through it, which need not wait for one another."""
        emitter, lanes = self.emitter, self.lanes
        size = self.shape[-1]
        whole = size // lanes * lanes
        last = emitter.number(LAST, VectorType(i64, (lanes,)))

        def merged(first: SSAValue, found: SSAValue) -> SSAValue:
            least, _ = self.compared(first, self.mirrored(self.sorted_lanes(found)))
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
        least, _ = self.compared(one, self.mirrored(other))
        mask = None if self.first == lanes else emitter.mask(self.first, lanes)
        self.give_vector(at, self.halved_lanes(least), 0, mask)
        self.give_values(at)

    def give(self, at: dict[int, Index], places: View) -> None:
        """Give the first places, and what is there."""
        lanes = self.lanes
        whole = self.first // lanes * lanes
        if whole:
            with self.emitter.loop(whole, lanes) as index:
                self.give_vector(at, self.get(places, index), index, None)
        if whole < self.first:
            self.give_vector(at, self.get(places, whole), whole, self.emitter.mask(self.first - whole, lanes))
        self.give_values(at)

    def give_vector(self, at: dict[int, Index], found: SSAValue, index: Index, mask: SSAValue | None) -> None:
        """Store the places that a vector of sorted numbers holds."""
        low = self.emitter.number(PLACE, found.type)
        indices = self.emitter.indices(self.indices, {**at, len(self.shape) - 1: index})
        self.emitter.store_vector(self.made(arith.AndIOp, found, low), self.indices, indices, mask)

    def give_values(self, at: dict[int, Index]) -> None:
        """values[j] = x[indices[j]]"""
        emitter, last = self.emitter, len(self.shape) - 1
        with emitter.loop(self.first) as j:
            place = emitter.load(self.indices, {**at, last: j})
            made = arith.IndexCastOp.create(operands=(place,), result_types=(INDEX,))
            value = emitter.load(self.x, {**at, last: emitter.add(made).results[0]})
            emitter.store(value, self.values, {**at, last: j})

    # Keys

    def found(self, at: dict[int, Index], index: Index) -> SSAValue:
        """A vector of the numbers that are sorted, of elements from `index` on; beyond the row what comes last."""
        emitter, lanes, size = self.emitter, self.lanes, self.shape[-1]
        count = lanes if not isinstance(index, int) else min(lanes, size - index)
        mask = None if count == lanes else emitter.mask(count, lanes)
        where = emitter.indices(self.x, {**at, len(self.shape) - 1: index})
        key = self.key(emitter.load_vector(self.x, where, lanes, mask))
        if self.is_descending:
            key = self.made(arith.XOrIOp, key, emitter.number(-1, key.type))
        made = self.made(arith.OrIOp, self.made(arith.ShLIOp, key, emitter.number(32, key.type)), self.place(index))
        if mask is None:
            return made
        last = emitter.number(LAST, made.type)
        return shuffled(emitter, made, last, [k if k < count else lanes + k for k in range(lanes)])

    def place(self, index: Index) -> SSAValue:
        """index, index + 1, … as i64, one in each lane"""
        emitter, type_ = self.emitter, VectorType(i64, (self.lanes,))
        start = arith.IndexCastOp.create(operands=(emitter.index(index),), result_types=(i64,))
        numbers = DenseIntOrFPElementsAttr.from_list(type_, list(range(self.lanes)))
        steps = emitter.add(arith.ConstantOp.create(result_types=(type_,), properties={"value": numbers})).results[0]
        return self.made(arith.AddiOp, emitter.splat(emitter.add(start).results[0], self.lanes), steps)

    def key(self, x: SSAValue) -> SSAValue:
        """Elements as signed numbers of 32 bits, in i64, in the same order: equal where they are equal, NaN last.

        Of a negative float all bits but the sign are flipped.
        """
        emitter = self.emitter
        if not isinstance(element_of(x.type), AnyFloat):
            wide = emitter.widened(x, i64, self.is_unsigned)
            return self.made(arith.SubiOp, wide, emitter.number(2**31, wide.type)) if self.is_unsigned else wide
        real = emitter.widened(x, f32)
        without_sign = self.made(arith.AddfOp, real, emitter.number(0.0, real.type))  # of zero
        integers = VectorType(i32, (self.lanes,))
        bits = emitter.add(arith.BitcastOp.create(operands=(without_sign,), result_types=(integers,))).results[0]
        most = emitter.number(2**31 - 1, integers)
        sign = self.made(arith.ShRSIOp, bits, emitter.number(31, integers))
        flipped = self.made(arith.XOrIOp, bits, self.made(arith.AndIOp, sign, most))
        properties = {"predicate": IntegerAttr(FLOAT_PREDICATES["uno"], i64), "fastmath": STRICT}
        flags = VectorType(i1, (self.lanes,))
        is_nan = CmpfOp.create(operands=(real, real), result_types=(flags,), properties=properties)
        chosen = SelectOp.create(operands=(emitter.add(is_nan).results[0], most, flipped), result_types=(integers,))
        return emitter.widened(emitter.add(chosen).results[0], i64)

    # Between vectors

    def merge(self, places: View, width: int) -> None:
        """Sorted blocks of half the width become sorted blocks of the width."""
        emitter, lanes = self.emitter, self.lanes
        with emitter.loop(self.size, width) as block, emitter.loop(width // 2, lanes) as index:
            low = emitter.plus(block, index)
            high = emitter.less(emitter.plus(block, width - lanes), index)
            first, second = self.compared(self.get(places, low), self.mirrored(self.get(places, high)))
            self.put(first, places, low)
            self.put(self.mirrored(second), places, high)
        distance = width // 4
        while distance >= lanes:
            count = min(STEPS, (distance // lanes).bit_length())
            self.halve(places, distance, count)
            distance >>= count
        if width == 2 * lanes:
            with emitter.loop(self.size, lanes) as index:
                self.put(self.halved_lanes(self.get(places, index)), places, index)

    def halve(self, places: View, distance: int, count: int) -> None:
        """Compare places so far apart, then half as far, `count` times; at the end of that, those within vectors."""
        emitter, lanes = self.emitter, self.lanes
        apart = distance >> (count - 1)
        with emitter.loop(self.size, 2 * distance) as block, emitter.loop(apart, lanes) as index:
            start = emitter.plus(block, index)
            at = [emitter.plus(start, place * apart) for place in range(1 << count)]
            vectors = [self.get(places, each) for each in at]
            step = len(vectors) // 2
            while step:
                for low in [place for place in range(len(vectors)) if not place & step]:
                    vectors[low], vectors[low + step] = self.compared(vectors[low], vectors[low + step])
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
        """Compare each lane with its partner: the smaller number goes to the lower lane."""
        lanes = range(self.lanes)
        other = shuffled(self.emitter, value, value, [partner(lane) for lane in lanes])
        least, most = self.compared(value, other)
        return shuffled(
            self.emitter, least, most, [lane if lane < partner(lane) else self.lanes + lane for lane in lanes]
        )

    def mirrored(self, value: SSAValue) -> SSAValue:
        return shuffled(self.emitter, value, value, list(reversed(range(self.lanes))))

    def compared(self, x: SSAValue, y: SSAValue) -> tuple[SSAValue, SSAValue]:
        """The lesser and the greater numbers of two vectors."""
        return self.made(arith.MinSIOp, x, y), self.made(arith.MaxSIOp, x, y)

    def made(self, kind: type[Operation], x: SSAValue, y: SSAValue) -> SSAValue:
        properties = PROPERTIES.get(kind, {})
        return self.emitter.add(kind.create(operands=(x, y), result_types=(x.type,), properties=properties)).results[0]

    # Memory

    def get(self, places: View, index: Index) -> SSAValue:
        return self.emitter.load_vector(places, [self.emitter.index(index)], self.lanes)

    def put(self, value: SSAValue, places: View, index: Index) -> None:
        self.emitter.store_vector(value, places, [self.emitter.index(index)])
