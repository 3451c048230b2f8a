// RUN: xmlc opt %s -p map-columns | filecheck %s

// A sum over rows of few columns is two kernels: blocks share the rows of a strip, and a second kernel folds what they
// found. Each thread reads sixteen bytes of a row.
// CHECK-LABEL: func.func @columns
// CHECK: gpu.launch_func @kernels::@columns blocks in
// CHECK: gpu.launch_func @kernels::@columns_finish blocks in
// CHECK-NEXT: func.return
func.func @columns(%x: memref<16384x256xf32>, %y: memref<256xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<256xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>], iterator_types = ["reduction", "parallel"]} ins(%x : memref<16384x256xf32>) outs(%y : memref<256xf32>) {
  ^bb0(%a: f32, %so_far: f32):
    %b = arith.addf %so_far, %a fastmath<reassoc> : f32
    linalg.yield %b : f32
  }
  func.return
}

// Limit: a reduction over the last dimension is one over rows.
// CHECK-LABEL: func.func @rows
// CHECK: linalg.generic
func.func @rows(%x: memref<512x1024xf32>, %y: memref<512xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<512xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<512x1024xf32>) outs(%y : memref<512xf32>) {
  ^bb0(%a: f32, %so_far: f32):
    %b = arith.addf %so_far, %a fastmath<reassoc> : f32
    linalg.yield %b : f32
  }
  func.return
}

// CHECK-LABEL: gpu.func @columns
// CHECK: vector.load %{{.*}} {alignment = 16 : i64} : memref<4194304xf32>, vector<4xf32>
// CHECK: gpu.barrier
