"""Interleaved timing: A B C, B C A, C A B, …, so that a disturbance of the machine meets all contestants alike.

A sample is the time of several calls in a row, as many as fill `sample_s`, divided by their number; nothing is
subtracted. Before each sample of a short call comes one that is not timed, which brings the contestant's own data back.
With several threads a pause precedes it, until those of the contestant before have gone to sleep: pools of threads spin
for a while (onnxruntime's for 38 ms, OpenBLAS's for 107 ms, LLVM's OpenMP for 200 ms) in the hope of more work, on the
cores that the next one needs. Then the contestant is called untimed for `warm_s`: a thread that is woken may begin on
the core of the one that woke it, and Linux takes tens of milliseconds to find it another (OpenVINO's are as slow as one
thread until then).
"""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MANY_CALLS = 100_000
LONG_CALL = 0.02
"""Seconds: a call as long as this is not repeated untimed, its data is its own anyhow."""


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    rounds: int = 15
    """Samples of each contestant, at most."""
    seconds: float = 0.5
    """Time for each contestant, all samples together; a contestant gets `least` samples all the same."""
    sample_s: float = 0.002
    least: int = 3
    pause_s: float = 0.0
    """The longest wait, before a sample, for the threads of the contestant before to go to sleep."""
    warm_s: float = 0.0
    """Untimed calls before a sample last this long, for the contestant's own threads to find their cores."""


@dataclass(frozen=True)
class Timing:
    """Seconds a call: the median over samples, the quartiles around it, the least; how they were taken."""

    median: float
    low: float
    high: float
    least: float
    samples: int
    calls: int

    @property
    def spread(self) -> float:
        """The distance of the quartiles, relative to the median: how noisy the measurement was."""
        return (self.high - self.low) / self.median if self.median else 0.0


STEP, IDLE = 0.002, 0.25


def wait_for_idle_threads(most: float) -> None:
    """Sleep until no thread of this process runs or waits for a core but the calling one, or for so many seconds."""
    end = time.perf_counter() + most
    while (now := time.perf_counter()) < end:
        used = time.process_time()
        time.sleep(STEP)
        busy = time.process_time() - used >= IDLE * (time.perf_counter() - now)
        if not busy and not runnable_threads():
            return


def runnable_threads(tasks: str = "/proc/self/task") -> int:
    """How many other threads of this process run or wait for a core; 0 where the system does not tell.

    A thread that spins and offers its core to others meanwhile (sched_yield, as OpenBLAS's for 0.1 s) uses no time
    where something else runs on that core, and is yet in the way.
    """
    mine = str(threading.get_native_id())
    try:
        others = [thread for thread in Path(tasks).iterdir() if thread.name != mine]
    except FileNotFoundError:
        return 0
    return sum(state_of(thread) == "R" for thread in others)


def state_of(thread: Path) -> str:
    """The letter by which Linux tells what a thread does; none of a thread that has ended."""
    try:
        return (thread / "stat").read_text().rpartition(") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def timing_of(samples: Sequence[float], calls: int) -> Timing:
    single = len(samples) == 1
    low, _, high = [samples[0]] * 3 if single else statistics.quantiles(samples, method="inclusive")
    return Timing(statistics.median(samples), low, high, min(samples), len(samples), calls)


@dataclass
class Turn:
    """A contestant while it is measured."""

    run: Callable[[], object]
    calls: int
    estimate: float
    samples: list[float]
    spent: float = 0.0

    def wants_more(self, plan: Plan) -> bool:
        if not self.samples:
            return True
        least = plan.least if self.estimate < plan.seconds else 1
        return len(self.samples) < least or (len(self.samples) < plan.rounds and self.spent < plan.seconds)


def measure(
    contestants: Mapping[str, Callable[[], object]],
    plan: Plan,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = wait_for_idle_threads,
) -> dict[str, Timing]:
    """Seconds a call for each contestant. Each has been called once before, so that it is warm."""
    turns = {name: started(run, plan, clock) for name, run in contestants.items()}
    names = list(turns)
    for round_ in range(plan.rounds):
        active = [name for name in names if turns[name].wants_more(plan)]
        if not active:
            break
        start = round_ % len(active)
        for name in active[start:] + active[:start]:
            take_sample(turns[name], plan, clock, sleep)
    return {name: timing_of(turn.samples, turn.calls) for name, turn in turns.items()}


def started(run: Callable[[], object], plan: Plan, clock: Callable[[], int]) -> Turn:
    """A contestant with its number of calls a sample: found by doubling, so that no short call is misjudged."""
    calls = 1
    while True:
        elapsed = elapsed_time(run, calls, clock)
        if elapsed >= plan.sample_s / 2 or calls >= MANY_CALLS:
            break
        calls *= 2
    estimate = elapsed / calls
    return Turn(run, max(1, math.ceil(plan.sample_s / estimate)) if estimate else calls, estimate, [])


def take_sample(turn: Turn, plan: Plan, clock: Callable[[], int], sleep: Callable[[float], None]) -> None:
    if plan.pause_s:
        sleep(plan.pause_s)
    before = clock()
    for _ in range(untimed_calls(turn, plan)):
        turn.run()
    turn.samples.append(elapsed_time(turn.run, turn.calls, clock) / turn.calls)
    turn.spent += (clock() - before) * 1e-9


def untimed_calls(turn: Turn, plan: Plan) -> int:
    """How many calls come before a sample."""
    if turn.estimate >= LONG_CALL and not plan.warm_s:
        return 0
    return max(1, math.ceil(plan.warm_s / turn.estimate)) if turn.estimate else 1


def elapsed_time(run: Callable[[], object], calls: int, clock: Callable[[], int]) -> float:
    """Seconds that `calls` calls take."""
    repeats = range(calls)
    before = clock()
    for _ in repeats:
        run()
    return (clock() - before) * 1e-9
