"""The search for the fastest schedules of a program's kernels, within a budget of seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from xdsl.dialects.builtin import ModuleOp

from xmlc.backends.cuda.driver import CudaError
from xmlc.dialects.diagnostics import CompileError
from xmlc.driver import KERNELS, Settings, run_stages, stage_of
from xmlc.driver_cuda import compile_artifact
from xmlc.passes.gpu import roofline
from xmlc.passes.gpu.stated import Choice, Choices
from xmlc.pipeline import Timer
from xmlc.tuning.kernels import Kernel, Schedules, kernels_of
from xmlc.tuning.known import DEFAULT, Known
from xmlc.tuning.report import KernelReport, TuningReport
from xmlc.tuning.stopwatch import Stopwatch, Timed, agrees

LOG = logging.getLogger(__name__)

HOPELESS = 1.6
"""A schedule that the roofline model takes to be so many times slower than its best is not tried."""
MOST_TRIED = 24
"""Schedules of one thing that are tried, the most promising first."""

REFUSALS = ("CUDA_ERROR_OUT_OF_MEMORY", "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "CUDA_ERROR_INVALID_VALUE")
"""What the driver says of a schedule that does not fit."""

Progress = Callable[[str, int, int], None]
"""Told, before each schedule, of which kernel it is, how many were tried, and how many there are."""


def silent(name: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass
class Search:
    """The search in one kernel: what is to be tried, and what the cost model's choice gave."""

    kernel: Kernel
    choices: list[Choice]
    expected: Timed | None = None
    """What the cost model's schedules gave in this run, which others must give too."""
    waiting: list[Schedules] = field(default_factory=list[Schedules])


class Tuner:
    """Tunes programs for the device of a stopwatch."""

    def __init__(
        self,
        settings: Settings,
        stopwatch: Stopwatch,
        known: Known,
        seconds: float,
        progress: Progress = silent,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`seconds` is for compiling and timing together. What takes none, such as what is known, is not limited."""
        self.settings = replace(
            settings, tune=None, state_schedules=None, watchers=(), stage_watchers=(), timer=Timer(), remarks=None
        )
        self.stopwatch, self.known, self.progress, self.clock = stopwatch, known, progress, clock
        self.until = clock() + seconds

    def tune(self, module: ModuleOp) -> TuningReport:
        """Time what is not known yet of a program's kernels, those first that take longest; the module is consumed."""
        run_stages(module, stage_of(module, self.settings.target), KERNELS, self.settings)
        kernels = list({each.identity: each for each in kernels_of(module)}.values())
        searches: list[Search] = []
        for number, kernel in enumerate(kernels):
            if self.known.times(kernel).complete:
                continue
            self.progress(kernel.name, number, len(kernels))
            if (search := self.begun(kernel)) is not None:
                searches.append(search)
        searches.sort(key=lambda each: -self.cost(each.kernel))
        self.go_on(searches)
        return TuningReport([self.report(each) for each in kernels], self.stopwatch.device.name)

    def cost(self, kernel: Kernel) -> float:
        return (self.known.times(kernel).seconds.get(DEFAULT) or 0.0) * kernel.launches

    def begun(self, kernel: Kernel) -> Search | None:
        """The kernel by the cost model's schedules, and what else there is; None where the budget is used up."""
        if self.clock() > self.until and self.known.times(kernel).seconds:
            return None
        choices = Choices()
        with choices.collecting():
            artifact = compile_artifact(kernel.alone(DEFAULT), self.settings)
        found = self.stopwatch.timed(artifact)
        self.learn(kernel, DEFAULT, found.seconds)
        search = Search(kernel, choices.found, found)
        search.waiting = [each for each in self.possible(search) if each not in self.known.times(kernel).seconds]
        return search

    def possible(self, search: Search) -> list[Schedules]:
        """What is worth trying: one thing of the kernel at a time, the most promising first."""
        found: list[tuple[float, Schedules]] = []
        for choice in search.choices:
            times = {i: roofline.seconds(demand) for i, (_, demand) in enumerate(choice.candidates)}
            least = min(times.values(), default=0.0)
            ranked = sorted((each, i) for i, each in times.items() if each <= HOPELESS * least)
            others = [(each, choice.candidates[i][0]) for each, i in ranked if choice.candidates[i][0] != choice.chosen]
            for share, schedule in others[:MOST_TRIED]:
                stated = (*[()] * choice.number, tuple(schedule.items()))
                found.append((share / least if least else 1.0, ((choice.kind, stated),)))
        found.sort(key=lambda each: each[0])
        return [schedules for _, schedules in found]

    def go_on(self, searches: Sequence[Search]) -> None:
        """Try what waits: of each kernel in turn as long as its share of the remaining budget lasts."""
        done, total = 0, sum(len(each.waiting) for each in searches)
        for number, search in enumerate(searches):
            left = sum(self.cost(each.kernel) for each in searches[number:]) or 1.0
            share = (self.until - self.clock()) * (self.cost(search.kernel) / left if len(searches) > 1 else 1.0)
            until = self.clock() + share
            while search.waiting and self.clock() < until:
                self.progress(search.kernel.name, done, total)
                self.attempt(search, search.waiting.pop(0))
                done += 1
            done += len(search.waiting)
            if not search.waiting:
                self.known.times(search.kernel).complete = True
                self.known.keep(search.kernel)

    def attempt(self, search: Search, schedules: Schedules) -> None:
        """Compile and time a kernel by schedules; what gives another result than the cost model's is refused."""
        assert search.expected is not None
        seconds: float | None = None
        try:
            found = self.stopwatch.timed(compile_artifact(search.kernel.alone(schedules), self.settings))
        except CompileError as error:
            if isinstance(error, CudaError) and error.code not in REFUSALS:
                raise  # a fault in a kernel: the device does nothing more for this process
            LOG.info("@%s by %s: %s", search.kernel.name, schedules, error)
        else:
            if agrees(search.expected.samples, found.samples):
                seconds = found.seconds
            else:
                LOG.warning("@%s gives another result by %s, which is not used", search.kernel.name, schedules)
        self.learn(search.kernel, schedules, seconds)

    def learn(self, kernel: Kernel, schedules: Schedules, seconds: float | None) -> None:
        self.known.times(kernel).seconds[schedules] = seconds
        self.known.keep(kernel)

    def report(self, kernel: Kernel) -> KernelReport:
        times = self.known.times(kernel)
        default, best = times.seconds.get(DEFAULT), times.best
        return KernelReport(
            kernel.name, kernel.launches, default, times.seconds.get(best), best, len(times.seconds), times.complete
        )
