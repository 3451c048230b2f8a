"""Contractions with free sizes: register tiles for as much as they fit, smaller ones for the rest.

The columns are the loop that moves the result by one element, and a factor by one or by two (a convolution with
strides), of which every other element is taken; the rows are a loop that the other factor
moves along. A tile of rows x columns is summed in registers over all reduction loops:

    for j in columns by two vectors, then by one vector, masked
        for i in rows by 12, then by 4, then by 1
            sums = out[i.., j..]
            for k: sums += lhs[i.., k] * rhs[k, j..]
            out[i.., j..] = sums

Columns are outside of the rows, so that what a factor has for them stays in the first caches. No stride has to be
known: every access says its indices as the op's maps do. A factor may lie in panels as wide as a tile (`pack-weights`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from xdsl.dialects import arith, linalg, scf, vector
from xdsl.dialects.builtin import DYNAMIC_INDEX, AnyFloat, MemRefType, UnitAttr, VectorType
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.memref import DimOp, LoadOp
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr

from xmlc.passes import remarks
from xmlc.passes.contractions.emitter import INDEX, Emitter, View, bits_of
from xmlc.passes.contractions.recognise import is_linear, unsigned_factors
from xmlc.passes.index_arithmetic import Index, IndexConstants, evaluate
from xmlc.passes.machine import Machine
from xmlc.passes.schedule import PARALLEL
from xmlc.passes.views import shape_of

VECTORS = 2
"""Vectors in a row of the tile."""
ROWS = (12, 4, 1)
"""Rows of the tile, and of those for what is left over; as many of the first as there are registers for."""
UNROLLED = 4
"""An innermost reduction loop of at most so many steps is written out."""


def lower(op: linalg.ops.GenericOp, machine: Machine, constants: IndexConstants) -> None:
    """Tile an op, if it is a contraction that has free sizes."""
    found = product_of(op, machine)
    if found is not None:
        remarks.passed(op, lambda: "tiles of sums in registers, for every size of its loops")
        Tiles(op, found, machine, constants).emit()
        op.detach()
        op.erase()


@dataclass(frozen=True)
class Product:
    """Which loops of a contraction are the rows (None: there are none) and columns of the tile, which go around it."""

    maps: tuple[tuple[AffineExpr, ...], ...]
    row: int | None
    column: int
    around: tuple[int, ...]
    reductions: tuple[int, ...]


def product_of(op: linalg.ops.GenericOp, machine: Machine) -> Product | None:
    """The tile's loops; None where all sizes are known, or where no loop can be the columns."""
    if len(op.inputs) != 2 or len(op.outputs) != 1 or unsigned_factors(op.body.block) != (False, False):
        return None
    if not isinstance(op.body.block.args[-1].type, AnyFloat):
        return None
    if not any(DYNAMIC_INDEX in shape_of(value) for value in op.operands):
        return None
    maps = tuple(tuple(attribute.data.results) for attribute in op.indexing_maps)
    reduces = [iterator.data != IteratorType.PARALLEL for iterator in op.iterator_types]
    parallels = [loop for loop, reduced in enumerate(reduces) if not reduced]
    output = maps[2]
    if not all(isinstance(each, AffineDimExpr) for each in output) or not output:
        return None
    column = cast(AffineDimExpr, output[-1]).position
    wide = VECTORS * machine.lanes(bits_of(op.body.block.args[-1].type))
    seen = [in_a_panel(map_, column, wide) for map_ in maps]
    if not all(is_linear(each) for map_ in seen for each in map_):
        return None
    steps = [step_of(map_, column) for map_ in seen]
    if not {*steps[:2]} <= {0, 1, 2} or steps[2] != 1:
        return None
    vectors = [map_ for map_ in maps[:2] if moves(map_, column)]
    rows = [
        loop
        for loop in parallels
        if loop != column and AffineDimExpr(loop) in output and not any(moves(map_, loop) for map_ in vectors)
    ]
    row = rows[-1] if rows and len(vectors) == 1 else None
    around = tuple(loop for loop in parallels if loop not in (row, column))
    return Product(maps, row, column, around, tuple(loop for loop, reduced in enumerate(reduces) if reduced))


def in_a_panel(map_: Sequence[AffineExpr], column: int, wide: int) -> Sequence[AffineExpr]:
    """What a tile of `wide` columns sees of an operand that lies in panels of so many: indices within one of them."""
    quotient = AffineExpr.dimension(column) // wide
    inside = {quotient: AffineExpr.constant(0), AffineExpr.dimension(column) % wide: AffineExpr.dimension(column)}
    if quotient not in map_:
        return map_
    return without_units([inside.get(each, each) for each in map_])


def without_units(map_: Sequence[AffineExpr]) -> Sequence[AffineExpr]:
    """Without the last indices that are always 0."""
    count = len(map_)
    while count and map_[count - 1] == AffineExpr.constant(0):
        count -= 1
    return map_[:count]


def moves(map_: Sequence[AffineExpr], loop: int) -> bool:
    """Whether an operand moves along a loop."""
    return any(loop in each.used_dims() for each in map_)


def step_of(map_: Sequence[AffineExpr], loop: int) -> int | None:
    """By how many elements of its last dimension a step of a loop moves an operand; None where it moves in another."""
    if not moves(map_, loop):
        return 0
    *others, last = map_
    if moves(others, loop):
        return None
    count = 1 + max(last.used_dims())
    here, there = [0] * count, [int(each == loop) for each in range(count)]
    return last.eval(there, ()) - last.eval(here, ())


UNMASKED = None, None


@dataclass(frozen=True)
class Mask:
    """Which lanes of a vector there are columns for, and which of the two vectors that every other element is from."""

    columns: SSAValue
    halves: tuple[SSAValue | None, SSAValue | None] = UNMASKED


class Tiles:
    """Emits the tiles of one op before it."""

    def __init__(self, op: linalg.ops.GenericOp, found: Product, machine: Machine, constants: IndexConstants):
        self.op = op
        self.found = found
        self.emitter = Emitter(op, constants)
        self.element = cast("MemRefType[Attribute]", op.outputs[0].type).element_type
        self.lanes = machine.lanes(bits_of(self.element))
        self.type = VectorType(self.element, (self.lanes,))
        most = (machine.vector_registers - VECTORS - 1) // VECTORS
        self.rows = tuple(dict.fromkeys(min(rows, most) for rows in ROWS))
        self.lhs, self.rhs, self.out = (View(value, (), ()) for value in op.operands)

    def emit(self) -> None:
        self.around(0, {})

    def extent(self, loop: int) -> Index:
        """How often a loop runs: the dimension of an operand that it alone indexes."""
        expression = AffineDimExpr(loop)
        for value, map_ in zip(self.op.operands, self.found.maps):
            if expression in map_:
                position = map_.index(expression)
                size = shape_of(value)[position]
                if size != DYNAMIC_INDEX:
                    return size
                where = self.emitter.constants[position]
                return self.emitter.add(DimOp.create(operands=(value, where), result_types=(INDEX,))).results[0]
        raise AssertionError("a loop that no operand sizes")

    def around(self, depth: int, at: Mapping[int, Index]) -> None:
        if depth < len(self.found.around):
            loop = self.found.around[depth]
            with self.span(0, self.extent(loop), 1) as index:
                self.around(depth + 1, {**at, loop: index})
            return
        columns, wide = self.extent(self.found.column), VECTORS * self.lanes
        whole = self.whole(0, columns, wide)
        with self.span(0, whole, wide) as index:
            self.each_row({**at, self.found.column: index}, VECTORS, None)
        if isinstance(columns, int) and columns == whole:
            return
        with self.span(whole, columns, self.lanes) as index:
            mask = self.mask(self.emitter.less(columns, index))
            self.each_row({**at, self.found.column: index}, 1, mask)

    def mask(self, columns: Index) -> Mask:
        """For a vector of so many columns, or all its lanes where that is more."""
        emitter, lanes = self.emitter, self.lanes
        if not any(step_of(map_, self.found.column) == 2 for map_ in self.found.maps[:2]):
            return Mask(emitter.mask(columns, lanes))
        reached = emitter.times(columns, 2)  # the last column's element is the one before the last of these
        high = emitter.arithmetic(arith.MaxSIOp, emitter.less(reached, lanes), 0)
        halves = emitter.mask(emitter.less(reached, 1), lanes), emitter.mask(high, lanes)
        return Mask(emitter.mask(columns, lanes), halves)

    def each_row(self, at: Mapping[int, Index], vectors: int, mask: Mask | None) -> None:
        if self.found.row is None:
            self.tile(at, 1, vectors, mask)
            return
        start, rows = cast(Index, 0), self.extent(self.found.row)
        for size in self.rows:
            stop = self.whole(start, rows, size)
            with self.span(start, stop, size) as index:
                self.tile({**at, self.found.row: index}, size, vectors, mask)
            start = stop

    def whole(self, start: Index, stop: Index, step: int) -> Index:
        """Where the last whole step of a loop ends."""
        emitter = self.emitter
        if step == 1:
            return stop
        length = emitter.less(stop, start)
        if isinstance(length, int) and isinstance(start, int):
            return start + length // step * step
        steps = emitter.arithmetic(arith.DivUIOp, length, step)
        return emitter.plus(start, emitter.times(steps, step))

    @contextmanager
    def span(self, start: Index, stop: Index, step: int) -> Generator[Index]:
        """for index in range(start, stop, step), whose iterations write apart from each other"""
        emitter = self.emitter
        body = Block(arg_types=(INDEX,))
        operands = (emitter.index(start), emitter.index(stop), emitter.constants[step])
        loop = emitter.add(scf.ForOp.create(operands=operands, regions=(Region(body),)))
        loop.attributes[PARALLEL] = UnitAttr()
        outside, emitter.block = emitter.block, body
        yield body.args[0]
        body.add_op(scf.YieldOp.create(location=emitter.location))
        emitter.block = outside

    def tile(self, at: Mapping[int, Index], rows: int, vectors: int, mask: Mask | None) -> None:
        """One tile of sums: loaded, summed up, stored."""
        places = [
            self.indices(self.found.maps[2], self.moved(at, row, group))
            for row in range(rows)
            for group in range(vectors)
        ]
        emitter, columns = self.emitter, mask.columns if mask is not None else None
        sums: Sequence[SSAValue] = [emitter.load_vector(self.out, place, self.lanes, columns) for place in places]
        sums = self.products(0, at, sums, lambda inner, now: self.step(inner, rows, vectors, mask, now))
        for value, place in zip(sums, places, strict=True):
            emitter.store_vector(value, self.out, place, columns)

    def moved(self, at: Mapping[int, Index], row: int, group: int) -> Mapping[int, Index]:
        """The loops' indices for one row and one vector of the tile whose corner is `at`."""
        column = self.found.column
        there = {**at, column: self.emitter.plus(at[column], group * self.lanes)}
        if self.found.row is not None:
            there[self.found.row] = self.emitter.plus(at[self.found.row], row)
        return there

    def products(
        self,
        depth: int,
        at: Mapping[int, Index],
        sums: Sequence[SSAValue],
        step: Callable[[Mapping[int, Index], Sequence[SSAValue]], Sequence[SSAValue]],
    ) -> Sequence[SSAValue]:
        """The sums after all steps of the reduction loops."""
        if depth == len(self.found.reductions):
            return step(at, sums)
        loop = self.found.reductions[depth]
        extent = self.extent(loop)
        if isinstance(extent, int) and extent <= UNROLLED and depth + 1 == len(self.found.reductions):
            for index in range(extent):
                sums = self.products(depth + 1, {**at, loop: index}, sums, step)
            return sums
        return self.emitter.fold(
            extent, sums, lambda index, now: self.products(depth + 1, {**at, loop: index}, now, step)
        )

    def step(
        self, at: Mapping[int, Index], rows: int, vectors: int, mask: Mask | None, sums: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        """Every sum with one more product."""
        known: dict[tuple[int, int, int], SSAValue] = {}
        results: list[SSAValue] = []
        for row in range(rows):
            for group in range(vectors):
                factors = [self.factor(number, at, row, group, mask, known) for number in (0, 1)]
                fma = vector.FMAOp.create(operands=(*factors, sums[len(results)]), result_types=(self.type,))
                results.append(self.emitter.add(fma).results[0])
        return results

    def factor(
        self,
        number: int,
        at: Mapping[int, Index],
        row: int,
        group: int,
        mask: Mask | None,
        known: dict[tuple[int, int, int], SSAValue],
    ) -> SSAValue:
        """What a factor has for one row and one vector of columns; each place is loaded once."""
        map_, view, emitter = self.found.maps[number], (self.lhs, self.rhs)[number], self.emitter
        by_row = self.found.row is not None and moves(map_, self.found.row)
        by_column = moves(map_, self.found.column)
        key = (number, row if by_row else 0, group if by_column else 0)
        if key not in known:
            place = self.indices(map_, self.moved(at, row, group))
            if by_column:
                load = self.every_other if step_of(map_, self.found.column) == 2 else self.in_a_row
                known[key] = emitter.widened(load(view, place, mask), self.element)
            else:
                scalar = emitter.widened(self.loaded(view, place), self.element)
                known[key] = emitter.splat(scalar, self.lanes)
        return known[key]

    def in_a_row(self, view: View, place: Sequence[SSAValue], mask: Mask | None) -> SSAValue:
        return self.emitter.load_vector(view, place, self.lanes, mask.columns if mask is not None else None)

    def every_other(self, view: View, place: Sequence[SSAValue], mask: Mask | None) -> SSAValue:
        """Elements 0, 2, 4 … from two loads, of which the second ends with the last that is wanted."""
        emitter, lanes = self.emitter, self.lanes
        second = [*place[:-1], emitter.index(emitter.plus(place[-1], lanes - 1))]
        masks = mask.halves if mask is not None else UNMASKED
        low, high = (emitter.load_vector(view, each, lanes, half) for each, half in zip((place, second), masks))
        return emitter.every_other(low, high)

    def loaded(self, view: View, place: Sequence[SSAValue]) -> SSAValue:
        made = LoadOp.create(operands=(view.value, *place), result_types=(view.element,))
        return self.emitter.add(made).results[0]

    def indices(self, map_: Sequence[AffineExpr], at: Mapping[int, Index]) -> list[SSAValue]:
        """The indices of an operand by its map."""
        emitter = self.emitter
        dims = [at.get(loop, 0) for loop in range(len(self.op.iterator_types))]
        return [emitter.index(evaluate(each, dims, emitter.constants, emitter.add)) for each in map_]
