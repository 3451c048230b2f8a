"""Every schedule, forced wherever it fits, with one, two and three threads, gives what the reference gives.

By default a sample of all programs, schedules and numbers of threads is run; all of them with

    python -m pytest tests/backends/cpu/test_every_schedule.py --whole
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ml_samples import SAMPLES, Array, grouped, program
from random_linalg import program as linalg_program
from strategies import random_program
from xdsl.dialects.builtin import ModuleOp, bf16, f16, f32, f64, i8, i32
from xdsl.ir import Attribute, SSAValue
from xdsl.passes import ModulePass

from xmlc import buffers
from xmlc.backends.cpu import stages
from xmlc.dialects import context
from xmlc.dialects.dtypes import ELEMENTS, TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import tensor
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import Settings, compile_module, entry_of, run_stages
from xmlc.meaning import difference, random_inputs
from xmlc.parse import parse_module
from xmlc.passes.attention.lower import LowerAttention
from xmlc.passes.contractions.lower import LowerContractions
from xmlc.passes.lower_transposes import LowerTransposes
from xmlc.passes.parallelize import Parallelize
from xmlc.passes.remarks import Remarks
from xmlc.passes.rows.lower import LowerRows

NAMES = ("direct", "sweep", "panelled", "blocked", "dot", "flatten", "stretches")
"""The schedules of contractions."""
LOOPS = "loops"
"""No schedule but plain loops, for contractions, rows and transposes."""
STRETCHES = "stretches"
"""A contraction schedule for what exceeds the second cache: forced with a tiny one."""
STREAMS = "streams"
"""Rows and transposes as if all caches were tiny: next rows are prefetched, and results are stored past the caches."""
FAR = "far"
"""The schedule `blocked` as if factors exceeded all caches: threads share the rows of a block."""
SCHEDULES = (*NAMES, LOOPS, STREAMS, FAR)
THREADS = (1, 2, 3)
SCHEDULED = (LowerContractions, LowerRows, LowerTransposes)

Force = Callable[[str], None]


@pytest.fixture
def force(monkeypatch: pytest.MonkeyPatch) -> Force:
    """`force(schedule)`: from now on it is used wherever it fits, and threads share whatever they can."""
    real = stages.fitted

    def forced(schedule: str) -> None:
        def fitted(passes: Sequence[ModulePass], *arguments: Any) -> list[ModulePass]:
            kept = [each for each in passes if schedule != LOOPS or not isinstance(each, SCHEDULED)]
            return [forced_pass(each, schedule) for each in real(kept, *arguments)]

        monkeypatch.setattr(stages, "fitted", fitted)

    monkeypatch.setenv("XMLC_CACHE", "0")
    monkeypatch.setattr(
        buffers, "KEPT", 1
    )  # what is stored past the caches starts at a cache line, even if it is small
    return forced


def forced_pass(each: ModulePass, schedule: str) -> ModulePass:
    match each:
        case LowerContractions() if schedule == STRETCHES:
            return replace(each, schedule=schedule, second_cache=16384)
        case LowerContractions() if schedule == FAR:
            return replace(each, schedule="blocked", second_cache=64, third_cache=65536)
        case LowerContractions():
            return replace(each, schedule=None if schedule == STREAMS else schedule)
        case LowerAttention() if schedule == LOOPS:
            return replace(each, schedule="blocks")
        case LowerRows() if schedule == STREAMS:
            return replace(each, second_cache=1, third_cache=1)
        case LowerTransposes() if schedule == STREAMS:
            return replace(each, third_cache=1)
        case Parallelize():
            return replace(each, least_work=1, piece_work=1)
        case _:
            return each


def sampled(request: pytest.FixtureRequest, cases: Sequence[Any], count: int, seed: str) -> Sequence[Any]:
    """All cases with `--whole`; else so many, others for each seed but the same every time."""
    if request.config.getoption("--whole"):
        return cases
    return random.Random(seed).sample(cases, min(count, len(cases)))


def check(module: ModuleOp, inputs: Sequence[Array], threads: int) -> None:
    """Machine code gives what the reference gives; the module is consumed."""
    name = entry_of(module).sym_name.data
    with np.errstate(all="ignore"):
        expected = [np.asarray(each) for each in interpret(module, name, [x.copy() for x in inputs])]
    found = compile_module(module, settings=Settings(opt_level=1, threads=threads))(*[x.copy() for x in inputs])
    wrong = [difference(f"result {i}", a, b) for i, (a, b) in enumerate(zip(expected, found, strict=True))]
    assert not any(wrong), "\n".join(str(each) for each in wrong if each)


# --- contractions of awkward sizes

SIZES = (1, 2, 3, 5, 8, 13, 16, 17, 31, 33, 48, 65, 130)
TYPES: tuple[Attribute, ...] = (f32, f32, f64, bf16, f16, i8, i32)


def product(choose: random.Random) -> tuple[ModuleOp, list[Array]]:
    """A product of matrices: batched or not, either factor turned or not, perhaps with an epilogue."""
    m, n, k = (choose.choice(SIZES) for _ in range(3))
    return product_of(choose, m, n, k, choose.choice(((), (), (2,), (3, 2))))


def long_product(choose: random.Random) -> tuple[ModuleOp, list[Array]]:
    """Few rows and columns, many steps."""
    m, n = (choose.choice((1, 3, 8, 16, 17)) for _ in range(2))
    return product_of(choose, m, n, choose.choice((200, 288, 768)), ())


def product_of(choose: random.Random, m: int, n: int, k: int, batch: tuple[int, ...]) -> tuple[ModuleOp, list[Array]]:
    element = choose.choice(TYPES)
    turned = [choose.random() < 0.3 for _ in range(2)]
    shapes = [(k, m) if turned[0] else (m, k), (n, k) if turned[1] else (k, n)]
    shared = choose.random() < 0.3  # the right factor, among all of a batch
    epilogue = choose.random() < 0.5
    types = [tensor((*batch, *shapes[0]), element), tensor(shapes[1] if shared else (*batch, *shapes[1]), element)]

    def build(a: SSAValue, b: SSAValue) -> list[SSAValue]:
        rank = len(batch) + 2
        if turned[0]:
            a = F.transpose(a, [*range(rank - 2), rank - 1, rank - 2])
        if turned[1]:
            rank = 2 if shared else rank
            b = F.transpose(b, [*range(rank - 2), rank - 1, rank - 2])
        if element == i8:
            a, b = F.cast(a, i32), F.cast(b, i32)
        made = F.matmul(a, b)
        return [F.max_(F.add(made, F.scalar(made, 1)), F.scalar(made, 0)) if epilogue else made]

    return program(types, build), drawn(choose, types, element)


def convolution(choose: random.Random) -> tuple[ModuleOp, list[Array]]:
    """A convolution of two dimensions, grouped or not, with strides, dilations and padding."""
    element = choose.choice((f32, f32, f64))
    groups = choose.choice((1, 1, 2, 6))
    channels, outputs = groups * choose.choice((1, 3, 8)), groups * choose.choice((1, 4, 16))
    if choose.random() < 0.3:
        channels = outputs = groups
    kernel = choose.choice(((1, 1), (3, 3), (2, 5), (7, 7)))
    size = choose.choice(((9, 9), (14, 20), (33, 17)))
    batch = choose.choice((1, 1, 3))
    stride, padding, dilation = choose.choice((1, 1, 2)), choose.choice((0, 1, 3)), choose.choice((1, 1, 2))
    if any((k - 1) * dilation + 1 > extent + 2 * padding for k, extent in zip(kernel, size)):
        dilation = 1
    types = [tensor((batch, channels, *size), element), tensor((outputs, channels // groups, *kernel), element)]
    types.append(tensor((outputs,), element))
    window = {"strides": (stride,) * 2, "low": (padding,) * 2, "high": (padding,) * 2, "dilations": (dilation,) * 2}

    def build(x: SSAValue, weight: SSAValue, bias: SSAValue) -> list[SSAValue]:
        made = F.conv(x, weight, bias, groups=groups, **window)
        return [F.max_(made, F.scalar(made, 0))]

    return program(types, build), drawn(choose, types, element)


def packed_product(choose: random.Random) -> tuple[ModuleOp, list[Array]]:
    """A product whose right factor lies in panels, perhaps with a bias and an epilogue."""
    element = choose.choice(TYPES)
    m, k = (choose.choice(SIZES) for _ in range(2))
    width, group, count = choose.choice((16, 24, 32)), choose.choice((1, 1, 2)), choose.choice((1, 3))
    panels = (count, -(-k // group), width, group)
    types = [tensor((m, k), element), tensor(panels, element)]
    epilogue = choose.random() < 0.5

    def build(a: SSAValue, b: SSAValue) -> list[SSAValue]:
        if element == i8:
            a, b = F.cast(a, i32), F.cast(b, i32)
        made = F.packed_matmul(a, b)
        return [F.max_(F.add(made, F.scalar(made, 1)), F.scalar(made, 0)) if epilogue else made]

    return program(types, build), drawn(choose, types, element)


CONTRACTIONS = (product, long_product, packed_product, convolution)


def drawn(choose: random.Random, types: Sequence[Any], element: Attribute) -> list[Array]:
    """Small numbers, whose sums do not cancel far."""
    generator = np.random.default_rng(choose.randrange(2**32))
    return [generator.integers(-3, 4, type.get_shape()).astype(TO_NUMPY[element]) for type in types]


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("make", CONTRACTIONS, ids=lambda make: make.__name__)
def test_contractions_of_awkward_sizes(
    make: Callable[[random.Random], tuple[ModuleOp, list[Array]]],
    schedule: str,
    threads: int,
    force: Force,
    request: pytest.FixtureRequest,
) -> None:
    force(schedule)
    for seed in sampled(request, range(60), 2, f"{make.__name__} {schedule} {threads}"):
        check(*make(random.Random(seed)), threads)


def test_every_schedule_can_be_forced(force: Force) -> None:
    """What a schedule is called is the first word of the remark on it."""
    chosen: set[str] = set()
    for name in NAMES:
        force(name)
        for make in CONTRACTIONS:
            for seed in range(5):
                remarks = Remarks()
                module, _ = make(random.Random(seed))
                run_stages(module, None, "structured", Settings(remarks=remarks))
                chosen |= {
                    each.message.partition(",")[0].partition(":")[0]
                    for each in remarks.found
                    if each.transformation == "lower-contractions" and each.kind == "passed"
                }
    assert chosen >= set(NAMES)


# --- what the other properties are tested with


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_samples_of_every_op(schedule: str, threads: int, force: Force, request: pytest.FixtureRequest) -> None:
    force(schedule)
    for element in sampled(request, ELEMENTS, 1, f"{schedule} {threads}"):
        fitting = [sample for sample in SAMPLES if element in sample.elements]
        chosen = sampled(request, fitting, 12, f"{schedule} {threads} {element}")
        check(*grouped(chosen, element), threads)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_random_programs_of_the_graph(
    schedule: str, threads: int, force: Force, request: pytest.FixtureRequest
) -> None:
    force(schedule)
    for seed in sampled(request, range(40), 1, f"graph {schedule} {threads}"):
        module = random_program(seed)
        check(module, random_inputs(entry_of(module), seed), threads)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_random_programs_of_linalg(schedule: str, threads: int, force: Force, request: pytest.FixtureRequest) -> None:
    force(schedule)
    for seed in sampled(request, range(40), 1, f"linalg {schedule} {threads}"):
        module = parse_module(linalg_program(random.Random(seed)), "random", context())
        check(module, random_inputs(entry_of(module), seed), threads)
