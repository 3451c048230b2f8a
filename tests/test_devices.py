"""Tensors on every kind of device, through the protocol `Backend`; the GPU is one that is interpreted."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from interpreted_device import InterpretedDriver, in_place_of_a_gpu

import xmlc
from xmlc import driver_cuda, random
from xmlc import numpy as xp
from xmlc.backends.cuda.arrays import DeviceArray, from_capsule
from xmlc.compiled import CompiledModule
from xmlc.dialects.diagnostics import CompileError
from xmlc.options import DEVICE, EXPLAIN
from xmlc.tensors.device import KINDS, backend_of, devices
from xmlc.tensors.evaluate import program_of
from xmlc.tensors.host import Interpreted

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
CUDA = xmlc.Device("cuda")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> InterpretedDriver:
    return in_place_of_a_gpu(monkeypatch)


@pytest.fixture(params=sorted(KINDS))
def device(request: pytest.FixtureRequest, gpu: InterpretedDriver) -> xmlc.Device:
    """Each kind of device."""
    return xmlc.Device(request.param)


def test_values_stay_on_the_device_and_are_those_of_numpy(device: xmlc.Device) -> None:
    x = xmlc.Tensor(X, device=device)
    y = xp.tanh(x @ x.T) * 2.5 + np.arange(3, dtype=np.float32)
    assert y.device == device and y.node.values is None
    np.testing.assert_allclose(np.asarray(y), np.tanh(X @ X.T) * 2.5 + np.arange(3), rtol=1e-5)
    held: Any = y.buffer
    assert type(held) is (DeviceArray if device.kind == "cuda" else np.ndarray)
    assert (xp.sum(y) / 2).device == device
    device.synchronize()


def test_what_is_made_of_nothing_is_made_on_the_device_that_is_named(device: xmlc.Device) -> None:
    for made in (
        xp.zeros((2, 3), device=device),
        xp.arange(5, device=device.name),
        xp.ones_like(xmlc.Tensor(X), device=device),
        xp.asarray([1, 2], device=device),
        xp.astype(xmlc.Tensor(X), xp.float64, device=device),
        random.Generator(0, device).normal((2, 2)),
    ):
        assert made.device == device
        assert made.numpy().shape == made.shape
    with DEVICE.set(device.name):
        assert xp.zeros(3).device == device == xp.__array_namespace_info__().default_device()


def test_tensors_move_between_devices(device: xmlc.Device) -> None:
    x = xmlc.Tensor(X) * 2
    there = x.to(device)
    assert there.device == device and (there is x) == (device.kind == "cpu")
    np.testing.assert_array_equal(there.to("cpu").numpy(), X * 2)
    assert there.to_device(device) is there


def test_indices_and_assignment_on_every_device(device: xmlc.Device) -> None:
    x, array = xmlc.Tensor(X, device=device), X.copy()
    np.testing.assert_array_equal(x[1:, ::2].numpy(), array[1:, ::2])
    np.testing.assert_array_equal(x[x > 0].numpy(), array[array > 0])
    x[x < 0] = 0
    array[array < 0] = 0
    np.testing.assert_array_equal(x.numpy(), array)
    assert x[np.array([2, 0])].device == device


def test_a_seed_gives_the_same_numbers_on_every_device(device: xmlc.Device) -> None:
    drawn, expected = (random.Generator(5, each).uniform((4,)) for each in (device, "cpu"))
    np.testing.assert_allclose(drawn.numpy(), expected.numpy(), rtol=1e-6)


def test_the_device_is_printed_where_it_is_not_the_processor(gpu: InterpretedDriver) -> None:
    assert repr(xp.asarray([1.0], device="cuda")) == "Tensor([1.], dtype=float32, device=cuda:0)"
    assert str(xp.asarray([1.0], device="cuda")) == "[1.]"


def test_devices_that_are_there_are_listed(gpu: InterpretedDriver) -> None:
    assert [str(each) for each in devices()] == ["cpu", "cuda:0", "reference"]
    assert xp.__array_namespace_info__().devices() == devices()
    assert xmlc.Device("cuda") == xmlc.Device("cuda:0") != xmlc.Device("cuda:1")


def test_without_a_gpu_there_is_an_error_and_nothing_runs_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(number: int) -> Any:
        raise CompileError("this machine has no NVIDIA GPU")

    monkeypatch.setattr(driver_cuda, "driver_of", none)
    backend_of.cache_clear()
    for ask in (
        lambda: xmlc.Tensor(X).to("cuda"),
        lambda: xp.zeros(3, device="cuda"),
        lambda: xmlc.Tensor(X, device="cuda"),
    ):
        with pytest.raises(CompileError, match="this machine has no NVIDIA GPU"):
            ask()


@pytest.mark.parametrize("name", ["tpu", "cpu:1", "cuda:x", "cuda:", "reference:0"])
def test_a_device_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(CompileError, match=f"there is no device '{name}'"):
        xmlc.Device(name)


def test_tensors_of_two_devices_do_not_meet(gpu: InterpretedDriver) -> None:
    here, there = xmlc.Tensor(X), xmlc.Tensor(X, device="cuda")
    for meet in (lambda: here + there, lambda: xp.concat([here, there]), lambda: xp.linalg.cross(here, there)):
        with pytest.raises(CompileError, match=r"device mismatch: \w+ is given tensors on cpu and cuda:0") as caught:
            meet()
        assert caught.value.diagnostics[0].hint == "move one of them: x.to('cpu')"


def test_a_compiled_function_runs_where_its_tensors_are_and_gives_tensors(device: xmlc.Device) -> None:
    twice = xmlc.compile(lambda tree: {"y": tree["x"] * 2 + 1, "n": tree["n"]})
    found = twice({"x": xmlc.Tensor(X, device=device) + 0, "n": 3})
    assert isinstance(found["y"], xmlc.Tensor) and found["y"].device == device
    np.testing.assert_allclose(found["y"].numpy(), X * 2 + 1, rtol=1e-6)
    assert isinstance(twice({"x": X, "n": 3})["y"], np.ndarray)
    gradient = xmlc.grad(lambda x: (x**2).sum())(xmlc.Tensor(X, device=device))
    assert gradient.device == device
    np.testing.assert_allclose(gradient.numpy(), 2 * X, rtol=1e-6)


def test_a_compiled_function_refuses_tensors_of_other_devices(gpu: InterpretedDriver) -> None:
    here, there = xmlc.Tensor(X), xmlc.Tensor(X, device="cuda")

    def add(x: Any, y: Any) -> Any:
        return x + y

    with pytest.raises(CompileError, match="device mismatch: add is given tensors on cpu and cuda:0"):
        xmlc.compile(add)(here, there)
    message = "device mismatch: add is compiled for cuda:0, its argument 'y' is on cpu"
    with pytest.raises(CompileError, match=message) as caught:
        xmlc.compile(device="cuda")(add)(there, here)
    assert caught.value.diagnostics[0].hint == "move it: y.to('cuda:0')"
    elsewhere = "is on cuda:0, in a function that is compiled for cpu"
    with pytest.raises(CompileError, match=f"a tensor from outside {elsewhere}"):
        xmlc.compile(lambda x: x + there)(here)
    with pytest.raises(CompileError, match=f"the result of zeros {elsewhere}"):
        xmlc.compile(lambda x: x + xp.zeros(4, device="cuda"))(here)
    np.testing.assert_allclose(xmlc.compile(lambda x: x + there)(there).numpy(), 2 * X, rtol=1e-6)


def test_a_tensor_that_is_donated_takes_no_memory_of_others(gpu: InterpretedDriver) -> None:
    for name in ("cpu", "cuda"):
        x = xmlc.Tensor(X, device=name)
        part, same = x[1:], xp.asarray(x, copy=True)
        part.numpy()
        twice = xmlc.compile(donate=("x",))(lambda x: x * 2)
        for _ in range(2):
            np.testing.assert_array_equal(twice(x).numpy(), X * 2)
        np.testing.assert_array_equal(part.numpy(), X[1:])
        np.testing.assert_array_equal(same.numpy(), X)


def test_a_function_is_compiled_again_for_another_device(
    gpu: InterpretedDriver, caplog: pytest.LogCaptureFixture
) -> None:
    twice = xmlc.compile(lambda x: x * 2)
    twice(xmlc.Tensor(X))
    with EXPLAIN.set(True), caplog.at_level(logging.WARNING):
        twice(xmlc.Tensor(X, device="cuda"))
    assert "it ran on cpu, and is to run on cuda:0" in caplog.text
    assert len(twice.entries) == 2


def test_the_reference_can_stand_for_any_device_of_a_function() -> None:
    exponential = xmlc.compile(device="reference")(lambda x: xp.exp(x))
    np.testing.assert_allclose(exponential(X), np.exp(X), rtol=1e-6)
    assert [type(each.call) for each in exponential.entries.values()] == [Interpreted]


def test_memory_of_a_gpu_is_shared_by_dlpack_both_ways(gpu: InterpretedDriver) -> None:
    x = xmlc.Tensor(X, device="cuda") + 1
    assert x.__dlpack_device__() == (2, 0)
    held: Any = x.buffer
    assert from_capsule(x.__dlpack__()).address == held.address
    theirs = DeviceArray.of(gpu, X)  # pyright: ignore[reportArgumentType]
    shared, copied = xp.from_dlpack(theirs), xp.from_dlpack(theirs, copy=True)
    assert (shared.device, copied.device) == (CUDA, CUDA)
    ours: Any = shared.buffer
    assert ours.address == theirs.address
    gpu.copy_in(theirs.address, X + 1, 0)
    np.testing.assert_array_equal(shared.numpy(), X + 1)
    np.testing.assert_array_equal(copied.numpy(), X)
    address = theirs.address
    del theirs, ours
    assert address in gpu.blocks, "the tensor keeps the memory"
    del shared
    assert address not in gpu.blocks
    np.testing.assert_array_equal(xp.from_dlpack(x, device="cpu").numpy(), X + 1)
    np.testing.assert_array_equal(np.from_dlpack(x, device="cpu"), X + 1)
    for refused in (lambda: np.asarray(x, copy=False), lambda: xp.from_dlpack(x, device="cpu", copy=False)):
        with pytest.raises(ValueError, match=r"copy"):
            refused()
    with pytest.raises(BufferError, match="they cannot be shared elsewhere"):
        x.__dlpack__(dl_device=(1, 0), copy=False)


def test_dlpack_of_the_host_shares_memory_too() -> None:
    mine = X.copy()
    shared = xp.from_dlpack(mine)
    assert shared.buffer is not None and np.shares_memory(shared.numpy(), mine)
    assert not np.shares_memory(xmlc.Tensor(mine).numpy(), mine)


def test_what_numpy_computes_is_copied_and_said(gpu: InterpretedDriver, caplog: pytest.LogCaptureFixture) -> None:
    square = xmlc.Tensor(X[:, :3] + 3 * np.eye(3, dtype=np.float32), device="cuda")
    with EXPLAIN.set(True), caplog.at_level(logging.WARNING):
        inverse = xp.linalg.inv(square)
    assert "inv is computed by NumPy: it copies 1 operands from cuda:0, 1 results to it" in caplog.text
    assert inverse.device == CUDA
    np.testing.assert_allclose((inverse @ square).numpy(), np.eye(3), atol=1e-5)
    assert xp.fft.fft(square).device == CUDA and (square + 1j).device == CUDA


def test_a_graph_of_each_device_has_its_program(gpu: InterpretedDriver) -> None:
    before = program_of.cache_info().currsize
    for name in ("cpu", "cuda"):
        (xmlc.Tensor(X, device=name) - 7).numpy()
    assert program_of.cache_info().currsize == before + 2
    assert xmlc.explain(xmlc.Tensor(X, device="cuda") - 7).startswith("subtract on cuda:0\nit will be compiled")


def test_an_array_of_a_gpu_that_is_not_contiguous_is_refused(gpu: InterpretedDriver) -> None:
    class Strided:
        """Every second element of an array."""

        __cuda_array_interface__ = DeviceArray.of(gpu, X).__cuda_array_interface__ | {"shape": (6,), "strides": (8,)}  # pyright: ignore

    with pytest.raises(CompileError, match=r"an array of shape \(6,\) has strides \(8,\), expected a contiguous one"):
        xp.from_dlpack(Strided())


def test_a_call_runs_where_a_with_block_says_though_others_ran_elsewhere() -> None:
    double = xmlc.compile(lambda x: x * 2)
    for _ in range(2):
        double(X)
    with DEVICE.set("reference"):
        double(X)
    double(X)
    assert [type(each.call) for each in double.entries.values()] == [CompiledModule, Interpreted]
