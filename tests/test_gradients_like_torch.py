"""Gradients of the functions of arrays agree with torch's, on random shapes that broadcast or hold nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import xmlc
from xmlc import nn
from xmlc import numpy as xnp
from xmlc.dialects.reference.interpreter import interpret

torch = pytest.importorskip("torch")

Function = Callable[..., Any]
few = settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def agree(mine: Function, theirs: Function, inputs: Sequence[Any]) -> None:
    """Both functions give the same, and so do their gradients for one random cotangent."""
    tensors = [torch.tensor(each, requires_grad=True) for each in inputs]
    value = theirs(*tensors)
    cotangent = np.random.default_rng(1).normal(size=tuple(value.shape))
    expected = torch.autograd.grad(value, tensors, torch.tensor(cotangent))

    def both(cotangent: Any, *inputs: Any) -> Any:
        return xmlc.vjp(mine, inputs, cotangent)

    traced = xmlc.compile(both).lower(cotangent, *inputs).traced
    found = interpret(traced.module, "main", [cotangent, *inputs])
    np.testing.assert_allclose(found[0], value.detach().numpy(), rtol=1e-9, atol=1e-9)
    for gradient, reference in zip(found[1:], expected, strict=True):
        np.testing.assert_allclose(gradient, reference.numpy(), rtol=1e-7, atol=1e-9)


def numbers(random: np.random.Generator, shape: Sequence[int]) -> Any:
    """Positive numbers no two of which are near each other, nor near 1: no function here has a kink at them."""
    size = int(np.prod(shape))
    return (random.permutation(size) * 0.37 % 2.3 + 0.15 + random.random(size) * 1e-3).reshape(shape)


@st.composite
def together(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast, sizes 0 and 1 among them."""
    shape = draw(st.lists(st.sampled_from((3, 2, 1, 0)), max_size=3))
    parts = [tuple(draw(st.sampled_from((size, 1))) for size in shape) for _ in range(2)]
    cut = draw(st.integers(0, len(shape)))
    return parts[0], parts[1][cut:]


BINARY: dict[str, tuple[Function, Function]] = {
    "add": (lambda x, y: x + y, lambda x, y: x + y),
    "subtract": (lambda x, y: x - y, lambda x, y: x - y),
    "multiply": (lambda x, y: x * y, lambda x, y: x * y),
    "divide": (lambda x, y: x / y, lambda x, y: x / y),
    "power": (lambda x, y: x**y, lambda x, y: x**y),
    "maximum": (xnp.maximum, torch.maximum),
    "minimum": (xnp.minimum, torch.minimum),
    "atan2": (xnp.atan2, torch.atan2),
    "logaddexp": (xnp.logaddexp, torch.logaddexp),
    "where": (lambda x, y: xnp.where(x > 0.7, x, y), lambda x, y: torch.where(x > 0.7, x, y)),
    "remainder": (lambda x, y: x % (y + 3), lambda x, y: x % (y + 3)),
}


@pytest.mark.parametrize("name", BINARY)
@few
@given(shapes=together())
def test_a_function_of_two_arrays(name: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    random = np.random.default_rng(len(name))
    agree(*BINARY[name], [numbers(random, shapes[0]), numbers(random, shapes[1]) + 0.013])


UNARY: dict[str, tuple[Function, Function]] = {
    **{
        name: (getattr(xnp, name), getattr(torch, name))
        for name in (
            "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh", "atan", "asinh",
            "abs", "square", "reciprocal", "sign", "floor",
        )
    },
    "acosh": (lambda x: xnp.acosh(x + 1), lambda x: torch.acosh(x + 1)),
    "asin": (lambda x: xnp.asin(x / 3), lambda x: torch.asin(x / 3)),
    "acos": (lambda x: xnp.acos(x / 3), lambda x: torch.acos(x / 3)),
    "atanh": (lambda x: xnp.atanh(x / 3), lambda x: torch.atanh(x / 3)),
    "sigmoid": (nn.sigmoid, torch.sigmoid),
    "relu": (lambda x: nn.relu(x - 1), lambda x: torch.relu(x - 1)),
    "elu": (lambda x: nn.elu(x - 1), lambda x: torch.nn.functional.elu(x - 1)),
    "leaky_relu": (lambda x: nn.leaky_relu(x - 1, 0.1), lambda x: torch.nn.functional.leaky_relu(x - 1, 0.1)),
    "silu": (nn.silu, torch.nn.functional.silu),
    "softplus": (nn.softplus, torch.nn.functional.softplus),
    "gelu": (nn.gelu, torch.nn.functional.gelu),
    "gelu by tanh": (
        lambda x: nn.gelu(x, approximate=True), lambda x: torch.nn.functional.gelu(x, approximate="tanh")
    ),
    "clip": (lambda x: xnp.clip(x, 0.5, 1.5), lambda x: torch.clip(x, 0.5, 1.5)),
    "sum": (lambda x: xnp.sum(x, axis=0), lambda x: x.sum(0)),
    "mean": (lambda x: xnp.mean(x, axis=-1, keepdims=True), lambda x: x.mean(-1, keepdim=True)),
    "cumulative_sum": (lambda x: xnp.cumulative_sum(x, axis=0), lambda x: x.cumsum(0)),
    "softmax": (nn.softmax, lambda x: torch.softmax(x, -1)),
    "log_softmax": (lambda x: nn.log_softmax(x, axis=0), lambda x: torch.log_softmax(x, 0)),
    "transpose": (lambda x: xnp.matrix_transpose(x), lambda x: x.mT),
    "reshape": (lambda x: x.reshape(x.size), lambda x: x.reshape(-1)),
    "flip": (lambda x: xnp.flip(x, axis=0), lambda x: x.flip(0)),
    "concat": (lambda x: xnp.concat([x, x * 2], axis=1), lambda x: torch.concat([x, x * 2], 1)),
    "slice": (lambda x: x[..., ::2], lambda x: x[..., ::2]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
@few
@given(shape=st.tuples(*[st.sampled_from((3, 4, 1, 0))] * 2))
def test_a_function_of_one_array(name: str, shape: tuple[int, int]) -> None:
    agree(*UNARY[name], [numbers(np.random.default_rng(len(name)), shape)])


INDICES = np.array([[2, 0], [1, 2]])
LABELS = np.array([1, 0, 2])
functional = torch.nn.functional

SHAPED: dict[str, tuple[Function, Function, tuple[tuple[int, ...], ...]]] = {
    "max": (lambda x: xnp.max(x, axis=1), lambda x: x.amax(1), ((3, 4),)),
    "prod": (lambda x: xnp.prod(x, axis=1), lambda x: x.prod(1), ((3, 4),)),
    "var": (lambda x: xnp.var(x, axis=1), lambda x: x.var(1, unbiased=False), ((3, 4),)),
    "sort": (lambda x: xnp.sort(x, axis=1), lambda x: x.sort(1).values, ((3, 4),)),
    "cumulative_prod": (lambda x: xnp.cumulative_prod(x, axis=1), lambda x: x.cumprod(1), ((3, 4),)),
    "take": (lambda x: x[INDICES], lambda x: x[torch.tensor(INDICES)], ((3, 4),)),
    "take_along_axis": (
        lambda x: xnp.take_along_axis(x, INDICES, axis=1),
        lambda x: torch.take_along_dim(x, torch.tensor(INDICES), 1),
        ((2, 4),),
    ),
    "pad": (
        lambda x: xnp.pad(x, ((1, 2), (0, 1)), value=2.0),
        lambda x: functional.pad(x, (0, 1, 1, 2), value=2.0),
        ((3, 4),),
    ),
    "matmul": (lambda x, y: x @ y, lambda x, y: x @ y, ((2, 1, 3, 4), (5, 4, 2))),
    "matrix by vector": (lambda x, y: x @ y, lambda x, y: x @ y, ((3, 4), (4,))),
    "empty matmul": (lambda x, y: x @ y, lambda x, y: x @ y, ((3, 0), (0, 2))),
    "einsum": (
        lambda x, y: xnp.einsum("abc,cb->ab", x, y),
        lambda x, y: torch.einsum("abc,cb->ab", x, y),
        ((2, 3, 4), (4, 3)),
    ),
    "layer_norm": (nn.layer_norm, lambda x, s, b: functional.layer_norm(x, (4,), s, b), ((3, 4), (4,), (4,))),
    "rms_norm": (nn.rms_norm, lambda x, s: functional.rms_norm(x, (4,), s, 1e-5), ((3, 4), (4,))),
    "cross_entropy": (
        lambda x: nn.cross_entropy(x, LABELS),
        lambda x: functional.cross_entropy(x, torch.tensor(LABELS)),
        ((3, 4),),
    ),
    "attention": (
        lambda q, k, v: nn.attention(q, k, v, causal=True),
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        ((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4)),
    ),
    "conv": (
        lambda x, w, b: nn.conv(x, w, b, strides=2, padding=1, groups=2),
        lambda x, w, b: functional.conv2d(x, w, b, 2, 1, 1, 2),
        ((2, 4, 5, 6), (6, 2, 3, 3), (6,)),
    ),
    "dilated conv": (
        lambda x, w: nn.conv(x, w, dilations=2),
        lambda x, w: functional.conv1d(x, w, dilation=2),
        ((2, 3, 9), (4, 3, 3)),
    ),
    "max_pool": (
        lambda x: nn.max_pool(x, (2, 3), strides=(1, 2)),
        lambda x: functional.max_pool2d(x, (2, 3), (1, 2)),
        ((2, 1, 5, 6),),
    ),
    "avg_pool": (
        lambda x: nn.avg_pool(x, (2, 2), padding=1),
        lambda x: functional.avg_pool2d(x, 2, padding=1, count_include_pad=False),
        ((1, 2, 4, 4),),
    ),
}


@pytest.mark.parametrize("name", SHAPED)
def test_a_function_of_arrays_of_given_shapes(name: str) -> None:
    mine, theirs, shapes = SHAPED[name]
    random = np.random.default_rng(len(name))
    agree(mine, theirs, [numbers(random, shape) for shape in shapes])


SMOOTH = ("exp", "expm1", "log", "sqrt", "sin", "tan", "tanh", "sigmoid", "silu", "softplus", "gelu", "gelu by tanh",
          "reciprocal", "asin", "atanh", "softmax", "log_softmax")  # fmt: skip
SMOOTH_OF_SEVERAL = ("matmul", "einsum", "layer_norm", "rms_norm", "cross_entropy", "conv", "prod", "var")
TWICE = {
    **{name: (*UNARY[name], ((3, 4),)) for name in SMOOTH},
    **{name: SHAPED[name] for name in SMOOTH_OF_SEVERAL},
}


@pytest.mark.parametrize("name", TWICE)
def test_second_derivatives(name: str) -> None:
    """The gradient of how far the gradient goes along a random direction: a product with the Hessian."""
    mine, theirs, shapes = TWICE[name]
    random = np.random.default_rng(len(name))
    inputs = [numbers(random, shape) for shape in shapes]
    tensors = [torch.tensor(each, requires_grad=True) for each in inputs]
    value = theirs(*tensors)
    cotangent = random.normal(size=tuple(value.shape))
    directions = [random.normal(size=each.shape) for each in inputs]
    first = torch.autograd.grad(value, tensors, torch.tensor(cotangent), create_graph=True)
    along = sum((g * torch.tensor(v)).sum() for g, v in zip(first, directions))
    expected = torch.autograd.grad(along, tensors, allow_unused=True, materialize_grads=True)

    def far(cotangent: Any, directions: Any, *inputs: Any) -> Any:
        gradients = xmlc.vjp(mine, inputs, cotangent)[1]
        return sum((g * v).sum() for g, v in zip(gradients, directions))

    second = xmlc.grad(far, tuple(range(2, 2 + len(inputs))))
    traced = xmlc.compile(lambda c, v, *x: second(c, v, *x)).lower(cotangent, directions, *inputs).traced
    found = interpret(traced.module, "main", [cotangent, *directions, *inputs])
    for gradient, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(gradient, reference.numpy(), rtol=1e-6, atol=1e-8)
