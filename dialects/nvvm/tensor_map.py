"""Tensor maps: what the host tells the tensor memory engine of a tensor, and of the boxes that are copied of it.

On a device the driver encodes a map into 128 bytes of its own. `to_bytes` is our encoding, which the interpreter reads.
Source: PTX ISA, "Tensor-map"; CUDA driver API, cuTensorMapEncodeTiled.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

MAP_BYTES = 128
"""The size of a map; its address is a multiple of 64."""
ELEMENTS: dict[str, Any] = {
    "u8": np.uint8,
    "i8": np.int8,
    "u16": np.uint16,
    "u32": np.uint32,
    "i32": np.int32,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "f32": np.float32,
    "f64": np.float64,
}
SWIZZLES = (0, 32, 64, 128)
"""Bytes of a row of a swizzled box: its chunks of 16 bytes are exchanged with those of the rows around."""
MOST_DIMENSIONS = 5
LAYOUT = "<4sBBBBQ5I4Q5I"
MAGIC = b"xmap"


@dataclass(frozen=True)
class TensorMap:
    """A tensor in global memory; dimensions from the fastest on. What lies outside of it is read as zeros, or NaN."""

    element: str
    """One of ELEMENTS."""
    address: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    """In bytes, of all dimensions but the fastest, whose elements lie side by side."""
    box: tuple[int, ...]
    swizzle: int = 0
    """One of SWIZZLES."""
    fills_nan: bool = False

    def __post_init__(self) -> None:
        rank = len(self.sizes)
        if not 1 <= rank <= MOST_DIMENSIONS or len(self.box) != rank or len(self.strides) != rank - 1:
            raise ValueError(f"a map of {rank} sizes, {len(self.strides)} strides and a box of {len(self.box)}")
        if self.element not in ELEMENTS or self.swizzle not in SWIZZLES:
            raise ValueError(f"there is no map of elements {self.element} with a swizzle of {self.swizzle} bytes")
        row = self.box[0] * self.dtype.itemsize
        if row % 16 or (self.swizzle and row > self.swizzle) or not all(1 <= each <= 256 for each in self.box):
            raise ValueError(f"a box of {self.box}: its rows have {row} bytes")
        if self.address % 16 or any(each % 16 for each in self.strides):
            raise ValueError("the address and the strides of a mapped tensor are multiples of 16 bytes")

    @classmethod
    def of(cls, array: Any, box: tuple[int, ...], swizzle: int = 0, address: int | None = None) -> TensorMap:
        """The map of an array whose last dimension is contiguous; `box` has the last dimension first."""
        element = next(name for name, each in ELEMENTS.items() if np.dtype(each) == array.dtype)
        at = array.ctypes.data if address is None else address
        return cls(element, at, tuple(array.shape[::-1]), tuple(array.strides[-2::-1]), box, swizzle)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(ELEMENTS[self.element])

    @property
    def box_bytes(self) -> int:
        """How many bytes of shared memory a box takes: so many count at its mbarrier."""
        return int(np.prod(self.box)) * self.dtype.itemsize

    def to_bytes(self) -> bytes:
        sizes, strides, box = (
            (*each, *[0] * (most - len(each))) for each, most in ((self.sizes, 5), (self.strides, 4), (self.box, 5))
        )
        names = list(ELEMENTS)
        head = (MAGIC, names.index(self.element), len(self.sizes), self.swizzle, self.fills_nan, self.address)
        return struct.pack(LAYOUT, *head, *sizes, *strides, *box).ljust(MAP_BYTES, b"\0")

    @classmethod
    def from_bytes(cls, data: bytes) -> TensorMap:
        """Raises ValueError for bytes that are no map of ours."""
        magic, element, rank, swizzle, nan, address, *rest = struct.unpack_from(LAYOUT, data)
        if magic != MAGIC:
            raise ValueError("these bytes are no tensor map")
        sizes, strides, box = rest[:rank], rest[5 : 5 + rank - 1], rest[9 : 9 + rank]
        return cls(list(ELEMENTS)[element], address, tuple(sizes), tuple(strides), tuple(box), swizzle, bool(nan))


def swizzled(address: Any, swizzle: int) -> Any:
    """Where the byte that belongs at an address of shared memory lies: bits of its row change those of its chunk."""
    if not swizzle:
        return address
    chunks = swizzle // 16  # 2, 4 or 8 of a row
    return address ^ ((address >> 7 & (chunks - 1)) << 4)
