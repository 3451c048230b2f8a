"""Buffers, views, loops and branches give NumPy's numbers through the JIT."""

from __future__ import annotations

import ctypes
from typing import Any

import ml_dtypes
import numpy as np
import pytest

RANDOM = np.random.default_rng(0)


def test_a_loop_carries_values_and_a_branch_chooses_them(run: Any) -> None:
    x, out = RANDOM.standard_normal(10).astype(np.float32), np.zeros(2, np.float32)
    run(
        """func.func @main(%x: memref<10xf32>, %out: memref<2xf32>) {
          %c0 = arith.constant 0 : index
          %c1 = arith.constant 1 : index
          %c10 = arith.constant 10 : index
          %f0 = arith.constant 0.0 : f32
          %sum, %biggest = scf.for %i = %c0 to %c10 step %c1 iter_args(%s = %f0, %b = %f0) -> (f32, f32) {
            %v = memref.load %x[%i] : memref<10xf32>
            %t = arith.addf %s, %v : f32
            %larger = arith.cmpf ogt, %v, %b : f32
            %n = scf.if %larger -> (f32) {
              scf.yield %v : f32
            } else {
              scf.yield %b : f32
            }
            scf.yield %t, %n : f32, f32
          }
          memref.store %sum, %out[%c0] : memref<2xf32>
          memref.store %biggest, %out[%c1] : memref<2xf32>
          func.return
        }""",
        x, out,
    )  # fmt: skip
    total = np.float32(0)
    for value in x:
        total += value
    assert out.tolist() == [total, max(x.max(), 0)]


def test_a_while_loop_ends_where_its_condition_says(run: Any) -> None:
    slots = run(
        """func.func @main(%n: i64) -> (i64, i64) {
          %zero = arith.constant 0 : i64
          %one = arith.constant 1 : i64
          %two = arith.constant 2 : i64
          %three = arith.constant 3 : i64
          %last, %steps = scf.while (%x = %n, %k = %zero) : (i64, i64) -> (i64, i64) {
            %go = arith.cmpi ne, %x, %one : i64
            scf.condition(%go) %x, %k : i64, i64
          } do {
          ^body(%y: i64, %j: i64):
            %odd = arith.remsi %y, %two : i64
            %is_odd = arith.cmpi eq, %odd, %one : i64
            %next = scf.if %is_odd -> (i64) {
              %t = arith.muli %y, %three : i64
              %u = arith.addi %t, %one : i64
              scf.yield %u : i64
            } else {
              %h = arith.divsi %y, %two : i64
              scf.yield %h : i64
            }
            %k1 = arith.addi %j, %one : i64
            scf.yield %next, %k1 : i64, i64
          }
          func.return %last, %steps : i64, i64
        }""",
        27, 0, 0,
    )  # fmt: skip
    assert slots == [27, 1, 111]


@pytest.mark.parametrize(("index", "wanted"), [(2, 20), (5, 50), (7, 0)])
def test_a_switch_takes_its_case_or_the_default(run: Any, index: int, wanted: int) -> None:
    text = """func.func @main(%i: index) -> i32 {
      %r = scf.index_switch %i -> i32
      case 2 {
        %a = arith.constant 20 : i32
        scf.yield %a : i32
      }
      case 5 {
        %b = arith.constant 50 : i32
        scf.yield %b : i32
      }
      default {
        %c = arith.constant 0 : i32
        scf.yield %c : i32
      }
      func.return %r : i32
    }"""
    assert run(text, index, 0)[1] == wanted


def test_a_parallel_loop_reduces_over_both_dimensions(run: Any) -> None:
    x, out = RANDOM.integers(0, 9, (3, 4)), np.zeros((), np.int64)
    run(
        """func.func @main(%x: memref<3x4xi64>, %out: memref<i64>) {
          %c0 = arith.constant 0 : index
          %c1 = arith.constant 1 : index
          %c3 = arith.constant 3 : index
          %c4 = arith.constant 4 : index
          %zero = arith.constant 0 : i64
          %r = "scf.parallel"(%c0, %c0, %c3, %c4, %c1, %c1, %zero)
            <{operandSegmentSizes = array<i32: 2, 2, 2, 1>}> ({
          ^body(%i: index, %j: index):
            %v = memref.load %x[%i, %j] : memref<3x4xi64>
            scf.reduce(%v : i64) {
            ^combine(%a: i64, %b: i64):
              %s = arith.addi %a, %b : i64
              scf.reduce.return %s : i64
            }
          }) : (index, index, index, index, index, index, i64) -> i64
          memref.store %r, %out[] : memref<i64>
          func.return
        }""",
        x, out,
    )  # fmt: skip
    assert out == x.sum()


def test_a_loop_may_swap_buffers_between_iterations(run: Any) -> None:
    a, b, out = np.arange(4.0), np.zeros(4), np.zeros(4)
    run(
        """func.func @main(%a: memref<4xf64>, %b: memref<4xf64>, %out: memref<4xf64>) {
          %c0 = arith.constant 0 : index
          %c1 = arith.constant 1 : index
          %c3 = arith.constant 3 : index
          %c4 = arith.constant 4 : index
          %two = arith.constant 2.0 : f64
          %last, %spare = scf.for %k = %c0 to %c3 step %c1 iter_args(%p = %a, %q = %b)
              -> (memref<4xf64>, memref<4xf64>) {
            scf.for %i = %c0 to %c4 step %c1 {
              %v = memref.load %p[%i] : memref<4xf64>
              %d = arith.mulf %v, %two : f64
              memref.store %d, %q[%i] : memref<4xf64>
            }
            scf.yield %q, %p : memref<4xf64>, memref<4xf64>
          }
          "memref.copy"(%last, %out) : (memref<4xf64>, memref<4xf64>) -> ()
          func.return
        }""",
        a, b, out,
    )  # fmt: skip
    np.testing.assert_array_equal(out, np.arange(4.0) * 8)


def test_views_of_an_arena_do_not_meet(run: Any) -> None:
    arena, out = np.zeros(256, np.int8), np.zeros((2, 3), np.float32)
    run(
        """func.func @main(%arena: memref<256xi8>, %out: memref<2x3xf32>) {
          %c64 = arith.constant 64 : index
          %c128 = arith.constant 128 : index
          %c1 = arith.constant 1 : index
          %c2 = arith.constant 2 : index
          %x = "memref.view"(%arena, %c64) : (memref<256xi8>, index) -> memref<2x3xf32>
          %y = "memref.view"(%arena, %c128) : (memref<256xi8>, index) -> memref<2x3xf32>
          %one = arith.constant 1.5 : f32
          memref.store %one, %x[%c1, %c2] : memref<2x3xf32>
          "memref.copy"(%x, %y) : (memref<2x3xf32>, memref<2x3xf32>) -> ()
          "memref.copy"(%y, %out) : (memref<2x3xf32>, memref<2x3xf32>) -> ()
          func.return
        }""",
        arena, out,
    )  # fmt: skip
    assert out[1, 2] == 1.5 and out.sum() == 1.5
    np.testing.assert_array_equal(arena.view(np.float32)[[21, 37]], [1.5, 1.5])


def test_subviews_move_and_stretch_both_sides_of_a_copy(run: Any) -> None:
    x, out = RANDOM.standard_normal((6, 8)), np.zeros((6, 8))
    run(
        """func.func @main(%x: memref<6x8xf64>, %out: memref<6x8xf64>, %i: index) {
          %from = memref.subview %x[%i, 2] [2, 3] [2, 1]
            : memref<6x8xf64> to memref<2x3xf64, strided<[16, 1], offset: ?>>
          %to = memref.subview %out[0, 1] [2, 3] [1, 2]
            : memref<6x8xf64> to memref<2x3xf64, strided<[8, 2], offset: 1>>
          "memref.copy"(%from, %to)
            : (memref<2x3xf64, strided<[16, 1], offset: ?>>, memref<2x3xf64, strided<[8, 2], offset: 1>>) -> ()
          func.return
        }""",
        x, out, 1,
    )  # fmt: skip
    wanted = np.zeros((6, 8))
    wanted[0:2, 1:7:2] = x[1:4:2, 2:5]
    np.testing.assert_array_equal(out, wanted)


def test_a_subview_may_drop_unit_dimensions(run: Any) -> None:
    x, out = RANDOM.standard_normal((3, 1, 5)), np.zeros(5)
    run(
        """func.func @main(%x: memref<3x1x5xf64>, %out: memref<5xf64>) {
          %row = memref.subview %x[2, 0, 0] [1, 1, 5] [1, 1, 1]
            : memref<3x1x5xf64> to memref<5xf64, strided<[1], offset: 10>>
          "memref.copy"(%row, %out) : (memref<5xf64, strided<[1], offset: 10>>, memref<5xf64>) -> ()
          func.return
        }""",
        x, out,
    )  # fmt: skip
    np.testing.assert_array_equal(out, x[2, 0])


def test_reshapes_see_the_same_elements(run: Any) -> None:
    x, out = RANDOM.standard_normal((2, 3, 4)), np.zeros((4, 6))
    run(
        """func.func @main(%x: memref<2x3x4xf64>, %out: memref<4x6xf64>) {
          %flat = memref.collapse_shape %x [[0, 1, 2]] : memref<2x3x4xf64> into memref<24xf64>
          %y = memref.expand_shape %flat [[0, 1]] output_shape [4, 6] : memref<24xf64> into memref<4x6xf64>
          "memref.copy"(%y, %out) : (memref<4x6xf64>, memref<4x6xf64>) -> ()
          func.return
        }""",
        x, out,
    )  # fmt: skip
    np.testing.assert_array_equal(out, x.reshape(4, 6))


def test_free_sizes_travel_behind_their_pointer(run: Any) -> None:
    x, out = RANDOM.standard_normal((3, 5)), np.zeros((5, 3))
    run(
        """func.func private @transpose(%x: memref<?x?xf64>, %out: memref<?x?xf64>) {
          %c0 = arith.constant 0 : index
          %c1 = arith.constant 1 : index
          %m = "memref.dim"(%x, %c0) : (memref<?x?xf64>, index) -> index
          %n = "memref.dim"(%x, %c1) : (memref<?x?xf64>, index) -> index
          scf.for %i = %c0 to %m step %c1 {
            scf.for %j = %c0 to %n step %c1 {
              %v = memref.load %x[%i, %j] : memref<?x?xf64>
              memref.store %v, %out[%j, %i] : memref<?x?xf64>
            }
          }
          func.return
        }
        func.func @main(%x: memref<?x5xf64>, %out: memref<5x?xf64>) {
          %a = "memref.cast"(%x) : (memref<?x5xf64>) -> memref<?x?xf64>
          %b = "memref.cast"(%out) : (memref<5x?xf64>) -> memref<?x?xf64>
          func.call @transpose(%a, %b) : (memref<?x?xf64>, memref<?x?xf64>) -> ()
          func.return
        }""",
        x, 3, out, 3,
    )  # fmt: skip
    np.testing.assert_array_equal(out, x.T)


def test_memory_from_the_stack_and_the_heap(run: Any) -> None:
    out = np.zeros(2, np.int32)
    run(
        """func.func @main(%n: index, %out: memref<2xi32>) {
          %c0 = arith.constant 0 : index
          %c1 = arith.constant 1 : index
          %v = arith.constant 7 : i32
          %w = arith.constant 9 : i32
          %small = memref.alloca() : memref<4xi32>
          %large = memref.alloc(%n) : memref<?xi32>
          memref.store %v, %small[%c1] : memref<4xi32>
          memref.store %w, %large[%c1] : memref<?xi32>
          %x = memref.load %small[%c1] : memref<4xi32>
          %y = memref.load %large[%c1] : memref<?xi32>
          memref.store %x, %out[%c0] : memref<2xi32>
          memref.store %y, %out[%c1] : memref<2xi32>
          memref.dealloc %large : memref<?xi32>
          func.return
        }""",
        5, out,
    )  # fmt: skip
    assert out.tolist() == [7, 9]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("f32", "[1.5, -0.0, 3.0e38]"), ("bf16", "[1.5, -2.0, 0.125]"), ("f16", "[1.5, -2.0, 6.0e4]"),
        ("i8", "[1, -128, 127]"), ("i64", "[1, -9000000000, 5]"), ("i1", "[true, false, true]"), ("f64", "2.5"),
    ],
)  # fmt: skip
def test_dense_constants_keep_their_bytes(run: Any, kind: str, values: str) -> None:
    dtype = {"f32": "f4", "f16": "f2", "i8": "i1", "i64": "i8", "i1": "?", "f64": "f8"}.get(kind, ml_dtypes.bfloat16)
    out = np.zeros(3, dtype)
    run(
        f"""
        "memref.global"() <{{sym_name = "table", sym_visibility = "private", type = memref<3x{kind}>,
            initial_value = dense<{values}> : tensor<3x{kind}>, constant}}> : () -> ()
        func.func @main(%out: memref<3x{kind}>) {{
          %t = memref.get_global @table : memref<3x{kind}>
          "memref.copy"(%t, %out) : (memref<3x{kind}>, memref<3x{kind}>) -> ()
          func.return
        }}""",
        out,
    )
    text = values.replace("true", "1").replace("false", "0")
    wanted = np.array(np.broadcast_to(np.array(eval(text)), (3,))).astype(dtype)
    np.testing.assert_array_equal(out.view(np.uint8), wanted.view(np.uint8))


def test_scalars_of_every_kind_cross_the_packed_entry(run: Any) -> None:
    text = """func.func @main(%a: f32, %b: i1, %c: index) -> (f32, i1, index) {
      %t = arith.constant true
      %n = arith.xori %b, %t : i1
      %d = arith.addf %a, %a : f32
      %e = affine.apply affine_map<(d0) -> (d0 floordiv 4 + d0 mod 4 - d0 ceildiv 3)> (%c)
      func.return %d, %n, %e : f32, i1, index
    }"""
    slots = run(text, np.float32(1.25), 1, -7, 0, 0, 0)
    assert ctypes.c_float.from_buffer_copy(slots[3].to_bytes(8, "little")).value == 2.5
    assert slots[4] & 255 == 0
    assert ctypes.c_int64(slots[5]).value == -7 // 4 + -7 % 4 - -(7 // 3)


def test_external_functions_are_python_callbacks(run: Any) -> None:
    seen: list[tuple[float, int]] = []
    show = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_double), ctypes.c_int64)
    callback = show(lambda pointer, size: seen.append((pointer[1], size)))
    run(
        """func.func private @show(memref<?xf64>) -> ()
        func.func @main(%x: memref<?xf64>) {
          func.call @show(%x) : (memref<?xf64>) -> ()
          func.return
        }""",
        np.array([1.0, 2.0]), 2,
        symbols={"show": callback},
    )  # fmt: skip
    assert seen == [(2.0, 2)]
