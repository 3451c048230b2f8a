"""The register tile: rows x columns of sums, carried by the reduction loops, then stored.

Columns are the vectorised loop. What a factor has for a row or a group of columns is loaded once in each step of the
reduction: as a vector where the factor moves along the columns, as a scalar spread over the lanes where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import VectorType
from xdsl.ir import Attribute, SSAValue

from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.result import Result, is_long
from xmlc.passes.index_arithmetic import Index


@dataclass(frozen=True)
class Reduction:
    """A loop that sums: how far it runs, and how often it is unrolled."""

    loop: int
    extent: Index
    unroll: int = 0


@dataclass(frozen=True)
class Shape:
    """Rows and columns of a register tile and the loops they belong to; -1 where there is no such loop."""

    row_loop: int
    rows: int
    column_loop: int
    columns: int
    lanes: int

    @property
    def groups(self) -> range:
        """The columns, in vectors: the number of each."""
        return range(-(-self.columns // self.lanes))

    @property
    def sizes(self) -> dict[int, int]:
        return {self.row_loop: self.rows, self.column_loop: self.columns}


@dataclass(frozen=True)
class Ahead:
    """What a tile asks for while it computes: in each step some cache lines of vectors that a later tile reads."""

    view: View
    first: Mapping[int, Index]
    """Where the first line is, for the first step."""
    lines: int
    apart: int
    """Columns of a line."""


class Tile:
    """Emits one register tile whose corner is at given indices of the loops around it."""

    def __init__(self, emitter: Emitter, shape: Shape, element: Attribute):
        self.emitter = emitter
        self.shape = shape
        self.element = element
        self.type = VectorType(element, (shape.lanes,))
        left = shape.columns % shape.lanes
        self.last = shape.columns // shape.lanes if left else -1
        """The number of the vector that is not full, and what it needs in place of a mask."""
        self.left = left
        self._masks: dict[int, SSAValue] = {}
        self._limits: dict[int, SSAValue] = {}

    def limit(self, left: Index) -> None:
        """Store no more than this many columns, as found when the program runs."""
        lanes = self.shape.lanes
        for group in self.shape.groups:
            self._limits[group] = self.emitter.mask(self.emitter.less(left, group * lanes), lanes)

    def mask(self, group: int, count: int | None = None) -> SSAValue | None:
        """The lanes of a group of columns that exist; None for all of them."""
        if group in self._limits:
            return self._limits[group]
        count = (self.left if group == self.last else self.shape.lanes) if count is None else count
        if count >= self.shape.lanes:
            return None
        if count not in self._masks:
            self._masks[count] = self.emitter.mask(count, self.shape.lanes)
        return self._masks[count]

    def make_masks(self, views: Sequence[View]) -> None:
        """Masks are made before the loops that use them."""
        if self.last >= 0:
            self.mask(self.last)
            if any(view.step == 2 for view in views):
                for count in self.halves(self.last):
                    self.mask(self.last, count)

    def halves(self, group: int) -> tuple[int, int]:
        """How many elements the two loads of a group need where every other element is wanted.

        The second begins one element early, so that it ends with the last element wanted.
        """
        lanes = self.shape.lanes
        span = 2 * (self.left if group == self.last else lanes) - 1
        return min(span, lanes), max(0, span - (lanes - 1))

    def products(
        self,
        factors: tuple[View, View],
        reductions: Sequence[Reduction],
        sums: Sequence[SSAValue],
        ahead: Ahead | None = None,
    ) -> Sequence[SSAValue]:
        """The sums after all steps of the reductions, the first of which is the outermost loop."""
        emitter = self.emitter

        def nested(depth: int, at: Mapping[int, Index], carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            if depth == len(reductions):
                if ahead is not None:
                    self.fetch(ahead, at)
                return self.step(factors, at, carried)
            reduction = reductions[depth]

            def body(index: Index, inside: Sequence[SSAValue]) -> Sequence[SSAValue]:
                return nested(depth + 1, {**at, reduction.loop: index}, inside)

            return emitter.fold(reduction.extent, carried, body, unroll=reduction.unroll)

        return nested(0, {}, sums)

    def fetch(self, ahead: Ahead, at: Mapping[int, Index]) -> None:
        """Ask for a part of what another tile reads in this step."""
        emitter, column = self.emitter, self.shape.column_loop
        here = {**ahead.first, **{loop: emitter.plus(ahead.first[loop], step) for loop, step in at.items()}}
        for number in range(ahead.lines):
            emitter.prefetch(ahead.view, {**here, column: emitter.plus(here[column], number * ahead.apart)})

    def step(self, factors: tuple[View, View], at: Mapping[int, Index], sums: Sequence[SSAValue]) -> list[SSAValue]:
        """Every sum with one more product."""
        known: dict[tuple[int, int, int], SSAValue] = {}
        results: list[SSAValue] = []
        groups = len(self.shape.groups)
        for row in range(self.shape.rows):
            for group in self.shape.groups:
                x, y = (self.factor(number, view, row, group, at, known) for number, view in enumerate(factors))
                results.append(self.emitter.multiply_add(x, y, sums[row * groups + group]))
        return results

    def factor(
        self,
        number: int,
        view: View,
        row: int,
        group: int,
        at: Mapping[int, Index],
        known: dict[tuple[int, int, int], SSAValue],
    ) -> SSAValue:
        shape = self.shape
        by_row, by_column = shape.row_loop in view.loops, shape.column_loop in view.loops
        key = (number, row if by_row else 0, group if by_column else 0)
        if key not in known:
            known[key] = self.value(view, row, group, at)
        return known[key]

    def value(self, view: View, row: int, group: int, at: Mapping[int, Index]) -> SSAValue:
        """What a view has for one row and one group of columns, as a vector."""
        emitter, shape = self.emitter, self.shape
        place = {**at, shape.row_loop: row, shape.column_loop: group * shape.lanes}
        if shape.column_loop not in view.loops:
            found = emitter.load(view, place)
            return emitter.splat(emitter.widened(found, self.element, view.unsigned), shape.lanes)
        if view.step == 2:
            return self.every_other(view, group, place)
        found = emitter.load_vector(view, emitter.indices(view, place), shape.lanes, self.mask(group))
        return emitter.widened(found, self.element, view.unsigned)

    def every_other(self, view: View, group: int, place: Mapping[int, Index]) -> SSAValue:
        """Elements 0, 2, 4 … from two loads."""
        emitter, lanes = self.emitter, self.shape.lanes
        first = emitter.indices(view, place)
        start = place[self.shape.column_loop]
        assert isinstance(start, int)
        second = [*first[:-1], emitter.index(2 * start + lanes - 1)]
        counts = self.halves(group)
        low = emitter.load_vector(view, first, lanes, self.mask(group, counts[0]))
        high = low if counts[1] == 0 else emitter.load_vector(view, second, lanes, self.mask(group, counts[1]))
        return emitter.widened(emitter.every_other(low, high), self.element, view.unsigned)

    # Sums

    def start(self, start: SSAValue | View) -> list[SSAValue]:
        """What each sum starts from: a scalar, or what a view has there."""
        count = self.shape.rows * len(self.shape.groups)
        if isinstance(start, SSAValue):
            constant = self.emitter.splat(start, self.shape.lanes)
            return [constant] * count
        known: dict[tuple[int, int, int], SSAValue] = {}
        return [
            self.factor(0, start, row, group, {}, known)
            for row in range(self.shape.rows)
            for group in self.shape.groups
        ]

    def load(self, view: View, row: Index, group: int) -> SSAValue:
        """A vector as a view has it, or one element of it in all lanes."""
        emitter, shape = self.emitter, self.shape
        place: dict[int, Index] = {shape.row_loop: row, shape.column_loop: group * shape.lanes}
        if shape.column_loop not in view.loops:
            return emitter.splat(emitter.load(view, place), shape.lanes)
        return emitter.load_vector(view, emitter.indices(view, place), shape.lanes, self.mask(group))

    def store(self, sums: Sequence[SSAValue], result: Result) -> None:
        """Store every sum, finished.

        Those that wait for a long epilogue have a buffer of their own. Where the results go they may not wait: a tile
        that was moved back from an edge has elements in common with the one before it, which is another thread's.
        """
        shape, groups = self.shape, len(self.shape.groups)
        if is_long(result.epilogue) and shape.rows > 1:
            wide = groups * shape.lanes
            value = self.emitter.buffer(self.element, (shape.rows, wide))
            waiting = View(value, (shape.row_loop, shape.column_loop), (wide, 1))
            self.put(sums, waiting)
            with self.emitter.loop(shape.rows) as row:
                found = [self.load(waiting, row, group) for group in shape.groups]
                self.put_row(row, self.finished(row, found, result, {}), result.out)
            return
        known: dict[tuple[int, int, int], SSAValue] = {}
        for row in range(shape.rows):
            found = sums[row * groups : (row + 1) * groups]
            self.put_row(row, self.finished(row, found, result, known), result.out)

    def put(self, sums: Sequence[SSAValue], out: View) -> None:
        """Store every sum as it is."""
        groups = len(self.shape.groups)
        for row in range(self.shape.rows):
            self.put_row(row, sums[row * groups : (row + 1) * groups], out)

    def put_row(self, row: Index, values: Sequence[SSAValue], out: View) -> None:
        emitter, shape = self.emitter, self.shape
        for group, value in zip(shape.groups, values, strict=True):
            place: dict[int, Index] = {shape.row_loop: row, shape.column_loop: group * shape.lanes}
            emitter.store_vector(value, out, emitter.indices(out, place), self.mask(group))

    def finished(
        self, row: Index, sums: Sequence[SSAValue], result: Result, known: dict[tuple[int, int, int], SSAValue]
    ) -> Sequence[SSAValue]:
        """The epilogue of one row of sums; what it reads for other rows or columns too is in `known`."""
        epilogue, shape = result.epilogue, self.shape
        if epilogue is None:
            return sums
        made: list[SSAValue] = []
        for group, total in zip(shape.groups, sums, strict=True):
            arguments: list[SSAValue] = []
            for number, source in enumerate(result.read):
                if not isinstance(source, View):
                    arguments.append(total if source is None else self.emitter.splat(source, shape.lanes))
                    continue
                place = row if isinstance(row, int) and shape.row_loop in source.loops else 0
                key = (number, place, group if shape.column_loop in source.loops else 0)
                if key not in known:
                    known[key] = self.load(source, row, group)
                arguments.append(known[key])
            made.append(self.emitter.computed(epilogue.body, arguments, shape.lanes))
        return made
