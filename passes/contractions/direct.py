"""Register tiles over the operands where they lie, without packing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from xmlc.passes.contractions.channels import channels_of, padded_channels
from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.planes import padded_planes, planes_of
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.result import result_of
from xmlc.passes.contractions.tile import Reduction, Shape, Tile
from xmlc.passes.index_arithmetic import Index


@dataclass(frozen=True)
class Direct:
    """Which loops are tiled, how, and the order of all parallel loops, outermost first."""

    shape: Shape
    steps: tuple[Steps, ...]
    reductions: tuple[Reduction, ...]
    most: int = 0
    """The elements that may be padded in the outermost loop: what stays in the second cache."""


def emit_direct(emitter: Emitter, found: Contraction, plan: Direct) -> None:
    """The tiles; where what the outermost loop reads is a part of a padded image, each part is padded on its own."""
    outermost, rest = plan.steps[0], plan.steps[1:]
    inside = replace(plan, steps=rest)
    if outermost.loop == plan.shape.column_loop and (channels := channels_of(found, outermost, plan.most)) is not None:

        def block(at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
            lhs = padded_channels(emitter, found, channels, outermost.loop, at, sizes, plan.shape.lanes)
            emit_tiles(emitter, found, inside, at, sizes, lhs)

        around(emitter, (outermost,), block)
        channels.drop()
        return
    own = planes_of(found, outermost, plan.most)
    if own is None:
        emit_tiles(emitter, found, plan, {})
        return
    padding, count = own
    with emitter.loop(outermost.extent, parallel=True) as index:
        inner = padded_planes(emitter, found, padding, count, outermost.loop, index, plan.shape.lanes)
        emit_tiles(emitter, inner, inside, {outermost.loop: index})
    padding.drop()


NONE: Mapping[int, int] = {}


def emit_tiles(
    emitter: Emitter,
    found: Contraction,
    plan: Direct,
    outside: Mapping[int, Index],
    extents: Mapping[int, int] = NONE,
    copied: View | None = None,
) -> None:
    """The tiles at given indices of the loops around the plan's, of these extents; `copied` is what the left factor has
    there, where it was copied."""
    shape = plan.shape
    rhs = emitter.view(found.rhs, found.extents, shape.column_loop)
    lhs = emitter.view(found.lhs, found.extents, shape.column_loop) if copied is None else copied
    result = result_of(emitter, found, shape.column_loop)
    start = found.start
    if isinstance(start, Operand):
        start = emitter.view(start, found.extents, shape.column_loop)
    whole = {reduction.loop: found.extents[reduction.loop] for reduction in plan.reductions}

    def body(inside: Mapping[int, Index], steps: Mapping[int, int]) -> None:
        at, sizes = {**outside, **inside}, {**extents, **steps}
        rows = sizes.get(shape.row_loop, 1)
        tile = Tile(
            emitter,
            Shape(shape.row_loop, rows, shape.column_loop, sizes[shape.column_loop], shape.lanes),
            found.element,
        )
        own = {**whole, **tile.shape.sizes}
        factors = (emitter.corner(lhs, at if copied is None else inside, own), emitter.corner(rhs, at, own))
        target = result.corner(emitter, at, own)
        tile.make_masks(factors)
        if start is None:
            sums = tile.start(target.unfinished)
        elif isinstance(start, View):
            sums = tile.start(emitter.corner(start, at, own))
        else:
            sums = tile.start(start)
        tile.store(tile.products(factors, plan.reductions, sums), target)

    around(emitter, plan.steps, body)
