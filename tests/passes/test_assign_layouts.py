"""Layouts of images: programs keep their meaning, and the assignment is the cheapest there is."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

import xmlc
from xmlc import ml
from xmlc.dialects.diagnostics import CompileError
from xmlc.dialects.ml.channels_last import ChannelsLastConvOp
from xmlc.dialects.ml.contraction import ConvOp
from xmlc.dialects.ml.shaping import TransposeOp
from xmlc.dialects.ml.types import shape_of
from xmlc.passes.assign_layouts import AssignLayouts
from xmlc.passes.assign_layouts.minimum_cut import SINK, SOURCE, Graph
from xmlc.passes.simplify import Simplify
from xmlc.passes.winograd import UseWinograd

Array = np.ndarray[Any, np.dtype[Any]]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 9), st.integers(0, 9)), max_size=16),
)
def test_a_cut_is_the_cheapest(inner: int, edges: list[tuple[int, int, int, int]]) -> None:
    graph = Graph()
    count = 2 + inner
    for _ in range(inner):
        graph.node()
    kept = [(a % count, b % count, there, back) for a, b, there, back in edges if a % count != b % count]
    for each in kept:
        graph.edge(*each)

    def paid(side: frozenset[int]) -> int:
        return sum(
            there * (a in side and b not in side) + back * (b in side and a not in side) for a, b, there, back in kept
        )

    found = graph.source_side()
    assert SOURCE in found and SINK not in found
    rest = range(2, count)
    every = [frozenset({SOURCE, *(n for n, last in zip(rest, bits) if last)}) for bits in product((0, 1), repeat=inner)]
    assert paid(found) == min(map(paid, every))


LAYERS = (
    "conv", "strided", "depthwise", "relu", "add", "gate", "concat", "max_pool",
    "avg_pool", "resize", "slice", "pad", "mean", "softmax", "row", "winograd",
)  # fmt: skip


def weight_shapes(kinds: list[str], channels: int) -> dict[str, tuple[int, ...]]:
    """Weights of layers, by name: channels stay as many in all of them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number, kind in enumerate(kinds):
        match kind:
            case "conv":
                shapes[f"w{number}"] = (channels, channels, 1, 1)
                shapes[f"b{number}"] = (channels,)
            case "strided" | "winograd":
                shapes[f"w{number}"] = (channels, channels, 3, 3)
            case "depthwise":
                shapes[f"w{number}"] = (channels, 1, 3, 3)
            case "row":
                shapes[f"w{number}"] = (channels, 1, 1)
            case _:
                pass
    return shapes


def layer(kind: str, x: SSAValue, w: SSAValue | None, b: SSAValue | None, rest: list[SSAValue]) -> SSAValue:
    """One layer, on the image before it and those before that."""
    same = next(each for each in reversed(rest) if each.type == x.type)
    n, c, h, w_ = shape_of(x)
    match kind:
        case "conv":
            assert w is not None
            return ml.conv(x, w, b)
        case "strided":
            assert w is not None
            return ml.conv(x, w, strides=(2, 1), low=(1, 1), high=(1, 1))
        case "winograd":
            assert w is not None
            return ml.conv(x, w, low=(1, 1), high=(1, 1))
        case "depthwise":
            assert w is not None
            return ml.conv(x, w, low=(1, 1), high=(1, 1), groups=c)
        case "row":
            assert w is not None
            return ml.mul(x, w)
        case "relu":
            return ml.relu(x)
        case "add":
            return ml.add(x, same)
        case "gate":
            return ml.mul(x, ml.sigmoid(ml.reduce_mean(x, (2, 3), keep_dims=True)))
        case "mean":
            return ml.sub(x, ml.reshape(ml.reduce_mean(x, (2, 3)), (n, c, 1, 1)))
        case "concat":
            return ml.slice_(ml.concat([same, x], 1), (0, c // 2, 0, 0), (n, c, h, w_))
        case "max_pool":
            return ml.max_pool(x, (2, 3), low=(1, 1), high=(0, 1))
        case "avg_pool":
            return ml.avg_pool(x, (3, 3), low=(1, 1), high=(1, 1))
        case "resize":
            return ml.resize(x, (n, c, h + 1, 2 * w_), "linear")
        case "slice":
            return ml.slice_(x, (0, 0, 0, 1), (n, c, h, w_ - 1)) if w_ > 1 else x
        case "pad":
            return ml.pad(x, (0, 0, 1, 0), (0, 0, 0, 1), value=ml.scalar(x, 0))
        case _:
            return ml.softmax(x, 1)


def network(kinds: list[str], channels: int, shape: tuple[int, int, int]) -> xmlc.Builder:
    random = np.random.default_rng(0)
    shapes = weight_shapes(kinds, channels)
    weights: dict[str, Any] = {
        name: (random.normal(size=each) / np.sqrt(np.prod(each[1:]))).astype(np.float32)
        for name, each in shapes.items()
    }
    batch, height, width = shape
    builder = xmlc.Builder()
    with builder.function("main", x=xmlc.tensor(f"{batch}x{channels}x{height}x{width}xf32"), **weights) as f:
        made = [f["x"]]
        for number, kind in enumerate(kinds):
            w, b = (f[name] if name in weights else None for name in (f"w{number}", f"b{number}"))
            made.append(layer(kind, made[-1], w, b, made))
        f.returns(y=made[-1])
    return builder


def moved(builder: xmlc.Builder, channels: str | None = "last", winograd: bool = False) -> ModuleOp:
    module = builder.module.clone()
    if winograd:
        UseWinograd(4).apply(Context(), module)
    for each in (AssignLayouts(channels), Simplify()):
        each.apply(Context(), module)
    module.verify()
    return module


KINDS = st.lists(st.sampled_from(LAYERS), min_size=1, max_size=6).map(lambda kinds: ["conv", *kinds, "strided"])
SHAPES = st.tuples(st.integers(1, 2), st.integers(2, 7), st.integers(2, 9))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(KINDS, st.sampled_from((2, 5, 16)), SHAPES, st.sampled_from((None, "last")), st.booleans())
def test_programs_keep_their_meaning(
    kinds: list[str], channels: int, shape: tuple[int, int, int], where: str | None, winograd: bool
) -> None:
    builder = network(kinds, channels, shape)
    x = np.random.default_rng(1).normal(size=(shape[0], channels, *shape[1:])).astype(np.float32)
    (wanted,) = builder.interpret(x)
    builder.module = moved(builder, where, winograd)
    (found,) = builder.interpret(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("kinds", (LAYERS[:8], LAYERS[8:]))
@pytest.mark.parametrize("channels", (5, 32))
def test_compiled_programs_agree(kinds: tuple[str, ...], channels: int) -> None:
    builder = network(["conv", *kinds, "strided"], channels, (2, 9, 10))
    x = np.random.default_rng(1).normal(size=(2, channels, 9, 10)).astype(np.float32)
    (wanted,) = builder.interpret(x)
    builder.module = moved(builder)
    (found,) = builder.compile()(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def images_moved(module: ModuleOp) -> int:
    """How many images are transposed, which are larger than weights here."""
    return sum(isinstance(op, TransposeOp) and prod(shape_of(op.x)) > 32 * 32 * 9 for op in module.walk())


def test_images_are_moved_at_the_ends_of_a_program_only() -> None:
    module = moved(network(["conv", *LAYERS, "strided"], 32, (1, 30, 30)))
    assert not any(isinstance(op, ConvOp) for op in module.walk())
    assert images_moved(module) == 2


def test_an_image_that_many_read_is_moved_once() -> None:
    builder = network(["conv", "add", "concat", "add", "strided"], 32, (1, 30, 30))
    assert images_moved(moved(builder)) == 2


def test_a_convolution_that_would_gain_less_than_moving_costs_stays() -> None:
    module = moved(network(["conv"], 32, (1, 32, 32)), None)
    assert not any(isinstance(op, ChannelsLastConvOp) for op in module.walk())


def test_where_channels_go_is_first_or_last() -> None:
    with pytest.raises(CompileError, match=r"channels go first or last, found 'middle'$"):
        AssignLayouts("middle").apply(Context(), ModuleOp([]))
