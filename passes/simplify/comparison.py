"""Laws of comparisons, choices, limits and truth values."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import i1
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import TO_NUMPY, is_float, is_integer
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.elementwise import (
    CastOp,
    ClampOp,
    CompareOp,
    IsNanOp,
    MaxOp,
    MinOp,
    NotOp,
    Predicate,
    ReluOp,
    SelectOp,
)
from xmlc.dialects.ml.types import element_of, shape_of
from xmlc.passes.constants import filled, is_constant, is_filled, is_real, splat, stretched, stretches_to
from xmlc.passes.laws import Holds, law

SWAPPED = {
    Predicate.EQ: Predicate.EQ, Predicate.NE: Predicate.NE, Predicate.LT: Predicate.GT,
    Predicate.LE: Predicate.GE, Predicate.GT: Predicate.LT, Predicate.GE: Predicate.LE,
}  # fmt: skip
NEGATED = {
    Predicate.EQ: Predicate.NE, Predicate.NE: Predicate.EQ, Predicate.LT: Predicate.GE,
    Predicate.LE: Predicate.GT, Predicate.GT: Predicate.LE, Predicate.GE: Predicate.LT,
}  # fmt: skip
HOLDS_OF_EQUALS = (Predicate.EQ, Predicate.LE, Predicate.GE)


@law
def compared_constants_to_the_right(op: CompareOp) -> SSAValue | None:
    """c < x -> x > c, and so for every predicate"""
    if is_constant(op.lhs) and not is_constant(op.rhs):
        return F.compare(op.rhs, op.lhs, SWAPPED[op.predicate.data])
    return None


@law
def compared_with_itself(op: CompareOp) -> SSAValue | None:
    """x < x -> false; x == x -> true, but for floats, where x != x -> is_nan(x)"""
    if op.lhs is not op.rhs:
        return None
    predicate = op.predicate.data
    if is_real(op.lhs) and predicate is Predicate.NE:
        return F.is_nan(op.lhs)
    if is_real(op.lhs) and predicate in HOLDS_OF_EQUALS:
        return None
    return filled(op.out, predicate in HOLDS_OF_EQUALS)


@law(holds=Holds.FAST_MATH)
def real_equal_to_itself(op: CompareOp) -> SSAValue | None:
    """x == x -> true, though NaN is not equal to itself; x <= x and x >= x too"""
    return filled(op.out, True) if op.lhs is op.rhs and op.predicate.data in HOLDS_OF_EQUALS else None


@law
def compared_with_truth(op: CompareOp) -> SSAValue | None:
    """b == true -> b; b != false -> b; b == false -> not b; b != true -> not b"""
    found = splat(op.rhs)
    if element_of(op.lhs) != i1 or found is None or (x := stretched(op.lhs, op.out)) is None:
        return None
    match op.predicate.data, bool(found):
        case (Predicate.EQ, True) | (Predicate.NE, False):
            return x
        case (Predicate.EQ, False) | (Predicate.NE, True):
            return F.not_(x)
        case _:
            return None


@law
def negated_comparison(op: NotOp) -> SSAValue | None:
    """not (x == y) -> x != y, and back; not (x < y) -> x >= y and so on for integers: NaN is not below nor above"""
    match op.x.owner:
        case CompareOp(lhs=lhs, rhs=rhs, predicate=predicate):
            if is_real(lhs) and predicate.data not in (Predicate.EQ, Predicate.NE):
                return None
            return F.compare(lhs, rhs, NEGATED[predicate.data])
        case _:
            return None


@law
def not_of_not(op: NotOp) -> SSAValue | None:
    """not (not x) -> x"""
    match op.x.owner:
        case NotOp(x=x):
            return x
        case _:
            return None


@law
def nan_of_integer(op: IsNanOp) -> SSAValue | None:
    """is_nan of what was cast from an integer or a truth value -> false"""
    match op.x.owner:
        case CastOp(x=x) if not is_float(element_of(x)):
            return filled(op.out, False)
        case _:
            return None


# --- select


@law
def known_condition(op: SelectOp) -> SSAValue | None:
    """select(true, x, y) -> x; select(false, x, y) -> y"""
    found = splat(op.condition)
    return None if found is None else stretched(op.lhs if found else op.rhs, op.out)


@law
def equal_arms(op: SelectOp) -> SSAValue | None:
    """select(c, x, x) -> x"""
    return stretched(op.lhs, op.out) if op.lhs is op.rhs else None


@law
def negated_condition(op: SelectOp) -> SSAValue | None:
    """select(not c, x, y) -> select(c, y, x)"""
    match op.condition.owner:
        case NotOp(x=condition):
            return F.select(condition, op.rhs, op.lhs)
        case _:
            return None


@law
def selected_truth(op: SelectOp) -> SSAValue | None:
    """select(c, true, false) -> c; select(c, false, true) -> not c"""
    if element_of(op.out) != i1 or not stretches_to(op.condition, op.out):
        return None
    match splat(op.lhs), splat(op.rhs):
        case (np.True_, np.False_):
            return stretched(op.condition, op.out)
        case (np.False_, np.True_):
            return F.not_(F.broadcast(op.condition, shape_of(op.out)))
        case _:
            return None


@law
def same_condition_twice(op: SelectOp) -> SSAValue | None:
    """select(c, select(c, x, y), z) -> select(c, x, z); select(c, x, select(c, y, z)) -> select(c, x, z)"""
    inner = op.lhs.owner
    if isinstance(inner, SelectOp) and inner.condition is op.condition:
        made = (op.condition, inner.lhs, op.rhs)
    else:
        inner = op.rhs.owner
        if not isinstance(inner, SelectOp) or inner.condition is not op.condition:
            return None
        made = (op.condition, op.lhs, inner.rhs)
    return F.select(*made) if SelectOp.result_type([each.type for each in made]) == op.out.type else None


# --- limits


def limits(value: SSAValue) -> tuple[Any, Any]:
    """The smallest and the largest number of the element type: infinities for floats."""
    dtype = TO_NUMPY[element_of(value)]
    if is_real(value):
        return -np.inf, np.inf
    return np.iinfo(dtype).min, np.iinfo(dtype).max


@law
def limit_without_effect(op: MaxOp | MinOp) -> SSAValue | None:
    """max(x, -inf) -> x; min(x, inf) -> x; for integers their smallest and largest number"""
    found = splat(op.rhs)
    if found is None or found != limits(op.out)[isinstance(op, MinOp)]:
        return None
    return stretched(op.lhs, op.out)


@law
def limit_twice(op: MaxOp | MinOp) -> SSAValue | None:
    """max(max(x, y), y) -> max(x, y); min(min(x, y), y) -> min(x, y)"""
    inner = op.lhs.owner
    same = type(inner) is type(op) and isinstance(inner, MaxOp | MinOp) and op.rhs in (inner.lhs, inner.rhs)
    return op.lhs if same and op.lhs.type == op.out.type else None


@law
def limit_of_constants(op: MaxOp | MinOp) -> SSAValue | None:
    """max(max(x, c), d) -> max(x, max(c, d)); min likewise, c and d numbers"""
    inner, d = op.lhs.owner, splat(op.rhs)
    if type(inner) is not type(op) or d is None:
        return None
    assert isinstance(inner, MaxOp | MinOp)
    c = splat(inner.rhs)
    if c is None or not (c == c and d == d) or c == d or not stretches_to(inner.lhs, op.out):
        return None
    number = max(c, d) if isinstance(op, MaxOp) else min(c, d)
    return stretched(type(op)(inner.lhs, F.scalar(op.out, number)).out, op.out)


@law
def maximum_with_zero(op: MaxOp) -> SSAValue | None:
    """max(x, 0) -> relu(x)"""
    return (
        F.relu(F.broadcast(op.lhs, shape_of(op.out))) if is_filled(op.rhs, 0) and stretches_to(op.lhs, op.out) else None
    )


@law
def limits_on_both_sides(op: MinOp | MaxOp) -> SSAValue | None:
    """min(max(x, l), h) -> clamp(x, l, h); max(min(x, h), l) and min(relu(x), h) too, for numbers l <= h"""
    high = splat(op.rhs)
    match op, op.lhs.owner:
        case MinOp(), MaxOp(lhs=x, rhs=low) if high is not None and splat(low) is not None:
            made = (x, low, op.rhs)
        case MinOp(), ReluOp(x=x) if high is not None and high >= 0 and stretches_to(x, op.out):
            made = (x, F.scalar(x, 0), op.rhs)
        case MaxOp(), MinOp(lhs=x, rhs=above) if (
            (low := splat(op.rhs)) is not None and (top := splat(above)) is not None and low <= top
        ):
            made = (x, op.rhs, above)
        case _:
            return None
    return F.clamp(*made)


def bounds(op: ClampOp) -> tuple[Any, Any] | None:
    """The limits of a clamp where they are numbers, in order, and neither is -0.0."""
    low, high = splat(op.low), splat(op.high)
    if low is None or high is None or not low <= high or any(x == 0 and np.signbit(x) for x in (low, high)):
        return None
    return low, high


@law
def clamp_of_clamp(op: ClampOp) -> SSAValue | None:
    """clamp(clamp(x, a, b), c, d) -> clamp(x, limited a, limited b): both limits themselves clamped to c, d"""
    inner = op.x.owner
    if not isinstance(inner, ClampOp) or not stretches_to(inner.x, op.out):
        return None
    if (first := bounds(inner)) is None or (second := bounds(op)) is None:
        return None
    low, high = (F.scalar(op.out, min(max(each, second[0]), second[1])) for each in first)
    return stretched(F.clamp(inner.x, low, high), op.out)


@law
def clamp_of_relu(op: ClampOp) -> SSAValue | None:
    """clamp(relu(x), l, h) -> clamp(x, max(l, 0), h) where h >= 0"""
    inner = op.x.owner
    if not isinstance(inner, ReluOp) or (found := bounds(op)) is None or not found[1] >= 0:
        return None
    return F.clamp(inner.x, op.low if found[0] >= 0 else F.scalar(op.out, 0), op.high)


@law
def relu_of_clamp(op: ReluOp) -> SSAValue | None:
    """relu(clamp(x, l, h)) -> clamp(x, l, h) where l >= 0"""
    inner = op.x.owner
    return op.x if isinstance(inner, ClampOp) and (found := bounds(inner)) is not None and found[0] >= 0 else None


@law
def clamp_without_limit(op: ClampOp) -> SSAValue | None:
    """clamp(x, 0, inf) -> relu(x); clamp(x, -inf, inf) -> x; with one limit only, max or min"""
    low, high = splat(op.low), splat(op.high)
    if low is None or high is None or not low <= high or not stretches_to(op.x, op.out):
        return None
    least, most = limits(op.out)
    if low == least:
        return stretched(op.x, op.out) if high == most else F.min_(F.broadcast(op.x, shape_of(op.out)), op.high)
    return F.max_(F.broadcast(op.x, shape_of(op.out)), op.low) if high == most else None


# --- casts


def exactly_held(source: Any, target: Any) -> bool:
    """Whether every number of one element type is one of another."""
    if source in (target, i1):
        return True
    before, after = TO_NUMPY[source], TO_NUMPY[target]
    if target == i1:
        return False
    if is_integer(source) and is_integer(target):
        a, b = np.iinfo(before), np.iinfo(after)
        return bool(b.min <= a.min and a.max <= b.max)
    if is_integer(source):
        digits = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}[after.name]
        return np.iinfo(before).bits - (before.kind == "i") <= digits
    if is_integer(target):
        return False
    wider = {"float32": ("float64",), "float16": ("float32", "float64"), "bfloat16": ("float32", "float64")}
    return after.name in wider.get(before.name, ())


@law
def cast_of_cast(op: CastOp) -> SSAValue | None:
    """cast(cast(x to A) to B) -> cast(x to B) where A holds every x, or all are integers and B is not wider than A

    Through floats to an integer that x does not fit in, the number would saturate instead of wrapping around.
    """
    inner = op.x.owner
    if not isinstance(inner, CastOp):
        return None
    source, middle, target = element_of(inner.x), element_of(op.x), element_of(op.out)
    if exactly_held(source, middle):
        saturates = is_integer(source) and is_float(middle) and is_integer(target)
        if not saturates or exactly_held(source, target):
            return F.cast(inner.x, target)
        return None
    integers = all(is_integer(each) for each in (source, middle, target))
    if integers and TO_NUMPY[target].itemsize <= TO_NUMPY[middle].itemsize:
        return F.cast(inner.x, target)
    return None


@law
def cast_to_itself(op: CastOp) -> SSAValue | None:
    """cast(x to the type of x) -> x"""
    return op.x if op.x.type == op.out.type else None


COMPARISON = (
    compared_constants_to_the_right, compared_with_itself, real_equal_to_itself, compared_with_truth,
    negated_comparison, not_of_not, nan_of_integer, known_condition, equal_arms, negated_condition, selected_truth,
    same_condition_twice, limit_without_effect, limit_twice, maximum_with_zero, limits_on_both_sides,
    limit_of_constants, clamp_of_clamp, clamp_of_relu, relu_of_clamp, clamp_without_limit, cast_to_itself,
    cast_of_cast,
)  # fmt: skip
