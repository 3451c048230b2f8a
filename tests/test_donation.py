"""`@xmlc.compile(donate=…)`: results in the memory of arguments, and what is checked when a function is called."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import xmlc
from xmlc import nn, training
from xmlc import numpy as xnp
from xmlc.dialects.diagnostics import CompileError
from xmlc.frontend.python.tree import flatten
from xmlc.options import EXPLAIN

Array = Any


def loss(parameters: Any, x: Array, y: Array) -> Array:
    hidden = nn.relu(x @ parameters["hidden"] + parameters["bias"])
    return nn.cross_entropy(hidden @ parameters["output"], y)


def network() -> Any:
    random = np.random.default_rng(0)
    return {
        "hidden": training.he_normal(random, (20, 32)),
        "bias": np.zeros(32, np.float32),
        "output": training.he_normal(random, (32, 3)),
    }


OPTIMIZERS: dict[str, Callable[[], training.Optimizer]] = {
    "sgd": lambda: training.sgd(0.1),
    "momentum": lambda: training.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: training.adam(1e-2),
    "adamw": lambda: training.adamw(training.cosine(1e-2, 10)),
    "lion": lambda: training.lion(1e-3, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_of_training_updates_parameters_and_state_where_they_are(name: str) -> None:
    optimizer = OPTIMIZERS[name]()

    def step(parameters: Any, state: Any, x: Array, y: Array) -> Any:
        value, gradient = xmlc.value_and_grad(loss)(parameters, x, y)
        return *optimizer.update(training.clip_by_norm(gradient, 1.0), state, parameters), value

    random = np.random.default_rng(1)
    x, y = random.normal(size=(16, 20)).astype(np.float32), random.integers(0, 3, 16)
    kept, kept_state = network(), optimizer.init(network())
    given, given_state = network(), optimizer.init(network())
    copying, donating = xmlc.compile(step), xmlc.compile(donate=("parameters", "state"))(step)
    for _ in range(3):
        kept, kept_state, expected = copying(kept, kept_state, x, y)
        found, found_state, value = donating(given, given_state, x, y)
        assert value == expected
        leaves = zip(*(flatten(tree)[0] for tree in ((given, given_state), (found, found_state), (kept, kept_state))))
        for before, after, wanted in leaves:
            assert after is before
            np.testing.assert_array_equal(after, wanted)
        given, given_state = found, found_state


def test_a_cache_is_written_where_it_is() -> None:
    @xmlc.compile(donate=("cache",))
    def remember(cache: Array, row: Array, place: Array) -> Array:
        return xnp.where(xnp.arange(cache.shape[0])[:, None] == place, row, cache)

    cache = np.zeros((4, 3), np.float32)
    assert remember(cache, np.ones(3, np.float32), np.int64(2)) is cache
    np.testing.assert_array_equal(cache[2], 1)


def test_a_scan_carries_its_state_where_it_is() -> None:
    @xmlc.compile(donate=("state",))
    def run(state: Array, rows: Array) -> Array:
        return xmlc.scan(lambda state, row: (state * 0.5 + row, None), state, rows)[0]

    state, rows = np.ones(5, np.float32), np.arange(15, dtype=np.float32).reshape(3, 5)
    expected = ((state * 0.5 + rows[0]) * 0.5 + rows[1]) * 0.5 + rows[2]
    assert run(state, rows) is state
    np.testing.assert_allclose(state, expected)


def test_two_donated_arguments_change_places() -> None:
    @xmlc.compile(donate=("one", "other"))
    def swap(one: Array, other: Array) -> Any:
        return other + 1, one * 2

    one, other = np.ones(4, np.float32), np.zeros(4, np.float32)
    first, second = swap(one, other)
    np.testing.assert_array_equal(first, 1)
    np.testing.assert_array_equal(second, 2)


def test_where_no_result_fits_the_argument_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    total = xmlc.compile(donate=("x",))(lambda x: x.sum())
    x = np.ones(10, np.float32)
    with EXPLAIN.set(True), caplog.at_level(logging.WARNING):
        assert total(x) == 10
    assert "no results are written to the donated x" in caplog.text
    np.testing.assert_array_equal(x, 1)


def double(x: Array, y: Array) -> Array:
    return x * 2 + y


WHOLE = np.ones(20, np.float32)
FIXED = np.ones(8, np.float32)
FIXED.flags.writeable = False
Y = np.ones(8, np.float32)
MISTAKES: dict[str, tuple[Array, Array, str]] = {
    "read-only": (FIXED, Y, "the donated argument 'x' cannot be written to"),
    "strided": (WHOLE[:16:2], Y, "the donated argument 'x' has strides (8,), expected a contiguous array"),
    "given twice": (Y, Y, "the donated argument 'x' shares memory with 'y'"),
    "overlapping": (WHOLE[:8], WHOLE[7:15], "the donated argument 'x' shares memory with 'y'"),
    "overlapping from behind": (WHOLE[7:15], WHOLE[:8], "the donated argument 'x' shares memory with 'y'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_an_argument_that_cannot_be_donated_is_refused(name: str) -> None:
    x, y, message = MISTAKES[name]
    donating = xmlc.compile(donate=("x",))(double)
    for _ in range(2):  # the first call compiles, the second finds the entry at once
        with pytest.raises(CompileError) as caught:
            donating(x, y)
        assert message in str(caught.value)


@pytest.mark.parametrize("name", MISTAKES)
def test_an_argument_that_cannot_be_donated_is_refused_after_calls_that_could(name: str) -> None:
    x, y, message = MISTAKES[name]
    donating = xmlc.compile(donate=("x",))(double)
    good = np.ones(8, np.float32)
    for _ in range(3):
        assert donating(good, Y) is good
    with pytest.raises(CompileError) as caught:
        donating(x, y)
    assert message in str(caught.value)
    np.testing.assert_array_equal(y, 1)
    assert donating(good, Y) is good
    np.testing.assert_array_equal(good, 31)


def test_outputs_are_in_order_whether_donated_or_not() -> None:
    @xmlc.compile(donate=("x", "y"))
    def mixed(x: Array, y: Array) -> Any:
        return x.sum(), y + 1, x * 2, y.sum()

    x, y = np.ones(3, np.float32), np.zeros(4, np.float32)
    for turn in range(3):
        total, second, first, other = mixed(x, y)
        assert second is y and first is x
        assert total == 3 * 2**turn and other == 4 * turn
    np.testing.assert_array_equal(x, 8)
    np.testing.assert_array_equal(y, 3)


def test_two_donated_arguments_are_not_the_same() -> None:
    update = xmlc.compile(donate=("tree",))(lambda tree: {name: x + 1 for name, x in tree.items()})
    with pytest.raises(CompileError, match=r"'tree\['a'\]' shares memory with 'tree\['b'\]'"):
        update({"a": Y, "b": Y})


def test_arguments_that_are_not_donated_may_be_the_same() -> None:
    add = xmlc.compile(donate=("x",))(lambda x, y, z: x + y * z)
    x = np.ones(8, np.float32)
    assert add(x, Y, Y[:]) is x


def test_what_is_donated_is_an_argument_with_memory() -> None:
    with pytest.raises(CompileError, match="has no argument 'z' to be donated"):
        xmlc.compile(donate=("z",))(double)
    with pytest.raises(CompileError, match="the argument 'x' is static: it has no memory to donate"):
        xmlc.compile(donate=("x",), static=("x",))(double)
