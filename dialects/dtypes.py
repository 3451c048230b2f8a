"""Element types: the IR's spelling, NumPy's, and what arithmetic on them is done in."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import (
    BFloat16Type,
    FixedBitwidthType,
    Float16Type,
    Float32Type,
    Float64Type,
    IndexType,
    IntegerType,
    Signedness,
    bf16,
    f16,
    f32,
    f64,
    i1,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.ir import Attribute

u8 = IntegerType(8, Signedness.UNSIGNED)
u16 = IntegerType(16, Signedness.UNSIGNED)
u32 = IntegerType(32, Signedness.UNSIGNED)
u64 = IntegerType(64, Signedness.UNSIGNED)

FLOATS: tuple[Attribute, ...] = (f64, f32, f16, bf16)
SIGNED: tuple[Attribute, ...] = (i64, i32, i16, i8)
UNSIGNED: tuple[Attribute, ...] = (u64, u32, u16, u8)
INTEGERS: tuple[Attribute, ...] = SIGNED + UNSIGNED
STORED_AS: dict[Attribute, Attribute] = dict(zip(UNSIGNED, SIGNED))
ELEMENTS: tuple[Attribute, ...] = (*FLOATS, *INTEGERS, i1)

bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)

TO_NUMPY: dict[Attribute, np.dtype[Any]] = {
    f64: np.dtype(np.float64),
    f32: np.dtype(np.float32),
    f16: np.dtype(np.float16),
    bf16: bfloat16,
    i64: np.dtype(np.int64),
    i32: np.dtype(np.int32),
    i16: np.dtype(np.int16),
    i8: np.dtype(np.int8),
    u64: np.dtype(np.uint64),
    u32: np.dtype(np.uint32),
    u16: np.dtype(np.uint16),
    u8: np.dtype(np.uint8),
    i1: np.dtype(np.bool_),
    IndexType(): np.dtype(np.int64),
}
FROM_NUMPY: dict[np.dtype[Any], Attribute] = {
    dtype: element for element, dtype in TO_NUMPY.items() if element != IndexType()
}


def is_float(element: Attribute) -> bool:
    return isinstance(element, BFloat16Type | Float16Type | Float32Type | Float64Type)


def is_bool(element: Attribute) -> bool:
    return element == i1


def is_integer(element: Attribute) -> bool:
    """True for signed and unsigned integers of more than one bit."""
    return isinstance(element, IntegerType) and element != i1


def is_unsigned(element: Attribute) -> bool:
    return element in STORED_AS


def bit_width(element: Attribute) -> int:
    """How many bits a number of the type has."""
    assert isinstance(element, FixedBitwidthType), f"{element} has no fixed width"
    return element.bitwidth


def computing_type(element: Attribute) -> Attribute:
    """The type scalar arithmetic is done in: f32 for f16 and bf16, the type itself otherwise."""
    return f32 if isinstance(element, BFloat16Type | Float16Type) else element


def storage_type(element: Attribute) -> Attribute:
    """The signless type that `arith`, `linalg` and `memref` use for an element of `ml`."""
    return STORED_AS.get(element, element)
