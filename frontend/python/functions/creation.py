"""Arrays made of numbers, and of numbers that run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import i64

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import is_float
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of
from xmlc.dialects.sizes import Size
from xmlc.frontend.python.array import Array, ArrayLike, as_array, element_named, kind, reshape
from xmlc.frontend.python.functions.shapes import broadcast_arrays, broadcast_to, sizes_of
from xmlc.frontend.python.places import user_place
from xmlc.frontend.python.trace import active

__all__ = [
    "arange",
    "asarray",
    "astype",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]


def asarray(x: ArrayLike, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Array:
    """x as an array of the program: a number as a constant, an array from outside as a constant or a weight."""
    array = as_array(x)
    if dtype is None and array.weak:
        dtype = (bool, int, float)[kind(element_of(array.value))]
    return array if dtype is None else array.astype(dtype)


def full(shape: int | Sequence[int], fill_value: ArrayLike, *, dtype: Any = None, device: Any = None) -> Array:
    """An array of `shape` that holds one value everywhere."""
    return broadcast_to(asarray(fill_value, dtype=dtype), sizes_of(shape))


def zeros(shape: int | Sequence[int], *, dtype: Any = None, device: Any = None) -> Array:
    return full(shape, 0, dtype=float if dtype is None else dtype)


def ones(shape: int | Sequence[int], *, dtype: Any = None, device: Any = None) -> Array:
    return full(shape, 1, dtype=float if dtype is None else dtype)


def full_like(x: ArrayLike, /, fill_value: ArrayLike, *, dtype: Any = None, device: Any = None) -> Array:
    array = as_array(x)
    return full(array.shape, fill_value, dtype=array.dtype if dtype is None else dtype)


def zeros_like(x: ArrayLike, /, *, dtype: Any = None, device: Any = None) -> Array:
    return full_like(x, 0, dtype=dtype)


def ones_like(x: ArrayLike, /, *, dtype: Any = None, device: Any = None) -> Array:
    return full_like(x, 1, dtype=dtype)


empty, empty_like = zeros, zeros_like


def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None
) -> Array:
    """start, start + step, … below stop; from 0 where only one bound is given."""
    start, stop = (0, start) if stop is None else (start, stop)
    whole = isinstance(start, int | Size) and isinstance(stop, int | Size) and isinstance(step, int)
    element = element_named((int if whole else float) if dtype is None else dtype)
    count = -((start - stop) // step) if whole else math.ceil((stop - start) / step)
    count = max(count, 0)
    wide = element if is_float(element) else i64
    places = F.iota((cast(int, count),), 0, wide)
    if step != 1:
        places = F.mul(places, F.scalar(places, step))
    places = F.add(places, F.scalar(places, start)) if start else places
    return Array(F.cast(places, element), active())


def linspace(
    start: float, stop: float, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Array:
    """`num` numbers at equal distances from start to stop, which is one of them if `endpoint`."""
    return asarray(np.linspace(start, stop, num, endpoint=endpoint), dtype=float if dtype is None else dtype)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Array:
    """Ones on the diagonal j = i + k, zeros elsewhere."""
    shape = (n_rows, n_rows if n_cols is None else n_cols)
    k = max(-shape[0], min(k, shape[1]))  # beyond these there is no diagonal
    on = F.compare(F.add(F.iota(shape, 0, i64), F.constant(k, i64)), F.iota(shape, 1, i64), "eq")
    return Array(F.cast(on, element_named(float if dtype is None else dtype)), active())


def meshgrid(*arrays: ArrayLike, indexing: str = "xy") -> list[Array]:
    """The coordinates of the grid that vectors span; with "xy" the second one runs along the first dimension."""
    if indexing not in ("xy", "ij"):
        raise CompileError(f"indexing is 'xy' or 'ij', found {indexing!r}", place=user_place())
    count = len(arrays)
    places = list(range(count))
    if indexing == "xy" and count > 1:
        places[:2] = [1, 0]
    shaped = [reshape(x, [-1 if i == place else 1 for i in range(count)]) for place, x in zip(places, arrays)]
    return broadcast_arrays(*shaped)


def triangle(x: ArrayLike, k: int, predicate: str) -> Array:
    array = as_array(x)
    shape = array.shape[-2:]
    kept = F.compare(F.iota(shape, 1, i64), F.add(F.iota(shape, 0, i64), F.constant(k, i64)), predicate)
    return Array(F.select(kept, array.value, F.scalar(array.value, 0)), array.trace)


def tril(x: ArrayLike, /, *, k: int = 0) -> Array:
    """x with zeros above the diagonal j = i + k."""
    return triangle(x, k, "le")


def triu(x: ArrayLike, /, *, k: int = 0) -> Array:
    """x with zeros below the diagonal j = i + k."""
    return triangle(x, k, "ge")


def astype(x: ArrayLike, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
    return as_array(x).astype(dtype)
