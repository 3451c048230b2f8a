// RUN: xmlc opt %s -p compute-narrow | filecheck %s

// A product that is rounded to bf16 is one of bf16.
// CHECK-LABEL: func.func @product

// CHECK: %c = arith.mulf %a, %b : bf16
// CHECK-NEXT: linalg.yield %c : bf16
func.func @product(%x: memref<8xbf16>, %y: memref<8xbf16>, %z: memref<8xbf16>) {
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]} ins(%x, %y : memref<8xbf16>, memref<8xbf16>) outs(%z : memref<8xbf16>) {
  ^bb0(%a: bf16, %b: bf16, %old: bf16):
    %wide_a = arith.extf %a : bf16 to f32
    %wide_b = arith.extf %b : bf16 to f32
    %wide = arith.mulf %wide_a, %wide_b : f32
    %c = arith.truncf %wide : f32 to bf16
    linalg.yield %c : bf16
  }
  func.return
}

// Limit: what is rounded once, after two ops, is not computed in bf16.
// CHECK-LABEL: func.func @twice
// CHECK: arith.addf %{{.*}} : f32
func.func @twice(%x: memref<8xbf16>, %z: memref<8xbf16>) {
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]} ins(%x : memref<8xbf16>) outs(%z : memref<8xbf16>) {
  ^bb0(%a: bf16, %old: bf16):
    %wide = arith.extf %a : bf16 to f32
    %square = arith.mulf %wide, %wide : f32
    %sum = arith.addf %square, %wide : f32
    %c = arith.truncf %sum : f32 to bf16
    linalg.yield %c : bf16
  }
  func.return
}
