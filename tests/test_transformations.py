"""`vmap`, Jacobians, own gradients, checkpoints and bounded loops, as their users call them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xmlc
from xmlc import nn
from xmlc import numpy as xnp
from xmlc.dialects.diagnostics import CompileError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3)).astype(np.float32)
W = RNG.normal(size=(3, 4)).astype(np.float32)


def layer(x: Any, w: Any) -> Any:
    return xnp.tanh(x @ w)


# --- vmap


def test_vmap_gives_for_a_batch_what_the_function_gives_for_each() -> None:
    np.testing.assert_allclose(xmlc.vmap(layer, in_axes=(0, None))(X, W), np.tanh(X @ W), rtol=1e-5)


def test_the_batch_lies_along_the_dimensions_asked_for() -> None:
    found = xmlc.vmap(lambda x: x * 2, in_axes=1, out_axes=-1)(X)
    np.testing.assert_allclose(found, 2 * X)
    both = xmlc.vmap(lambda x, y: x - y, in_axes=(1, 0))(X, X.T)
    np.testing.assert_allclose(both, np.zeros((3, 5)))


def test_vmap_takes_and_gives_trees() -> None:
    found = xmlc.vmap(lambda p: {"sum": p["a"].sum() + p["b"], "one": xnp.ones(2)})({"a": X, "b": X[:, 0]})
    np.testing.assert_allclose(found["sum"], X.sum(1) + X[:, 0], rtol=1e-5)
    np.testing.assert_array_equal(found["one"], np.ones((5, 2)))


def test_vmap_nests() -> None:
    table = xmlc.vmap(xmlc.vmap(lambda x, y: x * y, in_axes=(None, 0)), in_axes=(0, None))
    np.testing.assert_allclose(table(X[:, 0], X[0]), np.outer(X[:, 0], X[0]), rtol=1e-6)


def test_gradients_of_each_are_found_at_once() -> None:
    found = xmlc.vmap(xmlc.grad(lambda x: (x**3).sum()))(X)
    np.testing.assert_allclose(found, 3 * X**2, rtol=1e-5)


def test_a_batch_is_differentiated() -> None:
    found = xmlc.grad(lambda w, x: xmlc.vmap(layer, in_axes=(0, None))(x, w).sum())(W, X)
    np.testing.assert_allclose(found, X.T @ (1 - np.tanh(X @ W) ** 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("axes", "arguments", "message"),
    [
        ((0, 0), (X, W), r"the arguments have batches of sizes \[3, 5\]"),
        (None, (X, W), "no argument has a batch"),
        ((0,), (X, W), "in_axes has 1 entries for 2 arguments"),
        ((2, None), (X, W), "there is no dimension 2 among 2 for the batch to lie along"),
    ],
)
def test_what_cannot_be_a_batch_is_refused(axes: Any, arguments: Any, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        xmlc.vmap(lambda x, w: x.sum() + w.sum(), in_axes=axes)(*arguments)


# --- Jacobians


def test_a_jacobian_holds_the_derivative_of_each_element_by_each() -> None:
    found = xmlc.jacobian(layer)(X[0], W)
    expected = (1 - np.tanh(X[0] @ W) ** 2)[:, None] * W.T
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_jacobian_of_trees_is_a_tree_of_trees() -> None:
    found = xmlc.jacobian(lambda p: (p["a"] * p["b"], p["a"].sum()))({"a": X[0], "b": X[1]})
    np.testing.assert_allclose(found[0]["a"], np.diag(X[1]))
    np.testing.assert_allclose(found[1]["a"], np.ones(3))
    np.testing.assert_allclose(found[1]["b"], np.zeros(3))


def test_a_hessian_is_the_matrix_of_second_derivatives() -> None:
    found = xmlc.hessian(lambda x: x[0] * x[1] ** 2 + xnp.sin(x[2]))(X[0])
    a, b, c = X[0]
    np.testing.assert_allclose(found, [[0, 2 * b, 0], [2 * b, 2 * a, 0], [0, 0, -np.sin(c)]], rtol=1e-4, atol=1e-6)


# --- who is differentiated how


def test_a_gradient_stops_where_it_is_told() -> None:
    found = xmlc.grad(lambda x: (xmlc.stop_gradient(x) * x).sum())(X)
    np.testing.assert_allclose(found, X)
    _, tangent = xmlc.jvp(lambda x: xmlc.stop_gradient({"a": x})["a"] + 2 * x, (X,), (X,))
    np.testing.assert_allclose(tangent, 2 * X)


@xmlc.custom_gradient
def softplus(x: Any) -> Any:
    e = xnp.exp(x)
    return xnp.log1p(e), lambda g: g * (1 - 1 / (1 + e))


def test_a_function_has_the_gradient_it_is_given() -> None:
    x = np.float32([-1, 0, 200])
    np.testing.assert_allclose(softplus(x)[:2], np.log1p(np.exp(x[:2])), rtol=1e-5)
    found = xmlc.grad(lambda x: softplus(x).sum())(x)
    np.testing.assert_allclose(found, [1 - 1 / (1 + np.exp(-1.0)), 0.5, 1], rtol=1e-5)


def test_a_gradient_of_its_own_is_differentiated_again() -> None:
    x = np.float32([-1, 0, 2])
    sigmoid = 1 / (1 + np.exp(-x))
    second = xmlc.grad(lambda x: xmlc.grad(lambda x: softplus(x).sum())(x).sum())(x)
    np.testing.assert_allclose(second, sigmoid * (1 - sigmoid), rtol=1e-4)
    _, tangent = xmlc.jvp(softplus, (x,), (x,))
    np.testing.assert_allclose(tangent, sigmoid * x, rtol=1e-5)
    np.testing.assert_allclose(xmlc.vmap(xmlc.grad(softplus))(x), sigmoid, rtol=1e-5)


def test_a_gradient_of_several_arguments_may_leave_some_out() -> None:
    @xmlc.custom_gradient
    def scaled(x: Any, options: Any) -> Any:
        return x * options["factor"], lambda g: (10 * g, None)

    found = xmlc.grad(lambda x, f: scaled(x, {"factor": f}).sum(), (0, 1))(X, X)
    np.testing.assert_allclose(found[0], 10 * np.ones_like(X))
    np.testing.assert_allclose(found[1], np.zeros_like(X))


@pytest.mark.parametrize(
    ("pull", "message"),
    [
        (lambda g: (g, g), "a cotangent must be arranged like its argument"),
        (lambda g: g.sum(), "the cotangent of tensor<5x3xf32> is tensor<f32>"),
    ],
)
def test_a_gradient_must_fit_its_arguments(pull: Any, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        xmlc.custom_gradient(lambda x: (x * 2, pull))(X)


def test_a_gradient_gives_a_cotangent_for_each_argument() -> None:
    with pytest.raises(CompileError, match="a gradient gives one cotangent for each of 2 arguments"):
        xmlc.custom_gradient(lambda x, y: (x * y, lambda g: g))(X, X)


def test_a_function_with_a_gradient_gives_floats() -> None:
    with pytest.raises(CompileError, match="a function with a gradient gives floating-point numbers"):
        xmlc.custom_gradient(lambda x: (x > 0, lambda g: g))(X)


def test_a_rule_for_tangents_serves_both_modes() -> None:
    @xmlc.custom_jvp(lambda arguments, tangents: (xnp.sin(arguments[0]), 3 * tangents[0] * arguments[0]))
    def strange(x: Any) -> Any:
        return xnp.sin(x)

    np.testing.assert_allclose(strange(X), np.sin(X), rtol=1e-5)
    np.testing.assert_allclose(xmlc.jvp(strange, (X,), (X,))[1], 3 * X * X, rtol=1e-5)
    np.testing.assert_allclose(xmlc.grad(lambda x: strange(x).sum())(X), 3 * X, rtol=1e-5)


def deep(x: Any, block: Any) -> Any:
    for _ in range(4):
        x = block(x)
    return (x * x).sum()


def block(x: Any) -> Any:
    for _ in range(3):
        x = nn.gelu(xnp.sin(x) @ (x.T @ x))
    return x


def test_a_checkpoint_changes_no_value() -> None:
    x = X * 0.3
    plain = xmlc.value_and_grad(lambda x: deep(x, block))(x)
    again = xmlc.value_and_grad(lambda x: deep(x, xmlc.checkpoint(block)))(x)
    np.testing.assert_allclose(again[0], plain[0], rtol=1e-5)
    np.testing.assert_allclose(again[1], plain[1], rtol=1e-4, atol=1e-6)


def test_a_checkpoint_needs_less_memory() -> None:
    x = RNG.normal(size=(256, 64)).astype(np.float32) * 0.1

    def arena(block: Any) -> int:
        return xmlc.compile(xmlc.grad(lambda x: deep(x, block))).lower(x).compile().call.arena_bytes

    assert arena(xmlc.checkpoint(block)) < 0.7 * arena(block)


# --- loops


def newton(a: Any, most: int | None) -> Any:
    """The square root of a, by Newton's method."""

    def step(x: Any) -> Any:
        return (x + a / x) / 2

    return xmlc.while_loop(lambda x: xnp.abs(x * x - a) > 1e-5, step, a, most=most)


def test_a_bounded_loop_does_what_the_loop_does() -> None:
    for most, expected in ((None, 3), (40, 3), (1, 5)):
        found = xmlc.compile(static=("most",))(newton)(np.float32(9), most)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_bounded_loop_is_differentiated() -> None:
    np.testing.assert_allclose(xmlc.grad(lambda a: newton(a, 40))(np.float32(9)), 1 / 6, rtol=1e-3)
    with pytest.raises(CompileError, match=r"cannot differentiate ml\.while"):
        xmlc.grad(lambda a: newton(a, None))(np.float32(9))


def test_a_bounded_loop_keeps_its_structure() -> None:
    with pytest.raises(CompileError, match="what a loop carries must keep its types"):
        xmlc.compile(lambda x: xmlc.while_loop(lambda x: x < 3, lambda x: x.astype("float64"), x, most=3))(X[0, 0])
