"""The public tests of the array API standard, each tried once; `benchmarks/array_api.py` tries 100 inputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xmlc import numpy as xp

ROOT = Path(__file__).resolve().parent.parent
CHECKOUT = ROOT / "build" / "array-api-tests"

NAMES = """
abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh bitwise_and
bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor bool broadcast_arrays broadcast_to can_cast
ceil clip complex128 complex64 concat conj copysign cos cosh count_nonzero cumulative_prod cumulative_sum diff divide e
empty empty_like equal exp expand_dims expm1 eye fft finfo flip float32 float64 floor floor_divide from_dlpack full
full_like greater greater_equal hypot iinfo imag inf int16 int32 int64 int8 isdtype isfinite isinf isnan less less_equal
linalg linspace log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul matrix_transpose
max maximum mean meshgrid min minimum moveaxis multiply nan negative newaxis nextafter nonzero not_equal ones ones_like
permute_dims pi positive pow prod real reciprocal remainder repeat reshape result_type roll round searchsorted sign
signbit sin sinh sort sqrt square squeeze stack std subtract sum take take_along_axis tan tanh tensordot tile tril triu
trunc uint16 uint32 uint64 uint8 unique_all unique_counts unique_inverse unique_values unstack var vecdot where zeros
zeros_like __array_api_version__ __array_namespace_info__
"""
"""What the standard 2024.12 has in its main namespace."""


def test_every_name_of_the_standard_is_there() -> None:
    assert [name for name in NAMES.split() if not hasattr(xp, name)] == []


def test_the_public_tests_pass() -> None:
    if not CHECKOUT.exists():
        pytest.skip(f"there is no checkout of array-api-tests in {CHECKOUT.relative_to(ROOT)}: .ci/run makes one")
    pytest.importorskip("ndindex", reason="ndindex is not installed: it comes with the extra 'array'")
    command = [sys.executable, "benchmarks/array_api.py", str(CHECKOUT), "--examples", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
