"""Sorts by networks of vectors mean what the interpreter says: any size, axis, type and direction, equal keys, NaN."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xmlc
from xmlc.backends.cpu.target import parse_target
from xmlc.dialects.ml import functions as F
from xmlc.driver import Settings

SHAPES = ((1,), (2,), (7,), (8,), (9,), (3, 16), (5, 31), (70, 3), (2, 100), (2, 3, 40), (1, 300), (3, 257), (0, 4))
TYPES = ("f32", "f16", "i8", "ui8", "i32", "ui32", "f64", "i64")
CPU = Settings()


def compare(shape: tuple[int, ...], axis: int, dtype: str, descending: bool, settings: Settings = CPU) -> None:
    """Values and places of a sort, of numbers many of which are equal."""
    generator = np.random.default_rng(0)
    numpy_type = dtype.replace("i", "int").replace("f", "float")
    x = generator.integers(-3 if dtype[0] in "fi" else 0, 4, shape).astype(numpy_type)
    if dtype[0] == "f" and x.size > 6:
        x.flat[[0, 2, 4, 5]] = np.nan, -0.0, np.inf, -np.inf
        x.flat[-1] = np.nan
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("x".join(map(str, shape)) + f"x{dtype}")) as f:
        f.returns(*F.sort(f["x"], axis, descending))
    wanted = builder.interpret(x)
    found = builder.compile(settings)(x)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(np.signbit(found[0]), np.signbit(wanted[0]))
    np.testing.assert_array_equal(found[1], wanted[1])


@settings(max_examples=30)
@given(st.data(), st.sampled_from(SHAPES), st.sampled_from(TYPES), st.booleans())
def test_sorts_mean_what_the_interpreter_says(
    data: st.DataObject, shape: tuple[int, ...], dtype: str, descending: bool
) -> None:
    compare(shape, data.draw(st.integers(0, len(shape) - 1)), dtype, descending)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("descending", [False, True])
def test_every_type_is_sorted_both_ways(dtype: str, descending: bool) -> None:
    compare((3, 50), 1, dtype, descending)


def test_extremes_of_integers_are_in_order() -> None:
    x = np.array([2**31 - 1, -(2**31), 0, -1, 1, 2**31 - 1], np.int32)
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("6xi32")) as f:
        f.returns(*F.sort(f["x"], 0))
    values, places = builder.compile()(x)
    np.testing.assert_array_equal(values, np.sort(x))
    np.testing.assert_array_equal(places, np.argsort(x, stable=True))


@pytest.mark.parametrize("size", [16, 1000, 4096, 5000])
def test_long_rows_are_sorted(size: int) -> None:
    compare((2, size), 1, "f32", False)


def test_vectors_of_two_sort_too() -> None:
    compare((3, 50), 1, "f32", False, Settings(target=parse_target("cpu:sse2")))


@pytest.mark.parametrize("smallest", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("size", "count"), [(100, 5), (24, 8), (8, 3), (5, 2), (70, 8), (40, 20), (33, 1)])
def test_the_first_few_are_those_of_the_sorted_order(smallest: bool, axis: int, size: int, count: int) -> None:
    shape = (4, size) if axis else (size, 4)
    x = np.random.default_rng(0).integers(-9, 9, shape).astype(np.float32)
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor(f"{shape[0]}x{shape[1]}xf32")) as f:
        f.returns(*F.topk(f["x"], count, axis, smallest))
    for found, wanted in zip(builder.compile()(x), builder.interpret(x)):
        np.testing.assert_array_equal(found, wanted)
