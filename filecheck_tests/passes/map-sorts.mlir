// RUN: xmlc opt %s -p map-sorts | filecheck %s

// A row that a block can hold is sorted by one, digit by digit, in shared memory: lanes of equal digits find each other.
// CHECK-LABEL: func.func @short
// CHECK: gpu.launch_func @kernels::@short blocks in
// CHECK-SAME: args(%x : memref<16x1000xf32>, %values : memref<16x1000xf32>, %places : memref<16x1000xi64>)
// CHECK-NEXT: func.return
func.func @short(%x: memref<16x1000xf32>, %values: memref<16x1000xf32>, %places: memref<16x1000xi64>) {
  "fused.sort"(%x, %values, %places) : (memref<16x1000xf32>, memref<16x1000xf32>, memref<16x1000xi64>) -> ()
  func.return
}

// Limit: a longer row is many blocks': one kernel counts digits, and one for each of them moves words between buffers.
// CHECK-LABEL: func.func @long
// CHECK: gpu.launch_func @kernels::@long_count
// CHECK: gpu.launch_func @kernels::@long blocks
// CHECK: gpu.launch_func @kernels::@long_1 blocks
// CHECK-NEXT: func.return
func.func @long(%x: memref<1x1000000xf16>, %values: memref<1x1000000xf16>, %places: memref<1x1000000xi64>) {
  "fused.sort"(%x, %values, %places) <{descending}> : (memref<1x1000000xf16>, memref<1x1000000xf16>, memref<1x1000000xi64>) -> ()
  func.return
}

// Few of a row are selected: tiles leave their first, of which one block takes the first again.
// CHECK-LABEL: func.func @few
// CHECK: gpu.launch_func @kernels::@few_select blocks
// CHECK: gpu.launch_func @kernels::@few blocks
// CHECK-NEXT: func.return
func.func @few(%x: memref<2x30000xf16>, %values: memref<2x50xf16>, %places: memref<2x50xi64>) {
  "fused.sort"(%x, %values, %places) <{descending}> : (memref<2x30000xf16>, memref<2x50xf16>, memref<2x50xi64>) -> ()
  func.return
}

// CHECK-LABEL: gpu.func @short
// CHECK: scf.for
// CHECK: nvvm.match.sync any
// CHECK: math.ctpop
// CHECK: gpu.barrier
