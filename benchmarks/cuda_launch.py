"""What a call costs on a GPU beside the kernels: bound, through CUDA graphs, from NumPy; and other libraries' arrays.

    python benchmarks/cuda_launch.py build FOLDER       # needs no GPU
    python benchmarks/cuda_launch.py run FOLDER -o RESULT.json

Launch costs are the host's: many calls, then one wait, shorter than the queue is long. The time of a kernel in a graph
is the device's, between events. Each figure is the median of several rounds.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from xmlc.backends.cuda.artifact import CudaArtifact
from xmlc.bench.machine import machine
from xmlc.options import CUDA_SYNC

LAUNCHES = 20
ROUNDS, CALLS = 15, 40


def programs() -> dict[str, Any]:
    """Name -> module: one small kernel; many small kernels; a softmax of 1 GiB; a result that no device holds."""
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
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("1048576x1xf32"), y=xmlc.tensor("1x1048576xf32")) as f:
        f.returns(ml.add(f["x"], f["y"]))
    made["huge"] = builder.module
    return made


def build(folder: Path) -> None:
    from xmlc.driver import Settings, any_target
    from xmlc.driver_cuda import compile_artifact

    folder.mkdir(parents=True, exist_ok=True)
    for name, module in programs().items():
        artifact = compile_artifact(module, Settings(target=any_target("cuda:sm_90a")))
        (folder / f"{name}.program").write_bytes(artifact.to_bytes())


def host_seconds(driver: Any, call: Callable[[], Any], calls: int = CALLS) -> float:
    """The time of the host for one call, while the device works through a queue."""
    times: list[float] = []
    for _ in range(ROUNDS):
        driver.synchronize(0)
        started = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - started) / calls)
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
    from xmlc.backends.cuda.driver import driver_of
    from xmlc.compiled_cuda import CudaModule

    driver = driver_of()
    artifacts = {path.stem: CudaArtifact.from_bytes(path.read_bytes()) for path in sorted(folder.glob("*.program"))}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    result: dict[str, Any] = {"date": date, "machine": machine(), "device": repr(driver.device)}
    x = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    for name in ("one", "many"):
        launches = len(artifacts[name].main.program.launches())
        started = time.perf_counter()
        module = CudaModule(artifacts[name], {}, driver)
        loading = time.perf_counter() - started
        call = module.bind(x)
        call()
        np.testing.assert_allclose(call.outputs[0].numpy(), module(x)[0], rtol=1e-6)
        one_by_one = call.execution.made_ready(0)
        result[name] = {
            "launches": launches,
            "load ms": loading * 1e3,
            "bound call us": host_seconds(driver, call) * 1e6,
            "bound device us per kernel": device_seconds(driver, call) / launches * 1e6,
            "kernels one by one us": host_seconds(driver, one_by_one) * 1e6,
            "kernels one by one device us per kernel": device_seconds(driver, one_by_one) / launches * 1e6,
            "call with NumPy us": host_seconds(driver, lambda: module(x)) * 1e6,  # noqa: B023
        } | parts(driver, call)
    result["transfers GB/s"] = transfers(driver)
    result["errors"] = refusals(folder)
    result["libraries"] = libraries(CudaModule(artifacts["one"], {}, driver), x)
    result["large softmax"] = large(CudaModule(artifacts["large"], {}, driver))
    return result


LOOPS = """
define void @kernels(ptr %launch, i64 %count, ptr %function, i32 %grid, i32 %block, i32 %shared, ptr %arguments) {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.next, %next ]
  %code = call i32 %launch(ptr %function, i32 %grid, i32 1, i32 1, i32 %block, i32 1, i32 1, i32 %shared,
                           ptr null, ptr %arguments, ptr null)
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %count
  br i1 %more, label %next, label %done
done:
  ret void
}
define void @graphs(ptr %launch, i64 %count, ptr %graph) {
  br label %next
next:
  %i = phi i64 [ 0, %0 ], [ %i.next, %next ]
  %code = call i32 %launch(ptr %graph, ptr null)
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %count
  br i1 %more, label %next, label %done
done:
  ret void
}
"""
"""Launches from machine code, without Python between them."""


def parts(driver: Any, call: Any) -> dict[str, float]:
    """What the driver alone takes of the host's time, and what its Python bindings add: microseconds a launch."""
    from xmlc.backends.cpu.jit import compile_to_object, load_object
    from xmlc.backends.cpu.target import host

    loops = load_object(compile_to_object(LOOPS, host()))
    library, pointer, integer = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p, ctypes.c_int
    packed = call.execution.packed[id(call.module.artifact.main.program.launches()[0])]
    (grid, _, _), (block, _, _), shared = packed.sizes
    function, arguments = packed.function, packed.where
    graph = driver.captured(lambda stream: call.execution.made_ready(stream)())
    kernels = ctypes.CFUNCTYPE(None, pointer, ctypes.c_int64, pointer, integer, integer, integer, pointer)
    graphs = ctypes.CFUNCTYPE(None, pointer, ctypes.c_int64, pointer)
    launch_kernels, launch_graphs = kernels(loops.address("kernels")), graphs(loops.address("graphs"))
    launch_kernel, launch_graph = (
        ctypes.cast(each, pointer) for each in (library.cuLaunchKernel, library.cuGraphLaunch)
    )
    api, stream = driver.api, driver.stream(0)
    given = function, grid, 1, 1, block, 1, 1, shared, stream, arguments, 0

    def all_kernels() -> None:
        launch_kernels(launch_kernel, CALLS, int(function), grid, block, shared, arguments)

    def all_graphs() -> None:
        launch_graphs(launch_graph, CALLS, int(graph))

    seconds = {
        "a kernel from machine code us": host_seconds(driver, all_kernels, 1) / CALLS,
        "a graph from machine code us": host_seconds(driver, all_graphs, 1) / CALLS,
        "a kernel by the bindings us": host_seconds(driver, lambda: api.cuLaunchKernel(*given)),
        "a graph by the bindings us": host_seconds(driver, lambda: api.cuGraphLaunch(graph, stream)),
    }
    return {name: each * 1e6 for name, each in seconds.items()}


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


def refusals(folder: Path) -> list[str]:
    """What is said to those who give the wrong arrays, want too much memory, or whose kernels fail."""
    import torch

    from xmlc.backends.cuda.driver import driver_of
    from xmlc.compiled_cuda import CudaModule
    from xmlc.dialects.diagnostics import CompileError

    said: list[str] = []

    def tell(message: str) -> None:
        """Without the folder that the programs were built in."""
        said.append(re.sub(r"\S+/(?=cuda_launch\.py)", "", message))

    def refused(action: Callable[[], Any]) -> None:
        try:
            action()
        except CompileError as error:
            tell(str(error))
        else:
            raise AssertionError("it was not refused")

    module, huge = (CudaModule(artifact_of(folder, name), {}, driver_of()) for name in ("one", "huge"))
    whole = torch.zeros(64 * 256 + 1, device="cuda")
    refused(lambda: module(whole[1:].reshape(64, 256)))
    refused(lambda: module(torch.zeros(256, 64, device="cuda").T))
    refused(lambda: module(torch.zeros(64, 256, device="cuda", dtype=torch.float64)))
    refused(lambda: huge(np.zeros((1 << 20, 1), np.float32), np.zeros((1, 1 << 20), np.float32)))
    x = np.zeros((64, 256), np.float32)
    too_wide = CudaModule(changed(artifact_of(folder, "one"), block=(2048, 1, 1)), {}, driver_of())
    refused(lambda: too_wide(x))
    refused(lambda: too_wide.bind(x)())
    for waits in ("0", "1"):
        environment = os.environ | {CUDA_SYNC.name: waits}
        command = [sys.executable, __file__, "fault", str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        tell(done.stdout.strip())
    return said


def fault(folder: Path) -> None:
    """Print what is said of a kernel that writes where no memory is, which spoils the process for all else."""
    from xmlc.backends.cuda.driver import driver_of
    from xmlc.backends.cuda.program import Address
    from xmlc.compiled_cuda import CudaModule
    from xmlc.dialects.diagnostics import CompileError

    artifact = artifact_of(folder, "one")
    (step,) = artifact.main.program.launches()
    far = [replace(each, value=Address(each.value.buffer, 1 << 45)) for each in step.arguments]
    try:
        CudaModule(changed(artifact, arguments=tuple(far)), {}, driver_of())(np.zeros((64, 256), np.float32))
    except CompileError as error:
        print(error)


def artifact_of(folder: Path, name: str) -> CudaArtifact:
    return CudaArtifact.from_bytes((folder / f"{name}.program").read_bytes())


def changed(artifact: CudaArtifact, **changes: Any) -> CudaArtifact:
    """A program of one launch, the launch being otherwise."""
    (step,) = artifact.main.program.steps
    program = replace(artifact.main.program, steps=(replace(step, **changes),))
    return replace(artifact, main=replace(artifact.main, program=program))


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
    parser.add_argument("action", choices=["build", "run", "fault"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", type=Path, default=Path("cuda_launch.json"))
    given = parser.parse_args()
    if given.action == "build":
        build(given.folder)
        return 0
    if given.action == "fault":
        fault(given.folder)
        return 0
    made = run(given.folder)
    given.o.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(made, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
