"""NVIDIA's cuBLASLt as a kernel of `matmul` on a GPU, through the bindings of nvmath-python.

Our arrays are row-major, its matrices column-major: the memory of a row-major (m, k) array is that of a column-major
(k, m) matrix, its transpose. So it is asked for transpose(b) @ transpose(a), which is transpose(a @ b), and no element
moves. Source: https://docs.nvidia.com/cuda/cublas/#using-the-cublaslt-api
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from math import prod
from typing import Any

import ml_dtypes
import numpy as np

from xmlc.backends.cuda.arrays import DeviceArray
from xmlc.backends.cuda.driver import DEFAULT_STREAM, Driver
from xmlc.dialects.diagnostics import CompileError
from xmlc.tensors.graph import Operand

INSTALL = "pip install 'xmlc[cuda-libraries]'"
WORKSPACE_BYTES = 32 * 2**20
"""Memory that a product may work in; cuBLAS takes as much on such devices by itself."""


@dataclass(frozen=True)
class Numbers:
    """How cuBLASLt names the type of a matrix's elements, of the sums, and of the factors of the sums."""

    matrix: str
    compute: str
    scale: str


NUMBERS: dict[np.dtype[Any], Numbers] = {
    np.dtype(np.float32): Numbers("CUDA_R_32F", "COMPUTE_32F", "CUDA_R_32F"),
    np.dtype(np.float64): Numbers("CUDA_R_64F", "COMPUTE_64F", "CUDA_R_64F"),
    np.dtype(np.float16): Numbers("CUDA_R_16F", "COMPUTE_32F", "CUDA_R_32F"),
    np.dtype(ml_dtypes.bfloat16): Numbers("CUDA_R_16BF", "COMPUTE_32F", "CUDA_R_32F"),
}
"""Element type -> its names; nothing is rounded to tf32."""


@cache
def bindings() -> tuple[Any, Any, Any]:
    """The modules of cuBLASLt and cuBLAS, and the numbers of element types. CompileError where they are not there."""
    try:
        made: tuple[Any, Any] = import_module("nvmath.bindings.cublasLt"), import_module("nvmath.bindings.cublas")
        return *made, import_module("nvmath").CudaDataType
    except ImportError as error:
        raise CompileError("the package nvmath-python is not installed", hint=INSTALL) from error


def refuses(operands: Sequence[Operand]) -> str | None:
    """Why a product of these is not computed: it takes matrices, or as many of them on both sides."""
    if len(operands) != 2:
        return "it takes two arrays"
    a, b = (each.shape for each in operands)
    if min(len(a), len(b)) < 2 or a[:-2] != b[:-2]:
        return "it takes matrices, or stacks of as many"
    if operands[0].dtype != operands[1].dtype:
        return "it takes arrays of one type"
    return "it takes arrays that have elements" if 0 in (*a, *b) else None


def matmul(a: DeviceArray, b: DeviceArray) -> DeviceArray:
    """a @ b, (…, m, k) by (…, k, n), in the order of the default stream."""
    m, k = a.shape[-2:]
    n = b.shape[-1]
    product = product_of(a.driver, a.dtype, m, n, k, prod(a.shape[:-2]))
    out = DeviceArray(a.driver, (*a.shape[:-1], n), a.dtype)
    product(b.address, a.address, out.address)
    return out


@cache
def handle_of(driver: Driver) -> Any:
    """The library's state on a device."""
    driver.use()
    return bindings()[0].create()


@cache
def product_of(driver: Driver, dtype: np.dtype[Any], m: int, n: int, k: int, count: int) -> Product:
    """The product of such matrices: the library chooses its algorithm once."""
    return Product(driver, dtype, m, n, k, count)


class Product:
    """`count` products of column-major (n, k) by (k, m) matrices."""

    def __init__(self, driver: Driver, dtype: np.dtype[Any], m: int, n: int, k: int, count: int):
        lt, blas, types = bindings()
        names = NUMBERS[dtype]
        self.lt, self.driver, self.handle = lt, driver, handle_of(driver)
        scale = np.float64 if dtype == np.float64 else np.float32
        self.one, self.zero = np.ones(1, scale), np.zeros(1, scale)
        self.described = lt.matmul_desc_create(
            int(getattr(blas.ComputeType, names.compute)), int(getattr(types, names.scale))
        )
        element = int(getattr(types, names.matrix))
        self.layouts = [self.layout(element, *sizes, count) for sizes in ((n, k), (k, m), (n, m))]
        self.workspace = DeviceArray(driver, (WORKSPACE_BYTES,), np.dtype(np.uint8))
        self.chosen = self.algorithm()

    def layout(self, element: int, rows: int, columns: int, count: int) -> int:
        """A stack of column-major matrices, one behind the other."""
        made = self.lt.matrix_layout_create(element, rows, columns, rows)
        attributes = self.lt.MatrixLayoutAttribute
        for attribute, value in (
            (attributes.BATCH_COUNT, np.array([count], np.int32)),
            (attributes.STRIDED_BATCH_OFFSET, np.array([rows * columns], np.int64)),
        ):
            self.lt.matrix_layout_set_attribute(made, int(attribute), value.ctypes.data, value.nbytes)
        return made

    def algorithm(self) -> Any:
        """What the library's heuristic puts first. CompileError where it knows none."""
        preference = self.lt.matmul_preference_create()
        limit = np.array([WORKSPACE_BYTES], np.uint64)
        attribute = int(self.lt.MatmulPreferenceAttribute.MAX_WORKSPACE_BYTES)
        self.lt.matmul_preference_set_attribute(preference, attribute, limit.ctypes.data, limit.nbytes)
        found, count = np.zeros(1, self.lt.matmul_heuristic_result_dtype), np.zeros(1, np.int32)
        first, second, result = self.layouts
        self.lt.matmul_algo_get_heuristic(
            *(self.handle, self.described, first, second, result, result, preference, 1),
            *(found.ctypes.data, count.ctypes.data),
        )
        self.lt.matmul_preference_destroy(preference)
        if not count[0]:
            raise CompileError("cuBLASLt has no algorithm for a product of this shape")
        return found

    def __call__(self, first: int, second: int, result: int) -> None:
        """Queue the product of what is at two addresses."""
        self.driver.use()
        layouts = self.layouts
        self.lt.matmul(
            *(self.handle, self.described, self.one.ctypes.data, first, layouts[0], second, layouts[1]),
            *(self.zero.ctypes.data, result, layouts[2], result, layouts[2], self.chosen.ctypes.data),
            *(self.workspace.address, WORKSPACE_BYTES, DEFAULT_STREAM),
        )
