"""The GPU interpreter on copies by tensor maps, products of warp groups, and warps that wait for each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpu_corpus import needs_ptxas
from launched_kernels import launch, program
from oracle import parse
from warp_group_kernels import MAPS, box, factors, pointer, product, shared_bytes

from xmlc.backends.cuda.compile import assembled, llvm_ir, ptx
from xmlc.backends.cuda.target import parse_cuda
from xmlc.dialects.nvvm.tensor_map import MAP_BYTES, TensorMap, swizzled
from xmlc.dialects.reference.interpreter import InterpreterError


def bytes_of(tensor_map: TensorMap) -> Any:
    return np.frombuffer(tensor_map.to_bytes(), np.int8).copy()


def multiplied(n: int, k: int, kind: str, fault: str = "") -> tuple[Any, Any]:
    a, b, c, expected = factors(n, k, kind)
    maps = [bytes_of(TensorMap.of(each, size, 128)) for each, size in zip((a, b), box(n, kind))]
    body = product(n, k, kind, fault)
    stored = [each.view(np.int16) if each.dtype.name == "bfloat16" else each for each in (a, b)]
    launch(body, *maps, c, *stored, block=(160, 1, 1), dynamic=shared_bytes(n))
    return c, expected


@pytest.mark.parametrize(("n", "k", "kind"), [(64, 256, "bf16"), (8, 320, "f16"), (16, 96, "tf32"), (24, 256, "s8")])
def test_a_product_whose_factors_the_engine_brings_agrees_with_numpy(n: int, k: int, kind: str) -> None:
    found, expected = multiplied(n, k, kind)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("fault", "message"), [("reading", "data race"), ("waiting", "more arrivals than the phase of the mbarrier")]
)
def test_a_stage_that_is_filled_while_it_is_read_is_reported(fault: str, message: str) -> None:
    with pytest.raises(InterpreterError, match=message):
        multiplied(8, 256, "bf16", fault)


ENGINE = f"""{MAPS}
    %column = arith.constant -4 : i32
    %row = arith.constant 6 : i32
    %bytes = arith.constant 512 : i32
    {pointer("near", 0, 3)}{pointer("cluster", 0, 7)}{pointer("full", 1024, 3)}
    %is_first = arith.cmpi eq, %t, %c0 : index
    scf.if %is_first {{
      nvvm.mbarrier.init %full, %one : !llvm.ptr<3>, i32
      nvvm.mbarrier.arrive.expect_tx %full, %bytes : !llvm.ptr<3>, i32
      nvvm.cp.async.bulk.tensor.shared.cluster.global %cluster, %map_a, %full, box[%column, %row]
        : !llvm.ptr<7>, !llvm.ptr
      LOADED
      nvvm.cp.async.bulk.tensor.global.shared.cta %map_b, %near, box[%zero, %zero] : !llvm.ptr, !llvm.ptr<3>
      nvvm.cp.async.bulk.commit.group
      nvvm.cp.async.bulk.wait_group 0
    }}"""
"""A box of %a, from 4 columns before the first and from row 6 on, goes to the start of %b."""
LOADED = "nvvm.mbarrier.try_wait.parity %full, %zero, %patience : !llvm.ptr<3>, i32, i32"


@pytest.mark.parametrize("swizzle", [0, 32, 64, 128])
def test_a_box_has_zeros_where_the_tensor_ends(swizzle: int) -> None:
    x = np.random.default_rng(0).normal(size=(10, 24)).astype(np.float32)
    width = (swizzle or 32) // 4
    rows = 128 // width
    y = np.ones((rows, width), np.float32)
    maps = [bytes_of(TensorMap.of(each, (width, rows), swizzle)) for each in (x, y)]
    launch(ENGINE.replace("LOADED", LOADED), *maps, x, y, block=(32, 1, 1), dynamic=2048)
    expected = np.zeros((rows, width), np.float32)
    inside = x[6 : 6 + rows, : width - 4]
    expected[: len(inside), 4 : 4 + inside.shape[1]] = inside
    np.testing.assert_array_equal(y, expected)


def test_a_box_that_is_not_waited_for_is_not_there() -> None:
    x, y = np.ones((10, 24), np.float32), np.ones((16, 8), np.float32)
    maps = [bytes_of(TensorMap.of(each, (8, 16))) for each in (x, y)]
    launch(ENGINE.replace("LOADED", ""), *maps, x, y, block=(32, 1, 1), dynamic=2048)
    assert not np.array_equal(y[:4, 4:], x[6:, :4])


def test_what_is_no_map_is_said() -> None:
    x = np.ones((10, 24), np.float32)
    with pytest.raises(InterpreterError, match="these bytes are no tensor map"):
        nothing = np.zeros(MAP_BYTES, np.int8)
        launch(ENGINE.replace("LOADED", LOADED), nothing, nothing.copy(), x, block=(32, 1, 1), dynamic=2048)


def test_a_map_says_what_it_cannot_be() -> None:
    x = np.ones((10, 24), np.float32)
    assert TensorMap.from_bytes(TensorMap.of(x, (8, 4), 32).to_bytes()) == TensorMap.of(x, (8, 4), 32)
    for box_, swizzle, message in (((3, 4), 0, "its rows have 12 bytes"), ((16, 4), 32, "its rows have 64 bytes")):
        with pytest.raises(ValueError, match=message):
            TensorMap.of(x, box_, swizzle)
    with pytest.raises(ValueError, match="a swizzle of 5 bytes"):
        TensorMap.of(x, (8, 4), 5)
    with pytest.raises(ValueError, match="multiples of 16 bytes"):
        TensorMap.of(x[:, 1:], (8, 4))
    with pytest.raises(ValueError, match="a map of 2 sizes"):
        TensorMap.of(x, (8,))


def test_swizzles_change_chunks_of_rows() -> None:
    at = np.arange(0, 1024, 16)
    assert np.array_equal(swizzled(at, 0), at)
    assert swizzled(128 + 16, 128) == 128 and swizzled(7 * 128, 128) == 7 * 128 + 7 * 16
    assert swizzled(128, 64) == 128 + 16 and swizzled(512, 64) == 512 and swizzled(128, 32) == 128 + 16
    assert all(len(set(swizzled(at, each).tolist())) == len(at) for each in (32, 64, 128))


@needs_ptxas
def test_ptxas_takes_the_product() -> None:
    a, b, c, _ = factors(64, 256, "bf16")
    maps = [bytes_of(TensorMap.of(each, size, 128)) for each, size in zip((a, b), box(64, "bf16"))]
    module = parse(program(product(64, 256, "bf16"), [*maps, c], (1, 1, 1), (160, 1, 1), "", shared_bytes(64)))
    target = parse_cuda("cuda:sm_90a")
    (found,) = assembled(ptx(llvm_ir(module, target), target), target).resources
    assert found.spill_bytes == 0
