"""Every schedule that the tuner may try computes the same, and one that is stated is what the kernel does.

`XMLC_WHOLE=1 pytest tests/tuning/test_candidates.py` tries all of them; else some are drawn.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from kernels_on_threads import mapped, run
from ml_samples import Array, operand_type, program, random_array
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from xmlc.backends.cuda.stages import CUDA, fitted
from xmlc.backends.cuda.target import parse_cuda
from xmlc.backends.stages import Stage
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.reference.interpreter import interpret
from xmlc.meaning import difference
from xmlc.passes.form_kernels import KERNEL
from xmlc.passes.gpu import roofline
from xmlc.passes.gpu.roofline import Demand
from xmlc.passes.gpu.stated import Choice, Choices, Value, state

DRAWN = None if os.environ.get("XMLC_WHOLE") else 3
STAGES = [Stage(each.name, tuple(fitted(each.passes, parse_cuda("cuda"))), each.removes, each.keeps) for each in CUDA]
BEFORE, AFTER = STAGES[:4], STAGES[4:]

PROGRAMS: dict[str, tuple[Sequence[str], Any]] = {
    "rows": (("f32:9x1032",), lambda x: F.softmax(x, 1)),
    "short rows": (("f32:70x24",), lambda x: F.softmax(x, 1)),
    "sums of rows": (("bf16:3x8200",), lambda x: F.reduce_sum(x, axes=[1])),
    "chains": (("f32:3000",), F.exp),
    "columns": (("f32:90x40",), lambda x: F.reduce_sum(x, axes=[0])),
    "contractions": (("f32:70x40", "f32:40x90"), F.matmul),
    "scans": (("f32:3x2100",), lambda x: F.cumulative_sum(x, axis=1)),
    "loops": (("f32:30x7", "f32:30x9"), lambda *xs: F.concat(xs, axis=1)),
}


def at_kernels(name: str) -> ModuleOp:
    operands, build = PROGRAMS[name]
    return mapped(program([operand_type(each) for each in operands], build), BEFORE)


def choices_of(name: str) -> list[Choice]:
    choices = Choices()
    with choices.collecting():
        mapped(at_kernels(name), AFTER)
    return choices.found


def stating(name: str, choice: Choice, schedule: dict[str, Value]) -> ModuleOp:
    """The program, its kernel stating a schedule for what a choice was of."""
    module = at_kernels(name)
    for op in module.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == choice.function:
            state(op, choice.kind, [{}] * choice.number + [schedule])
    return module


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_candidate_computes_the_same(name: str) -> None:
    operands, build = PROGRAMS[name]
    inputs: list[Array] = [random_array(np.random.default_rng(0), operand_type(each)) for each in operands]
    (expected,) = interpret(program([operand_type(each) for each in operands], build), "main", inputs)
    found = [(choice, schedule) for choice in choices_of(name) for schedule, _ in choice.candidates]
    assert found
    order = np.random.default_rng(len(name)).permutation(len(found))[:DRAWN]
    for choice, schedule in (found[i] for i in order.tolist()):
        result, *_ = run(mapped(stating(name, choice, schedule), AFTER), inputs)
        assert difference(f"{schedule}", expected, result.view(expected.dtype).reshape(expected.shape)) is None


def test_a_stated_schedule_is_taken() -> None:
    (choice,) = choices_of("rows")
    module = mapped(stating("rows", choice, {"lanes": 512, "chunks": 1, "width": 2048}), AFTER)
    (kernel,) = (op for op in module.walk() if op.name == "gpu.func")
    assert kernel.properties["known_block_size"].get_values() == (512, 1, 1)  # pyright: ignore


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"threads": 3}, "the attribute xmlc.gpu.rows of @{name} states 'threads'"),
        ({"lanes": "many"}, 'the attribute xmlc.gpu.rows of @{name} states lanes = "many"'),
    ],
)
def test_a_statement_that_does_not_fit_is_refused(schedule: dict[str, Value], message: str) -> None:
    (choice,) = choices_of("rows")
    with pytest.raises(CompileError) as caught:
        mapped(stating("rows", choice, schedule), AFTER)
    assert message.format(name=choice.function) in str(caught.value)


def test_a_statement_is_an_array_of_dictionaries() -> None:
    module = at_kernels("rows")
    for op in module.ops:
        if KERNEL in op.attributes:
            op.attributes["xmlc.gpu.rows"] = op.attributes[KERNEL]
    with pytest.raises(CompileError, match="is no array of dictionaries: unit"):
        mapped(module, AFTER)


def test_the_model_knows_what_does_not_fit_and_what_waits() -> None:
    small = Demand(blocks=1000, threads=256, moved=1e9, in_flight=64)
    assert roofline.seconds(small) < roofline.seconds(Demand(blocks=8, threads=256, moved=1e9, in_flight=64))
    assert roofline.seconds(small) < roofline.seconds(Demand(blocks=1000, threads=256, moved=1e9, in_flight=1))
    assert roofline.seconds(Demand(1, 1024, 1, 1, registers=128)) == float("inf")
    assert roofline.resident(Demand(1, 128, 1, 1, shared=100 * 1024)) == 2
