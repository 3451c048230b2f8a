"""The tuner with a stopwatch that is told what the time is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import xmlc
from xmlc import ml
from xmlc.backends.cuda.artifact import CudaArtifact
from xmlc.backends.cuda.driver import CudaError, Device
from xmlc.backends.cuda.program import Launch
from xmlc.cache import Cache
from xmlc.dialects.diagnostics import CompileError
from xmlc.driver import Settings, any_target, run_stages
from xmlc.tracing import compile as compiled
from xmlc.tuning.known import Known
from xmlc.tuning.report import TuningReport
from xmlc.tuning.search import Tuner
from xmlc.tuning.stopwatch import Timed, agrees

Run = Callable[..., tuple[int, str, str]]

SETTINGS = Settings(target=any_target("cuda"))
DEVICE = Device(0, "A GPU", (9, 0), 1 << 30, 132, "13000")


class ToldStopwatch:
    """Takes the time, and what the kernel gives, from a function of the first launch."""

    device = DEVICE

    def __init__(self, told: Callable[[Launch], Timed]):
        self.told = told
        self.timings = 0

    def timed(self, artifact: CudaArtifact) -> Timed:
        self.timings += 1
        return self.told(artifact.main.program.launches()[0])


def softmax(rows: int = 2048) -> ModuleOp:
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor(f"{rows}x4096xf32")) as f:
        f.returns(ml.softmax(f["x"], axis=-1))
    return builder.module


def threads(launch: Launch) -> int:
    assert isinstance(launch.block[0], int)
    return launch.block[0]


def by_threads(launch: Launch) -> Timed:
    """512 threads are fastest."""
    return Timed(1e-5 * (1 + abs(threads(launch) - 512)), (np.ones(3),))


def tuned(told: Callable[[Launch], Timed], known: Known, seconds: float = 1e9) -> tuple[TuningReport, int]:
    stopwatch = ToldStopwatch(told)
    return Tuner(SETTINGS, stopwatch, known, seconds).tune(softmax()), stopwatch.timings


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_the_fastest_schedule_is_kept_and_used(cache: Cache) -> None:
    report, timings = tuned(by_threads, Known(DEVICE, cache))
    (kernel,) = report.kernels
    assert report.complete and kernel.tried == timings > 3
    assert kernel.default == 1e-5 * (1 + 512 - 128) and kernel.tuned == 1e-5
    module = softmax()
    settings = Settings(target=any_target("cuda"), state_schedules=Known(DEVICE, cache).state_schedules)
    run_stages(module, None, "gpu", settings)
    (made,) = (op for op in module.walk() if op.name == "gpu.func")
    assert made.properties["known_block_size"].get_values() == (512, 1, 1)  # pyright: ignore


def test_tuning_goes_on_where_it_ended(cache: Cache) -> None:
    report, first = tuned(by_threads, Known(DEVICE, cache), seconds=0)
    assert first == 1 and not report.complete
    assert "+: more can be tried" in report.render()
    report, second = tuned(by_threads, Known(DEVICE, cache))
    assert report.complete and report.kernels[0].tried == second
    assert tuned(by_threads, Known(DEVICE, cache))[1] == 0


def test_times_are_of_one_device(cache: Cache) -> None:
    tuned(by_threads, Known(DEVICE, cache))
    other = Known(Device(0, "Another GPU", (9, 0), 1 << 30, 132, "13000"), cache)
    assert tuned(by_threads, other, seconds=0)[1] == 1


def test_a_schedule_that_gives_another_result_is_not_used(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    def wrong(launch: Launch) -> Timed:
        return Timed(1e-6, (np.zeros(3),)) if threads(launch) == 512 else by_threads(launch)

    (kernel,) = tuned(wrong, Known(DEVICE, cache))[0].kernels
    assert kernel.tuned == 1e-5 * (1 + 512 - 256)
    assert "gives another result by" in caplog.text


def test_a_schedule_that_does_not_fit_is_passed_over(cache: Cache) -> None:
    def refused(launch: Launch) -> Timed:
        if threads(launch) == 512:
            raise CudaError("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "launching a kernel")
        return by_threads(launch)

    assert tuned(refused, Known(DEVICE, cache))[0].kernels[0].tuned == 1e-5 * (1 + 512 - 256)


def test_a_fault_of_a_kernel_ends_the_tuning(cache: Cache) -> None:
    def broken(launch: Launch) -> Timed:
        if threads(launch) != 128:
            raise CudaError("CUDA_ERROR_ILLEGAL_ADDRESS", "running kernels")
        return by_threads(launch)

    with pytest.raises(CudaError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        tuned(broken, Known(DEVICE, cache))


def test_the_report_compares_with_the_cost_model(cache: Cache) -> None:
    report, _ = tuned(by_threads, Known(DEVICE, cache))
    assert "10.0" in report.render() and "lanes=512" in report.render()
    assert report.record()["kernels"][0]["gain"] == pytest.approx(385)


def test_results_agree_but_for_rounding() -> None:
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert agrees((x,), (x * np.float32(1 + 1e-6),))
    assert not agrees((x,), (x * np.float32(1.001),))
    assert not agrees((x,), (np.where(x > 3, np.nan, x),)) or not (x > 3).any()
    assert not agrees((np.arange(3),), (np.arange(3) + 1,))


def test_only_a_gpu_is_tuned(xmlc: Run) -> None:
    with pytest.raises(CompileError, match="tune= times kernels of a GPU"):
        compiled(tune=1.0, device="cpu")
    code, _, said = xmlc("run", "x.mlir", "--tune", "1")
    assert code == 2 and "--tune times kernels of a GPU" in said
