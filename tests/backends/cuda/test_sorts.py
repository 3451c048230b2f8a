"""Sorts as kernels: rows of one tile and of several, every type, ties, NaN and zeros of both signs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_on_threads import mapped, run
from ml_samples import NAMED, Array, program
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import tensor
from xmlc.dialects.reference.interpreter import interpret


def check(x: Array, element: str, build: Any) -> ModuleOp:
    """Run a program on threads and by its reference: the same values, and the same places; the mapped program."""
    types = [tensor(list(x.shape), NAMED[element])]
    expected = interpret(program(types, build), "main", [x.copy()])
    module = mapped(program(types, build))
    for wanted, found in zip(expected, run(module, [x])):
        found = found.view(wanted.dtype).reshape(wanted.shape)
        assert np.array_equal(wanted, found, equal_nan=wanted.dtype.kind not in "iu")
    return module


def kernels(module: ModuleOp) -> int:
    return sum(op.name == "gpu.launch_func" for op in module.walk())


def with_ties(shape: tuple[int, ...], element: str, seed: int = 0) -> Array:
    """Few different numbers, so that many are equal; of floats some are NaN of either sign, and zeros of both."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(TO_NUMPY[NAMED[element]])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.choice(np.array([limits.min, limits.max, 0, 1, 5], dtype), shape)
    return rng.choice(np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1.5, -2.5, 3e-5]), shape).astype(dtype)


@pytest.mark.parametrize("element", ["f32", "bf16", "f16", "i32", "i16", "i8", "u8", "u16", "u32", "f64", "i64", "u64"])
@pytest.mark.parametrize("descending", [False, True])
def test_a_short_row_is_sorted_by_one_block(element: str, descending: bool) -> None:
    assert kernels(check(with_ties((3, 300), element), element, lambda x: F.sort(x, 1, descending))) == 1


@pytest.mark.parametrize("element, digits", [("f32", 4), ("bf16", 2), ("i8", 1), ("f64", 8), ("i64", 8)])
def test_a_long_row_takes_a_kernel_for_each_digit(element: str, digits: int) -> None:
    """Besides: one that counts, and two that make memory zero."""
    assert kernels(check(with_ties((2, 5000), element), element, lambda x: F.sort(x, 1))) == digits + 3


def test_zeros_keep_their_signs() -> None:
    x = np.array([[0.0, -0.0, 1.0, -0.0, 0.0]], np.float32)
    types = [tensor([1, 5], NAMED["f32"])]
    values, places = run(mapped(program(types, lambda x: F.sort(x, 1))), [x])[:2]
    assert np.signbit(values).tolist() == [[False, True, True, False, False]]
    assert places.tolist() == [[0, 1, 3, 4, 2]]


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["f32", "bf16", "i16", "u8", "f64", "i64"]),
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.data(),
    st.booleans(),
)
def test_sorts_and_the_first_of_them_along_any_dimension(
    element: str, shape: list[int], data: st.DataObject, flag: bool
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    k = data.draw(st.integers(1, shape[axis]))

    def build(x: SSAValue) -> tuple[SSAValue, ...]:
        return (*F.sort(x, axis, flag), *F.topk(x, k, axis, flag))

    check(with_ties(tuple(shape), element, k), element, build)


@pytest.mark.parametrize("element", ["f32", "f16", "i8", "u16"])
@pytest.mark.parametrize("columns, k", [(300, 5), (1100, 270), (9001, 70)])
@pytest.mark.parametrize("smallest", [False, True])
def test_few_of_a_row_are_selected(element: str, columns: int, k: int, smallest: bool) -> None:
    """Tiles of a long row leave their first; few keys, so that equals must be counted."""
    module = check(with_ties((2, columns), element), element, lambda x: F.topk(x, k, 1, smallest))
    assert kernels(module) == (1 if columns < 4096 else 2)


def test_many_of_a_row_are_what_is_left_of_sorting_it() -> None:
    check(np.random.default_rng(1).normal(size=(1, 5000)).astype(np.float32), "f32", lambda x: F.topk(x, 4000, 1))


@pytest.mark.parametrize("columns", [50, 4200])
def test_keys_of_64_bits_are_sorted_by_one_half_after_the_other(columns: int) -> None:
    """Halves that repeat: equal high ones in the order of the low ones, and equal keys as they were."""
    rng = np.random.default_rng(3)
    high, low = rng.integers(-2, 3, (2, 2, columns))
    x = (high << 32) + low * (1 << 31) // 2
    check(x, "i64", lambda x: (*F.sort(x, 1), *F.topk(x, 7, 1)))
    check(x.view(np.float64), "f64", lambda x: F.sort(x, 1, descending=True))
