"""Random tensors as integer arithmetic on element numbers (Threefry-2x32-20; Salmon et al. 2011)."""

from __future__ import annotations

from math import pi, prod

import numpy as np
from xdsl.dialects.builtin import f64
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import TO_NUMPY, computing_type, u32, u64
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml import random as ml
from xmlc.dialects.ml.types import element_of
from xmlc.passes.decompose.operands import known_shape, narrow, slice_along

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
HIGHEST_BIT = 1 << 31


def rotate(x: SSAValue, turn: int) -> SSAValue:
    """The bits of x moved up by `turn`, those that fall out come in below."""
    return F.or_(F.shift_left(x, F.scalar(x, turn)), F.shift_right(x, F.scalar(x, 32 - turn)))


def threefry2x32(key: SSAValue, counter: tuple[SSAValue, SSAValue]) -> tuple[SSAValue, SSAValue]:
    """Two words for each counter: five groups of four rounds, a part of the key added around each group."""
    first, second = (F.reshape(slice_along(key, 0, k, 1), ()) for k in range(2))
    third = F.xor(F.xor(first, second), F.scalar(key, PARITY))
    schedule = (first, second, third)
    a, b = F.add(counter[0], first), F.add(counter[1], second)
    for group in range(1, 6):
        for turn in ROTATIONS[(group - 1) % 2]:
            a = F.add(a, b)
            b = F.xor(rotate(b, turn), a)
        a = F.add(a, schedule[group % 3])
        b = F.add(b, F.add(schedule[(group + 1) % 3], F.scalar(b, group)))
    return a, b


def words(key: SSAValue, count: int, tag: int = 0) -> tuple[SSAValue, SSAValue]:
    """The two words of elements 0 to count - 1; `tag` is mixed into the counters' second words."""
    if count <= 2**32:
        low, high = F.iota((count,), 0, u32), F.scalar(key, tag)
    else:
        number = F.iota((count,), 0, u64)
        low = F.cast(number, u32)
        high = F.xor(F.cast(F.shift_right(number, F.scalar(number, 32)), u32), F.scalar(key, tag))
    return threefry2x32(key, (low, high))


def highest_53_bits(a: SSAValue, b: SSAValue) -> SSAValue:
    a, b = F.cast(a, u64), F.cast(b, u64)
    both = F.or_(F.shift_left(a, F.scalar(a, 32)), b)
    return F.cast(F.shift_right(both, F.scalar(both, 11)), f64)


def random_uniform(op: ml.RandomUniformOp) -> SSAValue:
    """low + u * (high - low), at most the number before high"""
    shape, element = known_shape(op, op.out), element_of(op.out)
    dtype, computing = TO_NUMPY[element], TO_NUMPY[computing_type(element)].type
    a, b = words(op.key, prod(shape))
    precision = ml.PRECISION[element]
    if element == f64:
        u = highest_53_bits(a, b)
    else:
        u = F.cast(F.shift_right(a, F.scalar(a, 32 - precision)), computing_type(element))
    u = F.mul(u, F.scalar(u, 2.0**-precision))
    low, high = computing(op.low.value.data), computing(op.high.value.data)
    value = F.add(F.scalar(u, low), F.mul(u, F.scalar(u, high - low)))
    before_high = np.nextafter(dtype.type(high), dtype.type(low))
    return F.reshape(F.min_(narrow(value, op.out), F.constant(before_high)), shape)


def random_normal(op: ml.RandomNormalOp) -> SSAValue:
    """mean + scale * sqrt(-2 log u) * cos(2 pi v)"""
    shape, element = known_shape(op, op.out), element_of(op.out)
    a, b = words(op.key, prod(shape))
    if element == f64:
        first, second = highest_53_bits(a, b), highest_53_bits(*words(op.key, prod(shape), HIGHEST_BIT))
        unit = 2.0**-53
    else:
        first, second = (F.cast(word, computing_type(element)) for word in (a, b))
        unit = 2.0**-32
    u = F.mul(F.add(first, F.scalar(first, 0.5)), F.scalar(first, unit))
    radius = F.sqrt(F.mul(F.log(u), F.scalar(u, -2)))
    angle = F.mul(second, F.scalar(second, 2 * pi * unit))
    value = F.mul(F.mul(radius, F.cos(angle)), F.scalar(u, op.scale.value.data))
    value = F.add(value, F.scalar(value, op.mean.value.data))
    return F.reshape(narrow(value, op.out), shape)


DECOMPOSITIONS = {ml.RandomUniformOp: random_uniform, ml.RandomNormalOp: random_normal}
