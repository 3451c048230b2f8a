// RUN: xmlc opt %s -p map-scans | filecheck %s

// A loop that stores the sum so far is one kernel: threads hold vectors of a row and take what comes before from the
// lanes below by shuffles.
// CHECK-LABEL: func.func @sums
// CHECK: gpu.launch_func @kernels::@sums blocks in
// CHECK-SAME: args(%x : memref<512x128xf32>, %y : memref<512x128xf32>)
// CHECK-NEXT: func.return
func.func @sums(%x: memref<512x128xf32>, %y: memref<512x128xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c128 = arith.constant 128 : index
  %c512 = arith.constant 512 : index
  %zero = arith.constant 0.0 : f32
  scf.for %i = %c0 to %c512 step %c1 {
    %sum = scf.for %j = %c0 to %c128 step %c1 iter_args(%so_far = %zero) -> (f32) {
      %a = memref.load %x[%i, %j] : memref<512x128xf32>
      %b = arith.addf %so_far, %a fastmath<reassoc> : f32
      memref.store %b, %y[%i, %j] : memref<512x128xf32>
      scf.yield %b : f32
    }
  }
  func.return
}

// Limit: what is stored must be at the place that was read.
// CHECK-LABEL: func.func @elsewhere
// CHECK: scf.for
func.func @elsewhere(%x: memref<128xf32>, %y: memref<128x128xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c128 = arith.constant 128 : index
  %zero = arith.constant 0.0 : f32
  %sum = scf.for %j = %c0 to %c128 step %c1 iter_args(%so_far = %zero) -> (f32) {
    %a = memref.load %x[%j] : memref<128xf32>
    %b = arith.addf %so_far, %a fastmath<reassoc> : f32
    memref.store %b, %y[%j, %j] : memref<128x128xf32>
    scf.yield %b : f32
  }
  func.return
}

// CHECK-LABEL: gpu.func @sums
// CHECK: vector.load %{{.*}} {alignment = 16 : i64} : memref<65536xf32>, vector<4xf32>
// CHECK: gpu.shuffle up
// CHECK: vector.store %{{.*}} {alignment = 16 : i64}
