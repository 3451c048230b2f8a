"""The shape of arrays: their dimensions rearranged, arrays joined and taken apart."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import SupportsIndex

from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import broadcast_shapes, element_of, rank_of, shape_of, shape_text
from xmlc.frontend.python.array import Array, ArrayLike, as_array, reshape, size_of, together, unary, value_of
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import active

__all__ = [
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "matrix_transpose",
    "moveaxis",
    "pad",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "tile",
    "unstack",
]

Axis = int | Sequence[int] | None


def sizes_of(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (size_of(shape),) if isinstance(shape, SupportsIndex) else tuple(map(size_of, shape))


def permute_dims(x: ArrayLike, /, axes: Sequence[int]) -> Array:
    rank = rank_of(value_of(x))
    order = axes_in(axes, rank)
    if len(order) != rank:
        raise CompileError(f"an array of {rank} dimensions has no order {tuple(axes)}", place=user_place())
    return unary(lambda v: F.transpose(v, order), x)


def axes_in(axes: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes in [0, rank), in their order. CompileError where one is out of range or stands there twice."""
    found = sizes_of(axes)
    if not all(-rank <= axis < rank for axis in found) or len({axis % rank for axis in found}) < len(found):
        raise AxisError(
            f"axes {found} are not distinct dimensions of an array that has {rank}",
            place=user_place(),
            hint=f"an axis is at least {-rank} and below {rank}",
        )
    return tuple([axis % rank for axis in found])


class AxisError(CompileError, ValueError, IndexError):
    """Dimensions that an array does not have, or that do not fit: the standard asks for either of the two errors."""


def transposed(x: ArrayLike, /) -> Array:
    """x.T"""
    return as_array(x).T


def matrix_transpose(x: ArrayLike, /) -> Array:
    return as_array(x).mT


def moveaxis(x: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int], /) -> Array:
    array = as_array(x)
    sources, destinations = axes_in(source, array.ndim), axes_in(destination, array.ndim)
    if len(sources) != len(destinations):
        raise CompileError(f"cannot move axes {sources} to {destinations}: there must be as many", place=user_place())
    order = [i for i in range(array.ndim) if i not in sources]
    for to, which in sorted(zip(destinations, sources)):
        order.insert(to, which)
    return permute_dims(array, order)


def expand_dims(x: ArrayLike, /, axis: int = 0) -> Array:
    array = as_array(x)
    (place,) = axes_in(axis, array.ndim + 1)
    return reshape(array, (*array.shape[:place], 1, *array.shape[place:]))


def broadcast_arrays(*arrays: ArrayLike) -> list[Array]:
    """Arrays stretched to the shape that they broadcast to."""
    shape = broadcast_shapes(*[shape_of(value_of(each)) for each in arrays])
    return [broadcast_to(each, shape) for each in arrays]


def squeeze(x: ArrayLike, /, axis: int | Sequence[int]) -> Array:
    """x without dimensions, which must have size 1."""
    array = as_array(x)
    axes = axes_in(axis, array.ndim)
    if any(array.shape[each] != 1 for each in axes):
        raise AxisError(f"cannot leave out dimensions {axis} of {shape_text(array.shape)}", place=user_place())
    return reshape(array, [size for i, size in enumerate(array.shape) if i not in axes])


def broadcast_to(x: ArrayLike, /, shape: Sequence[int]) -> Array:
    return unary(lambda v: F.broadcast(v, tuple(shape)), x)


def together_all(arrays: Sequence[ArrayLike]) -> list[SSAValue]:
    """Arrays in the type in which they all meet."""
    if not arrays:
        raise CompileError("expected at least one array", place=user_place())
    meeting = as_array(arrays[0])
    for each in arrays[1:]:
        meeting = Array(together(meeting, each)[0], active(), meeting.weak and as_array(each).weak)
    return [F.cast(value_of(each), element_of(meeting.value)) for each in arrays]


def concat(arrays: Sequence[ArrayLike], /, *, axis: int | None = 0) -> Array:
    values = together_all(arrays)
    if axis is None:
        values, axis = [F.reshape(each, (math.prod(shape_of(each)),)) for each in values], 0
    return Array(F.concat(values, axis), active())


def stack(arrays: Sequence[ArrayLike], /, *, axis: int = 0) -> Array:
    return concat([expand_dims(each, axis=axis) for each in arrays], axis=axis)


def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Array, ...]:
    return tuple(moveaxis(x, axis, 0))


def split(x: ArrayLike, parts: int, axis: int = 0) -> list[Array]:
    """Equal parts along a dimension, whose size they must divide."""
    array = as_array(x)
    axis %= array.ndim
    if array.shape[axis] % parts:
        raise CompileError(f"cannot split {array.shape[axis]} into {parts} equal parts", place=user_place())
    size = array.shape[axis] // parts
    before = (slice(None),) * axis
    return [array[(*before, slice(k * size, (k + 1) * size))] for k in range(parts)]


def flip(x: ArrayLike, /, *, axis: Axis = None) -> Array:
    array = as_array(x)
    axes = range(array.ndim) if axis is None else axes_in(axis, array.ndim)
    return unary(lambda v: F.reverse(v, tuple(axes)), array)


def roll(x: ArrayLike, /, shift: int | Sequence[int], *, axis: Axis = None) -> Array:
    """x moved by `shift` places along dimensions; what leaves at one end comes in at the other."""
    array = as_array(x)
    if axis is None:
        return reshape(roll(reshape(array, (-1,)), shift, axis=0), array.shape)
    axes = [operator.index(each) for each in sizes_of(axis)]
    shifts = sizes_of(shift) * (len(axes) if isinstance(shift, int) else 1)
    for each, by in zip([each % array.ndim for each in axes], shifts, strict=True):
        size = array.shape[each]
        if size and by % size:
            before, cut = (slice(None),) * each, size - by % size
            array = concat([array[(*before, slice(cut, None))], array[(*before, slice(None, cut))]], axis=each)
    return array


def tile(x: ArrayLike, repetitions: Sequence[int], /) -> Array:
    array = as_array(x)
    rank = max(len(repetitions), array.ndim)
    grown = reshape(array, (*[1] * (rank - array.ndim), *array.shape))
    counts = (*[1] * (rank - len(repetitions)), *repetitions)
    return unary(lambda v: F.tile(v, counts), grown)


def repeat(x: ArrayLike, repeats: int, /, *, axis: int | None = None) -> Array:
    """Each element `repeats` times, next to each other."""
    array = as_array(x) if axis is not None else reshape(x, (-1,))
    (axis,) = axes_in(axis or 0, array.ndim)
    shape = array.shape
    apart = broadcast_to(expand_dims(array, axis=axis + 1), (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
    return reshape(apart, (*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]))


def pad(x: ArrayLike, widths: Sequence[tuple[int, int]], mode: str = "constant", value: ArrayLike = 0) -> Array:
    """x with (before, after) elements more in each dimension; mode constant, edge or reflect, as in NumPy."""
    array = as_array(x)
    low, high = [low for low, _ in widths], [high for _, high in widths]
    filling = F.cast(value_of(value), element_of(array.value)) if mode == "constant" else None
    return unary(lambda v: F.pad(v, low, high, mode, value=filling), array)
