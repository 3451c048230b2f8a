"""The definitions as machine code: errors in ulp, special values, vectors and narrow floats."""

from __future__ import annotations

import importlib.util
import math
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from oracle import mlir_opt, needs_mlir

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "measure_math.py"


def load_script() -> Any:
    spec = importlib.util.spec_from_file_location("measure_math", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["measure_math"] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


measure = load_script()
NAMES: list[str] = list(measure.FUNCTIONS)
NARROW = {"f16": np.float16, "bf16": ml_dtypes.bfloat16}
# docs/math.md promises these, in ulp, over every float; 2 unless stated.
PROMISED = {"sin": 1.5, "cos": 1.5, "exp": 1.25, "erf": 1.5, "cbrt": 0.51, "remf": 0.0, "powf": 1.0, "tanh": 1.0}
wide_long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= 52, reason="long double has no more digits than float64 here"
)


@cache
def machine(element: str, lanes: int = 0) -> Any:
    return measure.Machine(NAMES, element, lanes)


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_within_the_promised_error(name: str) -> None:
    error, at = measure.measured(machine("f32"), name, "f32", 20_000)
    assert error <= PROMISED.get(name, 2.0), f"{name}{at}"


@wide_long_double
@pytest.mark.parametrize("name", NAMES)
def test_float64_is_within_the_promised_error(name: str) -> None:
    error, at = measure.measured(machine("f64"), name, "f64", 10_000)
    assert error <= PROMISED.get(name, 2.0), f"{name}{at}"


INF, NAN = math.inf, math.nan
# C's special values: the functions of the sweeps above, spelled out where a reader wants to see them.
SPECIAL_VALUES: dict[str, list[tuple[float, ...]]] = {
    "exp": [(-INF, 0), (INF, INF), (NAN, NAN), (0, 1)],
    "expm1": [(-INF, -1), (-0.0, -0.0)],
    "log": [(0, -INF), (-0.0, -INF), (-1, NAN), (INF, INF), (1, 0)],
    "log1p": [(-1, -INF), (-2, NAN), (-0.0, -0.0)],
    "log2": [(8, 3), (2.0**-140, -140)],
    "log10": [(1000, 3), (1e10, 10)],
    "sin": [(INF, NAN), (-0.0, -0.0)],
    "cos": [(-INF, NAN), (0, 1)],
    "asin": [(1.5, NAN), (1, math.pi / 2), (-0.0, -0.0)],
    "acos": [(1, 0), (-1, math.pi), (-1.5, NAN)],
    "atan": [(-INF, -math.pi / 2)],
    "atan2": [
        (0.0, -0.0, math.pi),
        (-0.0, -1, -math.pi),
        (-0.0, 0.0, -0.0),
        (INF, -INF, 3 * math.pi / 4),
        (1, -INF, math.pi),
        (NAN, INF, NAN),
    ],
    "tanh": [(-INF, -1), (-0.0, -0.0)],
    "atanh": [(1, INF), (-1, -INF), (2, NAN)],
    "acosh": [(1, 0), (0.5, NAN), (INF, INF)],
    "erf": [(INF, 1), (-INF, -1), (-0.0, -0.0)],
    "powf": [
        (NAN, 0, 1),
        (1, NAN, 1),
        (-1, INF, 1),
        (-2, 3, -8),
        (-2, 0.5, NAN),
        (-0.0, -3, -INF),
        (-INF, 3, -INF),
        (0, -INF, INF),
        (0.5, -INF, INF),
    ],
    "cbrt": [(-27, -3), (INF, INF), (-0.0, -0.0)],
    "rsqrt": [(0, INF), (-0.0, -INF), (INF, 0), (-1, NAN)],
    "remf": [(5, 3, 2), (-5, 3, -2), (5, INF, 5), (INF, 3, NAN), (5, 0, NAN), (-0.0, 1, -0.0)],
}


@pytest.mark.parametrize("element", ["f32", "f64"])
@pytest.mark.parametrize("name", SPECIAL_VALUES)
def test_special_values_are_those_of_c(name: str, element: str) -> None:
    *arrays, expected = np.array(SPECIAL_VALUES[name], measure.TYPES[element]).T.copy()
    got = machine(element)(name, *arrays)
    np.testing.assert_array_equal(got, expected)
    regular = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[regular]), np.signbit(expected[regular]))


@pytest.mark.parametrize(("element", "lanes"), [("f32", 8), ("f64", 4)])
@pytest.mark.parametrize("name", NAMES)
def test_vectors_compute_what_scalars_compute(name: str, element: str, lanes: int) -> None:
    arrays = [a[: a.size // lanes * lanes].copy() for a in measure.operands(name, element, 500)]
    got, expected = (machine(element, n)(name, *arrays) for n in (lanes, 0))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's conversions of out-of-range numbers
@pytest.mark.parametrize("element", NARROW)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "fpowi"])
def test_narrow_floats_are_rounded_from_float32(name: str, element: str) -> None:
    kind = NARROW[element]
    x = np.arange(2**16, dtype=np.uint16)[::7].copy().view(kind)
    y = x[::-1].copy()
    expected = machine("f32")(name, x.astype(np.float32), y.astype(np.float32)).astype(kind)
    got = narrow_machine(element)(name, x, y)
    np.testing.assert_array_equal(got.astype(np.float32), expected.astype(np.float32))


@cache
def narrow_machine(element: str) -> Any:
    return measure.Machine([name for name in NAMES if name != "fpowi"], element)


@pytest.mark.parametrize("element", ["f32", "f64"])
def test_loops_over_definitions_use_vector_registers_and_call_nothing(element: str) -> None:
    target = measure.host()
    if target.architecture != "x86_64":
        pytest.skip("reads x86 assembly")
    for name in ("exp", "tanh", "erf", "sin", "log"):
        text = measure.assembly(measure.emit_module(measure.loop_of([name], element), target), target)
        assert f"%{'z' if target.vector_bits == 512 else 'y' if target.vector_bits == 256 else 'x'}mm" in text
        assert "call" not in text


@needs_mlir
def test_mlir_accepts_every_definition() -> None:
    for element in ("f32", "f64"):
        mlir_opt(str(measure.loop_of(NAMES, element)))


avx512 = pytest.mark.skipif(measure.host().vector_bits != 512, reason="needs a processor with AVX-512")
REGISTERED = {"exp": 1.25, "erf": 2.0, "tanh": 1.5}


@avx512
@pytest.mark.parametrize("name", REGISTERED)
def test_registers_of_sixteen_numbers_are_within_the_promised_error(name: str) -> None:
    arrays = [a[: a.size // 16 * 16].copy() for a in measure.operands(name, "f32", 20_000)]
    found = measure.errors(machine("f32", 16)(name, *arrays), measure.exact_values(name, arrays))
    assert found.max() <= REGISTERED[name], arrays[0][found.argmax()]


@avx512
@pytest.mark.parametrize(("name", "width"), [("erf", 67 / 256), ("tanh", 155 / 256)])
def test_pieces_meet_where_they_touch(name: str, width: float) -> None:
    ends = (np.arange(0.5, 16) * width).astype(np.float32).view(np.int32)
    near = (ends[:, None] + np.arange(-200, 200, dtype=np.int32)).reshape(-1).view(np.float32)
    found = measure.errors(machine("f32", 16)(name, near), measure.exact_values(name, [near]))
    assert found.max() <= REGISTERED[name], near[found.argmax()]


@avx512
@pytest.mark.parametrize("name", REGISTERED)
def test_registers_of_sixteen_numbers_have_the_special_values_of_c(name: str) -> None:
    given, expected = np.array(SPECIAL_VALUES[name], np.float32).T
    padded = np.concatenate([given, np.zeros(16 - given.size, np.float32)])
    np.testing.assert_array_equal(machine("f32", 16)(name, padded)[: given.size], expected)


@cache
def below_zero() -> Any:
    return measure.Machine(["exp", "exp2"], "f32", 16, "{xmlc.below_zero}")


@avx512
@pytest.mark.parametrize(
    ("name", "lowest", "promised"),
    [("exp", -1.0, 1.25), ("exp", -20.0, 1.75), ("exp", -87.3365, 5.0), ("exp2", -126.0, 1.3)],
)
def test_powers_below_zero_are_within_the_promised_error(name: str, lowest: float, promised: float) -> None:
    x = np.random.default_rng(3).uniform(lowest, 0, 1 << 16).astype(np.float32)
    found = measure.errors(below_zero()(name, x), measure.exact_values(name, [x]))
    assert found.max() <= promised, x[found.argmax()]


@avx512
@pytest.mark.parametrize(("name", "end"), [("exp", -126 * math.log(2)), ("exp2", -126.0)])
def test_powers_below_zero_end_where_normal_numbers_do(name: str, end: float) -> None:
    last = np.nextafter(np.float32(end), np.float32(0))
    x = np.array([0.0, -0.0, -1e-45, -INF, NAN, -128, -150, -3e38, *[last] * 8], np.float32)
    got = below_zero()(name, x)
    np.testing.assert_array_equal(got[:8], np.array([1, 1, 1, 0, NAN, 0, 0, 0], np.float32))
    np.testing.assert_allclose(got[8:], 2.0**-126, rtol=1e-5)
