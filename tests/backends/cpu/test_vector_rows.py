"""Vector ops give NumPy's numbers, at edges too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracle import parse

from xmlc.backends.cpu.target import parse_target
from xmlc.driver import Settings, emit

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal(16).astype(np.float32)


def body(text: str) -> str:
    """A function of %x and %out, both memref<16xf32>, and an index %n."""
    return f"""func.func @main(%x: memref<16xf32>, %out: memref<16xf32>, %n: index) {{
      %c0 = arith.constant 0 : index
      %f9 = arith.constant 9.0 : f32
      %v = vector.load %x[%c0] : memref<16xf32>, vector<16xf32>
      {text}
      vector.store %r, %out[%c0] : memref<16xf32>, vector<16xf32>
      func.return
    }}"""


def lanes(n: int, inside: Any, outside: Any) -> Any:
    return np.where(np.arange(16) < n, inside, outside).astype(np.float32)


V = "vector<16xf32>"
CASES: dict[str, tuple[str, Any]] = {
    "broadcast": (f"%r = vector.broadcast %f9 : f32 to {V}", lambda n: np.full(16, 9)),
    "extract and broadcast": (
        f"%e = vector.extract %v[3] : f32 from {V}\n%r = vector.broadcast %e : f32 to {V}",
        lambda n: np.full(16, X[3]),
    ),
    "extract at run time": (
        f"%e = vector.extract %v[%n] : f32 from {V}\n%r = vector.broadcast %e : f32 to {V}",
        lambda n: np.full(16, X[n % 16]),
    ),
    "insert": (
        f"%r = vector.insert %f9, %v[5] : f32 into {V}",
        lambda n: np.where(np.arange(16) == 5, 9, X),
    ),
    "fma": (f"%r = vector.fma %v, %v, %v : {V}", lambda n: X.astype(np.float64) * X + X),
    "shuffle": (
        f"%r = vector.shuffle %v, %v [15, 14, 13, 12, 11, 10, 9, 8, 16, 17, 18, 19, 0, 0, 0, 31] : {V}, {V}",
        lambda n: np.concatenate([X[15:7:-1], X[:4], X[[0, 0, 0, 15]]]),
    ),
    "bitcast": (
        f"%i = vector.bitcast %v : {V} to vector<16xi32>\n%r = vector.bitcast %i : vector<16xi32> to {V}",
        lambda n: X,
    ),
    "masked load": (
        f"""%m = vector.create_mask %n : vector<16xi1>
        %p = vector.broadcast %f9 : f32 to {V}
        %r = vector.maskedload %x[%c0], %m, %p : memref<16xf32>, vector<16xi1>, {V} into {V}""",
        lambda n: lanes(n, X, 9),
    ),
    "constant": (
        "%k = arith.constant dense<[0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.]> : "
        f"{V}\n%s = arith.constant dense<0.5> : {V}\n%r = arith.addf %k, %s : {V}",
        lambda n: np.arange(16) + 0.5,
    ),
}


@pytest.mark.parametrize("n", [0, 5, 15])
@pytest.mark.parametrize("case", CASES)
def test_a_vector_row_does_what_its_name_says(run: Any, case: str, n: int) -> None:
    text, law = CASES[case]
    out = np.zeros(16, np.float32)
    run(body(text), X, out, n)
    np.testing.assert_array_equal(out, np.asarray(law(n)).astype(np.float32))


@pytest.mark.parametrize("n", [-3, 0, 7, 16, 2**40])
def test_a_masked_store_leaves_the_other_lanes_alone(run: Any, n: int) -> None:
    out = np.full(16, 4, np.float32)
    text = body(
        f"""%m = vector.create_mask %n : vector<16xi1>
        vector.maskedstore %out[%c0], %m, %v : memref<16xf32>, vector<16xi1>, {V}
        %r = vector.load %out[%c0] : memref<16xf32>, {V}"""
    )
    run(text, X, out, n)
    np.testing.assert_array_equal(out, lanes(n, X, 4))


NARROWED = """func.func @main(%x: memref<{lanes}xi{wide}>, %out: memref<{lanes}xi{narrow}>) {{
  %c0 = arith.constant 0 : index
  %n = arith.constant {count} : index
  %v = vector.load %x[%c0] : memref<{lanes}xi{wide}>, vector<{lanes}xi{wide}>
  %t = "arith.trunci"(%v) : (vector<{lanes}xi{wide}>) -> vector<{lanes}xi{narrow}>
  %m = vector.create_mask %n : vector<{lanes}xi1>
  vector.maskedstore %out[%c0], %m, %t
    : memref<{lanes}xi{narrow}>, vector<{lanes}xi1>, vector<{lanes}xi{narrow}>
  func.return
}}"""


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize(("wide", "narrow"), [(32, 8), (32, 16), (16, 8), (64, 8), (64, 16), (64, 32)])
def test_a_masked_store_of_what_was_truncated_is_as_narrow_as_that(
    run: Any, wide: int, narrow: int, lanes: int, count: int
) -> None:
    """LLVM 22 stores the only lane of a mask as wide as it was."""
    x = np.full(lanes, -5, f"int{wide}")
    out = np.full(lanes, 4, f"int{narrow}")
    run(NARROWED.format(wide=wide, narrow=narrow, lanes=lanes, count=count), x, out, is_verified=False)
    np.testing.assert_array_equal(out, [-5] * count + [4] * (lanes - count))


@pytest.mark.parametrize("target", ["cpu:sse2", "cpu:avx2", "aarch64-linux-gnu", "riscv64-linux-gnu:rvv"])
@pytest.mark.parametrize("lanes", [2, 4, 16])
def test_other_processors_store_truncated_lanes_too(target: str, lanes: int) -> None:
    module = parse(NARROWED.format(wide=32, narrow=8, lanes=lanes, count=1))
    assert emit(module, "obj", Settings(target=parse_target(target)))


@pytest.mark.parametrize("start", [0, 3, 16])
def test_a_transfer_stops_at_the_edge_of_the_buffer(run: Any, start: int) -> None:
    text = f"""func.func @main(%x: memref<16xf32>, %out: memref<16xf32>, %n: index) {{
      %pad = arith.constant 9.0 : f32
      %c0 = arith.constant 0 : index
      %v = "vector.transfer_read"(%x, %n, %pad) <{{permutation_map = affine_map<(d0) -> (d0)>,
        in_bounds = [false], operandSegmentSizes = array<i32: 1, 1, 1, 0>}}> : (memref<16xf32>, index, f32) -> {V}
      "vector.transfer_write"(%v, %out, %c0) <{{permutation_map = affine_map<(d0) -> (d0)>,
        in_bounds = [true], operandSegmentSizes = array<i32: 1, 1, 1, 0>}}> : ({V}, memref<16xf32>, index) -> ()
      func.return
    }}"""
    out = np.zeros(16, np.float32)
    run(text, X, out, start)
    np.testing.assert_array_equal(out, np.concatenate([X[start:], np.full(start, 9, np.float32)]))


REDUCTIONS: dict[tuple[str, str], Any] = {
    ("f32", "add"): np.sum, ("f32", "mul"): np.prod, ("f32", "maximumf"): np.max, ("f32", "minimumf"): np.min,
    ("f32", "maxnumf"): np.max, ("f32", "minnumf"): np.min, ("i32", "add"): np.sum, ("i32", "maxsi"): np.max,
    ("i32", "minsi"): np.min, ("i32", "and"): np.bitwise_and.reduce, ("i32", "or"): np.bitwise_or.reduce,
    ("i32", "xor"): np.bitwise_xor.reduce, ("bf16", "add"): np.sum,
}  # fmt: skip


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize(("kind", "name"), REDUCTIONS)
def test_a_reduction_combines_all_lanes_and_the_accumulator(run: Any, kind: str, name: str, accumulate: bool) -> None:
    import ml_dtypes

    dtype = {"f32": np.float32, "i32": np.int32, "bf16": ml_dtypes.bfloat16}[kind]
    x = RANDOM.integers(1, 4, 16).astype(dtype)
    out = np.zeros(1, dtype)
    last = ", %s" if accumulate else ""
    run(
        f"""func.func @main(%x: memref<16x{kind}>, %out: memref<1x{kind}>) {{
          %c0 = arith.constant 0 : index
          %v = vector.load %x[%c0] : memref<16x{kind}>, vector<16x{kind}>
          %s = memref.load %x[%c0] : memref<16x{kind}>
          %r = vector.reduction <{name}>, %v{last} : vector<16x{kind}> into {kind}
          memref.store %r, %out[%c0] : memref<1x{kind}>
          func.return
        }}""",
        x, out,
    )  # fmt: skip
    values = np.append(x, x[0]) if accumulate else x
    assert out[0] == REDUCTIONS[kind, name](values.astype(np.float64) if kind != "i32" else values)
