"""What a call costs on a GPU beside the kernels: bound, through CUDA graphs, from NumPy; and other libraries' arrays.

    python benchmarks/cuda_launch.py build FOLDER       # needs no GPU
    python benchmarks/cuda_launch.py run FOLDER -o RESULT.json

Launch costs are the host's: many calls, then one wait, shorter than the queue is long. The time of a kernel in a graph
is the device's, between events. Each figure is the median of several rounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from cuda_compile import compiling

LAUNCHES = 20
ROUNDS, CALLS = 15, 40


def programs() -> dict[str, Any]:
    """Name -> module: one small kernel; many small kernels; a softmax of 1 GiB."""
    import xmlc
    from xmlc import ml

    made: dict[str, Any] = {}
    for name, shape, depth in (
        ("one", "64x256xf32", 1),
        ("many", "64x256xf32", LAUNCHES),
        ("large", "16384x8192xf32", 1),
    ):
        builder = xmlc.Builder()
        with builder.function(x=xmlc.tensor(shape)) as f:
            value = f["x"]
            for _ in range(depth):
                value = ml.softmax(value, axis=-1)
            f.returns(value)
        made[name] = builder.module
    return made


def build(folder: Path) -> None:
    from xmlc.driver import Settings, any_target
    from xmlc.driver_cuda import compile_artifact

    folder.mkdir(parents=True, exist_ok=True)
    for name, module in programs().items():
        artifact = compile_artifact(module, Settings(target=any_target("cuda:sm_90a")))
        (folder / f"{name}.program").write_bytes(artifact.to_bytes())


def host_seconds(driver: Any, call: Callable[[], Any]) -> float:
    """The time of the host for one call, while the device works through a queue."""
    times: list[float] = []
    for _ in range(ROUNDS):
        driver.synchronize(0)
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        times.append((time.perf_counter() - started) / CALLS)
        driver.synchronize(0)
    return median(times)


def device_seconds(driver: Any, call: Callable[[], Any]) -> float:
    """The time of the device for one call."""
    first, second = driver.new_event(), driver.new_event()
    times: list[float] = []
    for _ in range(ROUNDS):
        driver.record(first, 0)
        for _ in range(CALLS):
            call()
        driver.record(second, 0)
        times.append(driver.seconds_between(first, second) / CALLS)
    return median(times)


def run(folder: Path) -> dict[str, Any]:
    from xmlc.backends.cuda.artifact import CudaArtifact
    from xmlc.backends.cuda.driver import driver_of
    from xmlc.compiled_cuda import CudaModule

    driver = driver_of()
    artifacts = {path.stem: CudaArtifact.from_bytes(path.read_bytes()) for path in sorted(folder.glob("*.program"))}
    result: dict[str, Any] = {"device": repr(driver.device)}
    x = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    for name in ("one", "many"):
        launches = len(artifacts[name].main.program.launches())
        started = time.perf_counter()
        module = CudaModule(artifacts[name], {}, driver)
        loading = time.perf_counter() - started
        call = module.bind(x)
        replay = call.graph()
        replay()
        captured = call.outputs[0].numpy()
        np.testing.assert_allclose(captured, module(x)[0], rtol=1e-6)
        result[name] = {
            "launches": launches,
            "load ms": loading * 1e3,
            "bound call us per launch": host_seconds(driver, call) / launches * 1e6,
            "graph replay us": host_seconds(driver, replay) * 1e6,
            "graph device us per kernel": device_seconds(driver, replay) / launches * 1e6,
            "bound device us per kernel": device_seconds(driver, call) / launches * 1e6,
            "call with NumPy us": host_seconds(driver, lambda: module(x)) * 1e6,  # noqa: B023
        }
    result["transfers GB/s"] = transfers(driver)
    result["compile ms"] = compiling()
    result["errors"] = refusals(CudaModule(artifacts["one"], {}, driver))
    result["libraries"] = libraries(CudaModule(artifacts["one"], {}, driver), x)
    result["large softmax"] = large(CudaModule(artifacts["large"], {}, driver))
    return result


def transfers(driver: Any) -> dict[str, dict[str, float]]:
    """Arrays to the device and back: through pinned memory, as the runtime does, and as the driver copies pages."""
    from xmlc.backends.cuda.arrays import DeviceArray

    found: dict[str, dict[str, float]] = {}
    for mebibytes in (1, 16, 256):
        x = np.random.default_rng(0).random(mebibytes << 17)
        there = DeviceArray.of(driver, x)
        back = np.empty_like(x)
        np.testing.assert_array_equal(there.numpy(), x)

        def pageable_in() -> None:
            driver.api.cuMemcpyHtoDAsync(there.address, x.ctypes.data, x.nbytes, driver.stream(0))  # noqa: B023

        calls: dict[str, Callable[[], Any]] = {
            "in, pinned": lambda: driver.copy_in(there.address, x, 0),  # noqa: B023
            "in, pageable": pageable_in,
            "out, pinned": there.numpy,
            "out, pageable": lambda: driver.copy_out(back, there.address, 0),  # noqa: B023
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                started = time.perf_counter()
                call()
                driver.synchronize(0)
                seconds[name].append(time.perf_counter() - started)
        np.testing.assert_array_equal(back, x)
        found[f"{mebibytes} MiB"] = {name: x.nbytes / median(each) * 1e-9 for name, each in seconds.items()}
    return found


def large(module: Any) -> dict[str, Any]:
    """A softmax of 16384 x 8192 f32, of which the bytes are read and written once at least."""
    import torch

    x = torch.randn(16384, 8192, device="cuda")
    call = module.bind(x)
    call()
    found = torch.from_dlpack(call.outputs[0])
    error = float((found.double() - torch.softmax(x.double(), -1)).norm() / torch.softmax(x.double(), -1).norm())
    ours = device_seconds(module.driver, call)
    peer = device_seconds(module.driver, lambda: torch.softmax(x, -1))
    copied = torch.empty_like(x)
    copy = device_seconds(module.driver, lambda: copied.copy_(x))
    compiled = torch.compile(lambda x: torch.softmax(x, -1))
    compiled(x)
    inductor = device_seconds(module.driver, lambda: compiled(x))
    bytes_ = 2 * x.numel() * 4
    return {
        "relative error": error,
        **{
            f"{name} TB/s": bytes_ / seconds * 1e-12
            for name, seconds in (("ours", ours), ("torch", peer), ("torch.compile", inductor), ("copy", copy))
        },
    }


def refusals(module: Any) -> list[str]:
    """What is said to those who give the wrong arrays, or want too much memory."""
    import torch

    from xmlc.backends.cuda.arrays import DeviceArray
    from xmlc.dialects.diagnostics import CompileError

    said: list[str] = []

    def refused(action: Callable[[], Any]) -> None:
        try:
            action()
        except CompileError as error:
            said.append(str(error).replace(f"{Path(__file__).parent}/", ""))
        else:
            raise AssertionError("it was not refused")

    whole = torch.zeros(64 * 256 + 1, device="cuda")
    refused(lambda: module(whole[1:].reshape(64, 256)))
    refused(lambda: module(torch.zeros(256, 64, device="cuda").T))
    refused(lambda: module(torch.zeros(64, 256, device="cuda", dtype=torch.float64)))
    refused(lambda: DeviceArray(module.driver, (1 << 50,), np.dtype(np.uint8)))
    return said


def libraries(module: Any, x: Any) -> dict[str, str]:
    """Arrays of other libraries as inputs, and our outputs given to them."""
    wanted = module(x)[0]
    result: dict[str, str] = {}

    def tried(name: str, action: Callable[[], Any]) -> None:
        try:
            found = np.asarray(action())
        except ImportError as error:
            result[name] = f"not here: {error}"
            return
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
        result[name] = "ok"

    def with_torch() -> Any:
        import torch

        return torch.from_dlpack(module(torch.from_numpy(x).cuda())[0]).cpu().numpy()

    def with_torch_stream() -> Any:
        import torch

        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            found = torch.from_dlpack(module(torch.from_numpy(x).cuda(), stream=stream.cuda_stream)[0])
        stream.synchronize()
        return found.cpu().numpy()

    def with_interface() -> Any:
        import torch

        return torch.as_tensor(module(torch.from_numpy(x).cuda())[0], device="cuda").cpu().numpy()

    def with_cupy() -> Any:
        import cupy

        return cupy.asnumpy(cupy.from_dlpack(module(cupy.asarray(x))[0]))

    def with_jax() -> Any:
        import jax

        return np.asarray(jax.dlpack.from_dlpack(module(jax.numpy.asarray(x))[0]))

    tried("torch, DLPack", with_torch)
    tried("torch, a stream of its own", with_torch_stream)
    tried("torch, CUDA array interface", with_interface)
    tried("cupy, DLPack", with_cupy)
    tried("jax, DLPack", with_jax)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["build", "run"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", type=Path, default=Path("cuda_launch.json"))
    given = parser.parse_args()
    if given.action == "build":
        build(given.folder)
        return 0
    made = run(given.folder)
    given.o.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(made, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
