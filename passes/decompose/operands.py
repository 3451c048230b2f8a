"""What decompositions ask of their operands: sizes that must be known, values in the type of computing."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation, SSAValue

from xmlc.dialects.diagnostics import CompileError, place_of
from xmlc.dialects.dtypes import computing_type
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import DYNAMIC, element_of, rank_of, shape_of


def known_shape(op: Operation, value: SSAValue) -> tuple[int, ...]:
    """The shape of an operand or result of `op`; CompileError if a size is known only at run time."""
    shape = shape_of(value)
    if DYNAMIC in shape:
        raise CompileError(
            f"cannot decompose {op.name}: {value.type} has a size that is known only at run time",
            place=place_of(op.location),
            hint="compile the program for given sizes of its inputs",
        )
    return shape


def wide(x: SSAValue) -> SSAValue:
    """x in the type its arithmetic is done in: f32 for f16 and bf16."""
    return F.cast(x, computing_type(element_of(x)))


def narrow(x: SSAValue, like: SSAValue) -> SSAValue:
    """x rounded to the element type of `like`."""
    return F.cast(x, element_of(like))


def insert_ones(x: SSAValue, axis: int, count: int) -> SSAValue:
    """x with `count` dimensions of size 1 inserted before dimension `axis`."""
    shape = shape_of(x)
    return F.reshape(x, (*shape[:axis], *[1] * count, *shape[axis:]))


def slice_along(x: SSAValue, axis: int, start: int, size: int) -> SSAValue:
    """x[…, start : start + size, …] in dimension `axis`."""
    starts, sizes = [0] * rank_of(x), list(shape_of(x))
    if start == 0 and size == sizes[axis]:
        return x
    starts[axis], sizes[axis] = start, size
    return F.slice_(x, starts, sizes)


def zeros(shape: Sequence[int], like: SSAValue) -> SSAValue:
    """Zeros of the element type of `like`."""
    return F.broadcast(F.scalar(like, 0), tuple(shape))


def inverse_of(permutation: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes this one."""
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))


def split(x: SSAValue, axis: int, count: int) -> Sequence[SSAValue]:
    """x in `count` equal parts along dimension `axis`."""
    size = shape_of(x)[axis] // count
    return [slice_along(x, axis, k * size, size) for k in range(count)]
