"""Parallel loops on the threads of the pool: results, several callers at once, forks, many iterations and few."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from ml_samples import program
from strategies import random_program
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from xmlc import options
from xmlc.backends.cpu import jit, stages
from xmlc.backends.cpu.elf import elf_symbols
from xmlc.backends.cpu.jit import LoadedModule
from xmlc.backends.cpu.placement import placement
from xmlc.backends.cpu.pool import MOST, SHARE, pool_text
from xmlc.backends.cpu.target import Target, host, parse_target
from xmlc.compiled import CompiledModule
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import tensor
from xmlc.driver import Settings, compile_module, default_threads, emit, entry_of
from xmlc.meaning import Outcome, differences, random_inputs, run
from xmlc.passes.parallelize import Parallelize

Build = Callable[..., SSAValue]
SAMPLES: dict[str, tuple[list[tuple[int, ...]], Build]] = {
    "product": ([(70, 96), (96, 131)], F.matmul),
    "packed product": ([(300, 512), (512, 520)], F.matmul),
    "batch of products": ([(5, 33, 40), (5, 40, 24)], F.matmul),
    "matrix and vector": ([(200, 300), (300, 1)], F.matmul),
    "convolution": ([(1, 8, 20, 20), (12, 8, 3, 3)], lambda x, w: F.conv(x, w, low=(1, 1), high=(1, 1))),
    "softmax": ([(64, 200)], lambda x: F.softmax(x, 1)),
    "softmax of columns": ([(64, 200)], lambda x: F.softmax(x, 0)),
    "few rows": ([(1, 5, 999)], lambda x: F.exp(x)),
    "sum of columns": ([(100, 77)], lambda x: F.reduce_sum(x, (0,))),
    "transpose": ([(30, 40, 50)], lambda x: F.transpose(x, (2, 0, 1))),
}


def arrays(shapes: Sequence[tuple[int, ...]], seed: int = 0) -> list[np.ndarray[Any, Any]]:
    source = np.random.default_rng(seed)
    return [source.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share loops however little work there is in them, and keep nothing between tests."""
    as_ever = stages.fitted

    def fitted(passes: Sequence[ModulePass], target: Target, threads: int = 1) -> list[ModulePass]:
        made = as_ever(passes, target, threads)
        return [replace(each, least_work=0) if isinstance(each, Parallelize) else each for each in made]

    monkeypatch.setattr(stages, "fitted", fitted)
    monkeypatch.setenv("XMLC_CACHE", "0")


def compiled(name: str, threads: int) -> CompiledModule:
    shapes, build = SAMPLES[name]
    module = program([tensor(shape, f32) for shape in shapes], build)
    return compile_module(module, settings=Settings(threads=threads))


def text(name: str, threads: int) -> str:
    shapes, build = SAMPLES[name]
    module = program([tensor(shape, f32) for shape in shapes], build)
    made = emit(module, "llvm", Settings(threads=threads))
    assert isinstance(made, str)
    return made


@pytest.mark.parametrize("name", SAMPLES)
def test_threads_give_what_one_thread_gives(name: str) -> None:
    inputs = arrays(SAMPLES[name][0])
    (expected,) = compiled(name, 1)(*inputs)
    for threads in (2, 3, 4):
        assert SHARE in text(name, threads), "the sample shows nothing"
        (found,) = compiled(name, threads)(*inputs)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", range(24))
def test_a_random_program_means_the_same_in_any_number_of_threads(seed: int) -> None:
    made = random_program(seed)
    inputs = random_inputs(entry_of(made), seed)
    with np.errstate(all="ignore"):
        expected = run(made.clone(), "main", inputs)
    for threads in (1, 2, 3, 4):
        results = compile_module(made.clone(), settings=Settings(threads=threads))(*inputs)
        assert differences(expected, Outcome(results, "")) == []


def test_one_thread_s_code_knows_nothing_of_threads() -> None:
    assert SHARE not in text("softmax", 1)


def test_several_python_threads_may_call_at_once() -> None:
    softmax = compiled("packed product", 2)

    def same(seed: int) -> bool:
        inputs = arrays(SAMPLES["packed product"][0], seed)
        (first,) = softmax(*inputs)
        np.testing.assert_allclose(first, inputs[0] @ inputs[1], rtol=1e-3, atol=1e-3)
        return all(np.array_equal(softmax(*inputs)[0], first) for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(same, range(4)))


BEGIN = """
import os, sys, threading, time
import numpy as np
from ml_samples import program
from xdsl.dialects.builtin import f32
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import tensor
from xmlc.driver import Settings, compile_module

softmax = compile_module(program([tensor((512, 512), f32)], lambda x: F.softmax(x, 1)), settings=Settings(threads=3))
x = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
powers = np.exp(x)
np.testing.assert_allclose(softmax(x)[0], powers / powers.sum(1, keepdims=True), rtol=1e-4)
"""
FORKS = """
(expected,) = softmax(x)
done = threading.Event()


def busy():
    while not done.is_set():
        softmax(x)


other = threading.Thread(target=busy)
other.start()  # forks happen while another thread is inside a parallel loop
failed = 0
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(softmax(x)[0], expected) else 1)
    failed += os.waitpid(child, 0)[1] != 0
done.set()
other.join()
sys.exit(failed)
"""


PLACES = """
cores = os.sched_getaffinity(0)


def kept_off():
    return sum(len(os.sched_getaffinity(int(task))) == len(cores) - 1 for task in os.listdir("/proc/self/task"))


time.sleep(0.1)  # helpers sleep: the caller makes sure of their places before it wakes them
softmax(x)
assert kept_off() == 2
os.sched_setaffinity(0, {min(cores)})  # no core is left for the helpers: they keep those that they have
softmax(x)
assert kept_off() == 2 + (len(cores) == 2)
"""


def in_another_process(code: str, **environment: str) -> None:
    """Run code after BEGIN, which must not fail nor take long."""
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code],
        env={**os.environ, "PYTHONPATH": paths, "XMLC_CACHE": "0", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_of_a_process_with_threads_computes_too() -> None:
    in_another_process(FORKS)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not place threads")
def test_a_helper_is_kept_off_the_core_of_the_caller_and_no_other() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this process has one core")
    in_another_process(PLACES)


@pytest.mark.parametrize(
    "triple", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "arm64-apple-darwin24.0.0"]
)
def test_only_linux_places_threads(triple: str) -> None:
    target = parse_target(triple)
    assert ("sched_getcpu" in placement(target)) == ("linux" in triple)
    assert jit.compile_to_object(pool_text(target), target)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000, MOST, MOST + 1])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_each_iteration_is_done_once(count: int, threads: int) -> None:
    task, share = counting(), SHARED(jit.pool()[SHARE])
    done = (ctypes.c_int32 * max(1, count))()
    for _ in range(20 if count < MOST else 1):
        share(task.address("count"), ctypes.addressof(done), count, threads)
    assert set(done[:count]) <= {20 if count < MOST else 1}


def test_the_pool_is_loaded_once() -> None:
    assert jit.pool() is jit.pool(lambda: pytest.fail("its machine code was asked for again"))


def test_a_task_may_share_iterations_itself() -> None:
    count, share = counting(), SHARED(jit.pool()[SHARE])
    done = (ctypes.c_int32 * 64)()

    def task(captured: int, index: int) -> None:
        share(count.address("count"), captured, 64, 2)

    outer = TASK(task)
    share(ctypes.cast(outer, ctypes.c_void_p).value, ctypes.addressof(done), 8, 1)
    assert set(done) == {8}


TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
SHARED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32)


class Waiting:
    """Loops of two iterations, of which a helper takes 50 ms for one and the caller 5 ms."""

    def __init__(self) -> None:
        self.share = SHARED(jit.pool()[SHARE])
        self.caller, self.workers = threading.get_ident(), set[int]()
        self.task = TASK(self.work)

    def work(self, captured: int, index: int) -> None:
        self.workers.add(threading.get_ident())
        time.sleep(0.005 if threading.get_ident() == self.caller else 0.05)

    def is_helped(self) -> bool:
        """Whether a helper had a part in a loop."""
        self.workers.clear()
        self.share(ctypes.cast(self.task, ctypes.c_void_p), None, 2, 2)
        return self.workers != {self.caller}

    def is_helped_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        return any(self.is_helped() for _ in iter(lambda: time.monotonic() < end, False))


def test_callers_lose_a_part_of_their_time_to_a_helper_that_keeps_them_waiting() -> None:
    loop, helped = Waiting(), 0
    start = time.monotonic()
    while time.monotonic() < start + 1:
        helped += loop.is_helped()
    assert 0 < helped * 0.045 < 0.6


def test_callers_go_on_with_a_helper_that_seldom_keeps_them_waiting() -> None:
    loop = Waiting()

    def is_trusted() -> bool:
        time.sleep(0.2)
        return loop.is_helped_within(20) and loop.is_helped_within(0.06)

    assert any(is_trusted() for _ in range(10))


@cache
def counting() -> LoadedModule:
    """A task that adds one to the number of its iteration."""
    target = host()
    code = f"""
target datalayout = "{target.data_layout}"
target triple = "{target.triple}"
define void @count(ptr %numbers, i64 %index) {{
  %number = getelementptr i32, ptr %numbers, i64 %index
  %before = load i32, ptr %number
  %after = add i32 %before, 1
  store i32 %after, ptr %number
  ret void
}}
"""
    return jit.load_object(jit.compile_to_object(code, target))


def test_an_object_file_holds_the_pool_if_it_needs_it() -> None:
    shapes, build = SAMPLES["softmax"]
    for threads in (1, 2):
        module = program([tensor(shape, f32) for shape in shapes], build)
        code = emit(module, "obj", Settings(threads=threads))
        assert isinstance(code, bytes)
        assert (SHARE in elf_symbols(code).defined) == (threads > 1)
        jit.load_object(code).function("main")


def test_the_number_of_threads_is_our_option_s_then_openmp_s_then_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("XMLC_NUM_THREADS", raising=False)
    assert default_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert default_threads() == 3
    monkeypatch.setenv("XMLC_NUM_THREADS", "2")
    assert default_threads() == 2
    with options.NUM_THREADS.set(5):
        assert Settings().threads == 5
