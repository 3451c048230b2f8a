"""Schedules at shapes that reach their corners: what they leave over, what does not divide, what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pytest
from gpu_corpus import needs_ptxas
from kernels_on_threads import mapped, run
from ml_samples import Array, operand_type, program, random_array
from xdsl.dialects import vector
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from xmlc.backends.cuda.compile import assembled, llvm_ir, ptx
from xmlc.backends.cuda.stages import CUDA, fitted
from xmlc.backends.cuda.target import parse_cuda
from xmlc.backends.stages import Stage
from xmlc.dialects import context, gpu
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml import functions as F
from xmlc.dialects.reference.interpreter import interpret
from xmlc.meaning import difference
from xmlc.passes.bufferize import Bufferize
from xmlc.passes.gpu import map_rows
from xmlc.passes.gpu.map_contractions import NAIVE, RUNGS, MapContractions
from xmlc.passes.gpu.map_rows import MapRows
from xmlc.passes.gpu.map_scans import MapScans
from xmlc.passes.gpu.rows import relayed, schedule
from xmlc.passes.gpu.rows.program import Program, programs
from xmlc.passes.gpu.rows.schedule import RelayShape, Schedule, choose, relayed_as, vector_length


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


@pytest.mark.parametrize("operands", [["f32:64x1024", "f32:1024"], ["bf16:8x16x512", "bf16:16x512", "bf16:1x1x512"]])
def test_vectors_of_a_thread_are_far_apart_where_all_read_the_same_of_a_smaller_operand(
    monkeypatch: pytest.MonkeyPatch, operands: list[str]
) -> None:
    monkeypatch.setattr(schedule, "MULTIPROCESSORS", 1)

    def product(*factors: SSAValue) -> SSAValue:
        return reduce(F.mul, factors)

    module = check(operands, product)
    sizes = [op.base.type.get_shape()[0] for op in module.walk() if isinstance(op, vector.LoadOp)]
    assert sum(size < max(sizes) for size in sizes) == len(operands) - 1


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
    chosen = choose(found)
    assert (chosen.vector, chosen.looped, chosen.splits(8192)) == (4, False, 1)


def test_a_softmax_with_a_factor_and_a_sum_beside_it_is_right() -> None:
    def build(x: SSAValue, w: SSAValue) -> tuple[SSAValue, SSAValue]:
        return F.mul(F.softmax(x, 1), w), F.reduce_sum(x, axes=[1])

    check(["f32:64x2048", "f32:2048"], build)


def scanned(schedule: str) -> list[Stage]:
    return [
        replace(
            stage, passes=tuple(replace(p, schedule=schedule) if isinstance(p, MapScans) else p for p in stage.passes)
        )
        for stage in CUDA
    ]


@pytest.mark.parametrize("schedule", ["hillis-steele", "work-efficient", "look-back"])
@pytest.mark.parametrize(
    "operand, axis",
    [("f32:3x33", 1), ("bf16:5x1000", 1), ("i32:2x3x2500", 2), ("f64:7", 0), ("f16:40x4x1", 1), ("i64:2x5000", 1)],
)
def test_every_schedule_scans(schedule: str, operand: str, axis: int) -> None:
    for options in ({}, {"exclusive": True}, {"reverse": True}):
        check([operand], lambda x: F.cumulative_sum(x, axis, **options), scanned(schedule))  # noqa: B023


@pytest.mark.parametrize("operand", ["f32:1x150000", "i64:2x10000", "f16:1x300000"])
def test_a_scan_of_many_tiles_is_one_kernel_after_the_fill_of_its_flags(operand: str) -> None:
    module = check([operand], lambda x: F.cumulative_max(x, 1))
    assert kernels(module) == 2


def test_the_last_of_a_scan_is_one_kernel_for_any_number_of_rows() -> None:
    assert kernels(check(["f32:301x50"], lambda x: F.cumulative_prod(x, 1))) == 1


def test_a_scan_of_columns_stays_a_loop_of_each_thread() -> None:
    assert kernels(check(["f32:30x50"], lambda x: F.cumulative_sum(x, 0))) == 1


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(CompileError, match="unknown schedule 'fast' of map-scans"):
        mapped(program([operand_type("f32:4")], lambda x: F.cumulative_sum(x, 0)), scanned("fast"))


@pytest.mark.parametrize(
    "operand, axes, launches",
    [
        ("f32:64x1000", [0], 1), ("f32:5000x40", [0], 2), ("bf16:700x96", [0], 2), ("f16:33x7", [0], 1),
        ("f32:3x500x24", [1], 1), ("f64:6x5x4x30", [1, 2], 1), ("i32:2x90x3", [1], 1), ("f32:4x5x300", [0, 1], 1),
        ("bf16:9x2600", [0], 1), ("f32:1500x3", [0], 1),
    ],
)  # fmt: skip
def test_sums_of_columns_are_one_kernel_or_two(operand: str, axes: list[int], launches: int) -> None:
    assert kernels(check([operand], lambda x: F.reduce_sum(x, axes=axes))) == launches


def test_a_column_takes_in_what_is_computed_before_and_after() -> None:
    def build(x: SSAValue, y: SSAValue, w: SSAValue) -> SSAValue:
        return F.reduce_max(F.mul(F.add(x, w), y), axes=[0])

    assert kernels(check(["bf16:70x48", "bf16:70x1", "bf16:48"], build)) <= 2


def with_clusters() -> list[Stage]:
    return [replace(stage, passes=tuple(fitted(stage.passes, parse_cuda("cuda:sm_90")))) for stage in CUDA]


def cluster_sizes(module: ModuleOp) -> list[int]:
    found = (op.known_cluster_size for op in module.walk() if isinstance(op, gpu.FuncOp))
    return [each.get_values()[0] for each in found if each is not None]


@pytest.mark.parametrize("operand", ["f32:2x30000", "bf16:2x70000", "f64:1x20000", "f32:1x70001"])
def test_a_long_row_is_held_by_a_cluster(operand: str) -> None:
    module = check([operand], lambda x: F.softmax(x, 1), with_clusters())
    assert kernels(module) == len(cluster_sizes(module)) == 1


@pytest.mark.parametrize("operands", [["f32:2x300000"], ["bf16:2x70000", "bf16:70000"]])
def test_a_row_that_a_cluster_cannot_hold_is_shared_by_blocks_anywhere(operands: list[str]) -> None:
    """The second kernel makes what they hand on to each other zero."""
    function = F.softmax if len(operands) == 1 else F.rms_norm
    module = check(operands, lambda *xs: function(*xs, axis=1), with_clusters())
    assert cluster_sizes(module) == [] and kernels(module) == 2


def relaying(shape: RelayShape) -> Callable[[Program, int], Schedule]:
    def choose(program: Program, most_cluster: int = 1) -> Schedule:
        found = relayed_as(program, vector_length(program), shape)
        assert found is not None
        return found

    return choose


@pytest.mark.parametrize("apart", [1, 2, 3])
@pytest.mark.parametrize("element, in_registers", [("f32", 64), ("bf16", 64), ("bf16", 0)])
def test_rows_relayed_at_every_distance(
    monkeypatch: pytest.MonkeyPatch, apart: int, element: str, in_registers: int
) -> None:
    """Turns before the first row and after the last; weights in registers and in shared memory; a rest of columns."""
    monkeypatch.setattr(map_rows, "choose", relaying(RelayShape(64, 1, 16, apart)))
    monkeypatch.setattr(relayed, "WEIGHTS_HELD", in_registers)
    monkeypatch.setattr(schedule, "WEIGHTS_HELD", in_registers)
    weights = [f"{element}:2104"] * 2
    check([f"{element}:5x2104", *weights], lambda *xs: F.layer_norm(*xs, axis=1))
    check(
        [f"{element}:3x2104", f"{element}:3x1"],
        lambda x, y: (F.softmax(F.mul(x, y), 1), F.reduce_sum(x, axes=[1])),
    )


def test_a_row_that_clusters_cannot_share_is_gone_over_again() -> None:
    assert cluster_sizes(check(["f64:2x90001"], lambda x: F.softmax(x, 1), with_clusters())) == [8]


def test_a_short_exponential_is_for_results_of_16_bits() -> None:
    def has_clamps(element: str) -> bool:
        module = check([f"{element}:4x100"], lambda x: F.softmax(x, 1))
        return any(op.name == "arith.minimumf" for op in module.walk())

    assert has_clamps("f32") and not has_clamps("bf16") and not has_clamps("f16")


@needs_ptxas
@pytest.mark.parametrize("shape", ["2048x65536", "64x1048576"])
@pytest.mark.parametrize("element", ["f32", "bf16"])
def test_kernels_of_long_rows_spill_no_registers(element: str, shape: str) -> None:
    target = parse_cuda("cuda:sm_90a")
    weights = [f"{element}:{shape.partition('x')[2]}"] * 2
    for operands, build in (
        ([], lambda x: F.softmax(x, 1)),
        ([], lambda x: F.log_softmax(x, 1)),
        (weights, lambda *xs: F.layer_norm(*xs, axis=1)),
        (weights[:1], lambda *xs: F.rms_norm(*xs, axis=1)),
    ):
        types = [operand_type(each) for each in (f"{element}:{shape}", *operands)]
        module = mapped(program(types, build), with_clusters())
        made = assembled(ptx(llvm_ir(module, target), target), target)
        assert [each for each in made.resources if each.spill_bytes] == []


def test_one_block_of_a_cluster_stores_what_is_one_for_the_row() -> None:
    def build(x: SSAValue, w: SSAValue) -> tuple[SSAValue, SSAValue]:
        return F.mul(F.softmax(x, 1), w), F.reduce_sum(x, axes=[1])

    check(["f32:3x40000", "f32:40000"], build, with_clusters())


def test_devices_before_sm_90_have_no_clusters() -> None:
    (found,) = (
        each for stage in CUDA for each in fitted(stage.passes, parse_cuda("cuda:sm_80")) if each.name == "map-rows"
    )
    assert isinstance(found, MapRows)
    assert found.most_cluster == 1


def exchanging(way: str) -> list[Stage]:
    return [
        replace(stage, passes=tuple(replace(p, exchange=way) if isinstance(p, MapRows) else p for p in stage.passes))
        for stage in CUDA
    ]


@pytest.mark.parametrize("way", ["naive", "shared", "shuffle"])
@pytest.mark.parametrize("operand", ["f32:5x33", "bf16:70x24", "f32:2x3000", "i32:1x70001"])
def test_every_way_of_exchanging_adds_up(way: str, operand: str) -> None:
    check([operand], lambda x: F.reduce_sum(x, axes=[1]), exchanging(way))


def test_an_unknown_way_of_exchanging_is_refused() -> None:
    with pytest.raises(CompileError, match="unknown exchange 'slow' of map-rows"):
        mapped(program([operand_type("f32:4x5")], lambda x: F.reduce_sum(x, axes=[1])), exchanging("slow"))
