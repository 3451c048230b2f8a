"""Rows done one at a time mean what the interpreter says: any shape, any axis, with NaN and infinities in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import parse
from xdsl.ir import SSAValue

import xmlc
from xmlc.backends.cpu.target import parse_target
from xmlc.dialects.ml import functions as F
from xmlc.dialects.ml.types import rank_of
from xmlc.driver import Settings, compile_module

Program = Callable[[SSAValue, int], SSAValue]


def standardized(x: SSAValue, axis: int) -> SSAValue:
    centred = F.sub(x, F.reduce_mean(x, (axis,), keep_dims=True))
    variance = F.reduce_mean(F.mul(centred, centred), (axis,), keep_dims=True)
    return F.mul(centred, F.rsqrt(F.add(variance, F.scalar(variance, 1e-5))))


def masked_softmax(x: SSAValue, axis: int) -> SSAValue:
    return F.softmax(F.select(F.compare(x, F.scalar(x, 0.5), "lt"), x, F.scalar(x, -np.inf)), axis)


PROGRAMS: dict[str, Program] = {
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    "masked_softmax": masked_softmax,
    "standardized": standardized,
    "mean": lambda x, axis: F.reduce_mean(F.mul(x, x), (axis,)),
    "sum": lambda x, axis: F.reduce_sum(x, (axis,)),
    "product": lambda x, axis: F.reduce_prod(F.mul(x, F.scalar(x, 0.5)), (axis,)),
    "max": lambda x, axis: F.reduce_max(F.exp(x), (axis,)),
    "min of all": lambda x, _: F.reduce_min(x, range(rank_of(x))),
    "place of the largest": lambda x, axis: F.argmax(x, axis),
    "place of the smallest": lambda x, axis: F.argmin(F.mul(x, x), axis),
    "chain": lambda x, axis: F.mul(F.tanh(F.add(F.erf(x), x)), F.exp(x)),
    "chain of a softmax": lambda x, axis: F.tanh(F.softmax(F.erf(x), axis)),
    "softmax of rows and columns": lambda x, axis: F.softmax(F.softmax(x, axis), rank_of(x) - 1),
}
SHAPES = (
    (3, 5),
    (7, 33),
    (5, 129),
    (2, 300),
    (2, 3, 64),
    (2, 130, 6),
    (3, 17, 16),
    (2, 65, 70),
    (130, 70),
    (9, 1100),
    (40,),
    (2, 3, 4, 5),
    (0, 4),
)


def compare(shape: tuple[int, ...], axis: int, name: str, x: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("x".join(map(str, shape)) + "xf32")) as f:
        f.returns(PROGRAMS[name](f["x"], axis))
    with np.errstate(all="ignore"):
        (wanted,) = builder.interpret(x)
    (found,) = builder.compile()(x)
    np.testing.assert_allclose(found, wanted, rtol=3e-5, atol=3e-6)


@settings(max_examples=40)
@given(st.data(), st.sampled_from(SHAPES), st.sampled_from(sorted(PROGRAMS)))
def test_rows_mean_what_the_interpreter_says(data: st.DataObject, shape: tuple[int, ...], name: str) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = np.random.default_rng(data.draw(st.integers(0, 99))).standard_normal(shape, np.float32)
    if shape[axis] or name not in ("max", "min of all", "place of the largest", "place of the smallest"):
        compare(shape, axis, name, x)


@pytest.mark.parametrize("name", ["softmax", "sum", "max", "min of all", "place of the largest"])
@pytest.mark.parametrize("columns", [20, 256, 300])
def test_nan_and_infinities_stay_in_their_row(name: str, columns: int) -> None:
    x = np.random.default_rng(0).standard_normal((5, columns), np.float32)
    x[1, 17], x[2, 3], x[3, 0] = np.nan, np.inf, -np.inf
    compare((5, columns), 1, name, x)
    compare((columns, 5), 0, name, np.ascontiguousarray(x.T))


@pytest.mark.parametrize("dtype", ["f64", "f16", "i8", "ui8", "i32", "i64", "ui64"])
@pytest.mark.parametrize("find", [F.argmax, F.argmin])
def test_the_first_of_equal_extremes_is_found(dtype: str, find: Callable[[SSAValue, int], SSAValue]) -> None:
    x = np.random.default_rng(0).integers(0, 3, (6, 70))
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor(f"6x70x{dtype}")) as f:
        f.returns(find(f["x"], 1))
    given = x.astype(dtype.replace("i", "int").replace("f", "float"))
    (found,) = builder.compile()(given)
    np.testing.assert_array_equal(found, x.argmax(1) if find is F.argmax else x.argmin(1))


def test_a_softmax_agrees_on_processors_without_a_scaling_instruction() -> None:
    x = np.random.default_rng(0).standard_normal((5, 300), np.float32) * 30
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("5x300xf32")) as f:
        f.returns(F.softmax(f["x"], 1))
    (wanted,) = builder.interpret(x)
    (found,) = builder.compile(Settings(target=parse_target("cpu:avx2")))(x)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-37)


SUMS_OF_COLUMNS = """
#transposed = affine_map<(i, j) -> (j, i)>
#outer = affine_map<(i, j) -> (i)>
func.func @main(%x: tensor<30x70xf32>, %y: tensor<45x70xf32>) -> (tensor<70xf32>, tensor<70xf32>) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<70xf32>
  %a = linalg.fill ins(%zero : f32) outs(%e : tensor<70xf32>) -> tensor<70xf32>
  %s = linalg.generic {indexing_maps = [#transposed, #outer], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<30x70xf32>) outs(%a : tensor<70xf32>) {
  ^bb0(%v: f32, %t: f32):
    %w = arith.addf %t, %v fastmath<reassoc> : f32
    linalg.yield %w : f32
  } -> tensor<70xf32>
  %b = linalg.fill ins(%zero : f32) outs(%e : tensor<70xf32>) -> tensor<70xf32>
  %r = linalg.generic {indexing_maps = [#transposed, #outer], iterator_types = ["parallel", "reduction"]}
      ins(%y : tensor<45x70xf32>) outs(%b : tensor<70xf32>) {
  ^bb0(%v: f32, %t: f32):
    %w = arith.addf %t, %v fastmath<reassoc> : f32
    linalg.yield %w : f32
  } -> tensor<70xf32>
  func.return %s, %r : tensor<70xf32>, tensor<70xf32>
}
"""


@pytest.mark.parametrize("threads", (1, 2))
def test_what_is_made_of_rows_beside_totals_is_kept(threads: int) -> None:
    """What the second sums start from has the rows of the first: it is made with them, and read later."""
    x, y = (np.random.default_rng(rows).standard_normal((rows, 70), np.float32) for rows in (30, 45))
    first, second = compile_module(parse(SUMS_OF_COLUMNS), settings=Settings(threads=threads))(x, y)
    np.testing.assert_allclose(first, x.sum(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(second, y.sum(0), rtol=1e-5, atol=1e-5)


WHOLES: dict[str, Callable[[SSAValue, tuple[int, ...]], SSAValue]] = {
    "sum of squares": lambda x, axes: F.reduce_sum(F.mul(x, x), axes),
    "largest": F.reduce_max,
    "mean of powers": lambda x, axes: F.reduce_mean(F.exp(x), axes),
}


@pytest.mark.parametrize("name", sorted(WHOLES))
@pytest.mark.parametrize("shape", [(600, 480), (1, 4, 70000), (600, 481)])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_share_the_fold_of_a_whole_array(name: str, shape: tuple[int, ...], threads: int) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("x".join(map(str, shape)) + "xf32")) as f:
        f.returns(WHOLES[name](f["x"], tuple(range(len(shape)))))
    compiled = builder.compile(Settings(threads=threads))
    for place in (None, 0, x.size // 2, -1):  # where there is a NaN
        given = x.copy()
        if place is not None:
            given.flat[place] = np.nan
        for _ in range(2):  # the second call finds in memory what the first left
            np.testing.assert_allclose(compiled(given)[0], builder.interpret(given)[0], rtol=1e-4)


STAGGERED: dict[str, Program] = {
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    "masked_softmax": masked_softmax,
    "softmax of a softmax": lambda x, axis: F.softmax(F.softmax(x, axis), axis),
    "softmax of what is made": lambda x, axis: F.softmax(F.mul(x, F.scalar(x, 3.0)), axis),
}


@settings(max_examples=20)
@given(
    st.sampled_from(sorted(STAGGERED)), st.sampled_from([(40, 300), (3, 33, 257), (70, 1030)]), st.sampled_from((1, 2))
)
def test_staggered_rows_mean_what_the_interpreter_says(name: str, shape: tuple[int, ...], threads: int) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) * 10
    rows = x.reshape(-1, shape[-1])
    rows[0, 7] = rows[15, -1] = rows[-1, 0] = np.nan
    rows[16, 0], rows[17, 40], rows[20] = np.inf, -np.inf, -np.inf
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("x".join(map(str, shape)) + "xf32")) as f:
        f.returns(STAGGERED[name](f["x"], len(shape) - 1))
    with np.errstate(all="ignore"):
        (wanted,) = builder.interpret(x)
    compiled = builder.compile(Settings(threads=threads))
    for _ in range(2):  # the second call finds in memory what the first left
        np.testing.assert_allclose(compiled(x)[0], wanted, rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("shape", [(70, 512), (3, 5, 256)])
@pytest.mark.parametrize(("find", "found"), [(F.argmax, np.argmax), (F.argmin, np.argmin)])
def test_places_are_searched_in_blocks(dtype: str, shape: tuple[int, ...], find: Any, found: Any) -> None:
    random = np.random.default_rng(0)
    many = random.standard_normal(shape)
    rows = many.reshape(-1, shape[-1])
    rows[0], rows[1], rows[2, [3, 100]], rows[3, 200:], rows[4] = -np.inf, np.inf, [np.inf, np.nan], np.nan, np.nan
    rows[5, :-1], rows[6, 9:] = -np.inf, -0.0
    builder = xmlc.Builder()
    with builder.function(x=xmlc.tensor("x".join(map(str, shape)) + f"x{dtype}")) as f:
        f.returns(find(f["x"], len(shape) - 1))
    for threads in (1, 2):
        compiled = builder.compile(Settings(threads=threads))
        for x in (many, random.integers(-3, 3, shape), np.zeros(shape)):  # many are equal
            given = x.astype(dtype.replace("f", "float"))
            np.testing.assert_array_equal(compiled(given)[0], found(given, -1))
