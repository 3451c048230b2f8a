"""Random arrays from a key of two 32-bit words: the same key gives the same numbers on every device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import u32
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import element_of, shape_of, shape_text
from xmlc.frontend.python.array import Array, ArrayLike, as_array, element_named
from xmlc.frontend.python.functions import argsort, floor
from xmlc.frontend.python.functions.shapes import sizes_of
from xmlc.frontend.python.places import user_place

__all__ = ["integers", "key", "normal", "permutation", "uniform"]


def key(seed: int, number: int = 0) -> Any:
    """The key of a seed, or of the stream of that number which begins with it: an array of two words."""
    return np.array([seed % 2**32, number % 2**32], np.uint32)


def key_of(array: ArrayLike) -> SSAValue:
    found = as_array(array).value
    if shape_of(found) != (2,) or element_of(found) != u32:
        raise CompileError(
            f"a key is two words of uint32, found {shape_text(shape_of(found))} of {element_of(found)}",
            place=user_place(),
            hint="make one with key(seed)",
        )
    return found


def normal(
    key: ArrayLike, shape: int | Sequence[int], *, mean: float = 0.0, scale: float = 1.0, dtype: Any = None
) -> Array:
    """Numbers of the normal distribution with that mean and standard deviation."""
    element = element_named(float if dtype is None else dtype)
    return Array(F.random_normal(key_of(key), sizes_of(shape), element, mean, scale), as_array(key).trace)


def uniform(
    key: ArrayLike, shape: int | Sequence[int], *, low: float = 0.0, high: float = 1.0, dtype: Any = None
) -> Array:
    """Numbers between `low` and `high`, `high` left out, each as likely as the other."""
    element = element_named(float if dtype is None else dtype)
    return Array(F.random_uniform(key_of(key), sizes_of(shape), element, low, high), as_array(key).trace)


def integers(key: ArrayLike, shape: int | Sequence[int], *, low: int, high: int, dtype: Any = None) -> Array:
    """Integers between `low` and `high`, `high` left out: at most 2^53 of them, so that each is as likely."""
    if not 0 < high - low <= 2**53:
        raise CompileError(f"expected from 1 to 2^53 integers to choose from, found {high - low}", place=user_place())
    found = floor(uniform(key, shape, high=float(high - low), dtype="float64"))
    return (found.astype(int) + low).astype(int if dtype is None else dtype)


def permutation(key: ArrayLike, size: int) -> Array:
    """The numbers below `size` in an order that is as likely as any other."""
    return argsort(uniform(key, (size,), dtype="float64"))
