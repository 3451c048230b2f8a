"""Kernels beside our programs: registered, of libraries, compared and chosen, on the processor and a GPU."""

from __future__ import annotations

import ctypes
import enum
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from interpreted_device import InterpretedDriver, in_place_of_a_gpu

import xmlc
from xmlc import numpy as xp
from xmlc.backends.cuda.arrays import DeviceArray
from xmlc.dialects.diagnostics import CompileError
from xmlc.tensors import cublaslt
from xmlc.tensors.dispatch import CHOSEN, REGISTERED

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    before = {function: list(kernels) for function, kernels in REGISTERED.items()}
    yield
    REGISTERED.clear()
    REGISTERED.update(before)
    CHOSEN.clear()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> InterpretedDriver:
    return in_place_of_a_gpu(monkeypatch)


def test_a_kernel_of_a_gpu_is_given_arrays_in_its_memory(gpu: InterpretedDriver) -> None:
    given: list[Any] = []

    def library_sin(x: Any) -> Any:
        given.append(x)
        return DeviceArray.of(gpu, np.sin(x.numpy()))  # pyright: ignore[reportArgumentType]

    xmlc.register_kernel(xp.sin, library_sin, device="cuda", dtypes=["float32"], name="a library")
    found = xp.sin(xmlc.Tensor(X, device="cuda")) + 1
    np.testing.assert_allclose(found.numpy(), np.sin(X) + 1, rtol=1e-6)
    assert [type(each) for each in given] == [DeviceArray] and found.device == xmlc.Device("cuda")
    xp.sin(xmlc.Tensor(X))
    assert len(given) == 1
    assert "  a library: no, it is for cuda, not cpu" in xmlc.explain_dispatch(xp.sin, xmlc.Tensor(X))
    assert "  a library: chosen, registered for it" in xmlc.explain_dispatch(xp.sin, xmlc.Tensor(X, device="cuda"))


def test_a_kernel_that_gives_an_array_of_elsewhere_is_told(gpu: InterpretedDriver) -> None:
    xmlc.register_kernel(xp.sin, lambda x: np.sin(x.numpy()), device="cuda", name="a library")
    with pytest.raises(CompileError, match="the kernel a library gave what is no array on cuda:0"):
        xp.sin(xmlc.Tensor(X, device="cuda"))


def test_kernels_are_compared_and_one_is_chosen() -> None:
    calls: list[int] = []

    def slow(a: Any, b: Any) -> Any:
        calls.append(1)
        for _ in range(200):
            np.sort(np.arange(1000.0))
        return np.matmul(a, b)

    xmlc.register_kernel(xp.matmul, slow, name="slow")
    a, b = xmlc.Tensor(X), xmlc.Tensor(X.T)
    found = xmlc.compare_kernels(xp.matmul, a, b, seconds=0.01)
    assert [each.name for each in found.measured] == ["a program", "slow"]
    assert all(each.difference < 1e-6 for each in found.measured)
    assert str(found).startswith("matmul on cpu\n  a program") and "µs" in str(found)
    count = len(calls)
    xp.matmul(a, b)
    assert len(calls) == count + 1, "it is registered"
    found.choose()
    assert xp.matmul(a, b).node.values is None and len(calls) == count + 1, "a program was chosen"
    assert "  a program: chosen, as compare_kernels was told" in xmlc.explain_dispatch(xp.matmul, a, b)
    assert "  slow: not chosen" in xmlc.explain_dispatch(xp.matmul, a, b)
    xp.matmul(b, a)
    assert len(calls) == count + 2, "other shapes are another choice"
    with pytest.raises(CompileError, match="the kernel 'fast' was not measured"):
        found.choose("fast")
    found.choose("slow")
    xp.matmul(a, b)
    assert len(calls) == count + 3


def test_a_call_that_names_its_device_is_compared_there() -> None:
    xmlc.register_kernel(xp.ones, lambda shape: np.ones(shape, np.float32), device="reference", name="NumPy's ones")
    found = xmlc.compare_kernels(xp.ones, (3,), device="reference", seconds=0.001)
    assert {each.name for each in found.measured} == {"NumPy's ones", "a program"}


def test_numpy_is_a_library() -> None:
    kernels = xmlc.use_library("numpy")
    assert "  numpy matmul: chosen" in xmlc.explain_dispatch(xp.matmul, xmlc.Tensor(X), xmlc.Tensor(X.T))
    np.testing.assert_allclose((xmlc.Tensor(X) @ xmlc.Tensor(X.T)).numpy(), X @ X.T, rtol=1e-6)
    for kernel in kernels:
        kernel.remove()


def test_a_library_that_is_none_or_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CompileError, match="there is no library 'mkl'"):
        xmlc.use_library("mkl")
    cublaslt.bindings.cache_clear()
    monkeypatch.setitem(sys.modules, "nvmath", None)
    with pytest.raises(CompileError, match="the package nvmath-python is not installed"):
        xmlc.use_library("cublaslt")


class Attribute(enum.IntEnum):
    """The attributes that are set, by cuBLASLt's numbers."""

    MAX_WORKSPACE_BYTES = 1
    BATCH_COUNT = 5
    STRIDED_BATCH_OFFSET = 6


class ColumnMajor:
    """cuBLASLt as its documentation says: matrices are column-major, (rows, columns, distance of columns)."""

    MatrixLayoutAttribute = MatmulPreferenceAttribute = Attribute
    matmul_heuristic_result_dtype = np.dtype([("algo", "<u8", (8,))])

    def __init__(self) -> None:
        self.made: list[Any] = [None]

    def create(self) -> int:
        return 1

    def matmul_desc_create(self, compute: int, scale: int) -> int:
        return 1

    def matrix_layout_create(self, element: int, rows: int, columns: int, distance: int) -> int:
        self.made.append({"element": element, "sizes": (rows, columns, distance)})
        return len(self.made) - 1

    def matrix_layout_set_attribute(self, layout: int, attribute: int, value: int, size: int) -> None:
        self.made[layout][attribute] = int.from_bytes(ctypes.string_at(value, size), "little")

    def matmul_preference_create(self) -> int:
        return 1

    def matmul_preference_set_attribute(self, *_: int) -> None: ...
    def matmul_preference_destroy(self, _: int) -> None: ...

    def matmul_algo_get_heuristic(self, *given: int) -> None:
        ctypes.c_int32.from_address(given[-1]).value = 1

    def stack(self, address: int, layout: int) -> Any:
        """The matrices at an address, as views."""
        described = self.made[layout]
        rows, columns, distance = described["sizes"]
        count, step = described[Attribute.BATCH_COUNT], described[Attribute.STRIDED_BATCH_OFFSET]
        numbers = np.ctypeslib.as_array((ctypes.c_float * (count * step)).from_address(address))
        return np.lib.stride_tricks.as_strided(numbers, (count, rows, columns), (4 * step, 4, 4 * distance))

    def matmul(self, *given: int) -> None:
        _, _, alpha, a, layout_a, b, layout_b, beta, _, _, d, layout_d, *_ = given
        factors = [ctypes.c_float.from_address(each).value for each in (alpha, beta)]
        assert factors == [1, 0]
        self.stack(d, layout_d)[...] = self.stack(a, layout_a) @ self.stack(b, layout_b)


@pytest.mark.parametrize("shapes", [((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((1, 7), (7, 1))])
def test_cublaslt_is_asked_for_the_transposed_product(
    gpu: InterpretedDriver, monkeypatch: pytest.MonkeyPatch, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    types = enum.IntEnum("types", ["CUDA_R_32F", "CUDA_R_64F", "CUDA_R_16F", "CUDA_R_16BF"])
    nvmath, blas = ModuleType("nvmath"), enum.IntEnum("compute", ["COMPUTE_32F", "COMPUTE_64F"])
    nvmath.CudaDataType = types  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "nvmath", nvmath)
    monkeypatch.setitem(sys.modules, "nvmath.bindings", ModuleType("nvmath.bindings"))
    monkeypatch.setitem(sys.modules, "nvmath.bindings.cublasLt", ColumnMajor())  # pyright: ignore[reportArgumentType]
    monkeypatch.setitem(sys.modules, "nvmath.bindings.cublas", SimpleNamespace(ComputeType=blas))  # pyright: ignore
    for each in (cublaslt.bindings, cublaslt.handle_of, cublaslt.product_of):
        each.cache_clear()
    xmlc.use_library("cublaslt")
    a, b = (np.random.default_rng(1).normal(size=shape).astype(np.float32) for shape in shapes)
    given = xmlc.Tensor(a, device="cuda"), xmlc.Tensor(b, device="cuda")
    assert "  cublaslt matmul: chosen" in xmlc.explain_dispatch(xp.matmul, *given)
    np.testing.assert_allclose((given[0] @ given[1]).numpy(), a @ b, rtol=1e-5)
    row = xmlc.Tensor(a[..., 0, :], device="cuda")
    refused = xmlc.explain_dispatch(xp.matmul, row, given[1])
    assert "  cublaslt matmul: no, it takes matrices, or stacks of as many" in refused
    cublaslt.bindings.cache_clear()


def softsign(x: Any) -> Any:
    return x / (1 + xp.abs(x))


def test_an_operation_is_held_against_its_reference(gpu: InterpretedDriver) -> None:
    right = xmlc.Operation(softsign, reference=lambda x: x / (1 + np.abs(x)))
    xmlc.check_operation(right, X)
    assert "  its reference: chosen" in xmlc.explain_dispatch(right, xmlc.Tensor(X, device="reference"))
    wrong = xmlc.Operation(softsign, reference=lambda x: x / (1.001 + np.abs(x)))
    with pytest.raises(CompileError, match=r"softsign on cpu gives .* at \(\d, \d\), its reference"):
        xmlc.check_operation(wrong, X)
    with pytest.raises(CompileError, match="softsign has no reference to be held against"):
        xmlc.check_operation(xmlc.Operation(softsign), X)


def test_a_wrong_gradient_of_an_operation_is_found() -> None:
    @xmlc.custom_gradient
    def half_right(x: Any) -> Any:
        return x * x, lambda cotangent: cotangent * x

    operation = xmlc.Operation(half_right, reference=lambda x: x * x)
    with pytest.raises(CompileError, match="the gradient of half_right by argument 0 gives"):
        xmlc.check_operation(operation, X, on=["cpu"])
