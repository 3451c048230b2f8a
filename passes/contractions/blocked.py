"""Cache blocks and packed panels, after GotoBLAS (Goto and van de Geijn, Anatomy of high-performance matrix
multiplication, 2008).

    for jc: for pc: pack columns jc.. of the vector factor, steps pc.., into panels as wide as the register tile
      for each tile of rows: pack its rows of the scalar factor, unless they run through memory along the reduction
        for each panel of columns: register tile, added to `out`

The panels of a block stay in the second cache, the rows of a tile in the first. Panels are filled up with zeros, so
that the tile has no masks; only storing it looks at where `out` ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import MemRefType, VectorType
from xdsl.ir import Attribute, SSAValue

from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.tile import Reduction, Shape, Tile
from xmlc.passes.index_arithmetic import Index


@dataclass(frozen=True)
class Blocked:
    """A matrix product: its loops, register tile, and blocks in columns and steps of the reduction."""

    shape: Shape
    reduction: int
    outer: tuple[int, ...]
    """Loops around the product."""
    columns: int
    depth: int
    packs_rows: bool
    unroll: int = 0


PANEL, STEP, PLACE = 0, 1, 2
"""The loops of a packed buffer: which panel, which step of the reduction, which row or column of the panel."""


def emit_blocked(emitter: Emitter, found: Contraction, plan: Blocked) -> None:
    shape, extents = plan.shape, found.extents
    row, column, reduction = shape.row_loop, shape.column_loop, plan.reduction
    wide, high = found.lhs, found.rhs
    if not wide.strides[column]:
        wide, high = high, wide
    if found.start is not None:
        initialise(emitter, found, found.start)
    b_source = emitter.view(wide, extents, column if wide.strides[column] == 1 else reduction)
    a_source = emitter.view(high, extents, row if high.strides[row] == 1 else reduction)
    out = emitter.view(found.out, extents, column)

    def product(batch: Mapping[int, Index], _: Mapping[int, int]) -> None:
        with emitter.loop(extents[column], plan.columns, parallel=True) as jc:
            # buffers are made in the loops that fill them: each thread gets its own
            columns(batch, jc, panels(emitter, found, -(-plan.columns // shape.columns), plan.depth, shape.columns))

    def columns(batch: Mapping[int, Index], jc: Index, b: View) -> None:
        with emitter.loop(extents[reduction], plan.depth) as pc:
            width = part(emitter, extents[column], jc, plan.columns)
            depth = part(emitter, extents[reduction], pc, plan.depth)
            block = {**batch, column: jc, reduction: pc}
            pack(emitter, b_source, b, block, column, reduction, width, depth, shape.columns)

            def rows(at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
                here = {**batch, **at, reduction: pc}
                count = sizes[row]
                if plan.packs_rows:
                    a = panels(emitter, found, 1, plan.depth, shape.rows)
                    pack(emitter, a_source, a, here, row, reduction, count, depth, shape.rows)
                    left = packed(emitter, a, 0, {row: PLACE, reduction: STEP}, plan, shape.rows)
                else:
                    left = emitter.corner(a_source, here, {row: count, reduction: depth})
                with emitter.loop(emitter.rounded_up(width, shape.columns), parallel=True) as panel:
                    right = packed(emitter, b, panel, {column: PLACE, reduction: STEP}, plan, shape.columns)
                    j = emitter.times(panel, shape.columns)
                    made = Tile(emitter, replace(shape, rows=count), found.element)
                    zero = emitter.number(0.0, VectorType(found.element, (shape.lanes,)))
                    sums = [zero] * (count * len(shape.groups))
                    sums = made.products((left, right), [Reduction(reduction, depth, plan.unroll)], sums)
                    corner = {**batch, **at, column: emitter.plus(jc, j)}
                    add_to(emitter, made.shape, sums, out, corner, emitter.less(width, j))

            around(emitter, [Steps(row, extents[row], shape.rows)], rows)

    around(emitter, [Steps(loop, extents[loop]) for loop in plan.outer], product)


def packed(emitter: Emitter, buffer: View, panel: Index, names: Mapping[int, int], plan: Blocked, wide: int) -> View:
    """One panel of a packed buffer, as the loops of the product see it."""
    part = emitter.corner(buffer, {PANEL: panel}, {PANEL: 1, STEP: plan.depth, PLACE: wide})
    loops = {number: loop for loop, number in names.items()}
    return replace(part, loops=tuple(loops.get(number, NO_LOOP) for number in part.loops))


NO_LOOP = -2


def initialise(emitter: Emitter, found: Contraction, start: SSAValue | Operand) -> None:
    """out[...] = start[...]"""
    out = emitter.view(found.out, found.extents)
    source = emitter.view(start, found.extents) if isinstance(start, Operand) else None

    def store(at: Mapping[int, Index], _: Mapping[int, int]) -> None:
        value = emitter.load(source, at) if source is not None else start
        assert isinstance(value, SSAValue)
        emitter.store(value, out, at)

    around(emitter, [Steps(loop, found.extents[loop]) for loop in out.loops], store)


def panels(emitter: Emitter, found: Contraction, count: int, depth: int, wide: int) -> View:
    """A buffer of panels: panel, step, place."""
    value = emitter.buffer(found.element, (count, depth, wide))
    return View(value, (PANEL, STEP, PLACE), (depth * wide, wide, 1))


def part(emitter: Emitter, whole: int, start: Index, block: int) -> Index:
    """How much of `whole` the block that begins at `start` holds."""
    if whole % block == 0 or isinstance(start, int):
        return min(block, whole)
    return emitter.least(emitter.less(whole, start), block)


def pack(
    emitter: Emitter,
    source: View,
    target: View,
    at: Mapping[int, Index],
    loop: int,
    reduction: int,
    extent: Index,
    depth: Index,
    wide: int,
) -> None:
    """Copy a block into panels `wide` along `loop`, the places after its end zero."""
    whole = source_extent(source, loop)
    exact = whole % wide == 0 or (isinstance(extent, int) and extent % wide == 0)
    with emitter.loop(emitter.rounded_up(extent, wide), parallel=True) as panel:
        first = emitter.times(panel, wide)
        start = emitter.plus(at[loop], first)
        left: Index = wide if exact else emitter.least(emitter.less(extent, first), wide)
        if source.loops[-1] == loop and source.strides[-1] == 1:
            copy_vectors(emitter, source, target, {**at, loop: start}, panel, loop, reduction, left, depth, wide)
            return
        with emitter.loop(left) as place, emitter.loop(depth) as step:
            where = {**at, loop: emitter.plus(start, place), reduction: emitter.plus(at[reduction], step)}
            value = emitter.widened(emitter.load(source, where), target.element)
            emitter.store(value, target, {PANEL: panel, STEP: step, PLACE: place})
        if not exact:
            zero = emitter.number(0.0, target.element)
            with emitter.loop(emitter.less(wide, left)) as place, emitter.loop(depth) as step:
                emitter.store(zero, target, {PANEL: panel, STEP: step, PLACE: emitter.plus(left, place)})


def source_extent(source: View, loop: int) -> int:
    """How far a loop that moves a view runs."""
    return cast(MemRefType[Attribute], source.value.type).get_shape()[source.loops.index(loop)]


def copy_vectors(
    emitter: Emitter,
    source: View,
    target: View,
    at: Mapping[int, Index],
    panel: Index,
    loop: int,
    reduction: int,
    left: Index,
    depth: Index,
    wide: int,
) -> None:
    """Rows of a panel where the source has them in one piece."""
    lanes = next(width for width in (16, 8, 4, 2, 1) if wide % width == 0)
    starts = range(0, wide, lanes)
    full = isinstance(left, int) and left == wide
    masks = [None if full else emitter.mask(emitter.less(left, start), lanes) for start in starts]
    with emitter.loop(depth) as step:
        for start, mask in zip(starts, masks):
            where = {**at, loop: emitter.plus(at[loop], start), reduction: emitter.plus(at[reduction], step)}
            value = emitter.load_vector(source, emitter.indices(source, where), lanes, mask)
            place = emitter.indices(target, {PANEL: panel, STEP: step, PLACE: start})
            emitter.store_vector(emitter.widened(value, target.element), target, place)


def add_to(
    emitter: Emitter, shape: Shape, sums: Sequence[SSAValue], out: View, corner: Mapping[int, Index], left: Index
) -> None:
    """out[corner] += sums, within the columns that are left."""
    values = iter(sums)
    starts = [group * shape.lanes for group in shape.groups]
    full = isinstance(left, int) and left >= shape.columns
    if not full and cast(MemRefType[Attribute], out.value.type).get_shape()[-1] % shape.columns == 0:
        full = True
    masks = [None if full else emitter.mask(emitter.less(left, start), shape.lanes) for start in starts]
    columns = [emitter.plus(corner[shape.column_loop], start) for start in starts]
    for row in range(shape.rows):
        i = emitter.plus(corner[shape.row_loop], row)
        for j, mask in zip(columns, masks):
            at = emitter.indices(out, {**corner, shape.row_loop: i, shape.column_loop: j})
            before = emitter.load_vector(out, at, shape.lanes, mask)
            total = arith.AddfOp.create(operands=(before, next(values)), result_types=(before.type,), properties=EXACT)
            emitter.store_vector(emitter.add(total).results[0], out, at, mask)


EXACT = {"fastmath": arith.FastMathFlagsAttr("none")}
