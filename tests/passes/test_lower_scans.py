"""Scans in vectors mean what the interpreter says: any shape, axis, type, direction, with NaN and infinities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.ir import SSAValue

import xmlc
from xmlc.dialects.ml import functions as F
from xmlc.driver import Settings

SHAPES = ((1,), (40,), (3, 16), (5, 129), (70, 33), (9, 1100), (2, 30, 70), (4, 3, 2, 17), (3, 1), (0, 4))
SCANS: dict[str, Callable[..., SSAValue]] = {
    "sum": F.cumulative_sum,
    "product": F.cumulative_prod,
    "largest": F.cumulative_max,
}


def compare(shape: tuple[int, ...], name: str, axis: int, dtype: str, threads: int = 1, **how: bool) -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(-2, 3, shape).astype(dtype.replace("i", "int").replace("f", "float"))
    if dtype == "f32" and x.size > 20:
        x += generator.standard_normal(shape).astype(np.float32)
        x.flat[7], x.flat[-3] = np.inf, np.nan
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("x".join(map(str, shape)) + f"x{dtype}")) as f:
        f.returns(SCANS[name](f["x"], axis, **how))
    with np.errstate(all="ignore"):
        (wanted,) = builder.interpret(x)
    (found,) = builder.compile(Settings(threads=threads))(x)
    np.testing.assert_allclose(found, wanted, rtol=3e-4, atol=3e-4)


@settings(max_examples=40)
@given(
    st.data(),
    st.sampled_from(SHAPES),
    st.sampled_from(sorted(SCANS)),
    st.sampled_from(("f32", "f64", "f16", "i32", "i8", "i64")),
)
def test_scans_mean_what_the_interpreter_says(
    data: st.DataObject, shape: tuple[int, ...], name: str, dtype: str
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    how = {option: data.draw(st.booleans()) for option in ("reverse", "exclusive")}
    compare(shape, name, axis, dtype, threads=data.draw(st.sampled_from((1, 2))), **how)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
def test_both_directions_and_both_kinds_along_both_axes(axis: int, reverse: bool, exclusive: bool) -> None:
    compare((70, 37), "sum", axis, "f32", reverse=reverse, exclusive=exclusive)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize(("reverse", "exclusive"), [(False, False), (True, True)])
def test_threads_share_the_rows_of_narrow_arrays(threads: int, reverse: bool, exclusive: bool) -> None:
    compare((1100, 77), "sum", 0, "i32", threads, reverse=reverse, exclusive=exclusive)
    compare((1100, 77), "largest", 0, "f32", threads, reverse=reverse, exclusive=exclusive)


def test_threads_share_the_columns_of_wide_arrays() -> None:
    compare((8, 9000), "sum", 0, "f32", threads=2)
    compare((20, 5000), "sum", 0, "f32", threads=2)  # in strips, rows shared
