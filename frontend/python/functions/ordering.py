"""Sorted arrays, and where elements belong in them."""

from __future__ import annotations

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.frontend.python.array import Array, ArrayLike, as_array, together, unary
from xmlc.frontend.python.functions.creation import full, zeros
from xmlc.frontend.python.functions.elementwise import less, less_equal, where
from xmlc.frontend.python.functions.indexing import take
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import active

__all__ = [
    "argsort",
    "searchsorted",
    "sort",
    "topk",
]


def sort(x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    return unary(lambda v: F.sort(v, axis, descending)[0], x)


def argsort(x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    return unary(lambda v: F.sort(v, axis, descending)[1], x)


def searchsorted(x1: ArrayLike, x2: ArrayLike, /, *, side: str = "left", sorter: ArrayLike | None = None) -> Array:
    """Where each element of x2 belongs in the sorted vector x1: before those equal to it, or after with "right".

    A binary search, for all elements at once: it halves the places that are left as often as x1's length asks for.
    """
    if side not in ("left", "right"):
        raise CompileError(f"side is 'left' or 'right', found {side!r}", place=user_place())
    line = as_array(x1) if sorter is None else take(x1, sorter)
    first, second, _ = together(line, x2)
    rows, wanted = Array(first, active()), Array(second, active())
    size = line.shape[0]
    low = zeros(wanted.shape, dtype=int)
    high = full(wanted.shape, size)
    goes_right = less_equal if side == "right" else less
    for _ in range(size.bit_length()):
        middle = (low + high) >> 1
        found = (low < high) & goes_right(take(rows, middle.reshape(-1)).reshape(wanted.shape), wanted)
        low, high = where(found, middle + 1, low), where(found, high, middle)
    return low


def topk(x: ArrayLike, k: int, *, axis: int = -1) -> tuple[Array, Array]:
    """The k largest in descending order, and where they are."""
    array = as_array(x)
    values, indices = F.topk(array.value, k, axis)
    return Array(values, array.trace), Array(indices, array.trace)
