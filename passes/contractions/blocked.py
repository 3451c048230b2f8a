"""Cache blocks and packed panels: the structure of GotoBLAS (Goto and van de Geijn, Anatomy of high-performance matrix
multiplication, 2008).

    for jc: for pc: pack columns jc.. of the vector factor, steps pc.., into panels as wide as the register tile
      for ic: pack rows ic.. of the scalar factor into panels as high as the register tile
        for each panel of columns: for each panel of rows: register tile, added to `out`

Panels are filled up with zeros, so that the tile has no masks; only storing it looks at where `out` ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from xdsl.dialects import arith
from xdsl.dialects.builtin import VectorType
from xdsl.ir import Operation, SSAValue

from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.tile import Reduction, Shape, Tile
from xmlc.passes.index_arithmetic import Index


@dataclass(frozen=True)
class Blocked:
    """A matrix product: its loops, register tile, and blocks in rows, columns and steps of the reduction."""

    shape: Shape
    reduction: int
    outer: tuple[int, ...]
    """Loops around the product."""
    rows: int
    columns: int
    depth: int
    unroll: int = 0


PANEL, STEP, PLACE = 0, 1, 2
"""The loops of a packed buffer: which panel, which step of the reduction, which row or column of the panel."""


def emit_blocked(emitter: Emitter, found: Contraction, plan: Blocked) -> None:
    shape, extents = plan.shape, found.extents
    columns_factor, rows_factor = found.lhs, found.rhs
    if not columns_factor.strides[shape.column_loop]:
        columns_factor, rows_factor = rows_factor, columns_factor
    wide = shape.columns
    b = panels(emitter, found, -(-plan.columns // wide), plan.depth, wide)
    a = panels(emitter, found, -(-plan.rows // shape.rows), plan.depth, shape.rows)
    if found.start is not None:
        initialise(emitter, found, found.start)
    last = {True: shape.column_loop, False: plan.reduction}
    b_source = emitter.view(columns_factor, extents, last[columns_factor.strides[shape.column_loop] == 1])
    a_source = emitter.view(rows_factor, extents, plan.reduction)
    if rows_factor.strides[shape.row_loop] == 1:
        a_source = emitter.view(rows_factor, extents, shape.row_loop)
    out = emitter.view(found.out, extents, shape.column_loop)

    def product(at: Mapping[int, Index], _: Mapping[int, int]) -> None:
        whole_columns, whole_rows, whole_depth = (
            extents[loop] for loop in (shape.column_loop, shape.row_loop, plan.reduction)
        )
        with emitter.loop(whole_columns, plan.columns) as jc, emitter.loop(whole_depth, plan.depth) as pc:
            width = part(emitter, whole_columns, jc, plan.columns)
            depth = part(emitter, whole_depth, pc, plan.depth)
            here = {**at, shape.column_loop: jc, plan.reduction: pc}
            pack(emitter, b_source, b, here, shape.column_loop, plan.reduction, width, depth, wide)
            with emitter.loop(whole_rows, plan.rows) as ic:
                height = part(emitter, whole_rows, ic, plan.rows)
                here = {**at, shape.row_loop: ic, plan.reduction: pc}
                pack(emitter, a_source, a, here, shape.row_loop, plan.reduction, height, depth, shape.rows)
                with (
                    emitter.loop(emitter.rounded_up(width, wide)) as jp,
                    emitter.loop(emitter.rounded_up(height, shape.rows)) as ip,
                ):
                    i, j = emitter.times(ip, shape.rows), emitter.times(jp, wide)
                    corner = {
                        **at,
                        shape.row_loop: emitter.plus(ic, i),
                        shape.column_loop: emitter.plus(jc, j),
                    }
                    left = (emitter.less(height, i), emitter.less(width, j))
                    tile(emitter, found, plan, (a, ip), (b, jp), depth, out, corner, left)

    around(emitter, [Steps(loop, extents[loop]) for loop in plan.outer], product)


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
    exact = isinstance(extent, int) and extent % wide == 0
    with emitter.loop(emitter.rounded_up(extent, wide)) as panel:
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


def tile(
    emitter: Emitter,
    found: Contraction,
    plan: Blocked,
    a: tuple[View, Index],
    b: tuple[View, Index],
    depth: Index,
    out: View,
    corner: Mapping[int, Index],
    left: tuple[Index, Index],
) -> None:
    """out[corner] += panel of a * panel of b, as far as `out` reaches: `left` rows and columns."""
    shape = plan.shape
    rows, columns = ({shape.row_loop: PLACE, plan.reduction: STEP}, {shape.column_loop: PLACE, plan.reduction: STEP})
    views: list[View] = []
    for (view, panel), names, wide in ((a, rows, shape.rows), (b, columns, shape.columns)):
        part = emitter.corner(view, {PANEL: panel}, {PANEL: 1, STEP: plan.depth, PLACE: wide})
        loops = {number: loop for loop, number in names.items()}
        views.append(replace(part, loops=tuple(loops.get(number, -2) for number in part.loops)))
    made = Tile(emitter, shape, found.element)
    zero = emitter.number(0.0, VectorType(found.element, (shape.lanes,)))
    sums = [zero] * (shape.rows * len(shape.groups))
    sums = made.products((views[0], views[1]), [Reduction(plan.reduction, depth, plan.unroll)], sums)
    add_to(emitter, shape, sums, out, corner, left)


def add_to(
    emitter: Emitter,
    shape: Shape,
    sums: list[SSAValue] | tuple[SSAValue, ...],
    out: View,
    corner: Mapping[int, Index],
    left: tuple[Index, Index],
) -> None:
    """out[corner] += sums, within the rows and columns that are left."""
    rows_left, columns_left = left
    values = iter(sums)
    starts = [group * shape.lanes for group in shape.groups]
    full = isinstance(columns_left, int) and columns_left >= shape.columns
    masks = [None if full else emitter.mask(emitter.less(columns_left, start), shape.lanes) for start in starts]
    columns = [emitter.plus(corner[shape.column_loop], start) for start in starts]
    for row in range(shape.rows):
        with emitter.when_less(row, rows_left):
            i = emitter.plus(corner[shape.row_loop], row)
            for j, mask in zip(columns, masks):
                at = emitter.indices(out, {**corner, shape.row_loop: i, shape.column_loop: j})
                before = emitter.load_vector(out, at, shape.lanes, mask)
                total: Operation = arith.AddfOp.create(
                    operands=(before, next(values)), result_types=(before.type,), properties=FAST
                )
                emitter.store_vector(emitter.add(total).results[0], out, at, mask)


FAST = {"fastmath": arith.FastMathFlagsAttr("none")}
