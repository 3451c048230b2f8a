"""How long a kernel takes on the device, and whether it still computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xmlc.backends.cuda.arrays import DeviceArray
from xmlc.backends.cuda.artifact import CudaArtifact
from xmlc.backends.cuda.driver import DEFAULT_STREAM, Device, NvidiaDriver
from xmlc.backends.cuda.execute import Execution
from xmlc.backends.signature import Tensor

Array = NDArray[Any]

CACHE_BYTES = 128 << 20
"""What is written between two runs: more than the cache of any device, so that no run finds its inputs there."""
LEAST_RUNS, MOST_RUNS = 5, 30
ENOUGH = 0.02
"""Seconds of the device after which no further run is made."""
SAMPLE = 1 << 16
"""Elements of the start and of the end of each output that are compared."""
DRAWN = 1 << 20
"""Random numbers that are drawn; larger inputs repeat them."""


@dataclass(frozen=True)
class Timed:
    """The median time of a run, and samples of what it gave."""

    seconds: float
    samples: tuple[Array, ...]


class Stopwatch(Protocol):
    """Times programs of one kernel."""

    device: Device

    def timed(self, artifact: CudaArtifact) -> Timed:
        """Raises CompileError for what the device does not run."""
        ...


class DeviceStopwatch:
    """Times on a device by events: random inputs, the cache overwritten before each run, the median of several."""

    def __init__(self, driver: NvidiaDriver):
        self.driver = driver
        self.device = driver.device
        self.scratch = DeviceArray(driver, (CACHE_BYTES,), np.dtype(np.uint8))
        self.kept: dict[tuple[Tensor, ...], list[DeviceArray]] = {}
        """The inputs of the kernel that was timed last: the next program is mostly of the same kernel."""

    def timed(self, artifact: CudaArtifact) -> Timed:
        driver, point = self.driver, artifact.main.point
        given = self.inputs((*point.signature.inputs, *point.signature.weights))
        outputs = [DeviceArray(driver, each.shape, each.dtype) for each in point.signature.own_outputs]
        arena = DeviceArray(driver, (point.arena_bytes,), np.dtype(np.uint8))
        execution = Execution(artifact.main.program, artifact.code, driver)
        try:
            execution.give([each.address for each in (*given, *outputs, arena)])
            execution.run(DEFAULT_STREAM)
            driver.synchronize(DEFAULT_STREAM)
            samples = tuple(part for each in outputs for part in self.samples(each))
            return Timed(self.seconds(execution), samples)
        finally:
            execution.release(DEFAULT_STREAM)

    def seconds(self, execution: Execution) -> float:
        """The median over runs; the host is ahead of the device, which is still overwriting its cache."""
        driver = self.driver
        first, second = driver.new_event(), driver.new_event()
        times: list[float] = []
        while len(times) < LEAST_RUNS or (sum(times) < ENOUGH and len(times) < MOST_RUNS):
            driver.fill(self.scratch.address, CACHE_BYTES, DEFAULT_STREAM)
            driver.record(first, DEFAULT_STREAM)
            execution.run(DEFAULT_STREAM)
            driver.record(second, DEFAULT_STREAM)
            times.append(driver.seconds_between(first, second))
        return median(times)

    def inputs(self, specs: tuple[Tensor, ...]) -> list[DeviceArray]:
        if specs not in self.kept:
            self.kept = {specs: [self.drawn(each, number) for number, each in enumerate(specs)]}
        return self.kept[specs]

    def drawn(self, spec: Tensor, seed: int) -> DeviceArray:
        """A random array on the device, the same each time."""
        made = DeviceArray(self.driver, spec.shape, spec.dtype)
        part = random(spec.dtype, min(made.size, DRAWN), seed)
        done = min(part.nbytes, made.nbytes)
        self.driver.copy_in(made.address, part, DEFAULT_STREAM)
        self.driver.synchronize(DEFAULT_STREAM)
        while done < made.nbytes:
            size = min(done, made.nbytes - done)
            self.driver.copy(made.address + done, made.address, size, DEFAULT_STREAM)
            done += size
        return made

    def samples(self, array: DeviceArray) -> list[Array]:
        """The start and the end of an array."""
        count = min(SAMPLE, array.size)
        found: list[Array] = []
        for first in (0, array.size - count):
            part = np.empty(count, array.dtype)
            self.driver.copy_out(part, array.address + first * array.dtype.itemsize, DEFAULT_STREAM)
            self.driver.synchronize(DEFAULT_STREAM)
            found.append(part)
        return found


def random(dtype: np.dtype[Any], count: int, seed: int) -> Array:
    """Normal numbers; whole ones are 0, since they may say where to look in a tensor of any size."""
    if dtype.kind in "iub":
        return np.zeros(count, dtype)
    return np.random.default_rng(seed).normal(size=count).astype(dtype)


TOLERANCE = {2: 2e-2, 4: 2e-5, 8: 1e-10}
"""Relative error, in the norm, by bytes of an element: sums in another order round otherwise."""


def agrees(expected: Sequence[Array], found: Sequence[Array]) -> bool:
    """Whether two programs gave the same but for rounding."""
    return all(np.array_equal(a, b) if a.dtype.kind in "iub" else is_near(a, b) for a, b in zip(expected, found))


def is_near(a: Array, b: Array) -> bool:
    x, y = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(x)
    if not np.array_equal(finite, np.isfinite(y)) or not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return False
    error = float(np.linalg.norm(x[finite] - y[finite]))
    return error <= TOLERANCE[a.dtype.itemsize] * float(np.linalg.norm(x[finite]))
