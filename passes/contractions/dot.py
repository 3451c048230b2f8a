"""Vectors along the reduction: where both factors run through memory along it, and there is little to spread.

Each sum of the tile is a vector of partial sums, added up at the end. Where an instruction multiplies and sums groups
of neighbours, each partial sum takes a group in every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import VectorType, i32
from xdsl.dialects.utils import FastMathFlag
from xdsl.ir import SSAValue

from xmlc.passes.contractions.dots import Dots
from xmlc.passes.contractions.emitter import Emitter, View
from xmlc.passes.contractions.nest import Steps, around
from xmlc.passes.contractions.panels import dot
from xmlc.passes.contractions.recognise import Contraction, Operand
from xmlc.passes.contractions.result import Result, result_of
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.number import STRICT, element_of

REASSOCIATE = arith.FastMathFlagsAttr([FastMathFlag.REASSOC])


@dataclass(frozen=True)
class Dot:
    """Rows and columns of a tile of sums, and the reduction along which vectors run; others are outside it."""

    row_loop: int
    column_loop: int
    reduction: int
    others: tuple[int, ...]
    steps: tuple[Steps, ...]
    lanes: int
    dots: Dots | None = None
    """The instruction for groups of neighbours, if it takes both factors as they are."""

    @property
    def taken(self) -> int:
        """Elements of a factor that a vector of partial sums takes at a time."""
        return self.lanes * (self.dots.size if self.dots is not None else 1)


def emit_dot(emitter: Emitter, found: Contraction, plan: Dot) -> None:
    extents = found.extents
    lhs, rhs = (emitter.view(operand, extents, plan.reduction) for operand in (found.lhs, found.rhs))
    result = result_of(emitter, found)
    start = emitter.view(found.start, extents) if isinstance(found.start, Operand) else found.start
    element = found.element
    zero = emitter.number(0.0, VectorType(element, (plan.lanes,)))
    extent = extents[plan.reduction]
    whole = extent - extent % plan.taken
    whole_loops = {loop: extents[loop] for loop in (plan.reduction, *plan.others)}

    def body(at: Mapping[int, Index], sizes: Mapping[int, int]) -> None:
        rows, columns = sizes.get(plan.row_loop, 1), sizes.get(plan.column_loop, 1)
        own = {**whole_loops, **sizes}
        x, y = (emitter.corner(view, at, own) for view in (lhs, rhs))
        target = result.corner(emitter, at, own)
        first = emitter.corner(start, at, own) if isinstance(start, View) else start
        mask = emitter.mask(extent - whole, plan.taken) if extent != whole else None

        def step(index: Mapping[int, Index], sums: Sequence[SSAValue], masked: SSAValue | None) -> list[SSAValue]:
            known: dict[tuple[int, int], SSAValue] = {}

            def value(number: int, view: View, row: int, column: int) -> SSAValue:
                place = (row if plan.row_loop in view.loops else 0) + (column if plan.column_loop in view.loops else 0)
                if (number, place) not in known:
                    where = {**index, plan.row_loop: row, plan.column_loop: column}
                    loaded = emitter.load_vector(view, emitter.indices(view, where), plan.taken, masked)
                    known[number, place] = loaded if plan.dots else emitter.widened(loaded, element, view.unsigned)
                return known[number, place]

            results: list[SSAValue] = []
            for place, total in enumerate(sums):
                row, column = divmod(place, columns)
                mine, theirs = value(0, x, row, column), value(1, y, row, column)
                if plan.dots is None:
                    results.append(emitter.multiply_add(mine, theirs, total))
                else:
                    given = (theirs, mine) if plan.dots.unsigned_columns else (mine, theirs)
                    results.append(dot(emitter, total, *given, plan.dots))
            return results

        def nested(depth: int, index: Mapping[int, Index], sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
            if depth < len(plan.others):
                loop = plan.others[depth]

                def inner(i: Index, inside: Sequence[SSAValue]) -> Sequence[SSAValue]:
                    return nested(depth + 1, {**index, loop: i}, inside)

                return emitter.fold(extents[loop], sums, inner)

            def along(i: Index, inside: Sequence[SSAValue]) -> Sequence[SSAValue]:
                return step({**index, plan.reduction: i}, inside, None)

            sums = emitter.fold(whole, sums, along, step=plan.taken)
            return step({**index, plan.reduction: whole}, sums, mask) if mask is not None else sums

        sums = nested(0, {}, [zero] * (rows * columns))
        for place, total in enumerate(sums):
            row, column = divmod(place, columns)
            where = {plan.row_loop: row, plan.column_loop: column}
            before = first if isinstance(first, SSAValue) else emitter.load(first or target.unfinished, where)
            emitter.store(finished(emitter, add_up(emitter, total, before), target, where), target.out, where)

    around(emitter, plan.steps, body)


def add_up(emitter: Emitter, total: SSAValue, before: SSAValue) -> SSAValue:
    """before + the sum of a vector's lanes"""
    fastmath = STRICT if element_of(before.type) == i32 else REASSOCIATE
    return emitter.sum(before, emitter.reduction("add", total, fastmath))


def finished(emitter: Emitter, total: SSAValue, result: Result, where: Mapping[int, Index]) -> SSAValue:
    """The epilogue of one sum."""
    if result.epilogue is None:
        return total
    arguments = [
        total if source is None else emitter.load(source, where) if isinstance(source, View) else source
        for source in result.read
    ]
    return emitter.computed(result.epilogue.body, arguments, None)
