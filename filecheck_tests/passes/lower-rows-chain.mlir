// RUN: xmlc opt %s -p lower-rows | filecheck %s

// A function element by element: vectors of sixteen numbers, for which there are tables in registers.
// CHECK-LABEL: @chain
// CHECK-NOT: linalg
// CHECK: scf.for
// CHECK: math.erf {{.*}} : vector<16xf32>
// CHECK: vector.store
func.func @chain(%x: memref<8x512xf32>, %b: memref<512xf32>, %y: memref<8x512xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>,
      affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %b : memref<8x512xf32>, memref<512xf32>) outs(%y : memref<8x512xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %d = arith.addf %a, %c : f32
    %e = math.erf %d : f32
    linalg.yield %e : f32
  }
  func.return
}

// Limits: what LLVM makes vectors of just as well, and what has no vectors of sixteen.
// CHECK-LABEL: @sum
// CHECK: linalg.generic
func.func @sum(%x: memref<8x512xf32>, %y: memref<8x512xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : memref<8x512xf32>) outs(%y : memref<8x512xf32>) {
  ^bb0(%a: f32, %o: f32):
    %d = arith.addf %a, %a : f32
    linalg.yield %d : f32
  }
  func.return
}

// CHECK-LABEL: @double
// CHECK: linalg.generic
func.func @double(%x: memref<8x512xf64>, %y: memref<8x512xf64>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : memref<8x512xf64>) outs(%y : memref<8x512xf64>) {
  ^bb0(%a: f64, %o: f64):
    %d = math.erf %a : f64
    linalg.yield %d : f64
  }
  func.return
}
