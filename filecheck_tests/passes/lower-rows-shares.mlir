// RUN: xmlc opt %s -p lower-rows{threads=2} | filecheck %s

// The sum of all elements: two threads sum a half each, then the halves are summed.
// CHECK-LABEL: @sum
// CHECK: %[[PARTS:[0-9]+]] = memref.alloc() {{.*}} : memref<2xf32>
// CHECK: scf.for %[[SHARE:[0-9]+]] =
// CHECK: vector.reduction <add>
// CHECK: memref.store {{.*}} %[[PARTS]][%[[SHARE]]]
// CHECK: {xmlc.parallel}
// CHECK: vector.load %[[PARTS]]
// CHECK: vector.reduction <add>
// CHECK: memref.store {{.*}} %y
func.func @sum(%x: memref<512x512xf32>, %y: memref<f32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> ()>], iterator_types = ["reduction", "reduction"]} ins(%x : memref<512x512xf32>) outs(%y : memref<f32>) {
  ^bb0(%a: f32, %b: f32):
    %c = arith.addf %b, %a fastmath<reassoc> : f32
    linalg.yield %c : f32
  }
  func.return
}

// Limit: an array that has no equal halves stays whole, as do arrays too small for a fork.
// CHECK-LABEL: @odd
// CHECK-NOT: xmlc.parallel
func.func @odd(%x: memref<513x513xf32>, %y: memref<f32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> ()>], iterator_types = ["reduction", "reduction"]} ins(%x : memref<513x513xf32>) outs(%y : memref<f32>) {
  ^bb0(%a: f32, %b: f32):
    %c = arith.addf %b, %a fastmath<reassoc> : f32
    linalg.yield %c : f32
  }
  func.return
}
