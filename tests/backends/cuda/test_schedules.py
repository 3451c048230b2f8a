"""Schedules at shapes that reach their corners: what they leave over, what does not divide, what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from kernels_on_threads import mapped, run
from ml_samples import Array, operand_type, program, random_array
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from xmlc.backends.cuda.stages import CUDA
from xmlc.backends.stages import Stage
from xmlc.dialects import context
from xmlc.dialects.ml import functions as F
from xmlc.dialects.reference.interpreter import interpret
from xmlc.meaning import difference
from xmlc.passes.bufferize import Bufferize
from xmlc.passes.gpu.map_contractions import NAIVE, RUNGS, MapContractions
from xmlc.passes.gpu.rows.program import programs
from xmlc.passes.gpu.rows.schedule import choose


def check(operands: Sequence[str], build: Any, stages: Sequence[Stage] = CUDA) -> ModuleOp:
    """Run a program on threads and by its reference; the mapped program."""
    rng = np.random.default_rng(0)
    inputs: list[Array] = [random_array(rng, operand_type(each)) for each in operands]
    types = [operand_type(each) for each in operands]
    with np.errstate(all="ignore"):
        expected = interpret(program(types, build), "main", [x.copy() for x in inputs])
        module = mapped(program(types, build), stages)
        found = run(module, inputs)
    for a, b in zip(expected, found):
        assert difference("a result", a, b.view(a.dtype).reshape(a.shape)) is None
    return module


def kernels(module: ModuleOp) -> int:
    return sum(op.name == "gpu.launch_func" for op in module.walk())


@pytest.mark.parametrize(
    "operand",
    ["f32:3x5", "f32:7x128", "f32:70x64", "f32:2x1000", "bf16:5x96", "f16:4x2056", "f64:3x300", "f32:2x40000"],
)
def test_a_softmax_is_one_kernel(operand: str) -> None:
    assert kernels(check([operand], lambda x: F.softmax(x, 1))) == 1


@pytest.mark.parametrize("operand", ["f32:3x5", "f32:9x1024", "bf16:2x40000"])
def test_a_layer_norm_is_one_kernel(operand: str) -> None:
    kind, _, shape = operand.partition(":")
    columns = shape.partition("x")[2]
    assert (
        kernels(check([operand, f"{kind}:{columns}", f"{kind}:{columns}"], lambda *xs: F.layer_norm(*xs, axis=1))) == 1
    )


@pytest.mark.parametrize("operand", ["f32:1x300000", "i32:1x70001", "bf16:2x80000"])
def test_long_rows_are_shared_by_blocks(operand: str) -> None:
    module = check([operand], lambda x: F.reduce_sum(x, axes=[1]))
    assert kernels(module) == 2


def test_a_place_found_by_several_blocks_is_the_first() -> None:
    module = check(["i8:1x300000"], lambda x: F.argmax(x, 1))
    assert kernels(module) == 2


@pytest.mark.parametrize("operand", ["f32:33", "bf16:5x7", "f16:4099", "i1:100", "i8:3x50", "f64:10x31"])
def test_elementwise_ops_take_any_length(operand: str) -> None:
    check([operand], lambda x: F.select(F.compare(x, x, "eq"), x, x))


def test_broadcasts_of_every_kind_are_read_where_they_are() -> None:
    operands = ["f32:4x6x8", "f32:8", "f32:6x1", "f32:4x1x1", "f32:1x6x8", "f32:"]

    def build(x: SSAValue, *others: SSAValue) -> SSAValue:
        for other in others:
            x = F.add(x, other)
        return x

    assert kernels(check(operands, build)) == 1


@pytest.mark.parametrize(
    "operand, permutation",
    [
        ("f32:128x64", (1, 0)), ("f32:130x70", (1, 0)), ("bf16:128x72", (1, 0)), ("f16:33x66", (1, 0)),
        ("i8:128x96", (1, 0)), ("f64:64x72", (1, 0)), ("f32:9x65x64", (2, 1, 0)), ("f32:2x9x64x72", (0, 2, 3, 1)),
        ("f32:2x64x8x32", (0, 2, 1, 3)), ("bf16:65x63", (1, 0)),
    ],
)  # fmt: skip
def test_every_permutation_is_one_kernel(operand: str, permutation: tuple[int, ...]) -> None:
    assert kernels(check([operand], lambda x: F.transpose(x, permutation))) == 1


@pytest.mark.parametrize("rung", [*RUNGS, NAIVE, None])
@pytest.mark.parametrize("m, k, n", [(128, 64, 128), (33, 20, 70), (130, 48, 132)])
def test_every_rung_of_the_ladder_multiplies(rung: str | None, m: int, k: int, n: int) -> None:
    table = tuple(
        replace(
            stage,
            passes=tuple(replace(p, rung=rung) if isinstance(p, MapContractions) else p for p in stage.passes),
        )
        for stage in CUDA
    )
    check([f"f32:{m}x{k}", f"f32:{k}x{n}"], F.matmul, table)


@pytest.mark.parametrize(
    "operands", [("f32:3x33x64", "f32:3x64x65"), ("f64:64x64", "f64:64x64"), ("bf16:64x32", "bf16:32x64")]
)
def test_products_come_in_batches_and_other_types(operands: tuple[str, str]) -> None:
    check(operands, F.matmul)


def test_the_schedule_of_a_large_softmax_holds_rows_in_registers() -> None:
    """Sixteen bytes at a time, and one block for each row."""
    module = program([operand_type("f32:4096x8192")], lambda x: F.softmax(x, 1))
    for stage in CUDA[:4]:
        for each in stage.passes:
            each.apply(context(), module)
    Bufferize().apply(context(), module)
    (found,) = (each for op in module.ops if op.regions for each in programs(op.regions[0].block))
    schedule = choose(found)
    assert (schedule.vector, schedule.looped, schedule.splits(8192)) == (4, False, 1)


def test_a_softmax_with_a_factor_and_a_sum_beside_it_is_right() -> None:
    def build(x: SSAValue, w: SSAValue) -> tuple[SSAValue, SSAValue]:
        return F.mul(F.softmax(x, 1), w), F.reduce_sum(x, axes=[1])

    check(["f32:64x2048", "f32:2048"], build)
