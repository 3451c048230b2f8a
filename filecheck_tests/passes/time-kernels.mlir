// RUN: xmlc opt %s -p time-kernels | filecheck %s

// Two calls of one kernel share a row; the clock is read before and after each.
// CHECK-LABEL: @main(%x: memref<4xf32>, %times: memref<1x2xi64> {xmlc.output}) attributes {xmlc.timed = ["kernel"]}
// CHECK: %[[START:[0-9]+]] = func.call @xmlc.now()
// CHECK-NEXT: func.call @kernel(%x)
// CHECK-NEXT: %[[END:[0-9]+]] = func.call @xmlc.now()
// CHECK-NEXT: %[[TOOK:[0-9]+]] = arith.subi %[[END]], %[[START]]
// CHECK: func.call @kernel(%x)
// Limit: what is no kernel is not timed.
// CHECK: %{{.*}} = func.call @xmlc.now()
// CHECK-NOT: xmlc.now
// CHECK: func.call @other(%x)
// CHECK-NEXT: func.return
func.func @main(%x: memref<4xf32>) {
  func.call @kernel(%x) : (memref<4xf32>) -> ()
  func.call @kernel(%x) : (memref<4xf32>) -> ()
  func.call @other(%x) : (memref<4xf32>) -> ()
  func.return
}
func.func private @kernel(%x: memref<4xf32>) attributes {xmlc.kernel} {
  func.return
}
func.func private @other(%x: memref<4xf32>) {
  func.return
}
