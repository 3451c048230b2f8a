"""Control flow, buffers and vectors: what the structured level means, and what it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracle import mlir_opt_jit, needs_mlir, parse

from xmlc.dialects.reference.interpreter import InterpreterError, interpret, interpret_into

LOOPS = """
func.func @main(%a: memref<4x6xf32>, %b: memref<6x5xf32>, %c: memref<4x5xf32>, %arena: memref<256xi8>) {
  %zero = arith.constant 0.0 : f32
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %4 = arith.constant 4 : index
  %5 = arith.constant 5 : index
  %6 = arith.constant 6 : index
  %64 = arith.constant 64 : index
  %t = memref.view %arena[%64][] : memref<256xi8> to memref<4x5xf32>
  scf.for %i = %0 to %4 step %1 {
    scf.for %j = %0 to %5 step %1 {
      %sum = scf.for %k = %0 to %6 step %1 iter_args(%s = %zero) -> (f32) {
        %x = memref.load %a[%i, %k] : memref<4x6xf32>
        %y = memref.load %b[%k, %j] : memref<6x5xf32>
        %p = arith.mulf %x, %y : f32
        %n = arith.addf %s, %p : f32
        scf.yield %n : f32
      }
      memref.store %sum, %t[%i, %j] : memref<4x5xf32>
    }
  }
  %even = memref.subview %t[0, 0] [2, 5] [2, 1] : memref<4x5xf32> to memref<2x5xf32, strided<[10, 1]>>
  %top = memref.subview %c[%1, 0] [2, 5] [1, 1] : memref<4x5xf32> to memref<2x5xf32, strided<[5, 1], offset: ?>>
  "memref.copy"(%even, %top)
    : (memref<2x5xf32, strided<[10, 1]>>, memref<2x5xf32, strided<[5, 1], offset: ?>>) -> ()
  func.return
}"""


def product_of(a: Any, b: Any) -> Any:
    """a @ b, summed in order in a's type."""
    total = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        total = total + a[:, k : k + 1] * b[k : k + 1]
    return total


def test_loops_views_and_copies_write_through_to_the_buffers() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(4, 6)).astype(np.float32), random.normal(size=(6, 5)).astype(np.float32)
    c, arena = np.zeros((4, 5), np.float32), np.full(256, -1, np.int8)
    interpret_into(parse(LOOPS), "main", (a, b, c, arena))
    expected = np.zeros((4, 5), np.float32)
    expected[1:3] = product_of(a, b)[::2]
    np.testing.assert_array_equal(c, expected)


@needs_mlir
def test_loops_agree_with_mlir() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(4, 6)).astype(np.float32), random.normal(size=(6, 5)).astype(np.float32)
    ours, theirs = np.zeros((2, 4, 5), np.float32)
    interpret_into(parse(LOOPS), "main", (a, b, ours, np.zeros(256, np.int8)))
    mlir_opt_jit(LOOPS)(a, b, theirs, np.zeros(256, np.int8))
    np.testing.assert_array_equal(ours, theirs)


def body(lines: str, result: str = "i32", parameters: str = "") -> Any:
    return parse(f"func.func @main({parameters}) -> ({result}) {{\n{lines}\n}}")


@pytest.mark.parametrize(("n", "steps"), [(1, 0), (6, 8), (27, 111)])
def test_while_runs_until_its_condition_fails(n: int, steps: int) -> None:
    module = body(
        """
  %0 = arith.constant 0 : i32
  %1 = arith.constant 1 : i32
  %2 = arith.constant 2 : i32
  %3 = arith.constant 3 : i32
  %r:2 = scf.while (%x = %n, %count = %0) : (i32, i32) -> (i32, i32) {
    %more = arith.cmpi ne, %x, %1 : i32
    scf.condition(%more) %x, %count : i32, i32
  } do {
  ^bb0(%x: i32, %count: i32):
    %bit = arith.andi %x, %1 : i32
    %odd = arith.cmpi eq, %bit, %1 : i32
    %next = scf.if %odd -> (i32) {
      %t = arith.muli %x, %3 : i32
      %u = arith.addi %t, %1 : i32
      scf.yield %u : i32
    } else {
      %h = arith.divsi %x, %2 : i32
      scf.yield %h : i32
    }
    %c = arith.addi %count, %1 : i32
    scf.yield %next, %c : i32, i32
  }
  func.return %r#1 : i32""",
        parameters="%n: i32",
    )
    assert interpret(module, arguments=(n,)) == (steps,)


def test_parallel_reduces_from_its_initial_value() -> None:
    module = body("""
  %0 = arith.constant 0 : index
  %2 = arith.constant 2 : index
  %3 = arith.constant 3 : index
  %1 = arith.constant 1 : index
  %init = arith.constant 100 : i32
  %r = "scf.parallel"(%0, %0, %2, %3, %1, %1, %init) ({
  ^bb0(%i: index, %j: index):
    %p = arith.muli %i, %j : index
    %x = arith.index_cast %p : index to i32
    scf.reduce(%x : i32) {
    ^bb0(%a: i32, %b: i32):
      %s = arith.addi %a, %b : i32
      scf.reduce.return %s : i32
    }
  }) {operandSegmentSizes = array<i32: 2, 2, 2, 1>} : (index, index, index, index, index, index, i32) -> i32
  func.return %r : i32""")
    assert interpret(module) == (103,)


@pytest.mark.parametrize(("index", "expected"), [(2, 10), (5, 20), (7, 30)])
def test_index_switch_takes_its_case_or_the_default(index: int, expected: int) -> None:
    module = body(
        """
  %r = scf.index_switch %i -> i32
  case 2 { %a = arith.constant 10 : i32
    scf.yield %a : i32 }
  case 5 { %a = arith.constant 20 : i32
    scf.yield %a : i32 }
  default { %a = arith.constant 30 : i32
    scf.yield %a : i32 }
  func.return %r : i32""",
        parameters="%i: index",
    )
    assert interpret(module, arguments=(index,)) == (expected,)


def test_calls_reach_functions_of_the_module_and_of_python() -> None:
    module = parse("""
func.func private @twice(%x: f32) -> f32 {
  %y = arith.addf %x, %x : f32
  func.return %y : f32
}
func.func private @outside(tensor<2xf32>, f32) -> tensor<2xf32>
func.func @main(%t: tensor<2xf32>, %x: f32) -> tensor<2xf32> {
  %y = func.call @twice(%x) : (f32) -> f32
  %r = func.call @outside(%t, %y) : (tensor<2xf32>, f32) -> tensor<2xf32>
  func.return %r : tensor<2xf32>
}""")
    t = np.array([1, 2], np.float32)
    (result,) = interpret(module, arguments=(t, 3), functions={"outside": lambda t, x: t + x})
    np.testing.assert_array_equal(result, [7, 8])
    with pytest.raises(InterpreterError, match="@outside is declared only"):
        interpret(module, arguments=(t, 3))


def test_globals_are_shared_by_their_uses() -> None:
    module = parse("""
"memref.global"() {sym_name = "table", sym_visibility = "private", type = memref<3xi32>,
  initial_value = dense<[1, 2, 3]> : tensor<3xi32>, constant} : () -> ()
"memref.global"() {sym_name = "state", sym_visibility = "private", type = memref<i32>,
  initial_value = dense<5> : tensor<i32>} : () -> ()
func.func @main() -> i32 {
  %2 = arith.constant 2 : index
  %t = memref.get_global @table : memref<3xi32>
  %s = memref.get_global @state : memref<i32>
  %x = memref.load %t[%2] : memref<3xi32>
  memref.store %x, %s[] : memref<i32>
  %again = memref.get_global @state : memref<i32>
  %y = memref.load %again[] : memref<i32>
  func.return %y : i32
}""")
    assert interpret(module) == (3,)


BUFFER_CASES = {
    "collapse": (
        """%r = memref.collapse_shape %m [[0, 1]] : memref<3x4xi32> into memref<12xi32>
           %x = memref.load %r[%7] : memref<12xi32>""",
        7,
    ),
    "expand": (
        """%r = memref.expand_shape %m [[0], [1, 2]] output_shape [3, 2, 2] : memref<3x4xi32> into memref<3x2x2xi32>
           %x = memref.load %r[%2, %1, %0] : memref<3x2x2xi32>""",
        10,
    ),
    "transposed": (
        """%r = memref.reinterpret_cast %m to offset: [1], sizes: [4, 2], strides: [1, 4]
             : memref<3x4xi32> to memref<4x2xi32, strided<[1, 4], offset: 1>>
           %x = memref.load %r[%2, %1] : memref<4x2xi32, strided<[1, 4], offset: 1>>""",
        7,
    ),
    "rank-reduced": (
        """%r = memref.subview %m[%1, 1] [1, 3] [1, 1] : memref<3x4xi32> to memref<3xi32, strided<[1], offset: ?>>
           %x = memref.load %r[%2] : memref<3xi32, strided<[1], offset: ?>>""",
        7,
    ),
    "cast": (
        """%r = "memref.cast"(%m) : (memref<3x4xi32>) -> memref<?x4xi32>
           %d = memref.dim %r, %0 : memref<?x4xi32>
           %x = arith.index_cast %d : index to i32""",
        3,
    ),
    "freed": (
        """%r = memref.alloc() : memref<i32>
           memref.store %c, %r[] : memref<i32>
           memref.dealloc %r : memref<i32>
           %x = memref.load %r[] : memref<i32>""",
        0xA5A5A5A5 - 2**32,
    ),
}
PARAMETERS = "%m: memref<3x4xi32>, %0: index, %1: index, %2: index, %7: index, %c: i32"


@pytest.mark.parametrize("name", BUFFER_CASES)
def test_buffers_are_seen_in_other_shapes(name: str) -> None:
    lines, expected = BUFFER_CASES[name]
    module = body(f"{lines}\nfunc.return %x : i32", parameters=PARAMETERS)
    m = np.arange(12, dtype=np.int32).reshape(3, 4)
    assert interpret(module, arguments=(m, 0, 1, 2, 7, 5)) == (expected,)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "%x = memref.load %m[%7, %0] : memref<3x4xi32>",
            "memref.load in @main: index 7 is out of bounds of dimension 0, of size 3",
        ),
        (
            """%r = memref.subview %m[%2, 0] [2, 4] [1, 1]
              : memref<3x4xi32> to memref<2x4xi32, strided<[4, 1], offset: ?>>
            %x = memref.load %m[%0, %0] : memref<3x4xi32>""",
            "memref.subview in @main: slice from 2 to 3 is out of bounds of dimension 0, of size 3",
        ),
        (
            """%r = memref.reinterpret_cast %m to offset: [1], sizes: [3, 4], strides: [4, 1]
             : memref<3x4xi32> to memref<3x4xi32, strided<[4, 1], offset: 1>>
            %x = memref.load %m[%0, %0] : memref<3x4xi32>""",
            "memref.reinterpret_cast in @main: the view reaches out of the memory of its source",
        ),
        (
            """%u = "some.thing"() : () -> i32
            %x = memref.load %m[%0, %0] : memref<3x4xi32>""",
            "the interpreter has no row for this op",
        ),
        (
            """%x = scf.for %i = %0 to %7 step %0 iter_args(%s = %c) -> (i32) { scf.yield %s : i32 }""",
            "scf.for in @main: the step is 0, expected a positive one",
        ),
    ],
)
def test_what_has_no_meaning_is_an_error_that_names_op_and_function(lines: str, message: str) -> None:
    module = body(f"{lines}\nfunc.return %x : i32", parameters=PARAMETERS)
    with pytest.raises(InterpreterError) as caught:
        interpret(module, arguments=(np.zeros((3, 4), np.int32), 0, 1, 2, 7, 5))
    assert message in str(caught.value)


def test_an_error_names_the_users_place() -> None:
    module = body("""
  %0 = arith.constant 0 : i32
  %x = arith.divsi %0, %0 : i32 loc("net.toy":3:7)
  func.return %x : i32""")
    with pytest.raises(InterpreterError, match=r"^net\.toy:3:7: arith\.divsi in @main: division by zero$"):
        interpret(module)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected 1 arguments, found 0"),
        ((np.zeros(3, np.float64),), "argument 0 must be tensor<3xf32>, found float64 of shape"),
        ((np.zeros(4, np.float32),), r"found float32 of shape \(4,\)"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    module = body("func.return %t : tensor<3xf32>", result="tensor<3xf32>", parameters="%t: tensor<3xf32>")
    with pytest.raises(InterpreterError, match=message):
        interpret(module, arguments=arguments)


VECTORS = """
func.func @main(%m: memref<4x8xf32>, %out: memref<6x4xf32>) -> f32 {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %2 = arith.constant 2 : index
  %3 = arith.constant 3 : index
  %4 = arith.constant 4 : index
  %5 = arith.constant 5 : index
  %6 = arith.constant 6 : index
  %f = arith.constant 2.5 : f32
  %a = vector.load %m[%1, %2] : memref<4x8xf32>, vector<4xf32>
  %b = vector.broadcast %f : f32 to vector<4xf32>
  %c = vector.fma %a, %b, %a : vector<4xf32>
  vector.store %c, %out[%0, %0] : memref<6x4xf32>, vector<4xf32>
  %mask = vector.create_mask %2 : vector<4xi1>
  %d = vector.maskedload %m[%3, %6], %mask, %b : memref<4x8xf32>, vector<4xi1>, vector<4xf32> into vector<4xf32>
  vector.store %d, %out[%1, %0] : memref<6x4xf32>, vector<4xf32>
  vector.maskedstore %out[%2, %0], %mask, %a : memref<6x4xf32>, vector<4xi1>, vector<4xf32>
  %e = vector.transfer_read %m[%3, %5], %f : memref<4x8xf32>, vector<4xf32>
  vector.store %e, %out[%3, %0] : memref<6x4xf32>, vector<4xf32>
  vector.transfer_write %a, %out[%4, %2] : vector<4xf32>, memref<6x4xf32>
  %s = vector.shuffle %a, %b [3, 4, 0, 1] : vector<4xf32>, vector<4xf32>
  %x = vector.extract %a[1] : f32 from vector<4xf32>
  %t = vector.insert %x, %s[0] : f32 into vector<4xf32>
  vector.store %t, %out[%5, %0] : memref<6x4xf32>, vector<4xf32>
  %r = vector.reduction <add>, %a, %f : vector<4xf32> into f32
  func.return %r : f32
}"""


@needs_mlir
def test_vectors_agree_with_mlir() -> None:
    m = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    ours, theirs = np.zeros((2, 6, 4), np.float32)
    (x,), (y,) = interpret(parse(VECTORS), arguments=(m, ours)), mlir_opt_jit(VECTORS)(m, theirs)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(x, y, rtol=1e-6)
    np.testing.assert_array_equal(ours[3], [*m[3, 5:], 2.5])
    np.testing.assert_array_equal(ours[4], [0, 0, *m[1, 2:4]])


def test_a_vector_load_is_checked_to_its_last_element() -> None:
    module = body(
        """%v = vector.load %m[%5] : memref<8xf32>, vector<4xf32>
           %x = vector.extract %v[0] : f32 from vector<4xf32>
           func.return %x : f32""",
        result="f32",
        parameters="%m: memref<8xf32>, %5: index",
    )
    with pytest.raises(InterpreterError, match="slice from 5 to 8 is out of bounds of dimension 0, of size 8"):
        interpret(module, arguments=(np.zeros(8, np.float32), 5))


def test_an_access_through_an_affine_map_is_computed() -> None:
    module = body(
        """%r = affine.apply affine_map<(d0)[s0] -> (d0 floordiv 2 + s0 * 3)> (%a)[%b]
           %m = affine.min affine_map<(d0)[s0] -> (d0 mod 4, s0 ceildiv 2)> (%a)[%b]
           func.return %r, %m : index, index""",
        result="index, index",
        parameters="%a: index, %b: index",
    )
    assert interpret(module, arguments=(7, 5)) == (18, 3)
