"""Arrays in device memory: our own, and those of other libraries, without a copy.

Others are seen through DLPack or `__cuda_array_interface__`; ours offer both.
Source: https://dmlc.github.io/dlpack/latest/python_spec.html, https://numba.readthedocs.io (CUDA array interface, v3)
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from math import prod
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from xmlc.backends.cuda.driver import DEFAULT_STREAM, Driver, Handle
from xmlc.dialects.diagnostics import CompileError

Array = NDArray[Any]

HOST = -1
"""In the place of a device's number: the address is one of the host."""
CUDA = 2
"""DLPack's number for memory of an NVIDIA GPU."""
LEGACY, PER_THREAD = 1, 2
"""DLPack's numbers for CUDA's default streams."""

# DLPack's codes of kinds of numbers
CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
BFLOAT = 4


class DataType(ctypes.Structure):
    """DLDataType"""

    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class Tensor(ctypes.Structure):
    """DLTensor"""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("dtype", DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class ManagedTensor(ctypes.Structure):
    """DLManagedTensor"""


DELETER = ctypes.CFUNCTYPE(None, ctypes.POINTER(ManagedTensor))
ManagedTensor._fields_ = (("tensor", Tensor), ("manager", ctypes.c_void_p), ("deleter", DELETER))

capsule_new = ctypes.pythonapi.PyCapsule_New
capsule_new.restype = ctypes.py_object
capsule_new.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
capsule_pointer.restype = ctypes.c_void_p
capsule_pointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
capsule_is = ctypes.pythonapi.PyCapsule_IsValid
capsule_is.argtypes = (ctypes.py_object, ctypes.c_char_p)
NAME = b"dltensor"

lent: dict[int, tuple[ManagedTensor, Any]] = {}
"""Tensors that other libraries hold, by their address, with the arrays that must live until they let go."""


@DELETER
def let_go(tensor: Any) -> None:
    """What another library calls when it has no more use for a tensor."""
    lent.pop(ctypes.addressof(tensor.contents), None)


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def forget(capsule: int) -> None:
    """What Python calls when a capsule goes; one that was used has another name, and its tensor another owner."""
    held = ctypes.cast(capsule, ctypes.py_object)
    if capsule_is(held, NAME):
        lent.pop(capsule_pointer(held, NAME), None)


@cache
def strides_of(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Those of a contiguous array, in bytes."""
    return tuple([itemsize * prod(shape[axis + 1 :]) for axis in range(len(shape))])


class Seen(NamedTuple):
    """An array in device memory, as we look at it: contiguous if it has no strides, which are in bytes."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...] | None
    device: int
    """Its number, or HOST."""
    keep: Any = None
    """What must live as long as the memory is used."""

    @property
    def is_contiguous(self) -> bool:
        if self.strides is None or self.strides == strides_of(self.shape, self.dtype.itemsize) or 0 in self.shape:
            return True
        wanted = strides_of(self.shape, self.dtype.itemsize)
        return all(size == 1 or a == b for size, a, b in zip(self.shape, self.strides, wanted))


def seen(value: Any, driver: Driver, stream: Handle) -> Seen | None:
    """An array of any library as it lies in device memory; None for one that lies in the host's.

    What its library still has to do to it comes first on `stream`, a number.
    """
    if isinstance(value, Seen):
        return value
    if isinstance(value, DeviceArray):
        return Seen(value.address, value.shape, value.dtype, None, value.driver.device.number, value)
    if isinstance(value, np.ndarray):
        return None
    if type(value).__module__ == "torch" and (found := seen_in_torch(value, stream)) is not None:
        return found
    if hasattr(value, "__dlpack_device__") and int(value.__dlpack_device__()[0]) == CUDA:
        number = int(stream) or LEGACY
        return from_capsule(value.__dlpack__(stream=number))
    described = getattr(value, "__cuda_array_interface__", None)
    if described is None:
        return None
    address, _ = described["data"]
    if (other := described.get("stream")) is not None and other != (int(stream) or LEGACY):
        driver.synchronize(0 if other == LEGACY else other)
    owner = driver.owner(address) if address else driver.device.number
    device = HOST if owner is None else owner
    dtype, strides = np.dtype(described["typestr"]), described.get("strides")
    return Seen(address, tuple(described["shape"]), dtype, strides, device, value)


@dataclass(frozen=True)
class Torch:
    """What PyTorch says of an array more cheaply than by DLPack, which takes 11 µs there."""

    current_stream: Callable[[int], int]
    """The number of the stream that its work on a device goes to."""
    dtypes: Mapping[Any, np.dtype[Any]]


@cache
def torch_reader() -> Torch | None:
    """None where this version of PyTorch does not tell its stream."""
    torch = import_module("torch")
    current_stream = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    names = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
    dtypes = {getattr(torch, name): np.dtype(name) for name in names} | {torch.bfloat16: np.dtype(ml_dtypes.bfloat16)}
    return current_stream and Torch(current_stream, dtypes)


def seen_in_torch(value: Any, stream: Handle) -> Seen | None:
    """A tensor of PyTorch on which nothing needs to be waited for; None for one that is to be seen by DLPack."""
    reader = torch_reader()
    if reader is None or type(value).__name__ != "Tensor" or not value.is_cuda or value.requires_grad or value.is_neg():
        return None
    device, dtype = value.get_device(), reader.dtypes.get(value.dtype)
    if dtype is None or reader.current_stream(device) != int(stream):
        return None
    strides = None if value.is_contiguous() else tuple([each * dtype.itemsize for each in value.stride()])
    return Seen(value.data_ptr(), tuple(value.shape), dtype, strides, device, value)


def from_capsule(capsule: Any) -> Seen:
    """What a DLPack capsule holds; it keeps its memory alive."""
    tensor = Tensor.from_address(capsule_pointer(capsule, NAME))  # a managed tensor begins with it
    count, kind = tensor.ndim, tensor.dtype
    dtype = dtype_of(kind.code, kind.bits, kind.lanes)
    shape = tuple(tensor.shape[:count])
    strides = tuple([each * dtype.itemsize for each in tensor.strides[:count]]) if tensor.strides else None
    return Seen((tensor.data or 0) + tensor.byte_offset, shape, dtype, strides, tensor.device_id, capsule)


@cache
def dtype_of(code: int, bits: int, lanes: int) -> np.dtype[Any]:
    """NumPy's type for one of DLPack's."""
    if code == BFLOAT and bits == 16:
        return np.dtype(ml_dtypes.bfloat16)
    kinds = {code: kind for kind, code in CODES.items()}
    if code not in kinds or lanes != 1:
        raise CompileError(f"an array has elements of DLPack's kind {code}, which we do not know")
    return np.dtype(np.bool_) if kinds[code] == "b" else np.dtype(f"{kinds[code]}{bits // 8}")


class DeviceArray:
    """An array in device memory, contiguous. It is freed, in the order of its stream, when nobody refers to it.

    Use as a context manager to free it at the end of the block.
    """

    def __init__(self, driver: Driver, shape: tuple[int, ...], dtype: np.dtype[Any], stream: Handle = DEFAULT_STREAM):
        """Uninitialised memory."""
        self.driver = driver
        self.shape = shape
        self.dtype = dtype
        self.stream = stream
        self.size = prod(shape)
        self.nbytes = self.size * dtype.itemsize
        self.owner: Any = None
        """What must live as long as this, where the memory is another's."""
        self.address = driver.allocate(self.nbytes, stream)

    @classmethod
    def of(cls, driver: Driver, array: Array, stream: Handle = DEFAULT_STREAM) -> DeviceArray:
        """A copy of an array of the host."""
        made = cls(driver, array.shape, array.dtype, stream)
        driver.copy_in(made.address, np.ascontiguousarray(array), stream)
        return made

    @classmethod
    def around(cls, driver: Driver, found: Seen, stream: Handle = DEFAULT_STREAM) -> DeviceArray:
        """The memory of an array of another library. Raises CompileError where it is not contiguous."""
        if not found.is_contiguous:
            message = f"an array of shape {found.shape} has strides {found.strides}, expected a contiguous one"
            raise CompileError(message, hint="make a contiguous copy of it first")
        made = cls.__new__(cls)
        made.driver, made.shape, made.dtype, made.stream = driver, found.shape, found.dtype, stream
        made.size = prod(found.shape)
        made.nbytes = made.size * found.dtype.itemsize
        made.address, made.owner = found.address, found
        return made

    def numpy(self) -> Array:
        """A copy in the host's memory: waits for what is being done to the array on its stream."""
        array = self.driver.host_array(self.shape, self.dtype)
        self.driver.copy_out(array, self.address, self.stream)
        self.driver.synchronize(self.stream)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("an array in device memory cannot be seen by NumPy without a copy")
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    @property
    def device(self) -> str:
        return f"cuda:{self.driver.device.number}"

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.dtype.kind not in CODES:
            raise AttributeError(f"the CUDA array interface has no name for {self.dtype}: use DLPack")
        stream = int(self.stream) or LEGACY
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address if self.nbytes else 0, False),
            "strides": None,
            "stream": stream,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self.driver.device.number

    def __dlpack__(self, *, stream: int | None = None, **_: Any) -> Any:
        """A capsule of the same memory. Where the caller works on another stream, what we do to it is waited for."""
        if stream not in (None, -1, int(self.stream) or LEGACY):
            self.driver.synchronize(self.stream)
        count = len(self.shape)
        shape = (ctypes.c_int64 * max(count, 1))(*self.shape)
        managed = ManagedTensor()
        code = CODES.get(self.dtype.kind, BFLOAT)
        managed.tensor.data = self.address
        managed.tensor.device_type, managed.tensor.device_id = self.__dlpack_device__()
        managed.tensor.ndim = count
        managed.tensor.dtype = DataType(code, self.dtype.itemsize * 8, 1)
        managed.tensor.shape = shape
        managed.deleter = let_go
        address = ctypes.addressof(managed)
        lent[address] = (managed, (self, shape))
        return capsule_new(address, NAME, ctypes.cast(forget, ctypes.c_void_p))

    def free(self) -> None:
        """Give the memory back now."""
        if self.address:
            address, self.address = self.address, 0
            if self.owner is None:
                self.driver.free(address, self.stream)
            self.owner = None

    def __enter__(self) -> DeviceArray:
        return self

    def __exit__(self, *_: object) -> None:
        self.free()

    def __del__(self, ends: Callable[[], bool] = sys.is_finalizing) -> None:
        if getattr(self, "address", 0) and not ends():  # the process gives back everything when it ends
            self.free()

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, device={self.driver.device.number})"
