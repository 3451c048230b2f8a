"""Ops of `ml` that fold, scan or order elements, as loop nests."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects import arith
from xdsl.dialects.builtin import IndexType, i1, i64
from xdsl.ir import Attribute, Operation, SSAValue

from xmlc.dialects.dtypes import computing_type, is_float, is_unsigned, storage_type
from xmlc.dialects.ml import reduction as ml
from xmlc.dialects.ml.types import element_of, rank_of, shape_of, tensor
from xmlc.passes.lower_ml.combine import COMBINE, neutral
from xmlc.passes.lower_ml.elementwise import convert_float
from xmlc.passes.lower_ml.structured import (
    PARALLEL,
    REDUCTION,
    build_index,
    counted_loop,
    dim,
    empty,
    extract,
    filled,
    generic,
    identity,
    index,
    insert,
    loop_index,
    loops,
    number,
    parallel,
    reshaped,
)
from xmlc.passes.number import build


def widened(value: SSAValue) -> SSAValue:
    """A scalar in the type it is computed in."""
    return convert_float(value, computing_type(value.type)) if is_float(value.type) else value


def rounded(x: SSAValue, element: Attribute) -> SSAValue:
    """A tensor of sums in its own element type."""
    if element_of(x) == element:
        return x
    shape = shape_of(x)

    def body(value: SSAValue) -> SSAValue:
        return convert_float(value, element)

    return parallel([(x, identity(len(shape)))], tensor(shape, element), body)


def fold(name: str) -> Callable[..., SSAValue]:
    """out[j] = the fold of x[j, k] over k"""

    def lower(op: ml.ReduceOp, x: SSAValue) -> SSAValue:
        axes, rank, unsigned = op.axes.get_values(), rank_of(x), is_unsigned(element_of(op.x))
        element = storage_type(element_of(op.out))
        sums = computing_type(element)
        kept = [axis for axis in range(rank) if axis not in axes]
        start = filled([shape_of(x)[axis] for axis in kept], number(neutral(name, sums, unsigned), sums))

        def body(value: SSAValue, total: SSAValue) -> SSAValue:
            return COMBINE[name](total, widened(value), unsigned)

        (result,) = generic(
            [(x, identity(rank))],
            [(start, tuple(map(dim, kept)))],
            [REDUCTION if axis in axes else PARALLEL for axis in range(rank)],
            body,
        )
        return reshaped(rounded(result, element), shape_of(op.out))

    return lower


def arg(largest: bool) -> Callable[..., SSAValue]:
    """The extreme element so far and where it was, folded together"""

    def lower(op: ml.ArgReduceOp, x: SSAValue) -> SSAValue:
        axis, rank, unsigned = op.axis.value.data, rank_of(x), is_unsigned(element_of(op.x))
        kept = [i for i in range(rank) if i != axis]
        shape, element = [shape_of(x)[i] for i in kept], element_of(x)
        extreme = number(neutral("max" if largest else "min", element, unsigned), element)
        target = tuple(map(dim, kept))

        def body(value: SSAValue, best: SSAValue, place: SSAValue) -> tuple[SSAValue, SSAValue]:
            better = before(value, best, descending=largest, unsigned=unsigned, nan_first=True)
            here = build(arith.IndexCastOp, (loop_index(axis),), i64)
            return (
                build(arith.SelectOp, (better, value, best), element),
                build(arith.SelectOp, (better, here, place), i64),
            )

        _, places = generic(
            [(x, identity(rank))],
            [(filled(shape, extreme), target), (filled(shape, number(0, i64)), target)],
            [REDUCTION if i == axis else PARALLEL for i in range(rank)],
            body,
        )
        return reshaped(places, shape_of(op.out))

    return lower


def before(x: SSAValue, y: SSAValue, *, descending: bool, unsigned: bool, nan_first: bool) -> SSAValue:
    """Does x come strictly before y? NaN comes first or last, and no NaN before another.

    That is: x > y, or one of them is NaN, but not the one that would then come after.
    """
    if not is_float(x.type):
        return arith.CmpiOp(x, y, ("u" if unsigned else "s") + ("gt" if descending else "lt")).result
    no_nan = y if nan_first else x
    before_or_nan = arith.CmpfOp(x, y, "ugt" if descending else "ult").result
    return build(arith.AndIOp, (before_or_nan, arith.CmpfOp(no_nan, no_nan, "ord").result), i1)


def scan(name: str) -> Callable[..., SSAValue]:
    """total = fold(total, x[i]), written before or after the step, forwards or backwards"""

    def lower(op: ml.CumulativeOp, x: SSAValue) -> SSAValue:
        axis, shape, unsigned = op.axis.value.data, shape_of(x), is_unsigned(element_of(op.x))
        element = element_of(x)
        sums = computing_type(element)
        out = [empty(shape, element)]
        with loops([*shape[:axis], *shape[axis + 1 :]], out) as others:
            state = [number(neutral(name, sums, unsigned), sums), out[0]]
            with counted_loop(index(0), index(shape[axis]), index(1), state) as step:
                i = step
                if op.reverse is not None:
                    i = build_index(arith.SubiOp, index(shape[axis] - 1), step)
                at = [*others[:axis], i, *others[axis:]]
                total, target = state
                following = COMBINE[name](total, widened(extract(x, at)), unsigned)
                written = total if op.exclusive is not None else following
                narrow = convert_float(written, element) if is_float(element) else written
                state[:] = following, insert(narrow, target, at)
            out[0] = state[1]
        return out[0]

    return lower


def order(op: ml.SortOp | ml.TopKOp, x: SSAValue, descending: bool) -> SSAValue:
    """The sorted order along the axis, as i64 places in x: a stable merge sort, bottom up.

    Runs of 1, 2, 4 … places are merged in turn from one row of places to the other (Knuth, TAOCP 3, 5.2.4).
    """
    axis, shape, unsigned = op.axis.value.data, shape_of(x), is_unsigned(element_of(op.x))
    size = shape[axis]
    result = [empty(shape, i64)]
    with loops([*shape[:axis], *shape[axis + 1 :]], result) as others:

        def at(i: SSAValue) -> list[SSAValue]:
            return [*others[:axis], i, *others[axis:]]

        def key(place: SSAValue) -> SSAValue:
            return extract(x, at(build(arith.IndexCastOp, (place,), IndexType())))

        places = parallel_places(size)
        width = 1
        while width < size:
            places = merged(places, size, width, key, descending, unsigned)
            width *= 2
        with counted_loop(index(0), index(size), index(1), result) as i:
            result[0] = insert(extract(places, (i,)), result[0], at(i))
    return result[0]


def parallel_places(size: int) -> SSAValue:
    return parallel([], tensor((size,), i64), lambda: build(arith.IndexCastOp, (loop_index(0),), i64))


def merged(
    places: SSAValue,
    size: int,
    width: int,
    key: Callable[[SSAValue], SSAValue],
    descending: bool,
    unsigned: bool,
) -> SSAValue:
    """A row of places in which neighbouring sorted runs of `width` have been merged."""
    row = [empty((size,), i64)]
    with counted_loop(index(0), index(size), index(2 * width), row) as start:
        middle = build(arith.MinSIOp, (build_index(arith.AddiOp, start, index(width)), index(size)), IndexType())
        stop = build(arith.MinSIOp, (build_index(arith.AddiOp, start, index(2 * width)), index(size)), IndexType())
        state = [start, middle, row[0]]
        with counted_loop(start, stop, index(1), state) as i:
            left, right, target = state
            # read both heads, clamped so that an exhausted run is read harmlessly
            last = index(size - 1)
            left_place = extract(places, (build(arith.MinSIOp, (left, last), IndexType()),))
            right_place = extract(places, (build(arith.MinSIOp, (right, last), IndexType()),))
            right_first = before(
                key(right_place), key(left_place), descending=descending, unsigned=unsigned, nan_first=descending
            )
            left_over = arith.CmpiOp(left, middle, "sge").result
            right_left = arith.CmpiOp(right, stop, "slt").result
            takes_right = build(arith.AndIOp, (right_left, build(arith.OrIOp, (left_over, right_first), i1)), i1)
            chosen = build(arith.SelectOp, (takes_right, right_place, left_place), i64)
            one, none = index(1), index(0)
            state[:] = (
                build_index(arith.AddiOp, left, build(arith.SelectOp, (takes_right, none, one), IndexType())),
                build_index(arith.AddiOp, right, build(arith.SelectOp, (takes_right, one, none), IndexType())),
                insert(chosen, target, (i,)),
            )
        row[0] = state[2]
    return row[0]


def picked(x: SSAValue, places: SSAValue, axis: int) -> SSAValue:
    """x at the places along the axis."""
    rank = rank_of(x)

    def body(place: SSAValue) -> SSAValue:
        at = [loop_index(i) for i in range(rank)]
        at[axis] = build(arith.IndexCastOp, (place,), IndexType())
        return extract(x, at)

    return parallel([(places, identity(rank))], tensor(shape_of(places), element_of(x)), body)


def sort(op: ml.SortOp, x: SSAValue) -> tuple[SSAValue, SSAValue]:
    places = order(op, x, op.descending is not None)
    return picked(x, places, op.axis.value.data), places


def topk(op: ml.TopKOp, x: SSAValue) -> tuple[SSAValue, SSAValue]:
    """The first k places of the sorted order"""
    axis, rank = op.axis.value.data, rank_of(x)
    places = order(op, x, op.smallest is None)
    type = tensor(shape_of(op.indices), i64)
    first = parallel([], type, lambda: extract(places, [loop_index(i) for i in range(rank)]))
    return picked(x, first, axis), first


LOWER: dict[type[Operation], Callable[..., SSAValue | tuple[SSAValue, ...]]] = {
    ml.ReduceSumOp: fold("add"),
    ml.ReduceProdOp: fold("mul"),
    ml.ReduceMaxOp: fold("max"),
    ml.ReduceMinOp: fold("min"),
    ml.ReduceAnyOp: fold("or"),
    ml.ReduceAllOp: fold("and"),
    ml.ArgMaxOp: arg(largest=True),
    ml.ArgMinOp: arg(largest=False),
    ml.CumulativeSumOp: scan("add"),
    ml.CumulativeProdOp: scan("mul"),
    ml.CumulativeMaxOp: scan("max"),
    ml.SortOp: sort,
    ml.TopKOp: topk,
}
