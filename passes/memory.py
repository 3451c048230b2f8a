"""Sizes in memory: how many bytes a memref takes, how buffers are aligned, what may live on the stack."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import (
    DenseArrayBase,
    FixedBitwidthType,
    IndexType,
    IntegerType,
    MemRefType,
    i32,
)
from xdsl.ir import Attribute

ALIGNMENT = 64
"""Every buffer starts at a multiple of this: a cache line, and the widest vector."""

STACK_LIMIT = 1024
"""A kernel's temporaries up to this many bytes live on its stack; larger ones are given to it by its caller."""


def element_size(element: Attribute) -> int:
    """Bytes an element takes in memory: i1 takes one, index eight."""
    if isinstance(element, IndexType):
        return 8
    assert isinstance(element, FixedBitwidthType), f"{element} has no size in memory"
    return max(1, element.size)


def byte_size(type_: MemRefType[Attribute]) -> int:
    """Bytes of a contiguous memref of static shape."""
    shape = type_.get_shape()
    assert -1 not in shape, f"{type_} has no static size"
    return prod(shape) * element_size(type_.element_type)


def array_type(values: Sequence[int], element: IntegerType = i32) -> DenseArrayBase[IntegerType]:
    """A dense array attribute, of i32 for operand segment sizes."""
    return DenseArrayBase.from_list(element, values)
