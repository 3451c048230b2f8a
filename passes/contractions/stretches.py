"""A long reduction in stretches: each is a product of its own, whose sums are added at the end.

    for each stretch of the reduction: its products, by any other schedule, into a buffer of its own
    for each row: add what the stretches made, then the epilogue

Stretches are independent of one another, so threads share them where there are too few rows and columns to share; and
each brings its part of both factors to the second cache once. How many there are depends on the product alone: results
do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

from xdsl.ir import SSAValue

from xmlc.passes.contractions.blocks_of_sums import added
from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.result import result_of
from xmlc.passes.contractions.tile import Shape, Tile
from xmlc.passes.index_arithmetic import Index

VECTORS = 4
"""Vectors of results that are added up at once: enough sums under way to hide what an addition takes."""


def in_stretches(found: Contraction, count: int, sums: SSAValue, start: SSAValue) -> Contraction:
    """The products of every stretch, in `sums`: one more loop, the first, along the stretches."""
    (reduction,) = found.reductions
    depth = found.extents[reduction] // count

    def parted(factor: Operand) -> Operand:
        return replace(factor, strides=(depth * factor.strides[reduction], *factor.strides))

    extents = (count, *(depth if loop == reduction else extent for loop, extent in enumerate(found.extents)))
    out = Operand(sums, strides_of_sums(found))
    return Contraction(
        extents, (False, *found.reduces), parted(found.lhs), parted(found.rhs), out, start, out, epilogue=None
    )


def strides_of_sums(found: Contraction) -> tuple[int, ...]:
    """Where the sums of each stretch lie: as results do, without gaps, a stretch after the other."""
    strides = [0] * len(found.extents)
    step = 1
    for loop in sorted(found.parallels, key=lambda loop: abs(found.out.strides[loop])):
        strides[loop] = step
        step *= found.extents[loop]
    return (step, *strides)


def with_buffer(emitter: Emitter, found: Contraction, count: int) -> Contraction:
    """The products of every stretch, in a new buffer; they are to be emitted before `add_up`."""
    size = prod(found.extents[loop] for loop in found.parallels)
    sums = emitter.buffer(found.element, (count * size,))
    return in_stretches(found, count, sums, emitter.number(0, found.element))


def add_up(emitter: Emitter, found: Contraction, parts: Contraction, column: int, lanes: int) -> None:
    """Results: what sums start from, and what every stretch made."""
    stretches = emitter.view(parts.out, parts.extents, column + 1)
    stretches = replace(stretches, loops=tuple(loop - 1 for loop in stretches.loops))
    result = result_of(emitter, found, column, keeps=found.start is None)
    start = found.start
    first = emitter.view(start, found.extents, column) if isinstance(start, Operand) else start

    def results(at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
        tile = Tile(emitter, Shape(NO_LOOP, 1, column, sizes[column], lanes), found.element)
        tile.make_masks(())
        here = result.corner(emitter, at, sizes)
        begin = here.unfinished if first is None else first
        if isinstance(begin, View) and first is not None:
            begin = emitter.corner(begin, at, sizes)

        def stretch(index: Index, total: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return added(emitter, tile.start(emitter.corner(stretches, {**at, STRETCH: index}, sizes)), total)

        tile.store(emitter.fold(parts.extents[0], tile.start(begin), stretch), here)

    rest = sorted((loop for loop in found.parallels if loop != column), key=lambda loop: -found.out.strides[loop])
    steps = [Steps(loop, found.extents[loop]) for loop in rest]
    around(emitter, [*steps, Steps(column, found.extents[column], VECTORS * lanes)], results)


STRETCH, NO_LOOP = -1, -2
"""The loop of stretches, as the loops of the whole product see it; no loop at all."""
