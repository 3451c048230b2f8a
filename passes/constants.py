"""Constants as laws see them: the number that fills an operand, and numbers made into operands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import TO_NUMPY, is_bool, is_float
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.shaping import BroadcastOp, ConstantOp, array_of
from xmlc.dialects.ml.types import DYNAMIC, broadcast_shapes, element_of, shape_of


def array(value: SSAValue) -> NDArray[Any] | None:
    """The array that a value is known to be; None where it is not a constant."""
    owner = value.owner
    return owner.array() if type(owner) is ConstantOp else None


def splat(value: SSAValue) -> Any:
    """The NumPy scalar that every element of a constant, or of a broadcast one, is; None where there is no such."""
    owner = value.owner
    while type(owner) is BroadcastOp:
        owner = owner.x.owner
    if type(owner) is not ConstantOp:
        return None
    element, data = element_of(value), owner.value.data.data
    if is_bool(element):
        flat = array_of(owner.value).ravel()
        return flat[0] if flat.size and (flat == flat[0]).all() else None
    dtype = TO_NUMPY[element]
    first = data[: dtype.itemsize]
    return np.frombuffer(first, dtype)[0] if data and data == first * (len(data) // dtype.itemsize) else None


def is_constant(value: SSAValue) -> bool:
    return type(value.owner) is ConstantOp


def is_filled(value: SSAValue, number: float | int | bool) -> bool:
    """Whether every element is this number; 0.0 and -0.0 are told apart."""
    found = splat(value)
    if found is None or found != number:
        return False
    return number != 0 or not is_float(element_of(value)) or bool(np.signbit(found)) == (math.copysign(1, number) < 0)


def is_zero(value: SSAValue) -> bool:
    """Whether every element is 0, of either sign."""
    found = splat(value)
    return found is not None and bool(found == 0)


def is_real(value: SSAValue) -> bool:
    """Whether the elements are floating-point numbers."""
    return is_float(element_of(value))


def is_near(value: SSAValue, number: float) -> bool:
    """Whether every element is this number, as exactly as its type can hold it after a step of arithmetic."""
    found = splat(value)
    return found is not None and near(float(found), number, value)


def near(found: float, number: float, like: SSAValue) -> bool:
    """Whether a factor that was computed in the type of `like`, or spelled with 6 digits, stands for `number`."""
    tolerance = {"float64": 1e-6, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}[TO_NUMPY[element_of(like)].name]
    return math.isclose(found, number, rel_tol=tolerance)


def filled(like: SSAValue, number: Any) -> SSAValue:
    """A tensor of the type of `like` with one number everywhere."""
    return F.broadcast(F.scalar(like, number), shape_of(like))


def has_known_sizes(value: SSAValue) -> bool:
    return DYNAMIC not in shape_of(value)


def stretches_to(value: SSAValue, like: SSAValue) -> bool:
    """Whether `value`, broadcast, has the type of `like`."""
    if value.type == like.type:
        return True
    if element_of(value) != element_of(like) or not (has_known_sizes(value) and has_known_sizes(like)):
        return False
    return len(shape_of(value)) <= len(shape_of(like)) and (
        broadcast_shapes(shape_of(value), shape_of(like)) == shape_of(like)
    )


def stretched(value: SSAValue, like: SSAValue) -> SSAValue | None:
    """`value` broadcast to the type of `like`; None where it cannot be."""
    return F.broadcast(value, shape_of(like)) if stretches_to(value, like) else None


def used_once(value: SSAValue) -> bool:
    """Whether one operand of one op is all that uses a value."""
    return value.has_one_use()
