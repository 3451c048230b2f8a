"""Convolutions by transformed tiles: the same convolution, to the error that the documentation states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import mlir_opt, needs_mlir, parse
from xdsl.context import Context
from xdsl.dialects import linalg
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

import xmlc
from xmlc import ml
from xmlc.dialects.ml.winograd import POINTS, transforms
from xmlc.dialects.reference.interpreter import interpret_into
from xmlc.driver import Settings, key_of
from xmlc.options import EXACT_CONVOLUTIONS
from xmlc.passes.bufferize import Bufferize
from xmlc.passes.contractions.lower import LowerContractions
from xmlc.passes.fuse_linalg import FuseLinalg
from xmlc.passes.kernel_costs import cost_of
from xmlc.passes.lower_linalg import LowerLinalg
from xmlc.passes.lower_ml.lower import LowerMl
from xmlc.passes.lower_ml.winograd import is_winograd
from xmlc.passes.remarks import Remarks
from xmlc.passes.winograd import UseWinograd

Array = np.ndarray[Any, np.dtype[Any]]


def program(x: Sequence[int], outputs: int, bias: bool = True) -> xmlc.Builder:
    """A convolution of `x` whose filters and bias are weights."""
    random = np.random.default_rng(2)
    weights: dict[str, Any] = {"w": random.normal(size=(outputs, x[1], 3, 3)).astype(np.float32)}
    if bias:
        weights["b"] = random.normal(size=outputs).astype(np.float32)
    builder = xmlc.Builder()
    shape = "x".join(map(str, x))
    with builder.function("main", x=xmlc.tensor(f"{shape}xf32"), **weights) as f:
        f.returns(y=ml.conv(f["x"], f["w"], *[f[name] for name in ("b",) if bias], low=(1, 1), high=(1, 1)))
    return builder


def image(x: Sequence[int]) -> Array:
    return np.random.default_rng(3).normal(size=x).astype(np.float32)


def transformed(builder: xmlc.Builder, size: int) -> ModuleOp:
    module = builder.module.clone()
    UseWinograd(size).apply(Context(), module)
    return module


def expect_close(found: Array, wanted: Array, error: float = 1e-5) -> None:
    assert np.abs(found - wanted).max() <= error * np.abs(wanted).max()


@pytest.mark.parametrize("size", POINTS)
def test_transformed_products_are_filtered_tiles(size: int) -> None:
    made = transforms(size)
    random = np.random.default_rng(0)
    x, w = random.normal(size=size + 2), random.normal(size=3)
    wanted = [x[i : i + 3] @ w for i in range(size)]
    np.testing.assert_allclose(made.result @ ((made.filters @ w) * (made.data @ x)), wanted, rtol=1e-12)


SHAPES = ((1, 16, 9, 7), (2, 17, 4, 4), (1, 3, 5, 18), (1, 8, 1, 3), (3, 5, 12, 20))


@pytest.mark.parametrize("outputs", (8, 24, 32))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", POINTS)
def test_compiled_tiles_give_the_convolution(size: int, shape: Sequence[int], outputs: int) -> None:
    builder = program(shape, outputs)
    (wanted,) = builder.interpret(image(shape))
    builder.module = transformed(builder, size)
    (found,) = builder.compile()(image(shape))
    expect_close(found, wanted)


@pytest.mark.parametrize("size", POINTS)
def test_threads_give_the_same(size: int) -> None:
    builder = program((1, 32, 30, 30), 32, bias=False)
    builder.module = transformed(builder, size)
    one, two = (builder.compile(Settings(threads=threads))(image((1, 32, 30, 30)))[0] for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("shape", ((1, 16, 9, 18), (2, 8, 6, 5)))
@pytest.mark.parametrize("activation", ("relu", "silu", "residual"))
def test_what_follows_is_computed_before_results_are_stored(activation: str, shape: Sequence[int]) -> None:
    builder = xmlc.Builder()
    random = np.random.default_rng(5)
    weight = random.normal(size=(16, shape[1], 3, 3)).astype(np.float32)
    residual = (shape[0], 16, *shape[2:])
    types: dict[str, Any] = {"x": xmlc.tensor("x".join(map(str, shape)) + "xf32"), "w": weight}
    types["r"] = xmlc.tensor("x".join(map(str, residual)) + "xf32")
    with builder.function("main", **types) as f:
        y = ml.conv(f["x"], f["w"], low=(1, 1), high=(1, 1))
        f.returns(y=ml.relu(ml.add(y, f["r"])) if activation == "residual" else getattr(ml, activation)(y))
    (wanted,) = builder.interpret(image(shape), image(residual))
    builder.module = transformed(builder, 4)
    (found,) = builder.compile()(image(shape), image(residual))
    expect_close(found, wanted)


SMALL: dict[str, Any] = {"vector_bits": 128, "vector_registers": 16, "first_cache": 1024, "second_cache": 16384}
"""A machine on which an image is several strips."""


def lowered(module: ModuleOp, machine: dict[str, Any]) -> ModuleOp:
    for each in (LowerMl(), Bufferize(), LowerContractions(**machine)):
        each.apply(Context(), module)
    return module


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(POINTS)),
    st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 11), st.integers(1, 11)),
    st.sampled_from((8, 16)),
    st.booleans(),
)
def test_the_schedule_keeps_the_meaning(size: int, shape: Sequence[int], outputs: int, bias: bool) -> None:
    builder = program(shape, outputs, bias=bias)
    weights = [builder.weights[name] for name in ("w", "b") if name in builder.weights]
    (wanted,) = builder.interpret(image(shape))
    module = lowered(transformed(builder, size), SMALL)
    module.verify()
    assert not [op for op in module.walk() if isinstance(op, linalg.ops.GenericOp) and len(op.inputs) == 6]
    out = np.zeros_like(wanted)
    interpret_into(module, "main", [image(shape), *weights, out])
    expect_close(out, wanted)


SOURCE = """
func.func @main(%x: tensor<1x16x6x6xf32>, %w: tensor<4x4x1x16x16xf32>) -> tensor<1x16x4x4xf32> {
  %y = ml.winograd_conv %x, %w low = [0, 0] high = [0, 0]
    : tensor<1x16x6x6xf32>, tensor<4x4x1x16x16xf32> -> tensor<1x16x4x4xf32>
  func.return %y : tensor<1x16x4x4xf32>
}"""


@needs_mlir
def test_mlir_accepts_the_loop_nest_and_its_schedule() -> None:
    module = parse(SOURCE)
    LowerMl().apply(Context(), module)
    mlir_opt(str(module))
    Bufferize().apply(Context(), module)
    LowerContractions(**SMALL).apply(Context(), module)
    LowerLinalg().apply(Context(), module)
    mlir_opt(str(module))


def test_what_moves_the_image_stays_outside_of_the_nest() -> None:
    moved = SOURCE.replace("%x: tensor<1x16x6x6xf32>", "%t: tensor<6x6x16x1xf32>").replace(
        "%y =", "%x = ml.transpose %t [3, 2, 0, 1] : tensor<6x6x16x1xf32> -> tensor<1x16x6x6xf32>\n  %y =", 1
    )
    module = parse(moved)
    for each in (LowerMl(), FuseLinalg()):
        each.apply(Context(), module)
    assert sum(is_winograd(op) for op in module.walk() if isinstance(op, linalg.ops.GenericOp)) == 1


def test_it_counts_as_the_convolution_that_it_is() -> None:
    module = parse(SOURCE)
    LowerMl().apply(Context(), module)
    (kernel,) = module.body.block.ops
    assert isinstance(kernel, FuncOp)
    cost = cost_of(kernel)
    assert cost is not None
    assert cost.flops == 2 * 16 * 4 * 4 * 16 * 9


def test_a_kernel_is_a_thousand_ops() -> None:
    module = lowered(parse(SOURCE), {})
    assert sum(1 for _ in module.walk()) < 1200


def remarked(settings: Settings) -> bool:
    """Whether a convolution became tiles."""
    settings.remarks = Remarks()
    program((1, 64, 56, 56), 64, bias=False).compile(settings)
    return any("winograd" in each.message for each in settings.remarks.found)


def test_convolutions_are_exact_where_that_is_asked_for() -> None:
    assert remarked(Settings())
    assert not remarked(Settings(exact_convolutions=True))
    with EXACT_CONVOLUTIONS.set(True):
        assert not remarked(Settings())


def test_the_cache_knows_exact_convolutions_from_others() -> None:
    module = program((1, 2, 3, 4), 5).module
    exact, quick = (key_of(module, Settings(exact_convolutions=each)) for each in (True, False))
    assert exact != quick
