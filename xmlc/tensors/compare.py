"""Which kernel is the fastest for a call, and whether they agree: `xmlc.compare_kernels`.

print(xmlc.compare_kernels(xp.matmul, a, b))
xmlc.compare_kernels(xp.matmul, a, b, choose=True)      # from now on the fastest computes such calls
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.tree import flatten
from xmlc.options import TENSORS
from xmlc.tensors.device import Device
from xmlc.tensors.dispatch import CHOSEN, Candidate, Function, Leaves, candidates, function_of
from xmlc.tensors.tensor import arguments_of, recorded, with_integers


@dataclass(frozen=True)
class Measured:
    """What a kernel took for a call, and how far its results are from a program's."""

    name: str
    seconds: float
    difference: float
    """The greatest one, by the greatest element of the program's results."""


@dataclass(frozen=True)
class Comparison:
    """The kernels that can compute a call, the fastest first."""

    function: Function
    leaves: Leaves
    device: Device
    measured: list[Measured]

    def choose(self, name: str | None = None) -> None:
        """From now on have the kernel of that name, or the fastest, compute calls of such shapes, types and numbers.

        Raises CompileError where none of that name was measured.
        """
        names = [each.name for each in self.measured]
        if name is not None and name not in names:
            raise CompileError(f"the kernel '{name}' was not measured", hint=f"these were: {', '.join(names)}")
        CHOSEN[self.function, self.device, tuple(self.leaves)] = name or names[0]

    def __str__(self) -> str:
        wide = max(len(each.name) for each in self.measured)
        lines = [
            f"  {each.name:{wide}}  {each.seconds * 1e6:10.1f} µs  differs by {each.difference:.1e}"
            for each in self.measured
        ]
        return "\n".join([f"{self.function.__name__} on {self.device}", *lines])


def compare_kernels(
    operation: Any, *args: Any, choose: bool = False, seconds: float = 0.2, **kwargs: Any
) -> Comparison:
    """Measure every kernel that can compute a call, for about `seconds` each; with `choose`, choose the fastest.

    The times are medians of whole calls, the device's part included. A program is compiled first, whatever XMLC_TENSORS
    says. Raises CompileError for what is no operation on tensors.
    """
    function = function_of(operation)
    args, kwargs = with_integers(function, args, kwargs)
    _, leaves, _, device = arguments_of(function, args, kwargs)
    able = [each for each in candidates(function, leaves, device) if each.refusal is None]
    calls = {each.name: call_of(each, function, args, kwargs, device) for each in able}
    with TENSORS.set("compile") if device.backend.policy() == "auto" else nullcontext():
        results = {name: [np.asarray(leaf) for leaf in flatten(call())[0]] for name, call in calls.items()}
        times = {name: median_seconds(call, device, seconds) for name, call in calls.items()}
    expected = results[able[-1].name]
    measured = [Measured(name, times[name], difference(results[name], expected)) for name in calls]
    found = Comparison(function, leaves, device, sorted(measured, key=lambda each: each.seconds))
    if choose:
        found.choose()
    return found


def call_of(
    candidate: Candidate, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], device: Device
) -> Callable[[], Any]:
    """A call by one kernel, which computes its results."""
    compute = candidate.compute
    rest = {name: value for name, value in kwargs.items() if name != "device"}

    def call() -> Any:
        if compute is not None:
            return compute(args, rest, device)
        made = recorded(function, arguments_of(function, args, kwargs))
        _ = [leaf.buffer for leaf in flatten(made)[0]]
        return made

    return call


def median_seconds(call: Callable[[], Any], device: Device, seconds: float) -> float:
    """The median time of a call, the device waited for. It has been called before."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        device.synchronize()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def difference(found: list[Any], expected: list[Any]) -> float:
    """The greatest difference of two lists of arrays, by the greatest element of the second."""
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(found, expected) if b.size]
    greatest = max((float(np.abs(b).max()) for _, b in pairs), default=0.0) or 1.0
    return max((float(np.abs(a - b).max()) for a, b in pairs), default=0.0) / greatest
