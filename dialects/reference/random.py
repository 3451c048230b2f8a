"""What the random tensors of `ml` mean: Threefry-2x32-20 on Python's terms, then the ops' formulas."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import random as ml
from xmlc.dialects.ml.types import element_of, shape_of

Array = NDArray[Any]

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA
MASK = 0xFFFFFFFF


def threefry2x32(key: tuple[int, int], counter: tuple[int, int]) -> tuple[int, int]:
    """Two 32-bit words encrypted in 20 rounds; the key is added before the first and after every fourth."""
    schedule = (*key, key[0] ^ key[1] ^ PARITY)
    a, b = (counter[0] + schedule[0]) & MASK, (counter[1] + schedule[1]) & MASK
    for number in range(20):
        turn = ROTATIONS[number % 8]
        a = (a + b) & MASK
        b = (((b << turn) | (b >> (32 - turn))) & MASK) ^ a
        if number % 4 == 3:
            block = number // 4 + 1
            a = (a + schedule[block % 3]) & MASK
            b = (b + schedule[(block + 1) % 3] + block) & MASK
    return a, b


def words(key: Array, count: int, high_bit: bool = False) -> tuple[Array, Array]:
    """The words a and b of elements 0 to count - 1, as uint64."""
    first, second = (int(word) for word in key)
    high = 1 << 31 if high_bit else 0
    pairs = [threefry2x32((first, second), (i & MASK, (i >> 32) ^ high)) for i in range(count)]
    array = np.array(pairs, np.uint64).reshape(count, 2)
    return array[:, 0], array[:, 1]


def uniform(op: ml.RandomUniformOp, key: Array) -> Array:
    dtype, shape = TO_NUMPY[element_of(op.out)], shape_of(op.out)
    computing = np.promote_types(np.float32, dtype).type
    low, high = computing(op.low.value.data), computing(op.high.value.data)
    a, b = words(key, prod(shape))
    bits, width = (a * 2**32 + b, 64) if dtype == np.float64 else (a, 32)
    p = ml.PRECISION[element_of(op.out)]
    u = (bits >> (width - p)).astype(computing) * computing(2.0**-p)
    below = np.nextafter(dtype.type(high), dtype.type(low))
    return np.minimum((low + u * (high - low)).astype(dtype), below).reshape(shape)


def normal(op: ml.RandomNormalOp, key: Array) -> Array:
    dtype, shape = TO_NUMPY[element_of(op.out)], shape_of(op.out)
    first, second = words(key, prod(shape))
    if dtype == np.float64:
        a, b = words(key, prod(shape), high_bit=True)
        first, second = (first * 2**32 + second) >> 11, (a * 2**32 + b) >> 11
        scale = 2.0**-53
    else:
        scale = 2.0**-32
    radius = np.sqrt(-2 * np.log((first.astype(np.float64) + 0.5) * scale))
    angle = 2 * np.pi * (second.astype(np.float64) * scale)
    result = op.mean.value.data + op.scale.value.data * radius * np.cos(angle)
    return result.astype(dtype).reshape(shape)


REFERENCE: dict[type[Operation], Callable[..., Any]] = {ml.RandomUniformOp: uniform, ml.RandomNormalOp: normal}
