"""The pass `batch`: every op gives for a batch what it gives for its elements one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from ml_samples import SAMPLES, Array, Sample, operand_type, program, random_array
from strategies import programs
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.reference.interpreter import interpret
from xmlc.driver import compile_module
from xmlc.passes.batch import Batch, batched
from xmlc.verify import verify

SIZE = 3
ONE_ELEMENT = [sample for sample in SAMPLES if sample.op.name not in ("ml.yield",)]


def check(module: ModuleOp, inputs: Sequence[Sequence[Array]], positions: Sequence[int]) -> None:
    """That @main_batched gives, for `inputs` stacked at `positions`, what @main gives for each, stacked."""
    (main,) = [op for op in module.ops if isinstance(op, FuncOp)]
    module.body.block.add_op(batched(main, SIZE, positions))
    verify(module)
    given = [np.stack([each[i] for each in inputs]) if i in positions else inputs[0][i] for i in range(len(inputs[0]))]
    with np.errstate(all="ignore"):
        expected = [
            interpret(module, "main", [each[i] if i in positions else inputs[0][i] for i in range(len(each))])
            for each in inputs
        ]
        found = interpret(module, "main_batched", given)
    for k, result in enumerate(found):
        np.testing.assert_allclose(result, np.stack([each[k] for each in expected]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sample", ONE_ELEMENT, ids=str)
def test_an_op_gives_for_a_batch_what_it_gives_for_each(sample: Sample) -> None:
    element = f32 if f32 in sample.elements else sample.elements[0]
    count = len(sample.operands)
    inputs = [sample.inputs(element, seed) for seed in range(SIZE)]
    for positions in {tuple(range(count)), *[(i,) for i in range(count)]}:
        check(sample.module(element), inputs, positions)


few = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@few
@given(module=programs(most=8))
def test_a_random_program_gives_for_a_batch_what_it_gives_for_each(module: ModuleOp) -> None:
    (main,) = [op for op in module.ops if isinstance(op, FuncOp)]
    types = list(main.function_type.inputs)
    if not types:
        return
    random = np.random.default_rng(0)
    inputs = [[random_array(random, each) for each in types] for _ in range(SIZE)]  # pyright: ignore
    check(module, inputs, range(0, len(types), 2))


def parting(x: SSAValue, y: SSAValue) -> list[SSAValue]:
    """An element of the batch takes its own branch, and as many steps as it needs."""
    zero = F.scalar(x, 0)
    branch = F.if_(F.compare(x, zero, "gt"), lambda: [F.mul(y, x)], lambda: [F.neg(y)])
    ten = F.scalar(x, 10)
    loop = F.while_(lambda c: F.compare(F.abs_(c[0]), ten, "lt"), lambda c: [F.add(F.mul(c[0], c[0]), ten)], [x])
    return [*branch, *loop]


def test_elements_of_a_batch_part_ways() -> None:
    module = program([operand_type("f32:"), operand_type("f32:2")], parting)
    inputs = [[np.float32(x), np.float32([1, 2])] for x in (-20, 0.5, 3)]
    check(module, inputs, (0, 1))
    check(program([operand_type("f32:"), operand_type("f32:2")], parting), inputs, (0,))


def test_a_batch_runs_as_machine_code() -> None:
    module = program([operand_type("f32:4x5"), operand_type("f32:5x2")], lambda x, w: F.softmax(F.matmul(x, w)))
    Batch(size=SIZE, arguments=(0,)).apply(Context(), module)
    main, made = [op for op in module.ops if isinstance(op, FuncOp)]
    random = np.random.default_rng(0)
    x, w = random.normal(size=(SIZE, 4, 5)).astype(np.float32), random.normal(size=(5, 2)).astype(np.float32)
    (expected,) = interpret(module, "main_batched", [x, w])
    main.detach()
    made.sym_name = StringAttr("main")
    (found,) = compile_module(module)(x, w)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_function_to_batch_must_exist() -> None:
    with pytest.raises(CompileError, match="no function @other to batch"):
        Batch(size=2, function="other").apply(Context(), program([operand_type("f32:3")], F.neg))


def test_an_argument_to_batch_must_exist() -> None:
    with pytest.raises(CompileError, match="@main has no argument 1 to batch, counted from 0"):
        Batch(size=2, arguments=(1,)).apply(Context(), program([operand_type("f32:3")], F.neg))
