"""Contractions as register-tiled loops: every schedule keeps the meaning, on every shape that could trip it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import mlir_opt, needs_mlir, parse
from xdsl.context import Context
from xdsl.dialects import linalg
from xdsl.dialects.builtin import ModuleOp

from xmlc.dialects.reference.interpreter import interpret_into
from xmlc.passes.contractions.lower import LowerContractions
from xmlc.passes.lower_linalg import LowerLinalg

SMALL: Mapping[str, Any] = {"vector_bits": 128, "vector_registers": 16, "first_cache": 1024, "second_cache": 4096}
"""A machine on which blocks and tiles of small matrices end inside them."""


@dataclass(frozen=True)
class Case:
    """Loops as `name=extent`, the reducing ones, and what indexes each operand."""

    loops: str
    reduces: str
    lhs: str
    rhs: str
    out: str
    start: str = "zero"
    """`zero`, `out` for what is there, or the indices of a bias."""
    element: str = "f32"
    sums: str = "f32"


def shape_of(indices: str, extents: Mapping[str, int]) -> list[int]:
    """One more than the largest value of each index."""
    last = {name: extent - 1 for name, extent in extents.items()}
    return [eval(index, {}, last) + 1 for index in split(indices)]


def split(indices: str) -> list[str]:
    return [index.strip() for index in indices.split(",") if index.strip()]


def memref(shape: Sequence[int], element: str) -> str:
    return "memref<" + "".join(f"{size}x" for size in shape) + element + ">"


def program(case: Case) -> str:
    extents = {name: int(extent) for name, extent in (loop.split("=") for loop in case.loops.split())}
    names = ", ".join(extents)
    kinds = ", ".join('"reduction"' if name in case.reduces.split() else '"parallel"' for name in extents)
    maps = ", ".join(f"affine_map<({names}) -> ({indices})>" for indices in (case.lhs, case.rhs, case.out))
    x = memref(shape_of(case.lhs, extents), case.element)
    y = memref(shape_of(case.rhs, extents), case.element)
    out = memref(shape_of(case.out, extents), case.sums)
    bias, set_up = "", ""
    if case.start == "zero":
        set_up = f"%zero = arith.constant 0.0 : {case.sums}\n"
        set_up += f"  linalg.fill ins(%zero : {case.sums}) outs(%c : {out})"
    elif case.start != "out":
        whole = split(case.out)
        type_ = memref(shape_of(case.start, extents), case.sums)
        bias = f"%bias: {type_}, "
        set_up = f"""linalg.generic {{indexing_maps = [affine_map<({", ".join(whole)}) -> ({case.start})>,
      affine_map<({", ".join(whole)}) -> ({", ".join(whole)})>],
      iterator_types = [{", ".join(['"parallel"'] * len(whole))}]}} ins(%bias : {type_}) outs(%c : {out}) {{
  ^bb0(%p: {case.sums}, %q: {case.sums}):
    linalg.yield %p : {case.sums}
  }}"""
    widen = "".join(f"    %{v}w = arith.extf %{v} : {case.element} to {case.sums}\n" for v in "xy")
    wide = "w" if case.element != case.sums else ""
    return f"""
func.func @main(%a: {x}, %b: {y}, {bias}%c: {out}) {{
  {set_up}
  linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}}
      ins(%a, %b : {x}, {y}) outs(%c : {out}) {{
  ^bb0(%x: {case.element}, %y: {case.element}, %s: {case.sums}):
{widen if wide else ""}    %m = arith.mulf %x{wide}, %y{wide} fastmath<reassoc> : {case.sums}
    %t = arith.addf %s, %m fastmath<reassoc> : {case.sums}
    linalg.yield %t : {case.sums}
  }}
  func.return
}}"""


MATMUL = {"lhs": "i, k", "rhs": "k, j", "out": "i, j", "reduces": "k"}
CONVOLUTION = {"reduces": "c p q", "rhs": "o, c, p, q", "out": "n, o, h, w"}
CASES: dict[str, Case] = {
    "product": Case("i=9 j=13 k=19", **MATMUL),
    "product that fits": Case("i=8 j=16 k=16", **MATMUL),
    "product onto what is there": Case("i=9 j=13 k=19", **MATMUL, start="out"),
    "product with bias of columns": Case("i=9 j=13 k=19", **MATMUL, start="j"),
    "product with bias of rows": Case("i=9 j=13 k=19", **MATMUL, start="i"),
    "product in f64": Case("i=9 j=13 k=19", **MATMUL, element="f64", sums="f64"),
    "product of halves": Case("i=9 j=13 k=19", **MATMUL, element="f16", sums="f32"),
    "left transposed": Case("i=9 j=13 k=19", "k", "k, i", "k, j", "i, j"),
    "right transposed": Case("i=9 j=13 k=19", "k", "i, k", "j, k", "i, j"),
    "result transposed": Case("i=9 j=13 k=19", "k", "i, k", "k, j", "j, i"),
    "row times matrix": Case("i=1 j=37 k=21", **MATMUL),
    "matrix times column": Case("i=37 j=1 k=21", **MATMUL),
    "inner product": Case("k=37", "k", "k", "k", ""),
    "outer product": Case("i=7 j=11", "", "i", "j", "i, j"),
    "batch": Case("b=3 i=5 j=9 k=7", "k", "b, i, k", "b, k, j", "b, i, j"),
    "batch of transposed": Case("b=3 i=5 j=9 k=7", "k", "b, i, k", "b, j, k", "b, i, j"),
    "heads apart": Case("b=2 t=5 h=3 d=4 s=6", "d", "b, t, h, d", "b, s, h, d", "b, h, t, s"),
    "broadcast left": Case("b=3 i=5 j=9 k=7", "k", "i, k", "b, k, j", "b, i, j"),
    "two loops of each kind": Case("a=2 b=3 c=4 d=5 e=2 f=3", "e f", "a, e, b, f", "f, c, e, d", "a, b, c, d"),
    "elementwise": Case("i=5 j=9", "", "i, j", "i, j", "i, j"),
    "sum of one factor": Case("i=5 j=9 k=3", "k", "i, j", "k, j", "i, j"),
    "diagonal": Case("i=6 k=5", "k", "i, k", "k, i", "i"),
    "convolution": Case("n=2 o=5 h=4 w=9 c=3 p=3 q=3", lhs="n, c, h + p, w + q", **CONVOLUTION),
    "convolution with bias": Case("n=2 o=5 h=4 w=9 c=3 p=3 q=3", lhs="n, c, h + p, w + q", **CONVOLUTION, start="o"),
    "convolution onto": Case("n=2 o=5 h=4 w=9 c=3 p=3 q=3", lhs="n, c, h + p, w + q", **CONVOLUTION, start="out"),
    "stride 2": Case("n=1 o=5 h=4 w=9 c=3 p=3 q=3", lhs="n, c, h * 2 + p, w * 2 + q", **CONVOLUTION),
    "stride 2, narrow": Case("n=2 o=5 h=3 w=3 c=3 p=2 q=2", lhs="n, c, h * 2 + p, w * 2 + q", **CONVOLUTION),
    "stride 3": Case("n=1 o=5 h=4 w=9 c=3 p=3 q=3", lhs="n, c, h * 3 + p, w * 3 + q", **CONVOLUTION),
    "dilation": Case("n=1 o=5 h=4 w=9 c=3 p=3 q=3", lhs="n, c, h + p * 2, w + q * 3", **CONVOLUTION),
    "pointwise": Case("n=2 o=7 h=3 w=5 c=6 p=1 q=1", lhs="n, c, h + p, w + q", **CONVOLUTION),
    "pointwise on one pixel": Case("n=3 o=9 h=1 w=1 c=17 p=1 q=1", lhs="n, c, h + p, w + q", **CONVOLUTION),
    "tiny images": Case("n=5 o=7 h=2 w=2 c=6 p=1 q=1", lhs="n, c, h + p, w + q", **CONVOLUTION, start="o"),
    "depthwise": Case("n=2 g=3 h=5 w=9 p=3 q=3", "p q", "n, g, h + p, w + q", "g, p, q", "n, g, h, w"),
    "depthwise, stride 2": Case(
        "n=2 g=3 h=5 w=9 p=3 q=3", "p q", "n, g, h * 2 + p, w * 2 + q", "g, p, q", "n, g, h, w"
    ),
    "depthwise, channels last": Case("n=2 g=9 h=5 w=4 p=3 q=3", "p q", "n, h + p, w + q, g", "p, q, g", "n, h, w, g"),
    "grouped": Case(
        "n=2 g=2 o=3 h=4 w=5 c=2 p=3 q=3", "c p q", "n, g, c, h + p, w + q", "g, o, c, p, q", "n, g, o, h, w"
    ),
    "series": Case("n=2 o=5 w=21 c=3 q=5", "c q", "n, c, w + q", "o, c, q", "n, o, w"),
}
SCHEDULES = ("direct", "blocked", "dot", "flatten")


def dtype(element: str) -> Any:
    return {"f16": np.float16, "f32": np.float32, "f64": np.float64}[element]


def buffers_of(case: Case, module: ModuleOp) -> list[Any]:
    function = next(iter(module.body.block.ops))
    types: Sequence[Any] = function.regions[0].block.arg_types
    random = np.random.default_rng(1)
    values: list[Any] = [random.integers(-4, 5, type.get_shape()) for type in types]
    names = [case.element, case.element, *[case.sums] * (len(types) - 2)]
    return [np.asarray(value, dtype(name)) for value, name in zip(values, names)]


def run(module: ModuleOp, buffers: Sequence[Any]) -> Any:
    given = [each.copy() for each in buffers]
    interpret_into(module, "main", given)
    for before, after in zip(buffers[:-1], given):
        np.testing.assert_array_equal(before, after)
    return given[-1]


def expect_kept(case: Case, lowering: LowerContractions) -> ModuleOp:
    """Small integers: sums are exact in any order."""
    module = parse(program(case))
    buffers = buffers_of(case, module)
    wanted = run(module, buffers)
    lowering.apply(Context(), module)
    module.verify()
    np.testing.assert_array_equal(run(module, buffers), wanted)
    return module


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", CASES)
def test_every_schedule_keeps_the_meaning(name: str, schedule: str) -> None:
    expect_kept(CASES[name], LowerContractions(schedule=schedule, **SMALL))


@pytest.mark.parametrize("name", CASES)
def test_the_cheapest_schedule_keeps_the_meaning(name: str) -> None:
    expect_kept(CASES[name], LowerContractions())


SIZE = st.integers(1, 40)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SIZE, SIZE, SIZE, st.sampled_from(SCHEDULES), st.sampled_from(["zero", "out", "j", "i"]), st.booleans())
def test_products_of_any_size(i: int, j: int, k: int, schedule: str, start: str, transposed: bool) -> None:
    rhs = "j, k" if transposed else "k, j"
    case = Case(f"i={i} j={j} k={k}", "k", "i, k", rhs, "i, j", start)
    expect_kept(case, LowerContractions(schedule=schedule, **SMALL))


@pytest.mark.parametrize("name", ["product", "convolution", "depthwise", "batch", "row times matrix", "pointwise"])
def test_nothing_of_linalg_is_left_of_a_contraction(name: str) -> None:
    module = expect_kept(CASES[name], LowerContractions())
    assert not [op for op in module.walk() if isinstance(op, linalg.ops.GenericOp | linalg.ops.FillOp)]


def test_a_large_product_is_packed_and_a_small_one_is_not() -> None:
    def allocations(size: int) -> int:
        module = parse(program(Case(f"i={size} j={size} k={size}", **MATMUL)))
        LowerContractions().apply(Context(), module)
        return sum(op.name == "memref.alloc" for op in module.walk())

    assert allocations(64) == 0
    assert allocations(2048) == 1


def test_a_kernel_is_a_few_hundred_ops() -> None:
    for size in (64, 100, 512, 2048):
        module = parse(program(Case(f"i={size} j={size} k={size}", **MATMUL)))
        LowerContractions().apply(Context(), module)
        assert sum(1 for _ in module.walk()) < 400


@needs_mlir
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", CASES)
def test_mlir_accepts_it(name: str, schedule: str) -> None:
    module = parse(program(CASES[name]))
    LowerContractions(schedule=schedule, **SMALL).apply(Context(), module)
    LowerLinalg().apply(Context(), module)
    mlir_opt(str(module))
