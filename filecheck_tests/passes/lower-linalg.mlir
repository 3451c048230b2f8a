// RUN: xmlc opt %s -p lower-linalg | filecheck %s

// Loops that run through memory one inside the other are one loop.
// CHECK-LABEL: @flat
// CHECK: memref.collapse_shape %x {{.*}} into memref<24xf32>
// CHECK-COUNT-1: scf.for
// CHECK: arith.negf
// CHECK-NOT: scf.for
// CHECK: func.return
func.func @flat(%x: memref<2x3x4xf32>, %y: memref<2x3x4xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, j, k)>, affine_map<(i, j, k) -> (i, j, k)>],
      iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : memref<2x3x4xf32>) outs(%y : memref<2x3x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %n = arith.negf %a : f32
    linalg.yield %n : f32
  }
  func.return
}

// A sum over the last axis is carried in a scalar.
// CHECK-LABEL: @inner_sum
// CHECK: scf.for %[[I:.*]] =
// CHECK: %[[START:.*]] = memref.load %y[%[[I]]]
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[START]])
// CHECK: memref.store {{.*}}, %y[%[[I]]]
func.func @inner_sum(%x: memref<3x64xf32>, %y: memref<3xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : memref<3x64xf32>) outs(%y : memref<3xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %o, %a : f32
    linalg.yield %s : f32
  }
  func.return
}

// Limit: a sum over the first axis runs through the rows, and accumulates in memory.
// CHECK-LABEL: @outer_sum
// CHECK: scf.for %[[I:.*]] =
// CHECK: scf.for %[[J:.*]] =
// CHECK: memref.load %x[%[[I]], %[[J]]]
// CHECK: memref.store {{.*}}, %y[%[[J]]]
func.func @outer_sum(%x: memref<3x64xf32>, %y: memref<64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : memref<3x64xf32>) outs(%y : memref<64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %o, %a : f32
    linalg.yield %s : f32
  }
  func.return
}

// The order of the loops can be asked for.
// CHECK-LABEL: @ordered
// CHECK: scf.for %[[J:.*]] =
// CHECK: scf.for %[[I:.*]] =
// CHECK: memref.load %x[%[[I]], %[[J]]]
func.func @ordered(%x: memref<3x64xf32>, %y: memref<3x64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : memref<3x64xf32>) outs(%y : memref<3x64xf32>)
      attrs = {xmlc.loop_order = array<i64: 1, 0>} {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  }
  func.return
}

// A copy with gaps becomes loops, one without stays.
// CHECK-LABEL: @copies
// CHECK-COUNT-2: scf.for
// CHECK: "memref.copy"
func.func @copies(%x: memref<4x4xf32>, %y: memref<2x2xf32>, %z: memref<4xf32>) {
  %part = memref.subview %x[1, 1] [2, 2] [1, 1] : memref<4x4xf32> to memref<2x2xf32, strided<[4, 1], offset: 5>>
  "memref.copy"(%part, %y) : (memref<2x2xf32, strided<[4, 1], offset: 5>>, memref<2x2xf32>) -> ()
  %row = memref.subview %x[2, 0] [1, 4] [1, 1] : memref<4x4xf32> to memref<4xf32, strided<[1], offset: 8>>
  "memref.copy"(%z, %row) : (memref<4xf32>, memref<4xf32, strided<[1], offset: 8>>) -> ()
  func.return
}
