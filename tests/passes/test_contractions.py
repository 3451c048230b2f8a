"""Contractions as register-tiled loops: every schedule keeps the meaning, on every shape that could trip it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import mlir_opt, needs_mlir, parse
from xdsl.context import Context
from xdsl.dialects import func, linalg, vector
from xdsl.dialects import memref as memref_dialect
from xdsl.dialects.builtin import ModuleOp, bf16, f16, f32, f64, i1, i8, i16, i32

from xmlc.dialects.dtypes import TO_NUMPY
from xmlc.dialects.reference.interpreter import interpret_into
from xmlc.passes.contractions.emitter import UNROLL
from xmlc.passes.contractions.lower import LowerContractions
from xmlc.passes.lower_linalg import LowerLinalg
from xmlc.passes.remarks import Remarks
from xmlc.passes.views import root

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
    unsigned: str = ""
    """Which of `x` and `y` are unsigned integers."""
    epilogue: str = ""
    """What follows, a row of EPILOGUES."""


def shape_of(indices: str, extents: Mapping[str, int]) -> list[int]:
    """One more than the largest value of each index."""
    last = {name: extent - 1 for name, extent in extents.items()}
    python = indices.replace("floordiv", "//").replace("mod", "%")
    return [eval(index, {}, last) + 1 for index in split(python)]


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
    integer = case.sums == "i32"
    bias, set_up = "", ""
    if case.start == "zero":
        set_up = f"%zero = arith.constant {'0' if integer else '0.0'} : {case.sums}\n"
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
    widen = "".join(
        f"    %{v}w = arith.{('extui' if v in case.unsigned else 'extsi') if integer else 'extf'}"
        f" %{v} : {case.element} to {case.sums}\n"
        for v in "xy"
    )
    wide = "w" if case.element != case.sums else ""
    multiply, add = ("arith.muli", "arith.addi") if integer else ("arith.mulf", "arith.addf")
    fast = "" if integer else " fastmath<reassoc>"
    made, given, end = f"%c: {out}", "", ""
    if case.epilogue:
        made, given, end = epilogue(case, extents)
    return f"""
func.func @main(%a: {x}, %b: {y}, {bias}{made}) {{
  {given}
  {set_up}
  linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}}
      ins(%a, %b : {x}, {y}) outs(%c : {out}) {{
  ^bb0(%x: {case.element}, %y: {case.element}, %s: {case.sums}):
{widen if wide else ""}    %m = {multiply} %x{wide}, %y{wide}{fast} : {case.sums}
    %t = {add} %s, %m{fast} : {case.sums}
    linalg.yield %t : {case.sums}
  }}
  {end}
  func.return
}}"""


@dataclass(frozen=True)
class Consumer:
    """An elementwise op after a contraction: what it computes of the sum %s and of %r, and where it reads and stores.

    The indices are of the contraction's result: i the first dimension, j the second.
    """

    body: str
    reads: str = ""
    writes: str = "i, j"
    result: str = "f32"
    in_place: bool = False


EPILOGUES: dict[str, Consumer] = {
    "relu": Consumer("%z = arith.constant 0.0 : f32\n %e = arith.maximumf %s, %z : f32"),
    "relu in place": Consumer("%z = arith.constant 0.0 : f32\n %e = arith.maximumf %s, %z : f32", in_place=True),
    "residual": Consumer("%e = arith.addf %s, %r : f32", reads="i, j"),
    "residual in place": Consumer("%e = arith.addf %r, %s : f32", reads="i, j", in_place=True),
    "scale of columns": Consumer("%e = arith.mulf %s, %r : f32", reads="j"),
    "scale of rows": Consumer("%e = arith.mulf %s, %r : f32", reads="i", in_place=True),
    "transposed": Consumer("%e = arith.negf %s : f32", writes="j, i"),
    "to half": Consumer("%e = arith.truncf %s : f32 to f16", result="f16"),
    "long": Consumer("%q = math.absf %s : f32\n %p = math.sqrt %q : f32\n %e = arith.addf %p, %r : f32", reads="j"),
    "long in place": Consumer("%q = math.absf %s : f32\n %e = math.sqrt %q : f32", in_place=True),
    "to bool": Consumer("%e = arith.cmpf olt, %s, %r : f32", reads="i, j", result="i1"),
}


def epilogue(case: Case, extents: Mapping[str, int]) -> tuple[str, str, str]:
    """Arguments, what makes %c, and the op."""
    row = EPILOGUES[case.epilogue]
    names = split(case.out)
    named = dict(zip("ij", names))
    read = ", ".join(named[index] for index in split(row.reads))
    written = ", ".join(named[index] for index in split(row.writes))
    out = memref(shape_of(case.out, extents), case.sums)
    other = memref(shape_of(read, extents), "f32")
    result = memref(shape_of(written, extents), row.result)
    loops = ", ".join(names)
    maps = [case.out, *([read] if read else []), written]
    found = f"%r0: {other}, " if read else ""
    arguments = f"{found}%c: {out}" if row.in_place else f"{found}%d: {result}"
    made = "" if row.in_place else f"%c = memref.alloc() : {out}"
    text = f"""linalg.generic {{indexing_maps = [{", ".join(f"affine_map<({loops}) -> ({map_})>" for map_ in maps)}],
      iterator_types = [{", ".join(['"parallel"'] * len(names))}]}}
      ins(%c{", %r0" if read else ""} : {out}{f", {other}" if read else ""})
      outs({"%c" if row.in_place else "%d"} : {result}) {{
  ^bb0(%s: f32{", %r: f32" if read else ""}, %o: {row.result}):
    {row.body}
    linalg.yield %e : {row.result}
  }}"""
    return arguments, made, text


MATMUL = {"lhs": "i, k", "rhs": "k, j", "out": "i, j", "reduces": "k"}
CONVOLUTION = {"reduces": "c p q", "rhs": "o, c, p, q", "out": "n, o, h, w"}
CASES: dict[str, Case] = {
    "product": Case("i=9 j=13 k=19", **MATMUL),
    "product that fits": Case("i=8 j=16 k=16", **MATMUL),
    "product onto what is there": Case("i=9 j=13 k=19", **MATMUL, start="out"),
    "product with bias of columns": Case("i=9 j=13 k=19", **MATMUL, start="j"),
    "product with bias of rows": Case("i=9 j=13 k=19", **MATMUL, start="i"),
    "panels": Case("i=9 j=48 k=19", "k", "i, k", "j floordiv 16, k, j mod 16, 0", "i, j"),
    "panels onto what is there": Case("i=9 j=48 k=19", "k", "i, k", "j floordiv 16, k, j mod 16, 0", "i, j", "out"),
    "panels, long": Case("i=5 j=32 k=1025", "k", "i, k", "j floordiv 16, k, j mod 16, 0", "i, j", "j"),
    "panels in groups": Case("i=9 j=48 k=20", "k", "i, k", "j floordiv 16, k floordiv 2, j mod 16, k mod 2", "i, j"),
    "product in f64": Case("i=9 j=13 k=19", **MATMUL, element="f64", sums="f64"),
    "product of halves": Case("i=9 j=13 k=19", **MATMUL, element="f16", sums="f32"),
    "left transposed": Case("i=9 j=13 k=19", "k", "k, i", "k, j", "i, j"),
    "right transposed": Case("i=9 j=13 k=19", "k", "i, k", "j, k", "i, j"),
    "result transposed": Case("i=9 j=13 k=19", "k", "i, k", "k, j", "j, i"),
    "product of bf16": Case("i=9 j=13 k=19", **MATMUL, element="bf16"),
    "product of even bf16": Case("i=9 j=32 k=24", **MATMUL, element="bf16"),
    "product of integers": Case("i=9 j=13 k=19", **MATMUL, element="i8", sums="i32"),
    "product of integers onto": Case("i=9 j=13 k=19", **MATMUL, element="i8", sums="i32", start="out"),
    "product of even integers": Case("i=9 j=32 k=24", **MATMUL, element="i8", sums="i32", unsigned="x"),
    "product of signed by unsigned": Case("i=9 j=13 k=19", **MATMUL, element="i8", sums="i32", unsigned="y"),
    "product of unsigned": Case("i=9 j=13 k=19", **MATMUL, element="i8", sums="i32", unsigned="xy"),
    "product of words": Case("i=9 j=13 k=19", **MATMUL, element="i16", sums="i32"),
    "product of integers, right transposed": Case(
        "i=9 j=13 k=19", "k", "i, k", "j, k", "i, j", element="i8", sums="i32", start="j"
    ),
    "product of integers, left transposed": Case(
        "i=9 j=13 k=19", "k", "k, i", "k, j", "i, j", element="i8", sums="i32"
    ),
    "product of bf16, both transposed": Case("i=9 j=13 k=19", "k", "k, i", "j, k", "i, j", element="bf16"),
    "product of integers, spread out": Case(
        "i=9 j=13 k=19", "k", "k, i * 3", "k * 2, j * 2", "i, j", element="i8", sums="i32"
    ),
    "two rows": Case("i=2 j=37 k=21", **MATMUL, start="j"),
    "two rows in a batch": Case("b=3 i=2 j=37 k=21", "k", "b, i, k", "b, k, j", "b, i, j"),
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
SCHEDULES = ("direct", "sweep", "panelled", "blocked", "dot", "flatten", "stretches")


ELEMENTS = {str(each): each for each in (f16, bf16, f32, f64, i1, i8, i16, i32)}


def dtype(element: str) -> Any:
    return TO_NUMPY[ELEMENTS[element]]


def buffers_of(case: Case, module: ModuleOp) -> list[Any]:
    function = next(iter(module.body.block.ops))
    types: Sequence[Any] = function.regions[0].block.arg_types
    random = np.random.default_rng(1)
    values: list[Any] = [random.integers(-4, 5, type.get_shape()) for type in types]
    return [np.asarray(value, dtype(str(type.element_type))) for value, type in zip(values, types)]


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


@pytest.mark.parametrize("rows", ["i, k", "k, i"])
@pytest.mark.parametrize("start", ["zero", "out", "j"])
def test_a_matrix_is_swept_by_tiles_of_rows(start: str, rows: str) -> None:
    """Blocks of columns and of steps, the last of which are smaller; limit: rows in which steps are far apart."""
    small = LowerContractions(schedule="sweep", first_cache=2048, second_cache=2048)
    module = expect_kept(Case("i=13 j=75 k=41", "k", rows, "k, j", "i, j", start), small)
    assert any(op.name == "memref.alloc" for op in module.walk()) == (rows == "i, k")


STRETCHED = {
    "plain": Case("i=9 j=13 k=48", **MATMUL),
    "onto": Case("i=9 j=13 k=48", **MATMUL, start="out"),
    "with a bias": Case("i=9 j=13 k=48", **MATMUL, start="j"),
    "by one for each row": Case("i=9 j=13 k=48", **MATMUL, start="i"),
    "both transposed": Case("i=9 j=5 k=192", "k", "k, i", "j, k", "i, j"),
    "result transposed": Case("i=9 j=5 k=192", "k", "i, k", "k, j", "j, i"),
    "uneven": Case("i=9 j=13 k=45", **MATMUL),
    "bf16": Case("i=9 j=13 k=96", **MATMUL, element="bf16"),
    "integers": Case("i=9 j=13 k=192", **MATMUL, element="i8", sums="i32"),
    "followed": Case("i=9 j=13 k=48", **MATMUL, epilogue="residual"),
    "followed by much": Case("i=9 j=13 k=48", **MATMUL, epilogue="long"),
    "one row": Case("j=13 k=192", "k", "k", "k, j", "j"),
}


@pytest.mark.parametrize("name", STRETCHED)
def test_long_reductions_go_in_stretches(name: str) -> None:
    heard = Remarks()
    with heard.collecting():
        expect_kept(STRETCHED[name], LowerContractions(schedule="stretches", **SMALL))
    assert [each.message[:10] for each in heard.found] == ["stretches,"]


@pytest.mark.parametrize(
    ("loops", "chosen"), [("i=64 j=64 k=16384", "stretches, 16 of them"), ("i=64 j=64 k=16381", "direct")]
)
def test_stretches_are_whole(loops: str, chosen: str) -> None:
    """Limit: a reduction that has no divisors."""
    module = parse(program(Case(loops, **MATMUL)))
    heard = Remarks()
    with heard.collecting():
        LowerContractions().apply(Context(), module)
    (message,) = [each.message for each in heard.found]
    assert message.startswith(chosen)


def test_few_rows_of_what_is_no_weight_are_not_packed() -> None:
    module = parse(program(Case("i=8 j=1024 k=1024", **MATMUL)))
    heard = Remarks()
    with heard.collecting():
        LowerContractions().apply(Context(), module)
    assert [each.message[:6] for each in heard.found] == ["sweep,"]


@pytest.mark.parametrize(("threads", "columns"), [(1, 256), (2, 128), (3, 96), (64, 32)])
def test_threads_share_the_columns_of_a_swept_matrix(threads: int, columns: int) -> None:
    case = Case("j=256 k=19", "k", "k", "k, j", "j", start="j")
    heard = Remarks()
    with heard.collecting():
        expect_kept(case, LowerContractions(schedule="sweep", threads=threads))
    (message,) = [each.message for each in heard.found]
    assert f"in blocks of {columns} columns" in message


@pytest.mark.parametrize(("threads", "columns"), [(1, 96), (2, 64), (3, 32)])
def test_threads_share_the_columns_of_a_packed_matrix(threads: int, columns: int) -> None:
    case = Case("i=24 j=96 k=40", **MATMUL)
    heard = Remarks()
    with heard.collecting():
        expect_kept(case, LowerContractions(schedule="blocked", threads=threads))
    (message,) = [each.message for each in heard.found]
    assert f"blocks of {columns} columns" in message


DOTS = [name for name, case in CASES.items() if case.element in ("bf16", "i8", "i16")]


@pytest.mark.parametrize("dots", [("bf16", "i8"), ("i16",)])
@pytest.mark.parametrize("name", DOTS)
def test_instructions_on_groups_keep_the_meaning(name: str, dots: tuple[str, ...]) -> None:
    expect_kept(CASES[name], LowerContractions(schedule="blocked", dots=dots, **SMALL))


@pytest.mark.parametrize(("element", "sums"), [("bf16", "f32"), ("i16", "i32")])
def test_instructions_on_groups_take_rows_as_they_lie(element: str, sums: str) -> None:
    case = Case("i=5 j=3 k=75", "k", "i, k", "j, k", "i, j", element=element, sums=sums)
    module = expect_kept(case, LowerContractions(schedule="dot", dots=(element,)))
    assert any(op.name == "grouped.dot" for op in module.walk())


def test_bytes_of_one_kind_are_widened_where_they_lie() -> None:
    """The instruction wants one signed and one unsigned factor."""
    case = Case("i=5 j=3 k=150", "k", "i, k", "j, k", "i, j", element="i8", sums="i32")
    module = expect_kept(case, LowerContractions(schedule="dot", dots=("i8",)))
    assert not any(op.name == "grouped.dot" for op in module.walk())


BF16 = {"element": "bf16", "sums": "f32"}
BYTES = {"element": "i8", "sums": "i32"}
TILED = {
    "whole": Case("i=64 j=64 k=64", **MATMUL, **BF16),
    "ragged": Case("i=37 j=41 k=32", **MATMUL, **BF16, start="j"),
    "few rows": Case("i=3 j=32 k=64", **MATMUL, **BF16, start="out"),
    "by columns": Case("i=33 j=35 k=96", "k", "i, k", "j, k", "i, j", **BF16),
    "batch": Case("b=2 i=33 j=32 k=32", "k", "b, i, k", "b, k, j", "b, i, j", **BF16),
    "blocks": Case("i=5 j=17 k=2144", **MATMUL, **BF16, start="j"),
    "followed": Case("i=34 j=40 k=32", **MATMUL, **BF16, epilogue="residual"),
    "followed by much": Case("i=34 j=40 k=2144", **MATMUL, **BF16, epilogue="long"),
    "short": Case("i=33 j=40 k=6", **MATMUL, **BF16, start="j"),
    "short by columns": Case("i=20 j=35 k=16", "k", "i, k", "j, k", "i, j", **BF16),
    "short bytes": Case("i=33 j=40 k=12", **MATMUL, **BYTES, unsigned="x"),
    "signed bytes": Case("i=33 j=40 k=128", **MATMUL, **BYTES),
    "unsigned rows": Case("i=33 j=40 k=64", **MATMUL, **BYTES, unsigned="x"),
    "unsigned columns": Case("i=33 j=40 k=64", **MATMUL, **BYTES, unsigned="y"),
    "unsigned bytes": Case("i=33 j=40 k=64", "k", "i, k", "j, k", "i, j", **BYTES, unsigned="xy"),
}


@pytest.mark.parametrize("name", TILED)
def test_tiles_of_a_matrix_unit_keep_the_meaning(name: str) -> None:
    lowering = LowerContractions(schedule="tiles", tiles=("bf16", "i8"))
    module = expect_kept(TILED[name], lowering)
    assert any(op.name.startswith("amx.tile_mul") for op in module.walk())


@needs_mlir
@pytest.mark.parametrize("name", TILED)
def test_mlir_accepts_tiles(name: str) -> None:
    module = parse(program(TILED[name]))
    LowerContractions(schedule="tiles", tiles=("bf16", "i8")).apply(Context(), module)
    LowerLinalg().apply(Context(), module)
    mlir_opt(str(module))


def test_a_matrix_unit_is_chosen_where_there_is_one() -> None:
    module = parse(program(TILED["whole"]))
    LowerContractions(tiles=("bf16", "i8"), dots=("bf16", "i8")).apply(Context(), module)
    assert any(op.name == "amx.tile_mulf" for op in module.walk())


@pytest.mark.parametrize("name", CASES)
def test_the_cheapest_schedule_keeps_the_meaning(name: str) -> None:
    expect_kept(CASES[name], LowerContractions())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", EPILOGUES)
def test_every_schedule_keeps_what_follows(name: str, schedule: str) -> None:
    for rhs in ("k, j", "j, k"):
        case = Case("i=9 j=19 k=21", "k", "i, k", rhs, "i, j", epilogue=name)
        module = expect_kept(case, LowerContractions(schedule=schedule, **SMALL))
        if schedule == "direct" and rhs == "k, j" and name not in ("transposed", "to bool"):
            assert not [op for op in module.walk() if isinstance(op, linalg.ops.GenericOp)]
            # no second result: at most the sums of a tile, while they wait for a long epilogue
            buffers = [op.memref.type for op in module.walk() if isinstance(op, memref_dialect.AllocOp)]
            assert all(prod(type_.get_shape()) < 9 * 19 for type_ in buffers)


def test_no_tile_reads_what_another_thread_may_have_written() -> None:
    """A tile that is moved back from an edge writes elements of the one before it again."""
    case = Case("i=9 j=19 k=21", **MATMUL, epilogue="long")
    module = expect_kept(case, LowerContractions(schedule="direct", **SMALL))
    [function] = [op for op in module.ops if isinstance(op, func.FuncOp)]
    out = function.args[-1]
    read = [op.operands[0] for op in module.walk() if isinstance(op, vector.LoadOp | memref_dialect.LoadOp)]
    written = [op.operands[1] for op in module.walk() if isinstance(op, vector.StoreOp | memref_dialect.StoreOp)]
    assert out in map(root, written) and out not in map(root, read)


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
    def allocations(size: int, rows: str = "i, k") -> int:
        module = parse(program(Case(f"i={size} j={size} k={size}", "k", rows, "k, j", "i, j")))
        LowerContractions().apply(Context(), module)
        return sum(op.name == "memref.alloc" for op in module.walk())

    assert allocations(64) == 0
    assert allocations(2048) == 1  # columns; rows lie along the reduction
    assert allocations(2048, "k, i") == 3  # columns, the rows of a tile, those of the last


def test_a_kernel_is_a_few_hundred_ops() -> None:
    for size in (64, 100, 512, 2048):
        module = parse(program(Case(f"i={size} j={size} k={size}", **MATMUL)))
        LowerContractions().apply(Context(), module)
        assert sum(1 for _ in module.walk()) < 400


@pytest.mark.parametrize(("steps", "expected"), [(9, 9), (512, 4)])
def test_few_steps_of_column_by_column_sums_are_all_unrolled_and_many_are_not(steps: int, expected: int) -> None:
    """LLVM takes time in the square of what is unrolled: 0.35 s for 512 steps."""
    case = Case(f"j=32 k={steps}", "k", "k, j", "k, j", "j")
    module = expect_kept(case, LowerContractions(schedule="direct"))
    unrolled = [cast(Any, op.attributes[UNROLL]).value.data for op in module.walk() if UNROLL in op.attributes]
    assert unrolled == [expected]


@needs_mlir
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", CASES)
def test_mlir_accepts_it(name: str, schedule: str) -> None:
    module = parse(program(CASES[name]))
    LowerContractions(schedule=schedule, **SMALL).apply(Context(), module)
    LowerLinalg().apply(Context(), module)
    mlir_opt(str(module))


def test_few_rows_read_wide_weights_in_long_pieces() -> None:
    """A matrix is no panel: tiles one vector wide would read 64 bytes at a time from main memory."""
    module = parse(program(Case("i=16 j=1536 k=384", "k", "i, k", "k, j", "i, j", element="f32")))
    heard = Remarks()
    with heard.collecting():
        LowerContractions(schedule="direct").apply(Context(), module)
    (tile,) = [re.match(r"direct, tile (\d+)x(\d+)", each.message) for each in heard.found]
    assert tile is not None and int(tile[2]) >= 48
