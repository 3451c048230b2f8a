"""Mathematical functions: against the C library's, through Python's `math` and MLIR's lowering."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from oracle import parse
from xdsl.dialects.builtin import FunctionType, ModuleOp, f64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

from xmlc.dialects.float_remainder import RemfOp
from xmlc.dialects.reference.interpreter import interpret

X = np.array([0.3, 0.75, 0.98, 0.01])
NAMES = """acos asin asinh atan atanh ceil cos cosh erf expm1 exp exp2 cbrt floor
    log10 log1p log2 log sin sinh sqrt tan tanh trunc"""
UNARY: dict[str, Any] = {
    **{name: getattr(math, name) for name in NAMES.split()},
    "absf": abs,
    "acosh": math.acosh,
    "rsqrt": lambda x: 1 / math.sqrt(x),
}


def run(op: str, *operands: Any, element: str) -> Any:
    """An op of `math` at every index of arrays of one type."""
    shape = f"{len(operands[0])}x"
    types = [f"tensor<{shape}{element if x.dtype.kind != 'i' else f'i{8 * x.itemsize}'}>" for x in operands]
    names = [f"%{i}" for i in range(len(operands))]
    module = parse(f"""
func.func @main({", ".join(f"{a}: {t}" for a, t in zip(names, types))}) -> {types[0]} {{
  %r = "math.{op}"({", ".join(names)}) : ({", ".join(types)}) -> {types[0]}
  func.return %r : {types[0]}
}}""")
    (result,) = interpret(module, arguments=operands)
    return result


@pytest.mark.parametrize("name", sorted(UNARY))
@pytest.mark.parametrize(("element", "dtype"), [("f64", np.float64), ("f32", np.float32), ("bf16", ml_dtypes.bfloat16)])
def test_unary_functions_are_rounded_once(name: str, element: str, dtype: Any) -> None:
    x = (X + (name == "acosh")).astype(dtype)
    expected = np.array([UNARY[name](float(each)) for each in x])
    found = run(name, x, element=element)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.astype(np.float64), expected.astype(dtype).astype(np.float64), rtol=4e-16)


def test_binary_functions_are_those_of_c() -> None:
    a, b = np.array([1.5, -2.0, -0.0, 3.0]), np.array([2.0, 3.0, -1.0, -0.5])
    np.testing.assert_allclose(run("atan2", a, b, element="f64"), [*map(math.atan2, a, b)], rtol=1e-15)
    np.testing.assert_allclose(
        run("powf", abs(a), b, element="f64")[[0, 1, 3]], (abs(a) ** abs(b))[[0, 1, 3]] ** [1, 1, -1]
    )
    np.testing.assert_array_equal(run("copysign", a, b, element="f64"), [1.5, 2.0, -0.0, -3.0])
    np.testing.assert_array_equal(run("fpowi", a, np.array([2, 3, 1, -1]), element="f64"), [2.25, -8, -0.0, 1 / 3])


def test_fma_rounds_once() -> None:
    a = np.array([1 + 2.0**-12], np.float32)
    assert run("fma", a, a, -a * a, element="f32")[0] == 2.0**-24
    b = np.array([1 + 2.0**-30])
    assert run("fma", b, b, -b * b, element="f64")[0] == 2.0**-60


@pytest.mark.parametrize(
    ("op", "x", "expected"),
    [
        ("round", [0.5, -0.5, 2.5, 0.49999999999999994], [1, -1, 3, 0]),
        ("roundeven", [0.5, -0.5, 2.5, 3.5], [0, -0.0, 2, 4]),
        ("trunc", [0.9, -0.9, 2.0, -3.7], [0, -0.0, 2, -3]),
    ],
)
def test_rounding_modes(op: str, x: list[float], expected: list[float]) -> None:
    found = run(op, np.array(x), element="f64")
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(x))


@pytest.mark.parametrize(
    ("op", "x", "expected"),
    [
        ("ctlz", [0, 1, -1, 16], [8, 7, 0, 3]),
        ("cttz", [0, 1, -128, 24], [8, 0, 7, 3]),
        ("ctpop", [0, 1, -1, 7], [0, 1, 8, 3]),
        ("absi", [0, -5, -128, 7], [0, 5, -128, 7]),
    ],
)
def test_bits_are_counted(op: str, x: list[int], expected: list[int]) -> None:
    np.testing.assert_array_equal(run(op, np.array(x, np.int8), element="i8"), np.array(expected, np.int8))


def test_integer_powers_wrap_around() -> None:
    base, exponent = np.array([3, -1, -1, 2, 1, 7], np.int8), np.array([5, -3, -2, -1, -9, 3], np.int8)
    expected = np.array([243 - 256, -1, 1, 0, 1, 343 - 256], np.int8)
    np.testing.assert_array_equal(run("ipowi", base, exponent, element="i8"), expected)


def test_the_float_remainder_is_that_of_c() -> None:
    a, b = np.array([5.5, -5.5, 1e20, -0.0, 3.0]), np.array([2.0, 2.0, 3.0, 7.0, np.inf])
    block = Block(arg_types=[f64, f64])
    block.add_ops([remainder := RemfOp(*block.args), ReturnOp(remainder)])
    types = FunctionType.from_lists([f64, f64], [f64])
    module = ModuleOp([FuncOp("main", types, Region(block))])
    for x, y in zip(a, b):
        np.testing.assert_array_equal(interpret(module, arguments=(x, y)), [math.fmod(x, y)])
