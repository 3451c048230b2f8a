"""What there is to know of element types and devices without any array: the standard's inspection functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import ml_dtypes
import numpy as np

from xmlc.dialects.dtypes import FROM_NUMPY, TO_NUMPY
from xmlc.frontend.python.array import Array, element_named, meeting_type
from xmlc.tensors.device import Device, device_named, devices
from xmlc.tensors.tensor import Tensor

__all__ = ["__array_namespace_info__", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]

KINDS: dict[str, str] = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}
"""The standard's kinds of element types -> NumPy's letters for them."""


@dataclass(frozen=True)
class finfo_object:
    """What a type of floating-point numbers can hold."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class iinfo_object:
    """What a type of integers can hold."""

    bits: int
    max: int
    min: int
    dtype: np.dtype[Any]


def dtype_of(x: Any) -> np.dtype[Any]:
    """The element type that an array has, or that is meant."""
    if isinstance(x, Array | Tensor):
        return x.dtype
    return np.dtype(x) if np.dtype(x).kind == "c" else TO_NUMPY[element_named(x)]


def finfo(type: Any, /) -> finfo_object:
    dtype = dtype_of(type)
    found = cast(Any, np.finfo(dtype) if dtype.kind in "fc" else ml_dtypes.finfo(dtype))
    return finfo_object(
        bits=int(found.bits),
        eps=float(found.eps),
        max=float(found.max),
        min=float(found.min),
        smallest_normal=float(found.smallest_normal),
        dtype=np.dtype(found.dtype),
    )


def iinfo(type: Any, /) -> iinfo_object:
    found = np.iinfo(dtype_of(type))
    return iinfo_object(found.bits, int(found.max), int(found.min), dtype_of(type))


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether an element type is another, of a kind, or one of several such; see KINDS."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, each) for each in kind)  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(kind, str):
        return dtype == kind
    if kind not in KINDS:
        raise ValueError(f"unknown kind of element type '{kind}', expected one of {', '.join(KINDS)}")
    found = np.dtype(dtype)
    return found.kind in KINDS[kind] or ("f" in KINDS[kind] and found.name == "bfloat16")


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The element type in which arrays, types and numbers of Python meet."""
    numbers = [each for each in arrays_and_dtypes if type(each) in (bool, int, float, complex)]
    types = [dtype_of(each) for each in arrays_and_dtypes if type(each) not in (bool, int, float, complex)]
    if any(each.kind == "c" for each in types) or any(type(each) is complex for each in numbers):
        return np.result_type(*types, *numbers)
    return TO_NUMPY[meeting_type([FROM_NUMPY[each] for each in types], numbers)]


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether a type can be converted to another by the rules of promotion."""
    source = dtype_of(from_)
    try:
        return result_type(source, to) == dtype_of(to) and (source.kind == to.kind or source.kind in "iuf")
    except (TypeError, ValueError):
        return False


class Information:
    """What `__array_namespace_info__` answers with."""

    def capabilities(self) -> dict[str, Any]:
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        return device_named(None)

    def devices(self) -> list[Device]:
        return devices()

    def default_dtypes(self, *, device: Device | str | None = None) -> dict[str, np.dtype[Any]]:
        return {
            "real floating": np.dtype(np.float32),
            "complex floating": np.dtype(np.complex64),
            "integral": np.dtype(np.int64),
            "indexing": np.dtype(np.int64),
        }

    def dtypes(
        self, *, device: Device | str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, np.dtype[Any]]:
        names = [
            "bool",
            *[f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)],
            "float32",
            "float64",
            "complex64",
            "complex128",
        ]
        found = {name: np.dtype(name) for name in names}
        return {name: dtype for name, dtype in found.items() if kind is None or isdtype(dtype, kind)}


def __array_namespace_info__() -> Information:
    return Information()
