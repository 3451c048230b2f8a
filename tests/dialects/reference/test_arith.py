"""Scalar arithmetic: each row against MLIR's lowering on edge values, and what has no meaning is an error."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from oracle import mlir_opt_functions, needs_mlir, parse
from xdsl.dialects.builtin import ModuleOp

from xmlc.dialects.reference.interpreter import InterpreterError, interpret

DTYPES: dict[str, Any] = {
    "i1": np.bool_,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "f32": np.float32,
    "f64": np.float64,
}
INTEGERS = ("i1", "i8", "i32", "i64")
FLOATS = ("f32", "f64")
BINARY_INTEGER = ["addi", "subi", "muli", "andi", "ori", "xori", "minsi", "maxsi", "minui", "maxui"]
DIVISIONS = ["divsi", "divui", "floordivsi", "ceildivsi", "ceildivui", "remsi", "remui"]
SHIFTS = ["shli", "shrsi", "shrui"]
BINARY_FLOAT = ["addf", "subf", "mulf", "divf", "maximumf", "minimumf", "maxnumf", "minnumf"]
COMPARE_INTEGER = [f"cmpi {each}," for each in ["eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"]]
PREDICATES = "false oeq ogt oge olt ole one ord ueq ugt uge ult ule une uno true"
COMPARE_FLOAT = [f"cmpf {each}," for each in PREDICATES.split()]
CASTS = [
    *(f"extsi {a} {b}" for a, b in (("i1", "i8"), ("i8", "i32"), ("i32", "i64"))),
    *(f"extui {a} {b}" for a, b in (("i1", "i8"), ("i8", "i32"), ("i32", "i64"))),
    *(f"trunci {a} {b}" for a, b in (("i8", "i1"), ("i32", "i8"), ("i64", "i32"))),
    *(f"sitofp {a} {b}" for a, b in (("i1", "f32"), ("i8", "f32"), ("i64", "f64"), ("i64", "f32"))),
    *(f"uitofp {a} {b}" for a, b in (("i1", "f32"), ("i8", "f32"), ("i64", "f64"), ("i64", "f32"))),
    *(f"extf {a} {b}" for a, b in (("f16", "f32"), ("bf16", "f32"), ("f32", "f64"))),
    *(f"truncf {a} {b}" for a, b in (("f32", "f16"), ("f32", "bf16"), ("f64", "f32"))),
    *(f"bitcast {a} {b}" for a, b in (("f32", "i32"), ("i64", "f64"))),
]


def edges(element: str) -> np.ndarray[Any, Any]:
    """Values where arithmetic is delicate."""
    dtype = np.dtype(DTYPES[element])
    if dtype == np.bool_:
        return np.array([False, True])
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        return np.array([0, 1, -1, 2, -2, 5, -7, 100, limits.min, limits.min + 1, limits.max], dtype)
    values = [0.0, -0.0, 1.0, -1.5, 2.5, 3.5, 1e-5, 700.25, 65519.0, 1e30, np.inf, -np.inf, np.nan, 1 + 2**-8]
    with np.errstate(over="ignore"):
        return np.array(values).astype(dtype)


def module_of(name: str, op: str, element: str, result: str, count: int, operands: int) -> str:
    """A function that applies an op at every index of its arguments."""
    maps = ", ".join(["affine_map<(i) -> (i)>"] * (operands + 1))
    parameters = ", ".join(f"%a{i}: tensor<{count}x{element}>" for i in range(operands))
    types = ", ".join([f"tensor<{count}x{element}>"] * operands)
    arguments = ", ".join(f"%x{i}: {element}" for i in range(operands))
    names = ", ".join(f"%x{i}" for i in range(operands))
    signature = f"{element} to {result}" if operands == 1 and element != result else element
    return f"""
func.func @{name}({parameters}) -> tensor<{count}x{result}> {{
  %e = tensor.empty() : tensor<{count}x{result}>
  %r = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel"]}}
      ins({", ".join(f"%a{i}" for i in range(operands))} : {types}) outs(%e : tensor<{count}x{result}>) {{
  ^bb0({arguments}, %o: {result}):
    %y = {op} {names} : {signature}
    linalg.yield %y : {result}
  }} -> tensor<{count}x{result}>
  func.return %r : tensor<{count}x{result}>
}}"""


def binary_cases() -> list[tuple[str, str, str]]:
    """(op, operand type, result type)"""
    compare_i, compare_f = product(COMPARE_INTEGER, INTEGERS), product(COMPARE_FLOAT, FLOATS)
    return [
        *((op, e, e) for op, e in product(BINARY_INTEGER + DIVISIONS + SHIFTS, INTEGERS)),
        *((op, e, e) for op, e in product(BINARY_FLOAT, FLOATS)),
        *((op, e, "i1") for op, e in (*compare_i, *compare_f)),
    ]


def pairs(op: str, element: str) -> tuple[Any, Any]:
    """All pairs of edge values for which the op is defined."""
    values = edges(element)
    a, b = (grid.reshape(-1) for grid in np.meshgrid(values, values))
    keep = np.ones(a.shape, bool)
    if op in DIVISIONS:
        keep = b != 0
        if element != "i1":
            keep &= ~((b == -1) & (a == np.iinfo(a.dtype).min))
        elif op not in ("divui", "remui"):
            keep &= False  # -1 / -1 overflows one bit
    if op in SHIFTS:
        keep = (b >= 0) & (b < 8 * a.dtype.itemsize) if element != "i1" else ~b
    return a[keep], b[keep]


@needs_mlir
def test_binary_ops_agree_with_mlir_on_edge_values() -> None:
    text = ""
    cases: dict[str, tuple[str, Any, Any]] = {}
    for number, (op, element, result) in enumerate(binary_cases()):
        a, b = pairs(op, element)
        if a.size:
            cases[f"f{number}"] = (f"{op} {element}", a, b)
            text += module_of(f"f{number}", f"arith.{op}", element, result, a.size, 2)
    compiled, module = mlir_opt_functions(text), parse(text)
    wrong = [
        (what, list(zip(a[bad], b[bad], ours[bad], theirs[bad])))
        for name, (what, a, b) in cases.items()
        for (ours,), (theirs,) in [(interpret(module, name, (a, b)), compiled[name](a, b))]
        # mlir-opt's expansion of maximumf and its like forgets the sign of zero
        if (bad := differ(ours, theirs) & ~((ours == theirs) & ("mum" in what or "num" in what))).any()
    ]
    assert not wrong


@pytest.mark.parametrize(("op", "negative"), [("maximumf", False), ("minimumf", True), ("minnumf", True)])
def test_minus_zero_is_less_than_zero(op: str, negative: bool) -> None:
    for a, b in ((0.0, -0.0), (-0.0, 0.0)):
        (result,) = interpret(scalar(f"arith.{op}", "f32", "f32", result="f32"), arguments=(a, b))
        assert np.signbit(result) == negative


@needs_mlir
def test_casts_agree_with_mlir_on_edge_values() -> None:
    text = "".join(
        module_of(f"f{number}", f"arith.{op}", a, b, edges(a).size, 1)
        for number, (op, a, b) in enumerate(map(str.split, CASTS))
    )
    compiled, module = mlir_opt_functions(text), parse(text)
    for number, what in enumerate(CASTS):
        x = edges(what.split()[1])
        (ours,), (theirs,) = interpret(module, f"f{number}", (x,)), compiled[f"f{number}"](x)
        assert not (bad := differ(ours, theirs)).any(), (what, x[bad], ours[bad], theirs[bad])


def differ(a: Any, b: Any) -> Any:
    """Where two arrays differ; NaNs are all the same, zeros differ by their sign."""
    if a.dtype.kind in "biu":
        return a != b
    same = (a == b) & (np.signbit(a) == np.signbit(b))
    return ~(same | (np.isnan(a) & np.isnan(b)))


def scalar(op: str, *types: str, result: str) -> ModuleOp:
    parameters = ", ".join(f"%{i}: {each}" for i, each in enumerate(types))
    names = ", ".join(f"%{i}" for i in range(len(types)))
    return parse(f"""
func.func @main({parameters}) -> ({result}) {{
  %r:{result.count(",") + 1} = "{op}"({names}) : ({", ".join(types)}) -> ({result})
  func.return %r#0{", %r#1" if "," in result else ""} : {result}
}}""")


@pytest.mark.parametrize(
    ("op", "a", "b", "expected"),
    [
        ("arith.addui_extended", -1, 1, (0, True)),
        ("arith.addui_extended", 100, 27, (127, False)),
        ("arith.mulsi_extended", -128, -128, (0, 64)),
        ("arith.mulsi_extended", -1, 5, (-5, -1)),
        ("arith.mului_extended", -1, -1, (1, -2)),
    ],
)
def test_extended_ops_give_both_halves(op: str, a: int, b: int, expected: tuple[int, int]) -> None:
    result = "i8, i1" if op == "arith.addui_extended" else "i8, i8"
    assert interpret(scalar(op, "i8", "i8", result=result), arguments=(a, b)) == expected


@pytest.mark.parametrize(
    ("op", "x", "expected"),
    [("arith.fptosi", -3.9, -3), ("arith.fptosi", -128.0, -128), ("arith.fptoui", 200.5, 200 - 256)],
)
def test_floats_become_integers_by_rounding_toward_zero(op: str, x: float, expected: int) -> None:
    assert interpret(scalar(op, "f32", result="i8"), arguments=(x,)) == (expected,)


@pytest.mark.parametrize("x", [128.0, np.nan, -np.inf])
def test_a_float_that_does_not_fit_becomes_a_number_that_stands_out(x: float) -> None:
    assert interpret(scalar("arith.fptosi", "f32", result="i8"), arguments=(x,)) == (0xA5 - 256,)


@pytest.mark.parametrize(("a", "b"), [(1, 0), (-128, -1)])
def test_an_undefined_division_is_an_error(a: int, b: int) -> None:
    with pytest.raises(InterpreterError, match=r"arith\.divsi in @main: "):
        interpret(scalar("arith.divsi", "i8", "i8", result="i8"), arguments=(a, b))


def test_constants_have_their_type() -> None:
    module = parse("""
func.func @main() -> (i8, i1, bf16, index, tensor<2x2xi1>, tensor<3xf16>) {
  %a = arith.constant -1 : i8
  %b = arith.constant true
  %c = arith.constant 1.5 : bf16
  %d = arith.constant 7 : index
  %e = arith.constant dense<[[true, false], [false, true]]> : tensor<2x2xi1>
  %f = arith.constant dense<2.5> : tensor<3xf16>
  func.return %a, %b, %c, %d, %e, %f : i8, i1, bf16, index, tensor<2x2xi1>, tensor<3xf16>
}""")
    a, b, c, d, e, f = interpret(module)
    assert (a, b, c, d) == (-1, True, 1.5, 7)
    assert (a.dtype, b.dtype, c.dtype, d.dtype) == (np.int8, np.bool_, ml_dtypes.bfloat16, np.int64)
    np.testing.assert_array_equal(e, np.eye(2, dtype=np.bool_))
    np.testing.assert_array_equal(f, np.full(3, 2.5, np.float16))
