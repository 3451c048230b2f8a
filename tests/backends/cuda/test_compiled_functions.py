"""`@xmlc.compile(device="cuda")`: Python functions as programs of a GPU, here one that is interpreted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from interpreted_device import InterpretedDriver, in_place_of_a_gpu

import xmlc
from xmlc import driver_cuda, nn
from xmlc.backends.cuda.arrays import DeviceArray
from xmlc.dialects.diagnostics import CompileError


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> InterpretedDriver:
    return in_place_of_a_gpu(monkeypatch)


PARAMETERS = {"w": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), "b": np.ones(4, np.float32)}
X = np.linspace(0, 2, 15, dtype=np.float32).reshape(5, 3)


def predict(parameters: Any, x: Any) -> Any:
    return nn.softmax(x @ parameters["w"] + parameters["b"])


def expected() -> Any:
    return xmlc.compile(predict)(PARAMETERS, X)


def test_arrays_of_the_host_give_arrays_of_the_host(driver: InterpretedDriver) -> None:
    on_gpu = xmlc.compile(device="cuda")(predict)
    result = on_gpu(PARAMETERS, X)
    assert isinstance(result, np.ndarray) and driver.launched
    np.testing.assert_allclose(result, expected(), rtol=1e-5)


def test_arrays_of_the_device_stay_there_and_do_not_trace_anew(driver: InterpretedDriver) -> None:
    on_gpu = xmlc.compile(device="cuda")(predict)
    x: Any = DeviceArray.of(driver, X)  # pyright: ignore[reportArgumentType]
    parameters = {name: DeviceArray.of(driver, each) for name, each in PARAMETERS.items()}  # pyright: ignore
    result = on_gpu(parameters, x)
    assert isinstance(result, DeviceArray)
    np.testing.assert_allclose(result.numpy(), expected(), rtol=1e-5)
    on_gpu(PARAMETERS, x)
    assert len(on_gpu.entries) == 1


def test_gradients_run_on_the_device(driver: InterpretedDriver) -> None:
    def loss(parameters: Any, x: Any) -> Any:
        return (predict(parameters, x) ** 2).sum()

    wanted = xmlc.compile(xmlc.grad(loss))(PARAMETERS, X)
    found = xmlc.compile(device="cuda")(xmlc.grad(loss))(PARAMETERS, X)
    for name, each in wanted.items():
        np.testing.assert_allclose(found[name], each, rtol=1e-4, atol=1e-6)


def test_a_function_can_be_looked_at_without_a_gpu() -> None:
    lowered = xmlc.compile(device="cuda:sm_90a")(predict).lower(PARAMETERS, X)
    assert "gpu.launch_func" in str(lowered.emit("gpu"))


def test_without_a_gpu_there_is_an_error_and_no_other_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(number: int) -> Any:
        raise CompileError("there is no GPU 0")

    monkeypatch.setattr(driver_cuda, "driver_of", none)
    with pytest.raises(CompileError, match="there is no GPU"):
        xmlc.compile(device="cuda")(predict)(PARAMETERS, X)


def test_the_environment_names_the_device_of_all_functions(
    driver: InterpretedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XMLC_DEVICE", "cuda")
    xmlc.compile(predict)(PARAMETERS, X)
    assert driver.launched


def test_a_device_that_is_none_is_refused() -> None:
    with pytest.raises(CompileError, match="unknown target 'tpu'"):
        xmlc.compile(device="tpu")(predict)


def update(parameters: Any, x: Any) -> Any:
    return {name: each * 0.5 + x.sum() for name, each in parameters.items()}


def test_a_donated_array_of_the_device_is_written_where_it_is(driver: InterpretedDriver) -> None:
    on_gpu = xmlc.compile(device="cuda", donate=("parameters",))(update)
    parameters = {name: DeviceArray.of(driver, each) for name, each in PARAMETERS.items()}  # pyright: ignore
    found = on_gpu(parameters, X)
    for name, each in PARAMETERS.items():
        assert found[name] is parameters[name]
        np.testing.assert_allclose(found[name].numpy(), each * 0.5 + X.sum(), rtol=1e-5)


def test_a_donated_array_of_the_host_is_copied_and_stays(driver: InterpretedDriver) -> None:
    on_gpu = xmlc.compile(device="cuda", donate=("parameters",))(update)
    for x in (X, DeviceArray.of(driver, X)):  # pyright: ignore[reportArgumentType]
        found = [on_gpu(PARAMETERS, x), on_gpu(PARAMETERS, x)]
        for made in found:
            np.testing.assert_allclose(np.asarray(made["w"]), PARAMETERS["w"] * 0.5 + X.sum(), rtol=1e-5)


def test_an_array_of_the_device_is_not_donated_and_read(driver: InterpretedDriver) -> None:
    on_gpu = xmlc.compile(device="cuda", donate=("x",))(lambda x, y: x + y)
    x: Any = DeviceArray.of(driver, X)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CompileError, match="the donated argument 'x' shares memory with 'y'"):
        on_gpu(x, x)
