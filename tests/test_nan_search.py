"""`xmlc.debug_nans()` names the operation that gives a NaN, and the user's line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xmlc
from xmlc import numpy as xnp
from xmlc.dialects.diagnostics import CompileError

X = np.float32([-1, 0, 1])


@xmlc.compile
def logarithms(x: Any) -> Any:
    y = x * 2
    return {"sum": xnp.log(y).sum(), "y": y}


def test_the_operation_and_its_line_are_named() -> None:
    with xmlc.debug_nans(), pytest.raises(CompileError, match=r"ml\.log of tensor<3xf32> gives nan") as caught:
        logarithms(X)
    place = caught.value.diagnostics[0].place
    assert place is not None
    assert place.file == __file__
    assert place.line == logarithms.function.__code__.co_firstlineno + 3


def test_without_nan_results_are_as_ever() -> None:
    with xmlc.debug_nans():
        np.testing.assert_allclose(logarithms(X + 3)["y"], 2 * (X + 3))
    assert np.isnan(logarithms(X)["sum"])


def test_a_gradient_is_searched_too() -> None:
    with xmlc.debug_nans(), pytest.raises(CompileError, match=r"ml\..* gives nan"):
        xmlc.grad(lambda x: xnp.sqrt(x * 0).sum())(np.zeros(3, np.float32))


def test_a_step_of_a_loop_is_found() -> None:
    def step(carried: Any, x: Any) -> Any:
        return xnp.sqrt(carried - x), None

    with xmlc.debug_nans(), pytest.raises(CompileError, match=r"ml\.sqrt of tensor<f32> gives nan"):
        xmlc.compile(lambda xs: xmlc.scan(step, xnp.asarray(1.0, dtype="float32"), xs)[0])(np.float32([0, 0, 3]))


def test_arguments_with_nan_are_to_blame_themselves() -> None:
    with xmlc.debug_nans(), pytest.raises(CompileError, match="the arguments have nan"):
        logarithms(np.float32([np.nan, 1, 2]))
