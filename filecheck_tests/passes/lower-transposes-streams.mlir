// RUN: xmlc opt %s -p 'lower-transposes{third-cache=16384}' | filecheck %s

// What no cache holds is stored past them: a tile's rows are whole cache lines.
// CHECK-LABEL: @large
// CHECK: vector.shuffle
// CHECK: vector.store {{.*}} {alignment = 64 : i64, nontemporal = true}
func.func @large(%x: memref<64x64xf32>, %y: memref<64x64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j, i)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : memref<64x64xf32>) outs(%y : memref<64x64xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  }
  func.return
}

// Limit: the last tiles overlap others, and do not start at a line.
// CHECK-LABEL: @odd
// CHECK-NOT: nontemporal = true
func.func @odd(%x: memref<72x72xf32>, %y: memref<72x72xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j, i)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : memref<72x72xf32>) outs(%y : memref<72x72xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  }
  func.return
}
