"""The runtime on a device that is interpreted: every op of `ml`, control flow of the host, graphs, arrays, errors."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreted_device import InterpretedDriver
from ml_samples import NAMED, SAMPLES, Sample, program
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from xmlc.backends.cuda.arrays import DeviceArray, from_capsule
from xmlc.backends.cuda.artifact import CudaArtifact
from xmlc.backends.cuda.driver import CudaError, bindings, devices
from xmlc.backends.cuda.program import Call, For, If, Read, While, every
from xmlc.compiled_cuda import CudaModule
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import tensor
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import Settings, any_target, entry_of, prepare_of, to_last_mlir
from xmlc.driver_cuda import entry
from xmlc.meaning import Outcome, differences
from xmlc.options import CUDA_SYNC


def loaded(module: ModuleOp, weights: dict[str, Any] | None = None, memory: int = 1 << 30) -> CudaModule:
    """A program on an interpreted device; the module is consumed."""
    signature, prepare_signature = to_last_mlir(module, Settings(target=any_target("cuda:sm_90a")))
    main = entry(module, entry_of(module), signature)
    before = prepare_of(module)
    prepare = entry(module, before, prepare_signature) if before and prepare_signature else None
    stored = CudaArtifact(main, prepare, b"kernels").to_bytes()
    return CudaModule(CudaArtifact.from_bytes(stored), weights or {}, InterpretedDriver(module, memory))  # pyright: ignore


def expected(module: ModuleOp, inputs: Sequence[Any]) -> Outcome:
    with np.errstate(all="ignore"):
        return Outcome(tuple(map(np.asarray, interpret(module, "main", [each.copy() for each in inputs]))), "")


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_every_op_gives_what_its_reference_gives(sample: Sample) -> None:
    element = sample.elements[0]
    inputs = sample.inputs(element)
    wanted = expected(sample.module(element), inputs)
    found = loaded(sample.module(element))(*inputs)
    assert [str(each) for each in differences(wanted, Outcome(found, ""))] == []


def long_rows(element: str, rows: int, columns: int, *, levels: int = 2) -> ModuleOp:
    """Rows that blocks share, and that are put together once or twice."""

    def build(x: SSAValue) -> SSAValue:
        return F.softmax(x, 1) if levels == 2 else F.sub(x, F.reduce_max(x, axes=[1], keep_dims=True))

    return program([tensor([rows, columns], NAMED[element])], build)


@settings(max_examples=5, deadline=None)
@given(st.sampled_from(["f32", "bf16", "f16"]), st.integers(1, 7), st.integers(16_400, 140_000), st.integers(1, 2))
def test_blocks_that_share_rows_take_them_in_turn(element: str, rows: int, columns: int, levels: int) -> None:
    """Whatever grid the device holds: more rows than blocks run at once for, rows too long for a cluster, rests."""
    module = long_rows(element, rows, columns, levels=levels)
    x = np.random.default_rng(columns).normal(size=(rows, columns)).astype(TO_NUMPY[NAMED[element]])
    wanted = expected(long_rows(element, rows, columns, levels=levels), [x])
    made = loaded(module)
    together = [step.together for step in made.artifact.main.program.launches() if step.together]
    driver = made.driver
    assert isinstance(driver, InterpretedDriver)
    driver.most_blocks = 3 * max(together, default=1)
    again = CudaModule(made.artifact, {}, driver)
    assert [str(each) for each in differences(wanted, Outcome(again(x), ""))] == []


def test_a_device_too_small_for_a_row_is_told() -> None:
    made = loaded(long_rows("f32", 2, 140_000))
    made.driver.most_blocks = 4  # pyright: ignore
    with pytest.raises(CompileError, match="needs 18 blocks at once, but this device runs 4 of it"):
        CudaModule(made.artifact, {}, made.driver)


def scaled() -> ModuleOp:
    """exp(x) * w of vectors."""
    return program([tensor([40], NAMED["f32"]), tensor([40], NAMED["f32"])], lambda x, w: F.mul(F.exp(x), w))


def vectors() -> tuple[Any, Any]:
    return np.linspace(-1, 1, 40, dtype=np.float32), np.arange(40, dtype=np.float32)


def test_arrays_of_the_device_stay_there() -> None:
    module = loaded(scaled())
    x, w = (DeviceArray.of(module.driver, each) for each in vectors())
    (result,) = module(x, w)
    assert isinstance(result, DeviceArray)
    np.testing.assert_allclose(result.numpy(), np.exp(x.numpy()) * w.numpy(), rtol=1e-6)


def test_a_call_that_is_bound_sees_what_its_inputs_hold() -> None:
    module = loaded(scaled())
    x, w = vectors()
    given = DeviceArray.of(module.driver, x)
    call = module.bind(given, w)
    for factor in (1, 2):
        module.driver.copy_in(given.address, np.ascontiguousarray(x * factor), 0)
        (result,) = call()
        np.testing.assert_allclose(result.numpy(), np.exp(x * factor) * w, rtol=1e-6)


def test_a_call_that_is_bound_is_a_graph() -> None:
    """Nothing runs when it is made; each call then runs all that was captured, copies too."""
    module = loaded(scaled())
    x, w = vectors()
    call = module.bind(x, w)
    assert module.driver.launched == []  # pyright: ignore
    for times in (1, 2):
        (result,) = call()
        assert len(module.driver.launched) == times  # pyright: ignore
        np.testing.assert_allclose(result.numpy(), np.exp(x) * w, rtol=1e-6)


@pytest.mark.parametrize("sample", ["while", "if", "concat", "scatter_nd set", "scan"])
def test_what_is_bound_gives_what_a_call_does(sample: str) -> None:
    """Programs whose host decides, which are no graphs, and such that copy."""
    found = next(each for each in SAMPLES if str(each) == sample)
    inputs = found.inputs(found.elements[0])
    wanted = expected(found.module(found.elements[0]), inputs)
    call = loaded(found.module(found.elements[0])).bind(*inputs)
    for _ in range(2):
        results = tuple(each.numpy() for each in call())
        assert [str(each) for each in differences(wanted, Outcome(results, ""))] == []


def test_a_bound_call_that_waits_for_each_kernel_is_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CUDA_SYNC.name, "1")
    module = loaded(scaled())
    call = module.bind(*vectors())
    before = module.driver.synchronized  # pyright: ignore
    call()
    assert module.driver.synchronized == before + 1  # pyright: ignore


def test_a_graph_is_freed_with_the_call() -> None:
    module, freed = loaded(scaled()), list[Any]()
    module.driver.free_graph = freed.append
    call = module.bind(*vectors())
    assert freed == []
    del call
    gc.collect()
    assert len(freed) == 1


def test_dlpack_shows_the_same_memory_and_lets_go_of_it() -> None:
    module = loaded(scaled())
    array = DeviceArray.of(module.driver, vectors()[1])
    found = from_capsule(array.__dlpack__())
    assert (found.address, found.shape, found.dtype) == (array.address, (40,), np.dtype(np.float32))
    described = array.__cuda_array_interface__
    assert described["data"] == (array.address, False) and described["typestr"] == "<f4"
    address = array.address
    del array
    assert (ctypes.c_float * 40).from_address(address)[3] == 3, "the capsule keeps the memory"
    del found
    assert address not in module.driver.blocks  # pyright: ignore


class Elsewhere:
    """An array of another library on another device."""

    def __init__(self, array: DeviceArray, device: int, **changes: Any):
        self.array, self.device, self.changes = array, device, changes

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.array.__cuda_array_interface__ | self.changes


def test_an_array_of_another_device_is_refused_with_the_kernel_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded(scaled())
    x, w = (DeviceArray.of(module.driver, each) for each in vectors())
    monkeypatch.setattr(module.driver, "owner", lambda address: 1)
    with pytest.raises(
        CompileError, match=r"input 'input0' is on GPU 1, the program is on GPU 0 .*the kernel @exp_mul"
    ):
        module(Elsewhere(x, 1), w)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": (264, False)}, "starts at an address that is no multiple of 16 bytes; the kernel @exp_mul uses it"),
        ({"strides": (8,)}, "has strides \\(8,\\), expected a contiguous array"),
        ({"typestr": "<f8"}, "has element type float64, expected float32"),
        ({"shape": (39,)}, "has shape 39, expected 40"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    module = loaded(scaled())
    x, w = (DeviceArray.of(module.driver, each) for each in vectors())
    with pytest.raises(CompileError, match=message):
        module(Elsewhere(x, 0, **changes), w)


def test_memory_that_runs_out_is_said() -> None:
    with pytest.raises(CudaError, match="CUDA_ERROR_OUT_OF_MEMORY while allocating"):
        loaded(scaled(), memory=100)(*vectors())


def test_memory_that_runs_out_is_said_with_what_it_was_for() -> None:
    module = loaded(scaled())
    module.driver.memory = 200  # pyright: ignore
    with pytest.raises(CudaError, match=r"OUT_OF_MEMORY while .* for .*put '.*'; the kernel @exp_mul uses it"):
        module(*vectors())


def test_an_address_of_the_host_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded(scaled())
    x, w = (DeviceArray.of(module.driver, each) for each in vectors())
    monkeypatch.setattr(module.driver, "owner", lambda address: None)
    with pytest.raises(CompileError, match=r"'input0' says .* its address is one of the host; the kernel @exp_mul"):
        module(Elsewhere(x, 0), w)


def test_a_launch_that_is_refused_names_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded(scaled())

    def refuse(*_: Any, together: bool) -> Any:
        def launch() -> None:
            raise CudaError("CUDA_ERROR_INVALID_VALUE", "launching a kernel")

        return launch

    monkeypatch.setattr(module.driver, "prepared", refuse)
    for make in (module, module.bind):  # a graph is captured when it is bound
        with pytest.raises(CudaError, match=r"CUDA_ERROR_INVALID_VALUE while running the kernel @exp_mul.* blocks of"):
            make(*vectors())


def samples_with(kinds: tuple[type, ...]) -> list[str]:
    """The samples whose programs have such steps."""
    found: list[str] = []
    for sample in SAMPLES:
        module = sample.module(sample.elements[0])
        signature, _ = to_last_mlir(module, Settings(target=any_target("cuda:sm_90a")))
        steps = entry(module, entry_of(module), signature).program.steps
        if any(isinstance(step, kinds) for step in every(steps)):
            found.append(str(sample))
    return found


def test_control_flow_of_the_host_is_among_the_samples() -> None:
    assert samples_with((If, For, While, Read, Call))


@pytest.mark.skipif(find_spec("cuda") is not None, reason="cuda-bindings is installed")
def test_without_the_bindings_it_is_said_how_to_install_them() -> None:
    bindings.cache_clear()
    with pytest.raises(CompileError, match="the package cuda-bindings is not installed"):
        devices()


@pytest.mark.skipif(find_spec("cuda") is None, reason="cuda-bindings is not installed")
def test_without_a_gpu_it_is_said_and_nothing_runs() -> None:
    bindings.cache_clear()
    with pytest.raises(CompileError, match="this machine has no NVIDIA"):
        devices()
