"""Wrong use of functions, derivatives and tensors: each mistake is told at the user's line, with what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xmlc
from xmlc import numpy as xp
from xmlc import training
from xmlc.dialects.diagnostics import CompileError

Array = Any

X = np.ones((3, 4), np.float32)
LINE = np.ones(5, np.float32)
COUNTS = np.arange(3)


def compiled(function: Callable[..., Any], *arguments: Any) -> Any:
    return xmlc.compile(function)(*arguments)


def escaped_from_a_scan(rows: Array) -> Array:
    kept: list[Array] = []

    def step(total: Array, row: Array) -> tuple[Array, None]:
        kept.append(total * 2)
        return total + row, None

    return xmlc.scan(step, xp.zeros(4, dtype=xp.float32), rows)[0] + kept[0]


def escaped_from_a_gradient(x: Array) -> Array:
    kept: list[Array] = []

    def loss(inner: Array) -> Array:
        kept.append(inner)
        return (inner * inner).sum()

    return xmlc.grad(loss)(x) + kept[0]


def assigned(x: Array) -> Array:
    x[0] = 1
    return x


def searched(compute: Callable[[Array], Array]) -> None:
    with xmlc.debug_nans():
        compute(xmlc.Tensor(-X))


class Model:
    @xmlc.compile
    def scale(self, x: Array) -> Array:
        return x * 2


class HashedModel:
    @xmlc.compile(static="self")
    def scale(self, x: Array) -> Array:
        return x * 2


MISTAKES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "integers of no common type": (
        lambda: compiled(lambda x, y: x + y, COUNTS.astype(np.uint64), COUNTS),
        "no integer type holds both uint64 and int64",
        "convert one of them: x.astype('uint64')",
    ),
    "complex arguments": (
        lambda: compiled(lambda x: x, X.astype(np.complex64)),
        "the argument 'x' has element type complex64, which no program computes with",
        "convert it to one of float64, float32",
    ),
    "an array that left a loop": (
        lambda: compiled(escaped_from_a_scan, X),
        "an array of a function that was traced before, or around this one, is used here",
        "return it from its function, or pass it as an argument",
    ),
    "an array that left a gradient": (
        lambda: compiled(escaped_from_a_gradient, X),
        "an array of a function that was traced before, or around this one, is used here",
        "return it from its function, or pass it as an argument",
    ),
    "the number in a traced array": (
        lambda: compiled(lambda x: x[0, 0].item(), X),
        "the number in an array is not known while a function is traced",
        "stay with arrays, or return it from the function",
    ),
    "the elements of a traced array": (
        lambda: compiled(lambda x: x.tolist(), X),
        "what an array holds is not known while a function is traced",
        "stay with arrays, or return it from the function",
    ),
    "assignment to an element": (
        lambda: compiled(assigned, X),
        "an array of a function that is traced does not change: no element can be assigned to",
        "make another array: xmlc.numpy.where chooses by element",
    ),
    "a shape that depends on values": (
        lambda: compiled(lambda x: xp.unique_values(x), X),
        "unique_values is computed by NumPy, and cannot be part of a program",
        "call it outside of the function that is compiled",
    ),
    "another number of elements": (
        lambda: compiled(lambda x: x.reshape(5, 5), X),
        "cannot reshape 3x4 to 5x5: 12 elements are not 25",
        "",
    ),
    "a reshaped tensor": (
        lambda: xp.reshape(xmlc.Tensor(X), (5, 5)),
        "cannot reshape 3x4 to 5x5: 12 elements are not 25",
        "",
    ),
    "a shape that does not stretch": (
        lambda: compiled(lambda x: xp.broadcast_to(x, (3, 5)), X),
        "cannot broadcast shapes 3x4 and 3x5: sizes 4 and 5 differ in dimension -1",
        "",
    ),
    "an axis that is no integer": (
        lambda: compiled(lambda x: x.sum(axis=1.5), X),
        "a dimension is named by an integer, or by several in a tuple, found 1.5",
        "",
    ),
    "an index that is no integer": (
        lambda: compiled(lambda x: x["rows"], X),
        "an index is of integers, slices, None, ... and arrays of integers, found str",
        "",
    ),
    "a scan whose body gives one thing": (
        lambda: compiled(lambda x: xmlc.scan(lambda total, row: total + row, xp.zeros(4), x), X),
        "the body of a scan gives two things: what it carries on, and the output of the step",
        "return (carried, None) where there is no output",
    ),
    "the gradient of a tuple": (
        lambda: xmlc.grad(lambda x: (x.sum(), x))(X),
        "a gradient is of one floating-point number, and the function gives a tuple",
        "return the number alone, or with has_aux=True as the first of two",
    ),
    "the gradient of nothing": (
        lambda: xmlc.grad(lambda x: None)(X),
        "a gradient is of one floating-point number, and the function gives None",
        "return the number alone, or with has_aux=True as the first of two",
    ),
    "the gradient by an argument that is not there": (
        lambda: xmlc.grad(lambda x: x.sum(), argnums=1)(X),
        "cannot differentiate by argument 1 of 1",
        "argnums counts the arguments given from 0",
    ),
    "a static argument without a hash": (
        lambda: xmlc.compile(static="axes")(lambda x, axes: x.sum(axis=axes))(X, [0]),
        "the static argument 'axes' is a list, which has no hash to find it by",
        "give a tuple, a string or a number, or let an array be traced",
    ),
    "an unknown target": (lambda: xmlc.compile(device="tpu"), "unknown target 'tpu'", "did you mean"),
    "a donated array that is read-only": (
        lambda: xmlc.compile(donate="x")(lambda x: x + 1)(np.broadcast_to(LINE, (2, 5))),
        "the donated argument 'x' cannot be written to",
        "give a copy of it, or do not donate it",
    ),
    "a method of an object that is no tree": (
        lambda: Model().scale(X),
        "expected arrays and numbers as arguments, found Model",
        "name an argument that is neither in static=(…)",
    ),
    "a tensor of text": (
        lambda: xmlc.Tensor("text"),
        "expected numbers in nested sequences of equal lengths, found str",
        "",
    ),
    "a tensor of rows of several lengths": (
        lambda: xmlc.Tensor([[1, 2], [3]]),
        "expected numbers in nested sequences of equal lengths",
        "",
    ),
    "a tensor that is not a number": (lambda: searched(xp.log), "log of float32 of shape 3x4 gives nan", ""),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_at_its_line(name: str) -> None:
    make, message, hint = MISTAKES[name]
    with pytest.raises(CompileError) as caught:
        make()
    (found,) = caught.value.diagnostics
    assert found.message.startswith(message)
    assert (found.hint or "").startswith(hint) and bool(hint) == bool(found.hint)
    assert found.place is not None and found.place.file == __file__ and found.place.line


def test_an_array_that_is_traced_names_the_function_that_is_no_method() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'any': call xmlc\.numpy\.any"):
        compiled(lambda x: (x > 0).any(), X)
    with pytest.raises(AttributeError, match=r"no attribute 'softmax': call xmlc\.nn\.softmax"):
        compiled(lambda x: x.softmax(), X)
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        compiled(lambda x: x.nothing, X)


def test_a_method_is_compiled_where_its_object_is_static() -> None:
    np.testing.assert_array_equal(HashedModel().scale(X), X * 2)


def test_one_name_stands_for_a_tuple_of_one() -> None:
    x = np.ones(3, np.float32)
    assert xmlc.compile(donate="state")(lambda state: state + 1)(x) is x
    assert xmlc.compile(static="count")(lambda x, count: x * len(range(count)))(x, 3).tolist() == [6, 6, 6]


def test_a_search_for_nan_leaves_alone_what_it_was_given() -> None:
    with xmlc.debug_nans():
        assert np.isnan(xp.exp(xmlc.Tensor([np.nan])).numpy()).all()


def test_parameters_are_saved_by_a_path_in_a_string(tmp_path: Path) -> None:
    training.save_parameters(f"{tmp_path}/x.safetensors", {"x": X})
    np.testing.assert_array_equal(training.load_parameters(f"{tmp_path}/x.safetensors")["x"], X)
