// RUN: xmlc opt %s -p 'map-contractions{rung=shared}' | filecheck %s
// RUN: xmlc opt %s -p 'map-contractions{rung=pipelined}' | filecheck %s --check-prefix=PIPE
// RUN: xmlc opt %s -p 'map-contractions{rung=naive}' | filecheck %s --check-prefix=NAIVE

// A matrix product is tiles in shared memory; pipelined, the next pair is loaded before this one is used, and a thread
// computes a square of 8 by 8. The fill that sums start from is gone. The naive rung leaves the op to other passes.
// CHECK-LABEL: func.func @product
// CHECK-NOT: linalg.fill
// CHECK: gpu.launch_func @kernels::@product
// PIPE: gpu.launch_func @kernels::@product
// NAIVE-NOT: gpu.launch_func
func.func @product(%x: memref<256x64xf32>, %y: memref<64x256xf32>, %z: memref<256x256xf32>, %v: memref<64x1xf32>, %w: memref<256x1xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%z : memref<256x256xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %y : memref<256x64xf32>, memref<64x256xf32>) outs(%z : memref<256x256xf32>) {
  ^bb0(%a: f32, %b: f32, %so_far: f32):
    %ab = arith.mulf %a, %b fastmath<reassoc> : f32
    %sum = arith.addf %so_far, %ab fastmath<reassoc> : f32
    linalg.yield %sum : f32
  }
  // Limit: a product with one column is a sum over rows, which another pass does.
  // CHECK: linalg.generic
  linalg.fill ins(%zero : f32) outs(%w : memref<256x1xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %v : memref<256x64xf32>, memref<64x1xf32>) outs(%w : memref<256x1xf32>) {
  ^bb0(%a: f32, %b: f32, %so_far: f32):
    %ab = arith.mulf %a, %b fastmath<reassoc> : f32
    %sum = arith.addf %so_far, %ab fastmath<reassoc> : f32
    linalg.yield %sum : f32
  }
  func.return
}

// CHECK: gpu.func @product
// CHECK: scf.for
// CHECK: gpu.barrier
// CHECK: math.fma
// CHECK: gpu.barrier
// PIPE: gpu.func @product
// PIPE-SAME: nvvm.minctasm = 2
// PIPE: gpu.barrier
// PIPE: scf.for
// PIPE: math.fma
// PIPE: gpu.barrier
// PIPE-NOT: gpu.barrier
