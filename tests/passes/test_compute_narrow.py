"""Sixteen-bit arithmetic and gelu as a GPU does them, beside what they are."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import BFloat16Type, Float16Type

from xmlc.passes.gpu.compute_narrow import LOG2_ERFC

LIMITS = [(BFloat16Type, ml_dtypes.bfloat16, 2.0**-10.5), (Float16Type, np.float16, 2.0**-13)]


@pytest.mark.parametrize("kind, dtype, bound", LIMITS)
def test_the_factor_of_gelu_is_right_to_the_digits_of_the_result(kind: type, dtype: type, bound: float) -> None:
    coefficients = np.float32(LOG2_ERFC[kind])
    every = np.arange(1 << 15, dtype=np.uint16).view(dtype).astype(np.float32)
    every = every[np.isfinite(every)]
    with np.errstate(all="ignore"):
        tail = np.exp2(np.polynomial.polynomial.polyval(every, coefficients)).astype(np.float64)
    exact = np.array([math.erfc(each) for each in every.tolist()])
    error = np.abs(tail - exact) * np.maximum(every, 1.0)
    assert np.all(error <= np.maximum(bound * exact * np.maximum(every, 1.0), 2.0**-26))


@pytest.mark.parametrize("name", ["add", "subtract", "multiply"])
@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_rounding_twice_is_rounding_once(name: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 1 << 16, 1 << 16, dtype=np.uint16).view(dtype) for _ in range(2))
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(a.astype(np.float64), b.astype(np.float64))
        twice = exact.astype(np.float32).astype(dtype)
        once = getattr(np, name)(a, b)
    assert np.array_equal(twice.astype(np.float32), once.astype(np.float32), equal_nan=True)
