"""Register tiles over the operands where they lie, without packing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xmlc.passes.contractions.emitter import Emitter
from xmlc.passes.contractions.nest import Steps, around
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


def emit_direct(emitter: Emitter, found: Contraction, plan: Direct) -> None:
    shape = plan.shape
    lhs, rhs = (emitter.view(operand, found.extents, shape.column_loop) for operand in (found.lhs, found.rhs))
    result = result_of(emitter, found, shape.column_loop)
    start = found.start
    if isinstance(start, Operand):
        start = emitter.view(start, found.extents, shape.column_loop)
    whole = {reduction.loop: found.extents[reduction.loop] for reduction in plan.reductions}

    def body(at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
        rows = sizes.get(shape.row_loop, 1)
        tile = Tile(
            emitter,
            Shape(shape.row_loop, rows, shape.column_loop, sizes[shape.column_loop], shape.lanes),
            found.element,
        )
        own = {**whole, **tile.shape.sizes}
        factors = (emitter.corner(lhs, at, own), emitter.corner(rhs, at, own))
        target = result.corner(emitter, at, own)
        tile.make_masks(factors)
        if start is None:
            sums = tile.start(target.unfinished)
        elif isinstance(start, (type(lhs))):
            sums = tile.start(emitter.corner(start, at, own))
        else:
            sums = tile.start(start)
        tile.store(tile.products(factors, plan.reductions, sums), target)

    around(emitter, plan.steps, body)
