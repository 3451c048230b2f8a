"""Symbolic sizes compute like the numbers they stand for, and say where a number would be needed."""

from __future__ import annotations

from operator import add, mul, sub
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmlc.dialects.sizes import (
    Assumptions,
    UnknownSize,
    assuming,
    encoding_of,
    evaluated,
    lower_bound,
    read_size,
    same_size,
    sizes_of,
    symbol,
)

N, M = symbol("n"), symbol("m")

LEAVES = st.sampled_from([N, M, 1, 2, 3, 7, 64])
SIZES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda f, x, y: f(x, y), st.sampled_from([add, sub, mul]), inner, inner),
        st.builds(lambda x, y: x // y, inner, st.sampled_from([1, 2, 3, 4, 8])),
        st.builds(lambda x, y: x % y, inner, st.sampled_from([1, 2, 3, 4, 8])),
    ),
    max_leaves=6,
)
NUMBERS = st.fixed_dictionaries({"n": st.integers(1, 40), "m": st.integers(1, 40)})


@given(SIZES, SIZES, NUMBERS)
def test_arithmetic_is_that_of_the_numbers(x: int, y: int, numbers: dict[str, int]) -> None:
    value = numbers.__getitem__
    a, b = evaluated(x, value), evaluated(y, value)
    assert evaluated(x + y, value) == a + b
    assert evaluated(x - y, value) == a - b
    assert evaluated(x * y, value) == a * b
    assert evaluated(x // 3, value) == a // 3
    assert evaluated(x % 5, value) == a % 5


@given(SIZES, SIZES, NUMBERS)
def test_what_is_known_of_sizes_holds_of_the_numbers(x: int, y: int, numbers: dict[str, int]) -> None:
    value = numbers.__getitem__
    a, b = evaluated(x, value), evaluated(y, value)
    least = lower_bound(x)
    assert least is None or least <= a
    if x == y:
        assert a == b
    try:
        less = x < y
    except UnknownSize:
        return
    assert less == (a < b)


@given(SIZES)
def test_a_size_is_read_as_it_is_written(x: int) -> None:
    assert read_size(str(x)) == x
    assert sizes_of(encoding_of([x, 3])) == (x, 3)


def test_a_product_is_divided_by_its_factors() -> None:
    rows, columns = (N - 1) // 2 + 1, (M - 1) // 2 + 1
    assert 3 * rows * columns // (3 * columns) == rows
    assert (N * M * 384) // (N * 12) == 32 * M


@pytest.mark.parametrize(
    "compute",
    [
        lambda: range(N),
        lambda: int(N),
        lambda: N < M,
        lambda: bool(N - M),
        lambda: 6 // N,
        lambda: N // M,
        lambda: N / 3,
    ],
)
def test_what_needs_a_number_says_so(compute: Any) -> None:
    with pytest.raises(UnknownSize):
        compute()


def test_a_ratio_is_a_number_where_it_is_always_the_same() -> None:
    assert (4 * N) / (2 * N) == 2.0


def test_rounded_quotients_of_quotients_are_one() -> None:
    assert (N // 2) // 4 == N // 8
    assert (4 * N + 2) // 4 == N


def test_an_example_decides_and_what_it_decides_is_written_down() -> None:
    with assuming(Assumptions(example=lambda _: 64)) as assumptions:
        assert N < 512
        assert same_size(N, M)
    assert assumptions.natural == [511 - N, N - M, M - N]


def test_without_an_example_only_what_is_assumed_is_known() -> None:
    with assuming(Assumptions([512 - N])):
        assert N < 513
        assert not N > 600
        with pytest.raises(UnknownSize):
            assert N < 512
