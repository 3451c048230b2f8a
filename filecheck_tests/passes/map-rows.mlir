// RUN: xmlc opt %s -p map-rows | filecheck %s

// A sum over rows with what comes before and after it is one kernel: each element is loaded once, sixteen bytes at a
// time, threads of a row exchange what they found by shuffles, and what only the kernel needs is not stored.
// CHECK-LABEL: func.func @scaled
// CHECK: gpu.launch_func @kernels::@scaled blocks in
// CHECK-SAME: args(%x : memref<512x1024xf32>, %y : memref<512x1024xf32>)
// CHECK-NEXT: func.return
func.func @scaled(%x: memref<512x1024xf32>, %y: memref<512x1024xf32>) {
  %sum = memref.alloc() : memref<512xf32>
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%sum : memref<512xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<512x1024xf32>) outs(%sum : memref<512xf32>) {
  ^bb0(%a: f32, %so_far: f32):
    %b = arith.addf %so_far, %a fastmath<reassoc> : f32
    linalg.yield %b : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %sum : memref<512x1024xf32>, memref<512xf32>) outs(%y : memref<512x1024xf32>) {
  ^bb0(%a: f32, %s: f32, %old: f32):
    %b = arith.divf %a, %s : f32
    linalg.yield %b : f32
  }
  func.return
}

// A function may state the schedule of each of its kernels; the fields that it does not state are the cost model's.
// CHECK-LABEL: func.func @stated
// CHECK: %[[THREADS:.*]] = arith.constant 64 : index
// CHECK: gpu.launch_func @kernels::@stated blocks in
// CHECK-SAME: threads in (%[[THREADS]],
func.func @stated(%x: memref<512x1024xf32>, %sum: memref<512xf32>) attributes {xmlc.gpu.rows = [{lanes = 64 : i64, chunks = 4 : i64}]} {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%sum : memref<512xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<512x1024xf32>) outs(%sum : memref<512xf32>) {
  ^bb0(%a: f32, %so_far: f32):
    %b = arith.addf %so_far, %a fastmath<reassoc> : f32
    linalg.yield %b : f32
  }
  func.return
}

// Limit: a reduction over the first dimension is not one over rows.
// CHECK-LABEL: func.func @columns
// CHECK: linalg.generic
func.func @columns(%x: memref<512x1024xf32>, %y: memref<1024xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<1024xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>], iterator_types = ["reduction", "parallel"]} ins(%x : memref<512x1024xf32>) outs(%y : memref<1024xf32>) {
  ^bb0(%a: f32, %so_far: f32):
    %b = arith.addf %so_far, %a fastmath<reassoc> : f32
    linalg.yield %b : f32
  }
  func.return
}

// CHECK-LABEL: gpu.func @scaled
// CHECK: vector.load %{{.*}} {alignment = 16 : i64} : memref<524288xf32>, vector<4xf32>
// CHECK: gpu.shuffle xor
// CHECK-NOT: vector.load
// CHECK: vector.store %{{.*}} {alignment = 16 : i64}
