// RUN: xmlc opt %s -p lower-scans{threads=2} | filecheck %s

// Two threads share the rows of a narrow array: the second folds two thirds of them, which the first scans, and goes on.
// CHECK-LABEL: @narrow
// CHECK: scf.for %[[SHARE:[0-9]+]] =
// CHECK: %[[FOLLOWS:[0-9]+]] = arith.cmpi sge, %[[SHARE]]
// CHECK: %[[CHOSEN:[0-9]+]] = arith.select %[[FOLLOWS]]
// CHECK: %[[FIRST:[0-9]+]] = arith.minsi %[[CHOSEN]]
// CHECK: %[[TOTALS:[0-9]+]] = memref.alloc
// CHECK: scf.for {{.*}} to %[[FIRST]]
// CHECK: vector.load %x
// CHECK-NOT: vector.store {{.*}} %y
// CHECK: arith.subi {{.*}} %[[FIRST]]
// CHECK: vector.store {{.*}} %y
func.func @narrow(%x: memref<1024x64xf32>, %y: memref<1024x64xf32>) {
  %first = arith.constant 0 : index
  %rows = arith.constant 1024 : index
  %columns = arith.constant 64 : index
  %one = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  scf.for %j = %first to %columns step %one {
    %all = scf.for %i = %first to %rows step %one iter_args(%sum = %zero) -> (f32) {
      %a = memref.load %x[%i, %j] : memref<1024x64xf32>
      %next = arith.addf %sum, %a fastmath<reassoc> : f32
      memref.store %next, %y[%i, %j] : memref<1024x64xf32>
      scf.yield %next : f32
    }
  }
  func.return
}
