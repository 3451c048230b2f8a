"""Search: the place of the largest element of each row, in one sweep and a look at a few vectors of it.

    for blocks of vectors b:  m = the largest of b, lane by lane;  best, block = (m, b) where m > best
    among the lanes whose best is the row's, the least block has the element: the first in it that is as large

A row with NaN is searched from its start for the first of them. Smallest elements are found in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Any, cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, VectorType, f32, f64, i1, i32
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint

from xmlc.passes import remarks
from xmlc.passes.building import building
from xmlc.passes.contractions.emitter import INDEX, Emitter, View
from xmlc.passes.contractions.recognise import extents_of, operand_of
from xmlc.passes.index_arithmetic import Index
from xmlc.passes.machine import Machine
from xmlc.passes.number import STRICT, Flag, Integer, Real, build, element_of, select
from xmlc.passes.rows.emitter import NO_NAN
from xmlc.passes.rows.places import FAR, Extreme

BLOCK = 4
"""Vectors of which only the largest is compared with what was found before."""
LEAST_BLOCKS = 2
"""Blocks of a row, at least: one that is shorter is looked at twice as quickly."""


@dataclass(frozen=True)
class Search:
    """The rows of an extreme: their loops, what is read, and the buffers of the extremes and their places."""

    extreme: Extreme
    extents: tuple[int, ...]
    views: tuple[View, ...]
    lanes: int

    @property
    def size(self) -> int:
        """Elements of a row."""
        return self.extents[self.extreme.loop]


def search(extreme: Extreme, emitter: Emitter, machine: Machine) -> bool:
    """Put the loops of a search before an op; False where its rows are not whole blocks of f32 or f64 in memory."""
    op = extreme.op
    body = op.body.block
    element = element_of(extreme.value.type)
    if element not in (f32, f64) or len(op.inputs) != 1 or extreme.value is not body.args[0]:
        return False
    maps = [tuple(each.data.results) for each in op.indexing_maps]
    extents = extents_of(op.operands, maps, len(op.iterator_types))
    assert extents is not None
    lanes = machine.lanes(32 if element == f32 else 64)
    size = extents[extreme.loop]
    rows = [loop for loop, each in enumerate(op.iterator_types) if each.data == IteratorType.PARALLEL]
    if size % (BLOCK * lanes) or size < LEAST_BLOCKS * BLOCK * lanes or all(extents[loop] == 1 for loop in rows):
        return False
    operands = [operand_of(value, indices, len(extents)) for value, indices in zip(op.operands, maps)]
    if any(operand is None or min(operand.strides) < 0 for operand in operands):
        return False
    remarks.passed(op, lambda: f"places of extremes in one sweep over {size} elements and a look at {BLOCK} vectors")
    views = tuple(emitter.view(operand, extents, extreme.loop) for operand in operands if operand is not None)
    found = Search(extreme, tuple(extents), views, lanes)

    def nested(left: Sequence[int], at: Mapping[int, Index]) -> None:
        if not left:
            one_row(emitter, found, at)
            return
        with emitter.loop(extents[left[0]], parallel=True) as index:
            nested(left[1:], {**at, left[0]: index})

    nested(rows, {})
    return True


def one_row(emitter: Emitter, search: Search, at: Mapping[int, Index]) -> None:
    """The extreme of a row and its place, stored."""
    _, best_view, place_view = search.views
    best, block, has_nan = blocks(emitter, search, at)
    kind = "maxnumf" if search.extreme.is_largest else "minnumf"
    extreme = Real(emitter.reduction(kind, best.value, NO_NAN))
    nans = emitter.reduction("or", has_nan.value, STRICT)
    wanted = Real(emitter.splat(extreme.value, search.lanes))
    with inside(emitter):
        near = select(best.equals(wanted), block, block.constant(FAR))
    first = emitter.reduction("minsi", near.value, STRICT)

    def with_nan() -> Sequence[SSAValue]:
        return emitter.number(nan, extreme.value.type), first_nan(emitter, search, at)

    def without() -> Sequence[SSAValue]:
        return extreme.value, first_like(emitter, search, at, extreme, Integer(first))

    number, place = emitter.choose(nans, with_nan, without, (extreme.value.type, i32))
    with inside(emitter):
        place = build(arith.ExtSIOp, (place,), place_view.element)
    emitter.store(number, best_view, at)
    emitter.store(place, place_view, at)


def blocks(emitter: Emitter, search: Search, at: Mapping[int, Index]) -> tuple[Real, Integer, Flag]:
    """Lane by lane the extreme of a row, where its block starts, and whether there is a NaN."""
    lanes, largest, loop = search.lanes, search.extreme.is_largest, search.extreme.loop
    kind = VectorType(element_of(search.extreme.value.type), (lanes,))
    numbers = VectorType(i32, (lanes,))

    def better(x: Real, y: Real) -> Flag:
        return x > y if largest else x < y

    def block(start: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        best, where, has_nan = Real(carried[0]), Integer(carried[1]), Flag(carried[2])
        found = [loaded(emitter, search, {**at, loop: emitter.plus(start, k * lanes)}) for k in range(BLOCK)]
        here = Integer(emitter.splat(narrowed(emitter, emitter.index(start)), lanes))
        with inside(emitter):
            for x, y in zip(found[::2], found[1::2]):  # one comparison finds NaN in two vectors
                has_nan = has_nan | x.unordered(y)
            while len(found) > 1:
                found = [select(better(y, x), y, x) for x, y in zip(found[::2], found[1::2])]
            is_better = better(found[0], best)
            where = select(is_better, here, where)
            best = select(is_better, found[0], best)
        return best.value, where.value, has_nan.value

    begun = [
        emitter.number(-inf if largest else inf, kind),
        emitter.number(0, numbers),
        emitter.number(0, VectorType(i1, (lanes,))),
    ]
    best, where, has_nan = emitter.fold(search.size, begun, block, step=BLOCK * lanes)
    return Real(best), Integer(where), Flag(has_nan)


def first_like(emitter: Emitter, search: Search, at: Mapping[int, Index], extreme: Real, first: Integer) -> SSAValue:
    """The place of the first element that is the extreme, in the block from `first` on."""
    lanes, loop = search.lanes, search.extreme.loop
    with inside(emitter):
        start = build(arith.IndexCastOp, (first.value,), INDEX)
    wanted, far = Real(emitter.splat(extreme.value, lanes)), Integer(emitter.number(FAR, VectorType(i32, (lanes,))))
    found = [loaded(emitter, search, {**at, loop: emitter.plus(start, k * lanes)}) for k in range(BLOCK)]
    with inside(emitter):
        places = [select(each.equals(wanted), numbered(k * lanes, lanes), far) for k, each in enumerate(found)]
        while len(places) > 1:
            places = [least(x, y) for x, y in zip(places[::2], places[1::2])]
    nearest = Integer(emitter.reduction("minsi", places[0].value, STRICT))
    with inside(emitter):
        return (first + nearest).value


def first_nan(emitter: Emitter, search: Search, at: Mapping[int, Index]) -> SSAValue:
    """The place of the first NaN of a row."""
    lanes, loop = search.lanes, search.extreme.loop

    def look(start: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        found, nearest = loaded(emitter, search, {**at, loop: start}), Integer(carried[0])
        here = Integer(emitter.splat(narrowed(emitter, emitter.index(start)), lanes))
        with inside(emitter):
            places = here + numbered(0, lanes)
            return (least(select(found.unordered(found), places, places.constant(FAR)), nearest).value,)

    (nearest,) = emitter.fold(search.size, [emitter.number(FAR, VectorType(i32, (lanes,)))], look, step=lanes)
    return emitter.reduction("minsi", nearest, STRICT)


def numbered(start: int, lanes: int) -> Integer:
    """start, start + 1, ... one in each lane."""
    kind = VectorType(i32, (lanes,))
    numbers = DenseIntOrFPElementsAttr.from_list(cast("Any", kind), list(range(start, start + lanes)))
    return Integer(build(arith.ConstantOp, (), kind, value=numbers))


def least(x: Integer, y: Integer) -> Integer:
    return select(x.compare("lt", y), x, y)


def loaded(emitter: Emitter, search: Search, at: Mapping[int, Index]) -> Real:
    """A vector of a row."""
    source = search.views[0]
    return Real(emitter.load_vector(source, emitter.indices(source, at), search.lanes))


def narrowed(emitter: Emitter, index: SSAValue) -> SSAValue:
    """An index as a number of 32 bits."""
    return emitter.add(arith.IndexCastOp(index, i32)).results[0]


def inside(emitter: Emitter) -> Any:
    """What is built goes where the emitter is, into an open loop."""
    assert emitter.block is not None
    return building(InsertPoint.at_end(emitter.block), emitter.location)
