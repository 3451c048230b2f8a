"""Structured ops and tensor ops: against MLIR's lowering, and against NumPy where that says it in a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracle import mlir_opt_functions, needs_mlir, parse

from xmlc.dialects.reference.interpreter import InterpreterError, interpret

FUNCTIONS = """
#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
func.func @matmul(%a: tensor<3x4xf32>, %b: tensor<4x5xf32>) -> tensor<3x5xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x5xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = linalg.matmul ins(%a, %b : tensor<3x4xf32>, tensor<4x5xf32>) outs(%i : tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %r : tensor<3x5xf32>
}
func.func @argmax(%a: tensor<4x6xf32>) -> (tensor<4xf32>, tensor<4xi64>) {
  %low = arith.constant 0xFF800000 : f32
  %0 = arith.constant 0 : i64
  %e = tensor.empty() : tensor<4xf32>
  %g = tensor.empty() : tensor<4xi64>
  %i = linalg.fill ins(%low : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %j = linalg.fill ins(%0 : i64) outs(%g : tensor<4xi64>) -> tensor<4xi64>
  // the generic form: xDSL cannot read the custom form of several results
  %r:2 = "linalg.generic"(%a, %i, %j) <{indexing_maps = [#id, #row, #row], operandSegmentSizes = array<i32: 1, 2>,
      iterator_types = [#linalg.iterator_type<parallel>, #linalg.iterator_type<reduction>]}> ({
  ^bb0(%x: f32, %m: f32, %p: i64):
    %k = linalg.index 1 : index
    %q = arith.index_cast %k : index to i64
    %more = arith.cmpf ogt, %x, %m : f32
    %u = arith.select %more, %x, %m : f32
    %v = arith.select %more, %q, %p : i64
    linalg.yield %u, %v : f32, i64
  }) : (tensor<4x6xf32>, tensor<4xf32>, tensor<4xi64>) -> (tensor<4xf32>, tensor<4xi64>)
  func.return %r#0, %r#1 : tensor<4xf32>, tensor<4xi64>
}
func.func @convolution(%x: tensor<9xf32>, %w: tensor<3xf32>) -> tensor<4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(o, k) -> (o * 2 + k)>, affine_map<(o, k) -> (k)>, #row],
      iterator_types = ["parallel", "reduction"]} ins(%x, %w : tensor<9xf32>, tensor<3xf32>) outs(%i : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p = arith.mulf %a, %b : f32
    %n = arith.addf %s, %p : f32
    linalg.yield %n : f32
  } -> tensor<4xf32>
  func.return %r : tensor<4xf32>
}
func.func @shifted_output(%x: tensor<3x2xf32>, %init: tensor<5x7xf32>) -> tensor<5x7xf32> {
  %r = linalg.generic {indexing_maps = [#id, affine_map<(i, j) -> (3 - i, j * 3 + 2)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : tensor<3x2xf32>) outs(%init : tensor<5x7xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %a, %o : f32
    linalg.yield %s : f32
  } -> tensor<5x7xf32>
  func.return %r : tensor<5x7xf32>
}
func.func @gather(%x: tensor<5x3xf32>, %at: tensor<4xi64>) -> tensor<3x4xf32> {
  %e = tensor.empty() : tensor<3x4xf32>
  %5 = arith.constant 5 : index
  %0 = arith.constant 0 : index
  %f = arith.constant -1.0 : f32
  %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j)>, #id], iterator_types = ["parallel", "parallel"]}
      ins(%at : tensor<4xi64>) outs(%e : tensor<3x4xf32>) {
  ^bb0(%p: i64, %o: f32):
    %i = linalg.index 0 : index
    %k = arith.index_cast %p : i64 to index
    %low = arith.cmpi sge, %k, %0 : index
    %high = arith.cmpi slt, %k, %5 : index
    %inside = arith.andi %low, %high : i1
    %y = scf.if %inside -> (f32) {
      %z = tensor.extract %x[%k, %i] : tensor<5x3xf32>
      scf.yield %z : f32
    } else {
      scf.yield %f : f32
    }
    linalg.yield %y : f32
  } -> tensor<3x4xf32>
  func.return %r : tensor<3x4xf32>
}
func.func @loop_in_body(%x: tensor<6xi32>) -> tensor<6xi32> {
  %e = tensor.empty() : tensor<6xi32>
  %1 = arith.constant 1 : i32
  %0 = arith.constant 0 : i32
  %r = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]} ins(%x : tensor<6xi32>) outs(%e : tensor<6xi32>) {
  ^bb0(%n: i32, %o: i32):
    %s = scf.for %k = %0 to %n step %1 iter_args(%t = %0) -> (i32) : i32 {
      %u = arith.addi %t, %k : i32
      scf.yield %u : i32
    }
    linalg.yield %s : i32
  } -> tensor<6xi32>
  func.return %r : tensor<6xi32>
}
func.func @slices(%x: tensor<6x5xf32>, %p: index) -> tensor<6x5xf32> {
  %a = tensor.extract_slice %x[%p, 1] [2, 2] [2, 2] : tensor<6x5xf32> to tensor<2x2xf32>
  %b = tensor.extract_slice %x[%p, 0] [1, 5] [1, 1] : tensor<6x5xf32> to tensor<5xf32>
  %c = "tensor.insert_slice"(%a, %x, %p) {static_offsets = array<i64: 0, -9223372036854775808>,
    static_sizes = array<i64: 2, 2>, static_strides = array<i64: 1, 1>, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>}
    : (tensor<2x2xf32>, tensor<6x5xf32>, index) -> tensor<6x5xf32>
  %d = "tensor.insert_slice"(%b, %c) {static_offsets = array<i64: 5, 0>, static_sizes = array<i64: 1, 5>,
    static_strides = array<i64: 1, 1>, operandSegmentSizes = array<i32: 1, 1, 0, 0, 0>}
    : (tensor<5xf32>, tensor<6x5xf32>) -> tensor<6x5xf32>
  func.return %d : tensor<6x5xf32>
}
func.func @scan(%x: tensor<5x3xf32>) -> tensor<3xf32> {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %5 = arith.constant 5 : index
  %zero = arith.constant dense<0.5> : tensor<3xf32>
  %r = scf.for %i = %0 to %5 step %1 iter_args(%s = %zero) -> (tensor<3xf32>) {
    %row = tensor.extract_slice %x[%i, 0] [1, 3] [1, 1] : tensor<5x3xf32> to tensor<3xf32>
    %n = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
        iterator_types = ["parallel"]} ins(%row : tensor<3xf32>) outs(%s : tensor<3xf32>) {
    ^bb0(%a: f32, %b: f32):
      %c = arith.mulf %a, %b : f32
      %d = arith.addf %c, %a : f32
      linalg.yield %d : f32
    } -> tensor<3xf32>
    scf.yield %n : tensor<3xf32>
  }
  func.return %r : tensor<3xf32>
}
func.func @named(%x: tensor<2x3xf32>, %y: tensor<2x3xf32>)
    -> (tensor<2x3xf32>, tensor<3x2xf32>, tensor<2x4x3xf32>, tensor<3xf32>) {
  %e = tensor.empty() : tensor<2x3xf32>
  %t = tensor.empty() : tensor<3x2xf32>
  %u = tensor.empty() : tensor<2x4x3xf32>
  %v = tensor.empty() : tensor<3xf32>
  %one = arith.constant 1.0 : f32
  %w = linalg.fill ins(%one : f32) outs(%v : tensor<3xf32>) -> tensor<3xf32>
  %s = linalg.sub ins(%x, %y : tensor<2x3xf32>, tensor<2x3xf32>) outs(%e : tensor<2x3xf32>) -> tensor<2x3xf32>
  %p = linalg.transpose ins(%s : tensor<2x3xf32>) outs(%t : tensor<3x2xf32>) permutation = [1, 0]
  %b = linalg.broadcast ins(%s : tensor<2x3xf32>) outs(%u : tensor<2x4x3xf32>) dimensions = [1]
  %r = linalg.reduce ins(%s : tensor<2x3xf32>) outs(%w : tensor<3xf32>) dimensions = [0]
    (%in: f32, %init: f32) {
      %m = arith.mulf %in, %init : f32
      linalg.yield %m : f32
    }
  func.return %s, %p, %b, %r : tensor<2x3xf32>, tensor<3x2xf32>, tensor<2x4x3xf32>, tensor<3xf32>
}
"""
RANDOM = np.random.default_rng(7)


def normal(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "matmul": (normal(3, 4), normal(4, 5)),
    "argmax": (normal(4, 6),),
    "convolution": (normal(9), normal(3)),
    "shifted_output": (normal(3, 2), normal(5, 7)),
    "gather": (normal(5, 3), np.array([4, -1, 5, 0])),
    "loop_in_body": (np.array([0, 1, 5, -2, 3, 4], np.int32),),
    "slices": (normal(6, 5), 3),
    "scan": (normal(5, 3),),
    "named": (normal(2, 3), normal(2, 3)),
}


@needs_mlir
def test_linalg_on_tensors_agrees_with_mlir() -> None:
    compiled, module = mlir_opt_functions(FUNCTIONS), parse(FUNCTIONS)
    for name, arguments in ARGUMENTS.items():
        before = [np.copy(argument) for argument in arguments]
        for ours, theirs in zip(interpret(module, name, arguments), compiled[name](*arguments), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, err_msg=name)
        for argument, copy in zip(arguments, before):
            np.testing.assert_array_equal(argument, copy, err_msg=f"{name} wrote to an argument")


def result_of(lines: str, type: str, *arguments: Any) -> Any:
    names = {0: "%0: index, %p: index, %x: tensor<2x3xf32>"}[0]
    module = parse(f"func.func @main({names}) -> {type} {{\n{lines}\nfunc.return %r : {type}\n}}")
    (result,) = interpret(module, arguments=arguments)
    return result


X = np.arange(6, dtype=np.float32).reshape(2, 3)
TENSOR_CASES: dict[str, tuple[str, str, Any]] = {
    "collapse": (
        "%r = tensor.collapse_shape %x [[0, 1]] : tensor<2x3xf32> into tensor<6xf32>",
        "tensor<6xf32>",
        X.reshape(6),
    ),
    "expand": (
        "%r = tensor.expand_shape %x [[0, 1], [2]] output_shape [2, 1, 3] : tensor<2x3xf32> into tensor<2x1x3xf32>",
        "tensor<2x1x3xf32>",
        X[:, None],
    ),
    "insert": (
        """%f = arith.constant 9.0 : f32
        %r = tensor.insert %f into %x[%0, %p] : tensor<2x3xf32>""",
        "tensor<2x3xf32>",
        [[0, 9, 2], [3, 4, 5]],
    ),
    "extract": ("%r = tensor.extract %x[%p, %0] : tensor<2x3xf32>", "f32", 3),
    "dim": ("%r = tensor.dim %x, %p : tensor<2x3xf32>", "index", 3),
    "from_elements": (
        """%f = tensor.extract %x[%p, %p] : tensor<2x3xf32>
        %r = tensor.from_elements %f, %f : tensor<2xf32>""",
        "tensor<2xf32>",
        [4, 4],
    ),
    "splat": (
        """%f = tensor.extract %x[%p, %p] : tensor<2x3xf32>
        %r = tensor.splat %f : tensor<2x2xf32>""",
        "tensor<2x2xf32>",
        [[4, 4], [4, 4]],
    ),
    "concat": (
        "%r = tensor.concat dim(0) %x, %x : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<4x3xf32>",
        "tensor<4x3xf32>",
        np.concatenate([X, X]),
    ),
    "pad": (
        """%r = "tensor.pad"(%x) ({
        ^bb0(%i: index, %j: index):
          %k = arith.addi %i, %j : index
          %n = arith.index_cast %k : index to i32
          %f = arith.sitofp %n : i32 to f32
          tensor.yield %f : f32
        }) {static_low = array<i64: 0, 2>, static_high = array<i64: 1, 0>, operandSegmentSizes = array<i32: 1, 0, 0>}
          : (tensor<2x3xf32>) -> tensor<3x5xf32>""",
        "tensor<3x5xf32>",
        [[0, 1, 0, 1, 2], [1, 2, 3, 4, 5], [2, 3, 4, 5, 6]],
    ),
    "reshape": (
        """%s = arith.constant dense<[3, 2]> : tensor<2xi64>
        %r = tensor.reshape %x(%s) : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<3x2xf32>""",
        "tensor<3x2xf32>",
        X.reshape(3, 2),
    ),
    "cast": ("%r = tensor.cast %x : tensor<2x3xf32> to tensor<?x3xf32>", "tensor<?x3xf32>", X),
    "empty": ("%r = tensor.empty() : tensor<2xf32>", "tensor<2xf32>", [np.nan, np.nan]),
}


@pytest.mark.parametrize("name", TENSOR_CASES)
def test_tensor_ops_make_new_values(name: str) -> None:
    lines, type, expected = TENSOR_CASES[name]
    np.testing.assert_array_equal(result_of(lines, type, 0, 1, X), expected)


@pytest.mark.parametrize(
    ("lines", "type", "message"),
    [
        (
            "%r = tensor.extract %x[%0, %p] : tensor<2x3xf32>",
            "f32",
            "index 3 is out of bounds of dimension 1, of size 3",
        ),
        (
            "%r = tensor.extract_slice %x[0, %p] [1, 1] [1, 1] : tensor<2x3xf32> to tensor<1x1xf32>",
            "tensor<1x1xf32>",
            "slice from 3 to 3 is out of bounds of dimension 1, of size 3",
        ),
        (
            """%e = tensor.empty() : tensor<4xf32>
            %r = linalg.generic {indexing_maps = [affine_map<(i) -> (0, i)>, affine_map<(i) -> (i)>],
              iterator_types = ["parallel"]} ins(%x : tensor<2x3xf32>) outs(%e : tensor<4xf32>) {
            ^bb0(%a: f32, %b: f32):
              linalg.yield %a : f32
            } -> tensor<4xf32>""",
            "tensor<4xf32>",
            "loop d0 has extents 3 and 4",
        ),
    ],
)
def test_reading_outside_is_an_error(lines: str, type: str, message: str) -> None:
    with pytest.raises(InterpreterError, match=message):
        result_of(lines, type, 0, 3, X)
