"""Sizes of arguments that are left open: one compilation for all of them, and what is said of them is checked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xmlc
from xmlc import nn
from xmlc import numpy as xnp
from xmlc.dialects.diagnostics import CompileError
from xmlc.options import EXPLAIN
from xmlc.tracing import TracedFunction

Array = Any
RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> Array:
    return RANDOM.normal(size=shape).astype(np.float32)


W, B = normal(4, 3), normal(3)


def compilations(function: TracedFunction[..., Any]) -> int:
    """How many programs there are for all sizes."""
    return sum(len(entry.call.made) for entry in function.entries.values())  # pyright: ignore


SAME: dict[str, tuple[Callable[..., Any], dict[str, tuple[Any, ...]]]] = {
    "dense": (lambda x: nn.softmax(x @ W + B), {"x": ("n", 4)}),
    "reductions": (lambda x: x.mean(axis=0) + x.sum() / x.shape[0] + xnp.var(x, axis=0), {"x": ("n", 4)}),
    "reshapes": (lambda x: (x.reshape(x.shape[0], -1) @ W).reshape(-1), {"x": ("n", 2, 2)}),
    "merged sizes": (lambda x: x.reshape(-1, 4) @ W, {"x": ("n", "m", 4)}),
    "loss": (lambda x, y: nn.cross_entropy(x @ W, y), {"x": ("n", 4), "y": ("n",)}),
    "gradient": (
        lambda x, y: xmlc.grad(lambda w: nn.cross_entropy(x @ w, y))(W * xnp.ones((1, 1))),
        {"x": ("n", 4), "y": ("n",)},
    ),
    "norm": (lambda x: nn.layer_norm(x, np.ones(4, np.float32)), {"x": ("n", 4)}),
    "attention": (lambda x: nn.attention(x, x, x, causal=True), {"x": ("b", 2, "t", 8)}),
    "slices": (lambda x: x[:, 1:] + x[-1, 0] + x[0, -1] + xnp.flip(x, axis=0)[:, :-1], {"x": ("n", 4)}),
    "positions": (lambda x: x + xnp.arange(x.shape[0])[:, None], {"x": ("n", 4)}),
    "both factors": (lambda x, z: x @ z, {"x": ("n", "k"), "z": ("k", 5)}),
    "map": (lambda x: xmlc.vmap(lambda row: (row * row).sum())(x), {"x": ("n", 4)}),
    "scan": (lambda x: xmlc.scan(lambda s, row: (s + row, None), xnp.zeros(4), x)[0], {"x": ("n", 4)}),
    "cumulative sum": (lambda x: xnp.cumulative_sum(x, axis=0), {"x": ("n", 4)}),
    "creation": (lambda x: xnp.where(x > 0, x, xnp.zeros(x.shape)) * x.size, {"x": ("n", 4)}),
}


def arrays_for(sizes: dict[str, tuple[Any, ...]], values: dict[str, int]) -> list[Array]:
    shapes = {name: [values.get(size, size) for size in each] for name, each in sizes.items()}
    return [RANDOM.integers(0, 3, shape) if name == "y" else normal(*shape) for name, shape in shapes.items()]


@pytest.mark.parametrize("name", SAME)
def test_one_compilation_serves_all_sizes(name: str) -> None:
    function, sizes = SAME[name]
    open, fixed = xmlc.compile(sizes=sizes)(function), xmlc.compile(function)
    for n in (5, 1, 18):
        arrays = arrays_for(sizes, {"n": n, "m": 3, "k": n + 1, "b": 2, "t": n})
        np.testing.assert_allclose(open(*arrays), fixed(*arrays), rtol=1e-4, atol=1e-5)
    assert compilations(open) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70))
def test_sizes_of_every_kind_give_what_numpy_gives(n: int, k: int) -> None:
    x, y = normal(n, k), normal(k)
    np.testing.assert_allclose(SCALED(x, y), np.tanh(x @ y) * n, rtol=2e-4, atol=1e-4)
    assert compilations(SCALED) == 1


SCALED = xmlc.compile(sizes={"x": ("n", "k"), "y": ("k",)})(lambda x, y: xnp.tanh(x @ y) * x.shape[0])


def annotated(x: xmlc.Array[batch, 4], scale: float, mask: xmlc.Array[batch]) -> Array:  # noqa: F821
    return (x @ W).sum(axis=1) * mask * scale


def quoted(x: Any, scale: float, mask: Any) -> Array:
    return annotated(x, scale, mask)


quoted.__annotations__ |= {"x": xmlc.Array["batch", 4], "mask": 'xmlc.Array["batch"]', "scale": "NDArray[None]"}


@pytest.mark.parametrize("function", [annotated, quoted])
def test_annotations_name_sizes(function: Callable[..., Any]) -> None:
    compiled = xmlc.compile(function)
    for n in (2, 9):
        x, mask = normal(n, 4), normal(n)
        np.testing.assert_allclose(compiled(x, 2.0, mask), (x @ W).sum(1) * mask * 2, rtol=1e-4, atol=1e-5)
    assert compilations(compiled) == 1
    assert compiled(normal(2, 4), 2, normal(2)).dtype == np.float32


def test_parts_of_trees_are_named_as_messages_name_them() -> None:
    total = xmlc.compile(sizes={"batch['x']": ("n",)})(lambda batch: batch["x"].sum() + batch["y"].sum())
    for n in (3, 8):
        assert total({"x": np.ones(n, np.float32), "y": np.ones(2, np.float32)}) == n + 2
    assert compilations(total) == 1


def test_what_the_function_decides_by_a_size_is_compiled_for_both_cases(caplog: pytest.LogCaptureFixture) -> None:
    halved = xmlc.compile(sizes={"x": ("n",)})(lambda x: x[:3] if x.shape[0] > 3 else x * 2)
    with EXPLAIN.set(True), caplog.at_level(logging.WARNING):
        for n in (5, 2, 7, 3, 9):
            x = normal(n)
            np.testing.assert_array_equal(halved(x), x[:3] if n > 3 else x * 2)
    assert compilations(halved) == 2
    assert "its sizes are not as an earlier program assumes" in caplog.text


def test_an_empty_array_has_a_program_of_its_own() -> None:
    total = xmlc.compile(sizes={"x": ("n",)})(lambda x: x.sum())
    assert total(np.ones(4, np.float32)) == 4
    assert total(np.ones(0, np.float32)) == 0


def test_open_arrays_are_donated() -> None:
    follow = xmlc.compile(donate=("x",), sizes={"x": ("n",), "y": ("n",)})(lambda x, y: 0.5 * x + y)
    for n in (4, 9):
        x, y = np.ones(n, np.float32), np.ones(n, np.float32)
        assert follow(x, y) is x
        np.testing.assert_array_equal(x, 1.5)


def add(x: Array, y: Array) -> Array:
    return x + y


MISTAKES: dict[str, tuple[dict[str, Any], tuple[Array, Array], str]] = {
    "names that disagree": (
        {"x": ("n", 2), "y": ("n", 2)},
        (normal(3, 2), normal(4, 2)),
        "'n' is 3 in 'x' (dimension 0), and 4 in 'y' (dimension 0)",
    ),
    "another number": ({"x": ("n", 3)}, (normal(3, 2), normal(3, 2)), "'x' has size 2 in dimension 1, stated is 3"),
    "another rank": ({"x": ("n",)}, (normal(3, 2), normal(2)), "'x' has 2 dimensions, and 1 sizes are stated of it"),
    "no argument": ({"z": ("n",)}, (normal(3), normal(3)), "sizes of 'z' are stated, which is no array"),
    "no size": ({"x": ("n + 1",)}, (normal(3), normal(3)), "'n + 1' is no size of the argument 'x'"),
    "sizes that do not fit": ({"x": ("n",)}, (normal(3), normal(4)), "cannot broadcast shapes n and 4"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_the_arguments(name: str) -> None:
    sizes, arrays, message = MISTAKES[name]
    with pytest.raises(CompileError) as caught:
        xmlc.compile(sizes=sizes)(add)(*arrays)
    assert message in str(caught.value)


def test_what_needs_a_number_says_so_at_the_users_line() -> None:
    with pytest.raises(CompileError) as caught:
        xmlc.compile(sizes={"x": ("n",)})(lambda x: xnp.ones(2) * range(x.shape[0])[0])(normal(3))
    assert "n is known only at run time" in str(caught.value)
    assert "test_open_sizes.py" in str(caught.value)
    assert "state a number for this size" in str(caught.value)


def test_a_gpu_has_no_open_sizes() -> None:
    with pytest.raises(CompileError, match="has open sizes, which programs for cuda:0 cannot have"):
        xmlc.compile(device="cuda:sm_90a", sizes={"x": ("n",)})(lambda x: x + 1).lower(normal(3))
