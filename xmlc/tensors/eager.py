"""Functions that need the elements of tensors at once: making tensors of other things, and results of any shape.

How many places `nonzero` finds, or how many distinct elements there are, is the shape of a result; so a program whose
shapes are known when it is compiled cannot find it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xmlc.frontend.python import functions as f
from xmlc.frontend.python.trace import current
from xmlc.tensors import operations
from xmlc.tensors.device import CPU, Device, device_named, device_of, expect_here
from xmlc.tensors.library import LibraryFunction
from xmlc.tensors.tensor import NDArrayAny, Operation, Tensor, adopted, concrete, tensor_of

__all__ = [
    "asarray", "from_dlpack", "nextafter", "nonzero", "repeat", "unique_all", "unique_counts", "unique_inverse",
    "unique_values",
]  # fmt: skip


def asarray(obj: Any, /, *, dtype: Any = None, device: Device | str | None = None, copy: bool | None = None) -> Any:
    """A tensor of an array of any library, a number, or nested sequences of numbers.

    Arrays of others are copied: what is recorded may be computed later than they are changed. So ValueError for
    copy=False, unless obj is a tensor of that type on that device.
    """
    if current() is not None:
        expect_here("the result of asarray", device)
        return f.asarray(obj, dtype=dtype, copy=copy)
    if not isinstance(obj, Tensor):
        if copy is False:
            raise ValueError("a tensor shares memory with tensors only: copy=False is not possible here")
        return Tensor(obj, dtype, device)
    found = obj if device is None else obj.to_device(device)
    found = found if dtype is None or dtype == obj.dtype else found.astype(dtype)
    if copy is False and found is not obj:
        raise ValueError("the tensor has another type, or is on another device: copy=False is not possible here")
    return tensor_of(found.node, found.index) if copy else found


def from_dlpack(x: Any, /, *, device: Device | str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor of an array that speaks DLPack, in the memory in which it is, without a copy.

    Whoever writes to the array changes the tensor, and what is still to be computed of it. With `copy` it has memory of
    its own; so it has on another `device`, which is a ValueError with copy=False.
    """
    if isinstance(x, Tensor):
        return asarray(x, device=device, copy=copy)
    source = device_of(x) or CPU
    wanted = source if device is None else device_named(device)
    if wanted.backend.dlpack_device != source.backend.dlpack_device:
        if copy is False:
            raise ValueError(f"the array is on {source}: it is on {wanted} by a copy only")
        return Tensor.of(adopted(x, source), source).to_device(wanted)
    shared = adopted(x, wanted)
    return Tensor.of(wanted.backend.copied(shared) if copy else shared, wanted)


REPEAT_EACH = Operation(f.repeat)


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Any:
    """Each element, or slice along a dimension, as often as a number or an array of one for each says."""
    if isinstance(repeats, int):
        return REPEAT_EACH(x, repeats, axis=axis)
    line = x if axis is not None else operations.reshape(x, (-1,))
    places: NDArrayAny = np.repeat(np.arange(line.shape[axis or 0], dtype=np.int64), concrete(repeats))
    device = line.device if isinstance(line, Tensor) else device_named(None)
    return operations.take(line, Tensor.of(places, device), axis=axis or 0)


@LibraryFunction
def unique_values(x: Any, /) -> Any:
    """The distinct elements, in ascending order; NaNs are all distinct."""
    return np.unique(x, equal_nan=False)


nonzero = LibraryFunction(np.nonzero)
nextafter = LibraryFunction(np.nextafter)
unique_all, unique_counts = LibraryFunction(np.unique_all), LibraryFunction(np.unique_counts)
unique_inverse = LibraryFunction(np.unique_inverse)
