// RUN: xmlc opt %s -p lower-scans | filecheck %s

// Sums of a row so far: four steps inside a vector, each of which leaves what it cannot reach as it is; then what all
// vectors before it came to.
// CHECK-LABEL: @along
// CHECK: scf.for %[[ROW:[0-9]+]] =
// CHECK-NEXT: scf.for {{.*}} iter_args(%[[BEFORE:[0-9]+]] = %{{[0-9]+}}) -> (vector<16xf32>)
// CHECK-NEXT: vector.load %x[%[[ROW]]
// CHECK-NEXT: vector.shuffle {{.*}}[16, 0, 16, 2, 16, 4, 16, 6, 16, 8, 16, 10, 16, 12, 16, 14]
// CHECK-NEXT: arith.addf
// CHECK-NEXT: vector.shuffle {{.*}}[16, 16, 1, 1, 16, 16, 5, 5, 16, 16, 9, 9, 16, 16, 13, 13]
// CHECK: vector.shuffle
// CHECK: vector.shuffle
// CHECK: arith.addf %[[BEFORE]]
// CHECK: vector.store {{.*}} %y[%[[ROW]]
func.func @along(%x: memref<8x64xf32>, %y: memref<8x64xf32>) {
  %first = arith.constant 0 : index
  %rows = arith.constant 8 : index
  %columns = arith.constant 64 : index
  %one = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  scf.for %i = %first to %rows step %one {
    %all = scf.for %j = %first to %columns step %one iter_args(%sum = %zero) -> (f32) {
      %a = memref.load %x[%i, %j] : memref<8x64xf32>
      %next = arith.addf %sum, %a fastmath<reassoc> : f32
      memref.store %next, %y[%i, %j] : memref<8x64xf32>
      scf.yield %next : f32
    }
  }
  func.return
}

// Across memory, a row of totals is carried from row to row.
// CHECK-LABEL: @across
// CHECK: %[[TOTALS:[0-9]+]] = memref.alloc
// CHECK: vector.store {{.*}} %[[TOTALS]]
// CHECK: scf.for %[[ROW:[0-9]+]] =
// CHECK-NEXT: scf.for %[[PLACE:[0-9]+]] =
// CHECK: vector.load %[[TOTALS]][%[[PLACE]]]
// CHECK: vector.load %x[%[[ROW]], %[[PLACE]]]
// CHECK: vector.store {{.*}} %[[TOTALS]][%[[PLACE]]]
// CHECK: vector.store {{.*}} %y[%[[ROW]], %[[PLACE]]]
func.func @across(%x: memref<8x64xf32>, %y: memref<8x64xf32>) {
  %first = arith.constant 0 : index
  %rows = arith.constant 8 : index
  %columns = arith.constant 64 : index
  %one = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  scf.for %j = %first to %columns step %one {
    %all = scf.for %i = %first to %rows step %one iter_args(%sum = %zero) -> (f32) {
      %a = memref.load %x[%i, %j] : memref<8x64xf32>
      %next = arith.addf %sum, %a fastmath<reassoc> : f32
      memref.store %next, %y[%i, %j] : memref<8x64xf32>
      scf.yield %next : f32
    }
  }
  func.return
}

// Limit: a loop that stores to where it loads from stays as it is.
// CHECK-LABEL: @in_place
// CHECK: memref.load
// CHECK-NOT: vector
func.func @in_place(%x: memref<64xf32>) {
  %first = arith.constant 0 : index
  %columns = arith.constant 64 : index
  %one = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %all = scf.for %j = %first to %columns step %one iter_args(%sum = %zero) -> (f32) {
    %a = memref.load %x[%j] : memref<64xf32>
    %next = arith.addf %sum, %a fastmath<reassoc> : f32
    memref.store %next, %x[%j] : memref<64xf32>
    scf.yield %next : f32
  }
  func.return
}
