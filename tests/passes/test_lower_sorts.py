"""Sorts by networks of vectors mean what the interpreter says: any size, axis, type and direction, equal keys, NaN."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xmlc
from xmlc.backends.cpu.target import parse_target
from xmlc.dialects.ml import functions as F
from xmlc.driver import Settings
from xmlc.passes.sorts.across import sorting_network

SHAPES = ((1,), (2,), (7,), (8,), (9,), (3, 16), (5, 31), (70, 3), (2, 100), (2, 3, 40), (1, 300), (3, 257), (0, 4))
BESIDE = ((16, 1), (16, 2), (9, 16), (20, 17), (33, 40), (2, 9, 100), (17, 300), (16, 530))
"""Rows and how long they are, of which many are sorted side by side."""
TYPES = ("f32", "f16", "i8", "ui8", "i32", "ui32", "f64", "i64")
CPU = Settings()


def compare(
    shape: tuple[int, ...], axis: int, dtype: str, descending: bool, settings: Settings = CPU, wanted: str = "both"
) -> None:
    """Values and places of a sort, or one of them, of numbers many of which are equal."""
    generator = np.random.default_rng(0)
    numpy_type = dtype.replace("i", "int").replace("f", "float")
    x = generator.integers(-3 if dtype[0] in "fi" else 0, 4, shape).astype(numpy_type)
    if dtype[0] == "f" and x.size > 6:
        x.flat[[0, 2, 4, 5]] = np.nan, -0.0, np.inf, -np.inf
        x.flat[-1] = np.nan
    builder = xmlc.Builder()
    kept = {"both": slice(0, 2), "values": slice(0, 1), "places": slice(1, 2)}[wanted]
    with builder.function(x=xmlc.tensor("x".join(map(str, shape)) + f"x{dtype}")) as f:
        f.returns(*F.sort(f["x"], axis, descending)[kept])
    for found, right in zip(builder.compile(settings)(x), builder.interpret(x), strict=True):
        np.testing.assert_array_equal(found, right)
        if wanted == "both":
            np.testing.assert_array_equal(np.signbit(found), np.signbit(right))


@settings(max_examples=30)
@given(
    st.data(),
    st.sampled_from((*SHAPES, *BESIDE)),
    st.sampled_from(TYPES),
    st.booleans(),
    st.sampled_from(("both", "values", "places")),
)
def test_sorts_mean_what_the_interpreter_says(
    data: st.DataObject, shape: tuple[int, ...], dtype: str, descending: bool, wanted: str
) -> None:
    threads = data.draw(st.sampled_from((1, 2)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    compare(shape, axis, dtype, descending, Settings(threads=threads), wanted)


@pytest.mark.parametrize("shape", BESIDE)
@pytest.mark.parametrize("wanted", ["both", "values"])
@pytest.mark.parametrize("dtype", ["f32", "i8"])
def test_rows_are_sorted_side_by_side(shape: tuple[int, ...], wanted: str, dtype: str) -> None:
    compare(shape, len(shape) - 1, dtype, False, wanted=wanted)


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16])
def test_the_network_of_registers_sorts_all_zeros_and_ones(count: int) -> None:
    """What sorts those sorts everything (Knuth, "The art of computer programming", 5.3.4)."""
    numbers = np.arange(2**count)
    found = [numbers >> place & 1 for place in range(count)]
    for low, high in sorting_network(count):
        found[low], found[high] = np.minimum(found[low], found[high]), np.maximum(found[low], found[high])
    assert all((x <= y).all() for x, y in pairwise(found))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("descending", [False, True])
def test_every_type_is_sorted_both_ways(dtype: str, descending: bool) -> None:
    compare((3, 50), 1, dtype, descending)
    compare((20, 50), 1, dtype, descending, wanted="values")


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


@pytest.mark.parametrize("level", ["sse2", "avx2"])
@pytest.mark.parametrize("wanted", ["both", "values"])
def test_short_vectors_and_few_registers_sort_too(level: str, wanted: str) -> None:
    for shape in ((1, 50), (30, 50)):
        compare(shape, 1, "f32", False, Settings(target=parse_target(f"cpu:{level}")), wanted)


@pytest.mark.parametrize("smallest", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("size", "count"), [(100, 5), (24, 8), (8, 3), (5, 2), (70, 8), (40, 20), (33, 1), (100, 16)])
@pytest.mark.parametrize("rows", [4, 19])
def test_the_first_few_are_those_of_the_sorted_order(
    smallest: bool, axis: int, size: int, count: int, rows: int
) -> None:
    shape = (rows, size) if axis else (size, rows)
    x = np.random.default_rng(0).integers(-9, 9, shape).astype(np.float32)
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor(f"{shape[0]}x{shape[1]}xf32")) as f:
        f.returns(*F.topk(f["x"], count, axis, smallest))
    for found, wanted in zip(builder.compile()(x), builder.interpret(x)):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("rows", [4, 19])
@pytest.mark.parametrize(("size", "count"), [(100, 5), (40, 16), (33, 1), (70, 30)])
def test_the_first_few_need_no_places(rows: int, size: int, count: int) -> None:
    x = np.random.default_rng(0).integers(-9, 9, (rows, size)).astype(np.float32)
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor(f"{rows}x{size}xf32")) as f:
        f.returns(F.topk(f["x"], count)[0])
    np.testing.assert_array_equal(builder.compile()(x)[0], builder.interpret(x)[0])
