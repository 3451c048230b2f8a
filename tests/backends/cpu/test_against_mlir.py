"""Our printer and MLIR's own lowering give the same bytes on the same structured kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracle import mlir_opt_jit, needs_mlir

LOOPS = """
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c6 = arith.constant 6 : index
"""
KERNELS: dict[str, str] = {
    "matrix product": """
      %f0 = arith.constant 0.0 : f32
      scf.for %i = %c0 to %c6 step %c1 {
        scf.for %j = %c0 to %c6 step %c1 {
          %s = scf.for %k = %c0 to %c4 step %c1 iter_args(%acc = %f0) -> (f32) {
            %a = memref.load %x[%i, %k] : memref<6x4xf32>
            %b = memref.load %x[%j, %k] : memref<6x4xf32>
            %m = arith.mulf %a, %b : f32
            %t = arith.addf %acc, %m : f32
            scf.yield %t : f32
          }
          memref.store %s, %out[%i, %j] : memref<6x6xf32>
        }
      }""",
    "row minima without NaN": """
      %big = arith.constant 1.0e30 : f32
      scf.for %i = %c0 to %c6 step %c1 {
        %s = scf.for %k = %c0 to %c4 step %c1 iter_args(%acc = %big) -> (f32) {
          %a = memref.load %x[%i, %k] : memref<6x4xf32>
          %t = arith.minnumf %acc, %a : f32
          %u = arith.minimumf %t, %big : f32
          scf.yield %u : f32
        }
        memref.store %s, %out[%i, %c0] : memref<6x6xf32>
      }""",
    "through integers and 16 bits": """
      scf.for %i = %c0 to %c6 step %c1 {
        %a = memref.load %x[%i, %c1] : memref<6x4xf32>
        %h = arith.truncf %a : f32 to f16
        %w = arith.extf %h : f16 to f32
        %b = arith.truncf %w : f32 to bf16
        %e = arith.extf %b : bf16 to f32
        %n = arith.fptosi %a : f32 to i32
        %q = arith.index_cast %i : index to i32
        %r = arith.addi %n, %q : i32
        %c2 = arith.constant 3 : i32
        %d = arith.floordivsi %r, %c2 : i32
        %f = arith.sitofp %d : i32 to f32
        memref.store %e, %out[%i, %c0] : memref<6x6xf32>
        memref.store %f, %out[%i, %c1] : memref<6x6xf32>
      }""",
    "columns by subview": """
      scf.for %i = %c0 to %c4 step %c1 {
        %from = memref.subview %x[0, %i] [6, 1] [1, 1] : memref<6x4xf32> to memref<6x1xf32, strided<[4, 1], offset: ?>>
        %to = memref.subview %out[%i, 0] [1, 6] [1, 1] : memref<6x6xf32> to memref<1x6xf32, strided<[6, 1], offset: ?>>
        scf.for %k = %c0 to %c6 step %c1 {
          %v = memref.load %from[%k, %c0] : memref<6x1xf32, strided<[4, 1], offset: ?>>
          memref.store %v, %to[%c0, %k] : memref<1x6xf32, strided<[6, 1], offset: ?>>
        }
      }""",
    "vectors with a masked edge": """
      %z = arith.constant 0.0 : f32
      %zero = vector.broadcast %z : f32 to vector<4xf32>
      scf.for %i = %c0 to %c6 step %c1 {
        %v = vector.load %x[%i, %c0] : memref<6x4xf32>, vector<4xf32>
        %m = vector.create_mask %i : vector<4xi1>
        %p = vector.maskedload %x[%c0, %c0], %m, %v : memref<6x4xf32>, vector<4xi1>, vector<4xf32> into vector<4xf32>
        %w = vector.fma %v, %p, %zero : vector<4xf32>
        %s = vector.reduction <maximumf>, %w : vector<4xf32> into f32
        vector.store %w, %out[%i, %c0] : memref<6x6xf32>, vector<4xf32>
        memref.store %s, %out[%i, %c4] : memref<6x6xf32>
      }""",
    "a decision in a while loop": """
      %f0 = arith.constant 0.0 : f32
      %limit = arith.constant 3.0 : f32
      %n, %total = scf.while (%i = %c0, %s = %f0) : (index, f32) -> (index, f32) {
        %small = arith.cmpf olt, %s, %limit : f32
        %left = arith.cmpi ult, %i, %c4 : index
        %go = arith.andi %small, %left : i1
        scf.condition(%go) %i, %s : index, f32
      } do {
      ^body(%i: index, %s: f32):
        %v = memref.load %x[%c0, %i] : memref<6x4xf32>
        %a = math.absf %v : f32
        %t = arith.addf %s, %a : f32
        %j = arith.addi %i, %c1 : index
        scf.yield %j, %t : index, f32
      }
      memref.store %total, %out[%n, %c0] : memref<6x6xf32>""",
}


@needs_mlir
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_means_what_mlir_says(run: Any, name: str) -> None:
    text = f"func.func @main(%x: memref<6x4xf32>, %out: memref<6x6xf32>) {{{LOOPS}{KERNELS[name]}\nfunc.return\n}}"
    x = (np.random.default_rng(0).standard_normal((6, 4)) * 3).astype(np.float32)
    ours, theirs = np.zeros((6, 6), np.float32), np.zeros((6, 6), np.float32)
    run(text, x, ours)
    mlir_opt_jit(text)(x, theirs)
    np.testing.assert_array_equal(ours, theirs)
