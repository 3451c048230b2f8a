"""Tensors and compiled functions beside PyTorch and CuPy, in the memory of a GPU that is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xmlc
from xmlc import numpy as xp
from xmlc.tensors.gpu import count

if not count():
    pytest.skip("this machine has no NVIDIA GPU", allow_module_level=True)

torch: Any = pytest.importorskip("torch")
X = np.random.default_rng(0).normal(size=(64, 48)).astype(np.float32)


def address(tensor: xmlc.Tensor) -> int:
    held: Any = tensor.buffer
    return held.address


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "uint8", "bool"])
def test_torch_and_tensors_share_memory_both_ways(dtype: str) -> None:
    theirs = (torch.arange(12, device="cuda").reshape(3, 4) % 2).to(getattr(torch, dtype))
    ours = xp.from_dlpack(theirs)
    assert address(ours) == theirs.data_ptr() and str(ours.dtype) == dtype and ours.device == xmlc.Device("cuda")
    made = xp.where(ours == 0, ours, ours)
    back = torch.from_dlpack(made)
    assert back.data_ptr() == address(made) and back.dtype == theirs.dtype and back.is_cuda
    assert torch.equal(back, theirs)


def test_cupy_and_tensors_share_memory_both_ways() -> None:
    cupy: Any = pytest.importorskip("cupy")
    theirs = cupy.asarray(X)
    ours = xp.from_dlpack(theirs)
    assert address(ours) == theirs.data.ptr
    made = ours * 2
    back = cupy.from_dlpack(made)
    assert back.data.ptr == address(made)
    np.testing.assert_array_equal(cupy.asnumpy(back), X * 2)
    twice = xmlc.compile(returns="caller")(lambda x: x * 2)
    for _ in range(2):
        np.testing.assert_array_equal(cupy.asnumpy(twice(theirs)), X * 2)


def test_what_torch_does_on_a_stream_of_its_own_comes_first() -> None:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        big = torch.ones(1 << 26, device="cuda")
        for _ in range(20):
            big = big + 1
        total = xp.sum(xp.from_dlpack(big)[:4])
        assert float(total) == 84


def test_a_compiled_function_gives_torch_what_torch_gave_it() -> None:
    function = xmlc.compile(returns="caller")(lambda x, y: {"product": x @ y.T, "sum": (x + y).sum()})
    x, y = (torch.randn(64, 64, device="cuda") for _ in range(2))
    for _ in range(2):
        found = function(x, y)
        assert found["product"].is_cuda and isinstance(found["sum"], torch.Tensor)
        torch.testing.assert_close(found["product"], x @ y.T, rtol=1e-4, atol=1e-4)
    with pytest.raises(xmlc.CompileError, match="device mismatch"):
        function(x, xmlc.Tensor(X, device="cpu"))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("shapes", [((96, 40), (40, 72)), ((3, 33, 17), (3, 17, 5))])
def test_cublaslt_gives_the_product(dtype: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    pytest.importorskip("nvmath")
    a, b = (xp.astype(xmlc.Tensor(np.random.default_rng(1).normal(size=s), device="cuda"), dtype) for s in shapes)
    expected = a.numpy().astype(np.float64) @ b.numpy().astype(np.float64)
    (kernel,) = xmlc.use_library("cublaslt")
    try:
        assert "cublaslt matmul: chosen" in xmlc.explain_dispatch(xp.matmul, a, b)
        found = (a @ b).numpy().astype(np.float64)
        bound = {"float64": 1e-12, "float32": 1e-5}.get(dtype, 2e-2)
        assert np.linalg.norm(found - expected) <= bound * np.linalg.norm(expected)
        assert {each.name for each in xmlc.compare_kernels(xp.matmul, a, b, seconds=0.01).measured} == {
            "cublaslt matmul",
            "a program",
        }
    finally:
        kernel.remove()


def test_torch_that_dlpack_refuses_is_refused() -> None:
    needs_gradient = torch.ones(64, 48, device="cuda", requires_grad=True)
    with pytest.raises(BufferError, match="require"):
        xmlc.compile(lambda x: x * 2)(needs_gradient)


def test_two_threads_work_on_the_gpu() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda k: (xmlc.Tensor(X, device="cuda") * k).numpy(), range(1, 5)))
    for k, each in enumerate(found, 1):
        np.testing.assert_allclose(each, X * np.float32(k), rtol=1e-6)
