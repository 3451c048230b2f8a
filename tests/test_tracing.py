"""`@xmlc.compile` and derivatives of Python functions, as their users call them."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import xmlc
from xmlc import nn
from xmlc import numpy as xnp
from xmlc.dialects.diagnostics import CompileError
from xmlc.options import EXPLAIN

Array = Any
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 4)).astype(np.float32), RNG.normal(size=(4,)).astype(np.float32)
M = RNG.normal(size=(4, 5)).astype(np.float32)
PLACES = np.array([2, 0, -1])

SAME_AS_NUMPY: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "arrays on the left": (lambda x: Y * x - (Y + x) / (Y**2 + x**2), (X,)),
    "operators": (lambda x, y: (x + y) * 2 - x / (1 + y * y), (X, Y)),
    "powers and remainders": (lambda x, y: abs(x) ** 1.5 + x % 0.75 + x // 0.5, (X, Y)),
    "comparisons": (lambda x, y: ((x < y) & (x != 0)) | ~(y >= x), (X, Y)),
    "reversed operators": (lambda x, y: 1 - (2 / (3 + abs(x))) * (2 ** y), (X, Y)),
    "matmul": (lambda x, m: x @ m, (X, M)),
    "vector by matrix": (lambda y, m: y @ m, (Y, M)),
    "matrix by vector": (lambda x, y: x @ y, (X, Y)),
    "vector by vector": (lambda y: y @ y, (Y,)),
    "transpose and reshape": (lambda x: x.T.reshape(2, -1), (X,)),
    "slices": (lambda x: x[1:, ::-2], (X,)),
    "integers and ellipsis": (lambda x: x[..., -1] + x[0, 2], (X,)),
    "new dimensions": (lambda y: y[:, None] - y[None], (Y,)),
    "array of integers": (lambda x, i: x[i, 1:], (X, PLACES)),
    "arrays of integers": (lambda x, i: x[i, i[:, None]] + x[None, i, 0], (X, PLACES)),
    "arrays apart": (lambda x, i: x[i, None, i] + x[None][0, :, i].T[:, None], (X, PLACES)),
    "reductions": (lambda x: x.sum(axis=0) + x.mean() - x.max(axis=1, keepdims=True).min(), (X,)),
    "iteration": (lambda x: sum(row * (i + 1) for i, row in enumerate(x)), (X,)),
    "integers": (lambda i: (i * 3 + 1) % 4 - (i >> 1), (PLACES,)),
}  # fmt: skip


@pytest.mark.parametrize("arranged", ["arrays", "trees", "by name"])
def test_calls_after_the_first_tell_arguments_apart(arranged: str) -> None:
    minus = xmlc.compile(lambda x, y: x - y)
    minus_in_trees = xmlc.compile(lambda pair: pair["x"] - pair["y"][0])
    calls: dict[str, Callable[[Array, Array], Array]] = {
        "arrays": minus,
        "trees": lambda x, y: minus_in_trees({"x": x, "y": [y]}),
        "by name": lambda x, y: minus(y=y, x=x),
    }
    of_float64, strided, integers = X.astype(np.float64), np.zeros((3, 8), np.float32)[:, ::2], X.astype(np.int32)
    for x, y in [(X, Y)] * 3 + [(of_float64, Y), (strided, Y), (X, 2.5), (Y, X), (X, Y), (integers, integers), (X, X)]:
        found, expected = calls[arranged](x, y), x - y
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", SAME_AS_NUMPY)
def test_a_compiled_function_gives_what_numpy_gives(name: str) -> None:
    function, inputs = SAME_AS_NUMPY[name]
    found, expected = xmlc.compile(function)(*inputs), function(*inputs)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


NAMED: dict[str, tuple[Callable[[Any], Any], tuple[Any, ...]]] = {
    "where": (lambda xp: lambda x, y: xp.where(x > y, x, -1), (X, Y)),
    "exp log": (lambda xp: lambda x: xp.log(xp.exp(x) + 1), (X,)),
    "concat": (lambda xp: lambda x: xp.concat([x, x + 1], axis=1), (X,)),
    "stack": (lambda xp: lambda x, y: xp.stack([x[0], y], axis=-1), (X, Y)),
    "permute_dims": (lambda xp: lambda x: xp.permute_dims(x[None], (2, 0, 1)), (X,)),
    "flip and roll": (lambda xp: lambda x: xp.roll(xp.flip(x, axis=1), 1, axis=0), (X,)),
    "clip": (lambda xp: lambda x: xp.clip(x, -0.5, 0.5), (X,)),
    "var and std": (lambda xp: lambda x: xp.var(x, axis=1) + xp.std(x, axis=1, correction=1), (X,)),
    "argmax": (lambda xp: lambda x: xp.argmax(x, axis=1) + xp.argmin(x), (X,)),
    "sort": (lambda xp: lambda x: xp.sort(x, axis=1) + xp.argsort(x, axis=0), (X,)),
    "cumulative_sum": (lambda xp: lambda x: xp.cumulative_sum(x, axis=1), (X,)),
    "take": (lambda xp: lambda x, i: xp.take(x, i, axis=1), (X, PLACES)),
    "tril": (lambda xp: lambda x: xp.tril(x, k=1) + xp.triu(x), (X,)),
    "outer": (lambda xp: lambda y: xp.outer(y, y), (Y,)),
    "tensordot": (lambda xp: lambda x, m: xp.tensordot(x, m, axes=1), (X, M)),
    "einsum": (lambda xp: lambda x, m: xp.einsum("ij,jk->ki", x, m), (X, M)),
    "squeeze and expand": (lambda xp: lambda x: xp.squeeze(xp.expand_dims(x, axis=1), axis=1), (X,)),
    "tile and repeat": (lambda xp: lambda x: xp.repeat(xp.tile(x, (2, 1)), 2, axis=1), (X,)),
    "rounding": (lambda xp: lambda x: xp.floor(x) + xp.ceil(x) * 2 + xp.round(x) * 3 + xp.trunc(x) * 5, (X,)),
    "isfinite": (lambda xp: lambda x: xp.isfinite(1 / (x - x)) | xp.isnan(x - x), (X,)),
    "any and all": (lambda xp: lambda x: xp.any(x > 1, axis=0) & ~xp.all(x > 0), (X,)),
    "logaddexp": (lambda xp: lambda x, y: xp.logaddexp(x, y), (X, Y)),
    "prod": (lambda xp: lambda x: xp.prod(x, axis=0), (X,)),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_a_function_of_the_namespace_gives_what_that_of_numpy_gives(name: str) -> None:
    make, inputs = NAMED[name]
    with np.errstate(all="ignore"):
        found, expected = xmlc.compile(make(xnp))(*inputs), make(np)(*inputs)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


def test_arrays_are_created() -> None:
    def create() -> tuple[Array, ...]:
        return (
            xnp.arange(2, 10, 3), xnp.linspace(0, 1, 5), xnp.eye(2, 3, k=1), xnp.full((2,), 0.5), xnp.zeros(3),
            xnp.ones((1, 2), dtype="int32"), xnp.arange(0, 1, 0.25),
        )  # fmt: skip

    expected = (
        np.arange(2, 10, 3), np.linspace(0, 1, 5), np.eye(2, 3, k=1), np.full(2, 0.5), np.zeros(3),
        np.ones((1, 2), np.int32), np.arange(0, 1, 0.25),
    )  # fmt: skip
    for found, value in zip(xmlc.compile(create)(), expected, strict=True):
        np.testing.assert_array_equal(found, value)
        assert found.dtype == (np.float32 if value.dtype == np.float64 else value.dtype)


# --- arguments


class Point(NamedTuple):
    x: Array
    y: Array


@dataclass
class Layer:
    weight: Array
    bias: Array | None = None


def test_arguments_and_results_are_trees() -> None:
    @xmlc.compile
    def apply(layers: list[Layer], named: dict[str, Array], point: Point) -> Any:
        moved = point.x @ layers[0].weight + named["shift"]
        return {"moved": (moved, [moved * 2]), "point": Point(point.y, point.x), "none": None}

    found = apply([Layer(M), Layer(X, Y)], {"shift": np.float32(1) + M[0]}, Point(X, Y))
    np.testing.assert_allclose(found["moved"][0], X @ M + 1 + M[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["moved"][1][0], 2 * (X @ M + 1 + M[0]), rtol=1e-5, atol=1e-6)
    assert isinstance(found["point"], Point) and found["none"] is None
    np.testing.assert_array_equal(found["point"].y, X)


def test_python_numbers_take_the_type_of_the_array_they_meet() -> None:
    scale = xmlc.compile(lambda x, factor: x * factor)
    assert scale(X, 2.5).dtype == np.float32
    assert scale(X.astype(np.float64), 0.1)[0, 0] == X.astype(np.float64)[0, 0] * 0.1
    assert scale(np.arange(3), 2).dtype == np.int64
    assert xmlc.compile(lambda x: x * 0.1)(np.ones(1)) == 0.1, "a constant is not rounded to float32 on its way"


def test_static_arguments_are_values() -> None:
    @xmlc.compile(static=("times", "negate"))
    def repeated(x: Array, times: int, *, negate: bool = False) -> Array:
        for _ in range(times):
            x = x * x
        return -x if negate else x

    np.testing.assert_allclose(repeated(Y, 2), Y**4, rtol=1e-5)
    np.testing.assert_allclose(repeated(Y, 1, negate=True), -(Y**2), rtol=1e-5)


def test_a_function_is_traced_once_for_each_combination_of_types(caplog: pytest.LogCaptureFixture) -> None:
    traced: list[tuple[int, ...]] = []

    @xmlc.compile
    def double(x: Array) -> Array:
        traced.append(x.shape)
        return x * 2

    with EXPLAIN.set(True), caplog.at_level(logging.WARNING, "xmlc.tracing"):
        for x in (X, X + 1, Y, X, X.astype(np.float64)):
            np.testing.assert_array_equal(double(x), x * 2)
    assert traced == [(3, 4), (4,), (3, 4)]
    assert [record.getMessage() for record in caplog.records] == [
        "tracing double: it is called for the first time",
        "tracing double: 'x' was 3x4 of float32, and is 4 of float32",
        "tracing double: 'x' was 4 of float32, and is 3x4 of float64",
    ]


def test_arrays_from_outside_are_bound_as_weights() -> None:
    lowered = xmlc.compile(lambda x: x @ M + Y[0]).lower(X)
    assert 'ml.name = "captured.0", ml.weight' in str(lowered)
    np.testing.assert_allclose(xmlc.compile(lambda x: x @ M + Y[0])(X), X @ M + Y[0], rtol=1e-5)


def test_a_compiled_function_called_by_another_becomes_part_of_it() -> None:
    inner = xmlc.compile(lambda x: nn.softmax(x))
    lowered = xmlc.compile(lambda x: inner(x) + 1).lower(X)
    assert "ml.softmax" in str(lowered) and "func.call" not in str(lowered)


def test_a_program_is_seen_at_every_stage_with_the_users_lines() -> None:
    lowered = xmlc.compile(lambda x: nn.gelu(x) * 2).lower(X)
    assert "ml.gelu" in str(lowered)
    assert "linalg.generic" in str(lowered.emit("linalg"))
    ops = [op for op in lowered.traced.module.walk() if op.name == "ml.gelu"]
    assert Path(__file__).name in str(ops[0].location)


# --- control flow


def test_control_flow_depends_on_values() -> None:
    @xmlc.compile
    def collatz(n: Array) -> Array:
        def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
            n, steps = state
            return xmlc.cond(n % 2 == 0, lambda: n // 2, lambda: 3 * n + 1), steps + 1

        return xmlc.while_loop(lambda state: state[0] != 1, step, (n, 0))[1]

    assert [int(collatz(np.int64(n))) for n in (1, 6, 27)] == [0, 8, 111]


def test_a_scan_carries_and_stacks() -> None:
    @xmlc.compile
    def running(x: Array) -> Any:
        return xmlc.scan(lambda total, row: (total + row, {"mean": total.mean()}), xnp.zeros(4), x)

    total, outputs = running(X)
    np.testing.assert_allclose(total, X.sum(0), rtol=1e-6)
    np.testing.assert_allclose(outputs["mean"], [0, X[0].mean(), X[:2].sum(0).mean()], rtol=1e-5, atol=1e-7)


# --- derivatives


def loss(parameters: dict[str, Array], x: Array, labels: Array) -> Array:
    hidden = xnp.tanh(x @ parameters["w"] + parameters["b"])
    return nn.cross_entropy(hidden, labels)


def test_a_gradient_has_the_structure_of_the_argument() -> None:
    parameters = {"w": M.astype(np.float64), "b": np.zeros(5)}
    labels = np.array([1, 0, 4])
    value, gradient = xmlc.value_and_grad(loss)(parameters, X.astype(np.float64), labels)
    assert gradient.keys() == parameters.keys()
    compiled = xmlc.compile(loss)
    np.testing.assert_allclose(value, compiled(parameters, X.astype(np.float64), labels), rtol=1e-12)
    direction = {name: RNG.normal(size=each.shape) for name, each in parameters.items()}
    ahead, behind = (
        compiled({k: v + step * direction[k] for k, v in parameters.items()}, X.astype(np.float64), labels)
        for step in (1e-6, -1e-6)
    )
    slope = sum(np.sum(gradient[k] * direction[k]) for k in parameters)
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, rtol=1e-6)


def test_gradients_nest() -> None:
    third = xmlc.grad(xmlc.grad(xmlc.grad(lambda x: x**4)))
    assert third(np.array(2.0)) == pytest.approx(48)


def test_a_gradient_goes_through_control_flow() -> None:
    def repeated(x: Array) -> Array:
        last, _ = xmlc.scan(lambda c, _: (xmlc.cond(c > 1, lambda: c * c, lambda: c * 3), None), x, length=3)
        return last

    assert xmlc.grad(repeated)(np.array(0.5)) == pytest.approx(4 * (3 * 0.5) ** 3 * 3)


def test_gradients_by_several_arguments_and_with_others_returned() -> None:
    def weighted(x: Array, y: Array) -> Any:
        return (x * y).sum(), {"sum": x + y}

    (value, others), (dx, dy) = xmlc.value_and_grad(weighted, argnums=(0, 1), has_aux=True)(X, X + 1)
    np.testing.assert_allclose(value, (X * (X + 1)).sum(), rtol=1e-5)
    np.testing.assert_allclose(others["sum"], 2 * X + 1, rtol=1e-6)
    np.testing.assert_array_equal(dx, X + 1)
    np.testing.assert_array_equal(dy, X)
    gradient, others = xmlc.grad(weighted, has_aux=True)(X, X + 1)
    np.testing.assert_array_equal(gradient, X + 1)


def test_a_value_from_around_a_differentiated_function_is_a_constant_of_it() -> None:
    assert xmlc.compile(lambda x: xmlc.grad(lambda y: x * y)(x))(np.array(3.0)) == 3


def test_products_with_the_jacobian_from_both_sides() -> None:
    def both(x: Array, y: Array) -> tuple[Array, Array]:
        return x * y, xnp.sin(x)

    x, y = np.array([0.0, 1.0]), np.array([3.0, 4.0])
    u, v = (np.array([1.0, 2.0]), np.array([0.5, 0.0])), (np.array([1.0, -1.0]), np.array([2.0, 0.0]))
    values, pulled = xmlc.vjp(both, (x, y), u)
    np.testing.assert_allclose(values[0], x * y)
    np.testing.assert_allclose(pulled[0], u[0] * y + u[1] * np.cos(x))
    np.testing.assert_allclose(pulled[1], u[0] * x)
    _, pushed = xmlc.jvp(both, (x, y), v)
    np.testing.assert_allclose(pushed[0], v[0] * y + x * v[1])
    np.testing.assert_allclose(pushed[1], np.cos(x) * v[0])


def test_linear_regression_is_trained() -> None:
    true = np.array([2.0, -1.0, 0.5, 3.0], np.float32)
    inputs = RNG.normal(size=(64, 4)).astype(np.float32)

    @xmlc.compile
    def step(weights: Array) -> Array:
        error = lambda w: ((inputs @ w - inputs @ true) ** 2).mean()  # noqa: E731
        return weights - 0.2 * xmlc.grad(error)(weights)

    weights = np.zeros(4, np.float32)
    for _ in range(100):
        weights = step(weights)
    np.testing.assert_allclose(weights, true, atol=1e-3)


# --- mistakes


def branch(x: Array) -> Array:
    return x if x.sum() > 0 else -x


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "truth": (lambda: xmlc.compile(branch)(X), "the truth of an array is not known while a function is traced"),
    "number": (lambda: xmlc.compile(lambda x: int(x[0, 0]))(X), "the number in an array is not known"),
    "numpy": (lambda: xmlc.compile(lambda x: np.sin(x))(X), "what an array holds is not known"),
    "shapes": (lambda: xmlc.compile(lambda x: x @ x)(X), "the inner sizes, 4 and 3, must be equal"),
    "mask": (lambda: xmlc.compile(lambda x: x[x > 0])(X), "a mask selects as many elements as its values say"),
    "index": (lambda: xmlc.compile(lambda x: x[3])(X), "index 3 is out of range for dimension 0 of size 3"),
    "indices": (lambda: xmlc.compile(lambda x: x[0, 0, 0])(X), "has 2 dimensions, found 3 indices"),
    "array of floats": (lambda: xmlc.compile(lambda x, y: x[y])(X, Y), "an index is of integers, found float32"),
    "argument": (lambda: xmlc.compile(lambda x: x)("text"), "expected arrays and numbers as arguments, found str"),
    "element": (lambda: xmlc.compile(lambda x: x)(np.ones(2, "c8")), "the argument 'x' has element type complex64"),
    "captured": (lambda: xmlc.compile(lambda x: x + np.ones(99, "c8"))(X), "an array of complex64 cannot be part"),
    "dtype": (lambda: xmlc.compile(lambda x: x.astype("quad"))(X), "there is no element type quad"),
    "result": (lambda: xmlc.compile(lambda x: "text")(X), "expected an array or a number, found str"),
    "static": (lambda: xmlc.compile(lambda x: x, static=("y",)), "has no argument 'y' to be static"),
    "reshape": (lambda: xmlc.compile(lambda x: x.reshape(5, -1))(X), r"cannot reshape 3x4 to \(5, -1\)"),
    "matrix": (lambda: xmlc.compile(lambda y: y.T)(Y), "only a matrix has .T, found shape 4"),
    "scalar product": (lambda: xmlc.compile(lambda x: x @ 2)(X), "takes arrays of one dimension or more"),
    "types": (lambda: xmlc.compile(lambda x: x + PLACES)(np.zeros(1, "u8")), "no integer type holds both"),
    "outside": (lambda: xmlc.cond(True, branch, branch), "this works on arrays of a program while it is traced"),
    "split": (lambda: xmlc.compile(lambda x: xnp.split(x, 2))(X), "cannot split 3 into 2 equal parts"),
    "squeeze": (lambda: xmlc.compile(lambda x: xnp.squeeze(x, 0))(X), "cannot leave out dimensions 0 of 3x4"),
    "nothing": (lambda: xmlc.compile(lambda x: xnp.concat([]))(X), "expected at least one array"),
    "condition": (lambda: xmlc.compile(lambda x: xmlc.cond(x > 0, branch, branch))(X), "a condition is one value"),
    "branches": (
        lambda: xmlc.compile(lambda x: xmlc.cond(x[0, 0] > 0, lambda: (x, x), lambda: x))(X),
        "the results of both branches must be arranged alike",
    ),
    "carried": (
        lambda: xmlc.compile(lambda x: xmlc.while_loop(lambda s: s.sum() < 9, lambda s: s[None], x))(X),
        "what a loop carries must keep its types: value 0 is tensor<3x4xf32>, and becomes tensor<1x3x4xf32>",
    ),
    "gradient of an array": (lambda: xmlc.grad(lambda x: x * 2)(X), "a gradient is of one floating-point number"),
    "gradient by integers": (lambda: xmlc.grad(lambda i: i.sum() * 0.5)(PLACES), "cannot differentiate by argument 0"),
    "others": (lambda: xmlc.grad(lambda x: x.sum(), has_aux=True)(X), "with has_aux a function returns two things"),
    "cotangents": (lambda: xmlc.vjp(lambda x: x, (X,), (X, X)), "the cotangents must be arranged like the results"),
    "tangents": (lambda: xmlc.jvp(lambda x: x, (X,), (X, X)), "the tangents must be arranged like the arguments"),
    "while": (
        lambda: xmlc.grad(lambda x: xmlc.while_loop(lambda s: s < 9, lambda s: s * 2, x))(np.array(1.0)),
        r"cannot differentiate ml\.while",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_itself_and_the_users_line(name: str) -> None:
    make, message = MISTAKES[name]
    with pytest.raises(CompileError, match=message) as caught:
        make()
    place = caught.value.diagnostics[0].place
    assert place is not None and place.file == __file__


def test_an_array_of_another_trace_is_refused() -> None:
    kept: list[Array] = []
    xmlc.compile(lambda x: kept.append(x) or x)(X)
    with pytest.raises(CompileError, match="an array of a function that was traced before"):
        xmlc.compile(lambda x: x + kept[0])(X)


def test_a_function_that_is_compiled_twice_keeps_its_own_settings() -> None:
    inner = xmlc.compile(static=("n",))(lambda x, n: x * n)
    outer = xmlc.compile(lambda x: inner(x, n=3))
    again = xmlc.compile(outer)
    assert again(X).tolist() == (X * 3).tolist() and not again.static and not outer.entries


PROGRAM = """
import numpy as np, xmlc
f = xmlc.compile(lambda x: x @ x)
try:
    f(np.ones((2, 3), np.float32))
except xmlc.CompileError as error:
    print(error.diagnostics[0].place.line)
"""


def test_an_installed_package_knows_the_users_lines_too(tmp_path: Path) -> None:
    """Its folders lie one in the other, and not side by side as in a checkout."""
    root = Path(__file__).resolve().parents[1]
    ignore = shutil.ignore_patterns("__pycache__", "results")
    for name in ("xmlc", "dialects", "passes", "backends", "frontend"):
        target = tmp_path / "xmlc" if name == "xmlc" else tmp_path / "xmlc" / name
        shutil.copytree(root / name, target, ignore=ignore, dirs_exist_ok=True)
    (tmp_path / "user.py").write_text(PROGRAM, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-P", str(tmp_path / "user.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "3"


def test_results_can_be_arrays_of_the_callers_library() -> None:
    torch = pytest.importorskip("torch")
    twice = xmlc.compile(returns="caller")(lambda tree: {"y": tree["x"] * 2, "sum": tree["x"].sum()})
    found = twice({"x": torch.ones(3)})
    assert isinstance(found["y"], torch.Tensor) and found["y"].tolist() == [2, 2, 2]
    assert isinstance(twice({"x": np.ones(3, np.float32)})["y"], np.ndarray)
    assert isinstance(twice({"x": xmlc.Tensor(np.ones(3, np.float32))})["y"], xmlc.Tensor)
    with pytest.raises(CompileError, match="a compiled function returns 'arrays' or 'caller', not 'torch'"):
        xmlc.compile(returns="torch")(lambda x: x)


def test_a_lowered_function_is_saved_and_loaded_with_its_weights(tmp_path: Path) -> None:
    weight = np.linspace(-1, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    x = np.linspace(0, 1, 2 * 64, dtype=np.float32).reshape(2, 64)
    xmlc.compile(lambda x: xnp.tanh(x @ weight)).lower(x).save(tmp_path / "step.mlir")
    with np.load(tmp_path / "step.npz") as weights:
        (found,) = xmlc.load(tmp_path / "step.mlir", weights=dict(weights))(x)
    np.testing.assert_allclose(found, np.tanh(x @ weight), rtol=1e-4, atol=1e-5)


def test_a_lowered_function_reports_on_its_kernels() -> None:
    x = np.ones((64, 64), np.float32)
    report = xmlc.compile(lambda x: xnp.exp(x @ x), device="cpu").lower(x).report()
    assert [row.kernel for row in report.rows] == ["matmul_exp"] and report.seconds > 0
    assert "matmul_exp" in report.render()
    with pytest.raises(CompileError, match="kernels are timed on 'cpu', not on 'reference'"):
        xmlc.compile(lambda x: x, device="reference").lower(x).report()


def test_arguments_that_are_left_out_have_their_defaults_in_every_call() -> None:
    ones = np.ones(3, np.float32)

    @xmlc.compile
    def scaled(x: Any, by: Any = 2, offset: Any = ones) -> Any:
        return x * by + offset

    x = np.arange(3, dtype=np.float32)
    for _ in range(3):
        np.testing.assert_array_equal(scaled(x), 2 * x + 1)
        np.testing.assert_array_equal(scaled(x, 3), 3 * x + 1)
        np.testing.assert_array_equal(scaled(x, 3, x), 4 * x)


def test_calls_of_several_shapes_and_kinds_take_turns() -> None:
    @xmlc.compile
    def added(x: Any, y: Any) -> Any:
        return x + y

    for _ in range(3):
        for shape in ((3,), (2, 4)):
            x = np.ones(shape, np.float32)
            assert type(added(x, x)) is np.ndarray
            assert type(added(xnp.asarray(x), x)) is xmlc.Tensor
            np.testing.assert_array_equal(added(x, 2.0), x + 2)
