"""Where an array's memory starts, in a fifth of the time of `array.ctypes.data`, which makes three objects.

The address is the first field of an array's C struct after what every Python object begins with (NumPy's ABI fixes
that: PyArrayObject_fields), and in CPython `id` tells where the struct is. Both are tried once, on import.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

HEAD = object.__basicsize__
"""Bytes that every Python object begins with."""


def stated(array: Array) -> int:
    """The address as NumPy tells it."""
    return array.ctypes.data


def read(array: Array, at: Callable[[int], c_void_p] = c_void_p.from_address) -> int:
    """The address as it is in the array's struct."""
    return at(id(array) + HEAD).value or 0


def agree(array: Array) -> bool:
    return read(array) == stated(array)


PROBE = np.zeros(8, np.uint8)

address = read if agree(PROBE) and agree(PROBE[3:]) else stated
"""The address of the first element of an array."""
