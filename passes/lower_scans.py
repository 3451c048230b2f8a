"""Lower scans: running sums, products and extremes become loops over vectors.

Along memory, the lanes of a vector are scanned in log2(lanes) steps, the first of which combines neighbours, each other
one neighbouring groups: the lanes of the second with the last lane of the first (Sklansky, "Conditional-sum addition
logic", 1960; most steps stay inside of 128 bits). The vector is then combined with what all before it came to. Across
memory, a row of totals, a piece of which the first cache holds, goes from one row to the next.

Threads share the columns of wide rows. They share narrow rows themselves: each first folds the rows before its own
without storing, which takes half as long as scanning them, and so gets fewer of them than the thread before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias, cast

from xdsl.context import Context
from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import FixedBitwidthType, IntegerAttr, ModuleOp, VectorType
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from xmlc.dialects.lanewise import SelectOp
from xmlc.passes import remarks
from xmlc.passes.contractions.emitter import Emitter, bits_of, whole_view
from xmlc.passes.functions import defined_functions
from xmlc.passes.index_arithmetic import Index, IndexConstants
from xmlc.passes.lower_transposes import shuffled
from xmlc.passes.machine import Machine, machine_of
from xmlc.passes.number import INTEGER_PREDICATES, STRICT
from xmlc.passes.rows.emitter import LANEWISE
from xmlc.passes.scans import Scan, scan_of
from xmlc.passes.views import shape_of

At: TypeAlias = Mapping[int, Index]
"""Where in a buffer: an index for each of its dimensions."""
STRIP = 256
"""Vectors of totals across memory that go from row to row together: a third of a first cache."""
NARROW = 32 << 10
"""Bytes of a row that is too short for threads to share: what one fetches ahead of its columns, another writes."""
LEAST_SHARED = 1 << 16
"""Elements, at least, that threads share by rows: folding rows twice is a loss where Parallelize leaves one thread."""


@dataclass(frozen=True)
class LowerScans(ModulePass):
    """Turn loops that store what they have folded so far into loops over vectors; leave everything else as it is."""

    name = "lower-scans"
    vector_bits: int = Machine.vector_bits
    threads: int = Machine.threads

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        machine = machine_of(self)
        for function in defined_functions(op):
            constants = IndexConstants(function.body.block)
            for nest in [each for each in function.body.block.ops if isinstance(each, scf.ForOp)]:
                scan = scan_of(nest, any_axis=True)
                if scan is None or not all(map(has_vectors, (*elements_of(scan), *results_of(scan)))):
                    continue
                remarks.passed(nest, lambda scan=scan: f"{scan.rows} scans of {scan.columns} elements, in vectors")
                Scanned(scan, machine, constants).emit()
                nest.detach()
                nest.erase()


def elements_of(scan: Scan) -> list[Operation]:
    """The ops that make what is folded of what is loaded."""
    return between(scan.element, scan.load.res)


def results_of(scan: Scan) -> list[Operation]:
    """The ops that make what is stored of what has been folded."""
    return between(scan.store.value, scan.carried if scan.exclusive else scan.combine.results[0])


def between(value: SSAValue, start: SSAValue) -> list[Operation]:
    """The ops that a value is computed by from another, in order."""
    found: list[Operation] = []

    def visit(value: SSAValue) -> None:
        owner = value.owner
        if value is start or not isinstance(owner, Operation) or isinstance(owner, arith.ConstantOp) or owner in found:
            return
        for operand in owner.operands:
            visit(operand)
        found.append(owner)

    visit(value)
    return found


def has_vectors(op: Operation) -> bool:
    """Whether an op works on vectors as it does on numbers."""
    values = (*op.operands, *op.results)
    return op.name.startswith(("arith.", "math.")) and all(isinstance(each.type, FixedBitwidthType) for each in values)


def constant_of(value: SSAValue) -> float:
    """The number that a constant op makes."""
    assert isinstance(value.owner, arith.ConstantOp)
    return cast("IntegerAttr", value.owner.value).value.data


class Scanned:
    """Emits one scan."""

    def __init__(self, scan: Scan, machine: Machine, constants: IndexConstants):
        self.scan = scan
        self.emitter = Emitter(scan.nest, constants)
        self.source, self.target = whole_view(scan.load.memref), whole_view(scan.store.memref)
        self.shape = shape_of(scan.load.memref)
        bits = (bits_of(each) for each in (scan.folded_type, self.source.element, self.target.element))
        self.bits = max(32, *bits)
        self.lanes = machine.lanes(self.bits)
        self.threads = machine.threads
        self.start = self.emitter.number(constant_of(scan.start), VectorType(scan.folded_type, (self.lanes,)))
        self.inner = max((axis for axis, size in enumerate(self.shape) if size > 1), default=scan.axis)
        """The dimension that memory runs along."""

    def emit(self) -> None:
        others = [axis for axis in range(len(self.shape)) if axis not in (self.scan.axis, self.inner)]

        def nested(left: Sequence[int], at: At) -> None:
            if left:
                with self.emitter.loop(self.shape[left[0]], parallel=True) as index:
                    nested(left[1:], {**at, left[0]: index})
            elif self.inner == self.scan.axis:
                self.along(at)
            else:
                self.across(at)

        nested(others, {})

    def place(self, step: Index, count: int) -> Index:
        """Where the next `count` elements of a row begin: from its start, or for `reverse` from its end."""
        return self.emitter.less(self.scan.columns - count, step) if self.scan.reverse else step

    # Along memory

    def along(self, at: At) -> None:
        """One row."""
        emitter, size = self.emitter, self.scan.columns
        whole = size // self.lanes * self.lanes

        def body(index: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return [self.vector({**at, self.inner: self.place(index, self.lanes)}, carried[0], None)]

        (carried,) = emitter.fold(whole, [self.start], body, self.lanes)
        if whole < size:
            mask = emitter.mask(size - whole, self.lanes)
            self.vector({**at, self.inner: self.place(whole, size - whole)}, carried, mask)

    def vector(self, at: At, before: SSAValue, mask: SSAValue | None) -> SSAValue:
        """Scan a vector of a row; in every lane of the result, what all of the row so far comes to."""
        emitter, lanes = self.emitter, self.lanes
        value = self.element(at, mask)
        if mask is not None:
            choice = SelectOp.create(operands=(mask, value, self.start), result_types=(value.type,))
            value = emitter.add(choice).results[0]
        width = 1
        while width < lanes:
            value = self.combined(self.spread(value, width), value)
            width *= 2
        total = self.combined(before, self.arranged(value, [lanes - 1] * lanes))
        if self.scan.exclusive:
            value = self.moved(value)
        self.put(self.combined(before, value), at, mask)
        return total

    def spread(self, value: SSAValue, width: int) -> SSAValue:
        """The last lane of each first group of so many lanes, in all lanes of the second; in the first, no change."""
        return self.arranged(value, [lane // width * width - 1 if lane & width else None for lane in range(self.lanes)])

    def moved(self, value: SSAValue) -> SSAValue:
        """Each lane from the one before it; what changes nothing in the first."""
        return self.arranged(value, [None, *range(self.lanes - 1)])

    def arranged(self, value: SSAValue, order: Sequence[int | None]) -> SSAValue:
        """Lanes in another order, counted from where the scan begins; None: what changes nothing."""
        lanes = self.lanes
        if self.scan.reverse:
            order = [None if lane is None else lanes - 1 - lane for lane in reversed(order)]
        return shuffled(self.emitter, value, self.start, [lanes if lane is None else lane for lane in order])

    # Across memory

    def across(self, at: At) -> None:
        """Rows side by side in memory: pieces of a row of totals go through them one after the other."""
        size, rows = self.shape[self.inner], self.scan.columns
        if self.threads == 1:
            self.strips(at, (0, rows), STRIP * self.lanes)
        elif size * self.bits // 8 > NARROW or prod(self.shape) > size * rows or size * rows < LEAST_SHARED:
            share = max(self.lanes, size // (self.threads * self.lanes) * self.lanes)
            self.strips(at, (0, rows), min(share, STRIP * self.lanes))
        else:
            with self.emitter.loop(self.threads, parallel=True) as share:
                self.strips(at, self.rows_of(share), STRIP * self.lanes)

    def rows_of(self, share: Index) -> tuple[Index, Index]:
        """The first row of a thread, and the first of the next one: b rows are folded, e - b scanned in twice the time.

        With b + 2(e - b) the same for all threads, they have a half of all rows, a quarter, an eighth, …, scaled.
        """
        emitter, threads, rows = self.emitter, self.threads, self.scan.columns
        bounds = [round(rows * (1 - 2.0**-thread) / (1 - 2.0**-threads)) for thread in range(threads + 1)]
        places = [emitter.index(0), emitter.index(bounds[1])]
        for thread in range(1, threads):
            follows = emitter.compared(INTEGER_PREDICATES["ge"], share, thread)
            for end, place in enumerate(places):
                operands = (follows, emitter.index(bounds[thread + end]), place)
                chosen = SelectOp.create(operands=operands, result_types=(place.type,))
                places[end] = emitter.add(chosen).results[0]
        first, last = (emitter.least(place, rows) for place in places)  # so that their bounds are known
        return first, last

    def strips(self, at: At, rows: tuple[Index, Index], strip: int) -> None:
        """All columns of some rows, of which `strip` at a time, as far as they go."""
        size = self.shape[self.inner]
        strip = min(strip, size)
        whole = size // strip * strip
        with self.emitter.loop(whole, strip, parallel=True) as first:
            self.strip(at, rows, first, strip)
        if whole < size:
            self.strip(at, rows, whole, size - whole)

    def strip(self, at: At, rows: tuple[Index, Index], first: Index, size: int) -> None:
        """A piece of this size of some rows, after all before them have been folded."""
        emitter = self.emitter
        totals = whole_view(emitter.buffer(self.scan.folded_type, (-(-size // self.lanes) * self.lanes,)))

        def begin(local: Index, mask: SSAValue | None) -> None:
            emitter.store_vector(self.start, totals, [emitter.index(local)])

        def step(row: Index, local: Index, mask: SSAValue | None, stores: bool) -> None:
            here = {**at, self.scan.axis: self.place(row, 1), self.inner: emitter.plus(first, local)}
            before = emitter.load_vector(totals, [emitter.index(local)], self.lanes)
            total = self.combined(before, self.element(here, mask))
            emitter.store_vector(total, totals, [emitter.index(local)])
            if stores:
                self.put(before if self.scan.exclusive else total, here, mask)

        begins, ends = rows
        self.each_vector(size, begin)
        if begins != 0:
            with emitter.loop(begins) as row:
                self.each_vector(size, lambda local, mask: step(row, local, mask, stores=False))
        with emitter.loop(emitter.less(ends, begins)) as index:
            row = emitter.plus(begins, index)
            self.each_vector(size, lambda local, mask: step(row, local, mask, stores=True))

    def each_vector(self, size: int, visit: Callable[[Index, SSAValue | None], None]) -> None:
        """Visit the places of the vectors of a piece; the last may be masked."""
        emitter, lanes = self.emitter, self.lanes
        whole = size // lanes * lanes
        if whole:
            with emitter.loop(whole, lanes) as index:
                visit(index, None)
        if whole < size:
            visit(whole, emitter.mask(size - whole, lanes))

    # Vectors

    def element(self, at: At, mask: SSAValue | None) -> SSAValue:
        """A vector of what is folded."""
        emitter = self.emitter
        loaded = emitter.load_vector(self.source, emitter.indices(self.source, at), self.lanes, mask)
        return self.computed(elements_of(self.scan), self.scan.element, {self.scan.load.res: loaded})

    def put(self, folded: SSAValue, at: At, mask: SSAValue | None) -> None:
        """Store what is made of a vector of what has been folded."""
        start = self.scan.carried if self.scan.exclusive else self.scan.combine.results[0]
        value = self.computed(results_of(self.scan), self.scan.store.value, {start: folded})
        self.emitter.store_vector(value, self.target, self.emitter.indices(self.target, at), mask)

    def combined(self, before: SSAValue, value: SSAValue) -> SSAValue:
        """Folded, in this order: were LLVM free to take sums in another one, it would make a longer chain of them."""
        combine = self.scan.combine
        properties = {**combine.properties, **({"fastmath": STRICT} if "fastmath" in combine.properties else {})}
        made = type(combine).create(operands=(before, value), result_types=(value.type,), properties=properties)
        return self.emitter.add(made).results[0]

    def computed(self, ops: Sequence[Operation], wanted: SSAValue, known: dict[SSAValue, SSAValue]) -> SSAValue:
        """A value that ops on numbers compute, on vectors."""

        def vectors(value: SSAValue) -> SSAValue:
            if value not in known:
                known[value] = self.emitter.splat(value, self.lanes)
            return known[value]

        for op in ops:
            types = [VectorType(each.type, (self.lanes,)) for each in op.results]
            made = LANEWISE.get(type(op), type(op)).create(
                operands=[vectors(each) for each in op.operands],
                result_types=types,
                properties=op.properties,
                attributes=op.attributes,
            )
            known.update(zip(op.results, self.emitter.add(made).results))
        return vectors(wanted)
