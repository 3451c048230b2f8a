"""`xmlc.Tensor`: what is recorded is what NumPy computes, runs when it is needed, and is compiled when it is hot."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xmlc
from xmlc import nn, random
from xmlc import numpy as xp
from xmlc.dialects.diagnostics import CompileError
from xmlc.options import DEVICE, EXPLAIN, TENSORS
from xmlc.tensors.device import CPU
from xmlc.tensors.evaluate import program_of
from xmlc.tensors.graph import LONGEST, plan_of

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 4)).astype(np.float32), RNG.normal(size=(4,)).astype(np.float32)
PLACES = np.array([2, 0, -1])


@pytest.fixture
def on_processor() -> Iterator[None]:
    """For what is said of the processor, where XMLC_DEVICE names another device for all."""
    with DEVICE.set("cpu"):
        yield


Array = Any
STEPS: dict[str, Callable[[Any, Array, Array], Array]] = {
    "add": lambda ns, x, y: x + y,
    "subtract": lambda ns, x, y: x - 2.5,
    "scale": lambda ns, x, y: 3 * x,
    "compare": lambda ns, x, y: ns.astype(x > y, ns.float32),
    "where": lambda ns, x, y: ns.where(x > 0, x, y),
    "reduce": lambda ns, x, y: x - ns.mean(x, axis=0),
    "turn": lambda ns, x, y: x.T.reshape(3, 4),
    "tanh": lambda ns, x, y: ns.tanh(x),
    "flip": lambda ns, x, y: ns.flip(x, axis=1),
    "sort": lambda ns, x, y: ns.sort(x, axis=1),
    "take": lambda ns, x, y: ns.take(x, ns.asarray(PLACES), axis=0),
}


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=6), st.integers(0, 5), st.sampled_from(["auto", "compile"]))
@settings(max_examples=25, deadline=None)
def test_tensors_give_what_numpy_gives(steps: list[str], looked_at: int, policy: str) -> None:
    found, expected = xmlc.Tensor(X), X
    with TENSORS.set(policy):
        for number, name in enumerate(steps):
            found, expected = STEPS[name](xp, found, xmlc.Tensor(Y)), STEPS[name](np, expected, Y)
            if number == looked_at:
                found.numpy()
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
        assert found.dtype == expected.dtype


def test_nothing_runs_before_a_value_is_needed() -> None:
    y = xp.sin(xmlc.Tensor(X)) + 1
    assert y.node.values is None
    assert (y.shape, y.dtype) == ((3, 4), np.float32)
    np.testing.assert_allclose(np.asarray(y), np.sin(X) + 1, rtol=1e-6)
    assert y.node.values is not None and y.node.operands == ()


def test_what_is_still_held_is_computed_once_and_what_is_not_is_no_result() -> None:
    x = xmlc.Tensor(X)
    held = x * 2
    y = (held + 1) * 3
    plan, kept, _ = plan_of(y.node)
    assert len(plan.steps) == 3 and kept == [held.node, y.node]
    y.numpy()
    assert held.node.values is not None


def test_tensors_that_nobody_holds_are_freed() -> None:
    from weakref import ref

    x = xmlc.Tensor(X)
    gone = [ref(x + i) for i in range(3)]
    gc.collect()
    assert [each() for each in gone] == [None, None, None]


def test_equal_graphs_share_a_program() -> None:
    plans = [plan_of((xmlc.Tensor(x) * 2 + 1).node)[0] for x in (X, X + 1)]
    assert program_of(plans[0], CPU) is program_of(plans[1], CPU)
    assert plan_of((xmlc.Tensor(X) * 3 + 1).node)[0] != plans[0]


def test_a_float_of_python_is_no_part_of_the_program_and_an_integer_is() -> None:
    plans = [plan_of((xmlc.Tensor(X) * factor).node)[0] for factor in (0.1, 0.2)]
    assert plans[0] == plans[1]
    np.testing.assert_allclose((xmlc.Tensor(X) * 0.2).numpy(), X * np.float32(0.2), rtol=1e-6)


def test_a_long_chain_runs_in_parts() -> None:
    x = xmlc.Tensor(np.zeros(2, np.int64))
    for _ in range(2 * LONGEST + 3):
        x = x + 1
    assert x.node.depth <= LONGEST
    assert x.tolist() == [2 * LONGEST + 3] * 2


def test_a_graph_is_compiled_when_interpreting_it_has_cost_as_much(
    caplog: pytest.LogCaptureFixture, on_processor: None
) -> None:
    with EXPLAIN.set(True), caplog.at_level(logging.WARNING):
        large = xp.ones(3_000_000) * 2
        assert float(large[0]) == 2
    assert "compiling" in caplog.text
    caplog.clear()
    with EXPLAIN.set(True), caplog.at_level(logging.WARNING):
        assert float(xp.ones(7)[0]) == 1
    assert "interpreting ones, at on cpu" in caplog.text


def test_the_policy_is_a_setting(on_processor: None) -> None:
    with TENSORS.set("compile"):
        y = xp.sinh(xmlc.Tensor(X)) - 1
        program = program_of(plan_of(y.node)[0], CPU)
        np.testing.assert_allclose(y.numpy(), np.sinh(X) - 1, rtol=1e-5)
    assert program.compiled is not None


def test_empty_tensors_are_compiled() -> None:
    with TENSORS.set("compile"):
        assert (xp.zeros((1, 0)) * xmlc.Tensor(np.float64(2)) + 1).numpy().shape == (1, 0)
        assert xp.matmul(xp.zeros((2, 0)), xp.zeros((0, 3))).tolist() == [[0, 0, 0], [0, 0, 0]]


INDICES: dict[str, Any] = {
    "integer": 1,
    "slice": slice(None, None, -2),
    "both": (slice(1), -1),
    "new dimension": (None, Ellipsis, 0),
    "array": PLACES,
    "list": [0, 2],
    "arrays": (PLACES, PLACES),
    "apart": (PLACES, None, PLACES),
    "mask": X > 0,
    "mask of rows": np.array([True, False, True]),
    "true": True,
    "nothing": np.array(False),
}


@pytest.mark.parametrize("name", INDICES)
def test_an_index_takes_and_replaces_what_that_of_numpy_does(name: str) -> None:
    key = INDICES[name]
    tensor, array = xmlc.Tensor(X), X.copy()
    np.testing.assert_array_equal(np.asarray(tensor[key]), array[key])
    before = tensor + 0
    tensor[key] = 5
    array[key] = 5
    np.testing.assert_array_equal(np.asarray(tensor), array)
    np.testing.assert_array_equal(np.asarray(before), X)


def test_assigned_arrays_broadcast_and_are_converted() -> None:
    tensor, array = xmlc.Tensor(X), X.copy()
    tensor[1:] = np.arange(4)
    array[1:] = np.arange(4)
    np.testing.assert_array_equal(np.asarray(tensor), array)


def test_tensors_copy_what_they_are_made_of() -> None:
    mine = np.zeros(3)
    tensor = xmlc.Tensor(mine)
    later = tensor + mine
    mine[:] = 7
    assert later.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        tensor.numpy()[0] = 1


def test_numbers_and_other_arrays_meet_tensors() -> None:
    x = xmlc.Tensor(X)
    np.testing.assert_allclose(np.asarray(Y * x - 2), Y * X - 2, rtol=1e-6)
    assert (X + x).dtype == np.float32 and isinstance(X + x, xmlc.Tensor)
    assert float(xp.sum(x)) == pytest.approx(X.sum(), rel=1e-5)
    assert bool(xp.all(x == X)) and int(xp.asarray(3)) == 3
    np.testing.assert_array_equal(np.from_dlpack(x, device="cpu"), X)
    assert [float(each) for each in xp.asarray([1, 2])] == [1, 2]


def test_a_tensor_is_printed_as_numpy_prints(on_processor: None) -> None:
    assert repr(xp.asarray([1.0, 0.5])) == "Tensor([1. , 0.5], dtype=float32)"
    assert str(xp.asarray([[1, 2]])) == "[[1 2]]"
    assert f"{xp.asarray(0.5):.3f}" == "0.500"


def test_complex_numbers_are_numpys() -> None:
    z = xp.asarray([1j, 2])
    assert (z * 2 + 1).tolist() == [1 + 2j, 5]
    assert (xp.asarray([1.0]) + 1j).dtype == np.complex64
    assert xp.full(2, 1j).dtype == np.complex64
    np.testing.assert_allclose(np.asarray(xp.fft.ifft(xp.fft.fft(xp.asarray(Y)))), Y, atol=1e-6)


def test_decompositions_are_lapacks() -> None:
    square = xp.asarray(X[:, :3] + 3 * np.eye(3, dtype=np.float32))
    q, r = xp.linalg.qr(square)
    np.testing.assert_allclose(np.asarray(q @ r), np.asarray(square), atol=1e-5)


def test_shapes_that_depend_on_values() -> None:
    x = xp.asarray([3, 1, 3, 0])
    assert [each.tolist() for each in xp.unique_counts(x)] == [[0, 1, 3], [1, 1, 2]]
    assert xp.nonzero(x)[0].tolist() == [0, 1, 2]
    assert xp.repeat(x, xp.asarray([0, 2, 1, 1])).tolist() == [1, 1, 3, 0]


def test_compiled_functions_take_tensors() -> None:
    twice = xmlc.compile(lambda x: x * 2 + outside)
    outside = xmlc.Tensor(Y)
    np.testing.assert_allclose(twice(xmlc.Tensor(X) + 0), X * 2 + Y, rtol=1e-6)


def test_networks_take_tensors() -> None:
    x = xmlc.Tensor(X)
    np.testing.assert_allclose(np.asarray(xp.sum(nn.softmax(x), axis=1)), np.ones(3), rtol=1e-6)
    assert nn.conv(xp.ones((1, 2, 5, 5)), xp.ones((3, 2, 3, 3)), padding=1).shape == (1, 3, 5, 5)


def test_a_seed_gives_the_same_numbers_and_each_call_others() -> None:
    first, second = random.Generator(3), random.Generator(3)
    numbers = first.normal((4, 5), mean=1)
    assert xp.all(numbers == second.normal((4, 5), mean=1))
    assert not xp.any(numbers == first.normal((4, 5), mean=1))
    assert sorted(first.permutation(6).tolist()) == [0, 1, 2, 3, 4, 5]
    assert set(first.integers(2, 5, 100).tolist()) == {2, 3, 4}
    assert abs(float(xp.mean(random.randn(10_000)))) < 0.1 and random.rand(2).shape == (2,)


def test_a_traced_function_draws_by_a_key() -> None:
    key = random.key(1)
    drawn = xmlc.compile(lambda key: random.uniform(key, 3))(key)
    np.testing.assert_allclose(drawn, np.asarray(random.uniform(key, 3)), rtol=1e-6)


def test_a_registered_kernel_computes_what_it_takes(on_processor: None) -> None:
    calls: list[tuple[int, ...]] = []

    def library_sum(x: Array, *, axis: int | None = None) -> Array:
        calls.append(x.shape)
        return np.sum(x, axis=axis)

    kernel = xmlc.register_kernel(xp.sum, library_sum, dtypes=["float32"], name="a library")
    try:
        assert xp.sum(xmlc.Tensor(X) + 0, axis=0).shape == (4,)
        assert int(xp.sum(xp.asarray([1, 2]))) == 3
        assert calls == [(3, 4)]
        found = xmlc.explain_dispatch(xp.sum, xmlc.Tensor(X)), xmlc.explain_dispatch(xp.sum, xp.asarray([1]))
    finally:
        kernel.remove()
    assert found[0].splitlines() == [
        "sum of float32 on cpu",
        "  a library: chosen, registered for it",
        "  NumPy: no, no number is complex",
        "  a program: not asked any more",
    ]
    assert "  a library: no, it takes float32, not int64" in found[1]
    assert "  a program: chosen" in found[1]
    assert "  NumPy: chosen" in xmlc.explain_dispatch(xp.sum, xp.asarray([1j]))
    with pytest.raises(KeyError, match="the kernel a library is not registered"):
        kernel.remove()


def test_a_function_of_ones_own_is_an_operation_like_the_others() -> None:
    @xmlc.Operation
    def softsign(x: Array) -> Array:
        return x / (1 + xp.abs(x))

    y = softsign(xmlc.Tensor(X))
    assert y.node.values is None
    np.testing.assert_allclose(np.asarray(y), X / (1 + np.abs(X)), rtol=1e-6)
    np.testing.assert_allclose(xmlc.grad(lambda x: softsign(x).sum())(X), 1 / (1 + np.abs(X)) ** 2, rtol=1e-5)


def test_what_a_tensor_waits_for_can_be_read(on_processor: None) -> None:
    y = xp.exp(xmlc.Tensor(X)) * 2
    text = xmlc.explain(y)
    assert text.startswith("exp, multiply on cpu (interpreted for 0.0 ms") and "it will be interpreted" in text
    assert "ml.exp" in text and y.node.values is None
    y.numpy()
    assert xmlc.explain(y) == "it has its value"


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "shapes": (lambda: xmlc.Tensor(X) + xmlc.Tensor(X.T), "cannot broadcast shapes 3x4 and 4x3"),
    "device": (lambda: xmlc.Tensor(X).to("tpu"), "there is no device 'tpu'"),
    "ragged": (lambda: xmlc.Tensor([[1], "a"]), "inhomogeneous|expected numbers"),
    "several": (lambda: bool(xmlc.Tensor(X)), "expected one element, found shape 3x4"),
    "axis": (lambda: xp.sum(xmlc.Tensor(X), axis=5), "axis 5 is out of range"),
    "traced": (
        lambda: xmlc.compile(lambda x: xp.linalg.inv(x))(X[:, :3]),
        "inv is computed by NumPy, and cannot be part of a program",
    ),
    "mask": (lambda: xmlc.Tensor(X)[np.ones(4, bool)], "a mask of shape 4 does not go with 3x4"),
    "no operation": (lambda: xmlc.register_kernel(np.add, np.add), "is no operation on tensors"),
    "key": (lambda: random.normal(X, 3), "a key is two words of uint32, found 3x4 of f32"),
    "generator": (
        lambda: xmlc.compile(lambda x: x + random.Generator(0).normal())(X),
        "a generator in a compiled function would give the same numbers in every call",
    ),
    "range": (lambda: random.Generator(0).integers(3, 3), r"expected from 1 to 2\^53 integers to choose from, found 0"),
    "integers": (
        lambda: xmlc.Tensor(PLACES) + xmlc.Tensor(PLACES.astype(np.uint64)),
        "no integer type holds both int64 and uint64",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_at_once(name: str) -> None:
    make, message = MISTAKES[name]
    with pytest.raises((CompileError, ValueError), match=message):
        make()


def test_a_mistake_is_at_the_users_line() -> None:
    with pytest.raises(CompileError) as caught:
        xmlc.Tensor(X) @ xmlc.Tensor(X)
    place = caught.value.diagnostics[0].place
    assert place is not None and place.file.endswith("test_tensors.py")
