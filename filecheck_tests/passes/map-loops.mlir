// RUN: xmlc opt %s -p map-loops | filecheck %s

// Each row is a thread's; the sum over a row runs inside of it. The host only launches.
// CHECK-LABEL: func.func @main
// CHECK-NOT: scf.for
// CHECK: gpu.launch_func @kernels::@main blocks in (%{{.*}}, %{{.*}}, %{{.*}}) threads in
// CHECK-SAME: args(%x : memref<1000x64xf32>, %y : memref<1000xf32>)
// CHECK: gpu.launch_func @kernels::@main_1
// CHECK-NOT: memref.load
// CHECK: func.return
func.func @main(%x: memref<1000x64xf32>, %y: memref<1000xf32>, %k: memref<4xi64>, %z: memref<10xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = arith.constant 1000 : index
  %m = arith.constant 64 : index
  %zero = arith.constant 0.0 : f32
  scf.for %i = %c0 to %n step %c1 {
    %sum = scf.for %j = %c0 to %m step %c1 iter_args(%so_far = %zero) -> (f32) {
      %a = memref.load %x[%i, %j] : memref<1000x64xf32>
      %b = arith.addf %so_far, %a : f32
      scf.yield %b : f32
    }
    memref.store %sum, %y[%i] : memref<1000xf32>
  }
  %four = arith.constant 4 : index
  scf.for %i = %c0 to %four step %c1 {
    %at = memref.load %k[%i] : memref<4xi64>
    %place = arith.index_cast %at : i64 to index
    memref.store %zero, %z[%place] : memref<10xf32>
  }
  func.return
}

// CHECK-LABEL: gpu.func @main(
// CHECK-SAME: kernel attributes {known_block_size = array<i32: 128, 1, 1>, known_grid_size = array<i32: 8, 1, 1>}
// CHECK: gpu.thread_id x
// CHECK: scf.if
// CHECK: scf.for
// CHECK: memref.store

// Limit: where an iteration may write to what another one writes, one thread runs them in order.
// CHECK-LABEL: gpu.func @main_1(
// CHECK-SAME: known_block_size = array<i32: 1, 1, 1>, known_grid_size = array<i32: 1, 1, 1>
// CHECK: scf.for
