"""Elements by their place."""

from __future__ import annotations

import builtins
import math
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import i64

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import broadcast_shapes, element_of, shape_of
from xmlc.frontend.python.array import Array, ArrayLike, as_array, from_the_end, index, reshape, unary, value_of
from xmlc.frontend.python.functions.shapes import axes_in, broadcast_to
from xmlc.frontend.python.places import user_place

__all__ = [
    "at",
    "replaced",
    "take",
    "take_along_axis",
]


def take(x: ArrayLike, indices: ArrayLike, /, *, axis: int | None = None) -> Array:
    """Whole slices of x along a dimension; a negative index counts from the end, one out of range is clamped."""
    array = as_array(x)
    if axis is None and array.ndim != 1:
        raise CompileError(f"name the axis of an array of {array.ndim} dimensions", place=user_place())
    (place,) = axes_in(axis or 0, array.ndim)
    places = from_the_end(value_of(indices), array.shape[place])
    return unary(lambda v: F.gather(v, places, place), array)


def take_along_axis(x: ArrayLike, indices: ArrayLike, /, *, axis: int = -1) -> Array:
    """Single elements of x along a dimension."""
    array, given = as_array(x), as_array(indices)
    (place,) = axes_in(axis, array.ndim)
    others = [array.shape[i] if i != place else 1 for i in range(array.ndim)]
    wanted = broadcast_shapes(others, [given.shape[i] if i != place else 1 for i in range(given.ndim)])
    array = broadcast_to(array, (*wanted[:place], array.shape[place], *wanted[place + 1 :]))
    given = broadcast_to(given, (*wanted[:place], given.shape[place], *wanted[place + 1 :]))
    places = from_the_end(given.value, array.shape[place])
    return unary(lambda v: F.gather_elements(v, places, place), array)


@dataclass(frozen=True)
class Slice:
    """start:stop:step as part of an index that can be compared and hashed."""

    start: int | None
    stop: int | None
    step: int | None

    @property
    def slice(self) -> builtins.slice:
        return builtins.slice(self.start, self.stop, self.step)


def at(x: ArrayLike, /, *key: Any) -> Array:
    """x[key]"""
    return index(as_array(x), tuple([each.slice if isinstance(each, Slice) else each for each in key]))


def replaced(x: ArrayLike, value: ArrayLike, /, *key: Any) -> Array:
    """x with x[key] = value"""
    array = as_array(x)
    places = at(reshape(Array(F.iota((array.size,), 0, i64), array.trace), array.shape), *key)
    given = F.broadcast(F.cast(value_of(value), element_of(array.value)), places.shape)
    flat, where, updates = [F.reshape(v, (math.prod(shape_of(v)),)) for v in (array.value, places.value, given)]
    return reshape(Array(F.scatter_elements(flat, where, updates, 0), array.trace), array.shape)
