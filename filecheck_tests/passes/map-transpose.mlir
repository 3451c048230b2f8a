// RUN: xmlc opt %s -p map-transpose | filecheck %s

// A transpose goes through shared memory: loads and stores are of sixteen bytes, in the order of either side.
// CHECK-LABEL: func.func @turned
// CHECK: gpu.launch_func @kernels::@turned
// CHECK-NEXT: func.return
func.func @turned(%x: memref<256x128xf32>, %y: memref<128x256xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x : memref<256x128xf32>) outs(%y : memref<128x256xf32>) {
  ^bb0(%a: f32, %old: f32):
    linalg.yield %a : f32
  }
  func.return
}

// Limit: where the last dimension stays the last, nothing needs to be turned.
// CHECK-LABEL: func.func @rows
// CHECK: linalg.generic
func.func @rows(%x: memref<16x32x64xf32>, %y: memref<32x16x64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (j, i, k)>, affine_map<(i, j, k) -> (i, j, k)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : memref<16x32x64xf32>) outs(%y : memref<32x16x64xf32>) {
  ^bb0(%a: f32, %old: f32):
    linalg.yield %a : f32
  }
  func.return
}

// CHECK: memref<4160xf32, #gpu.address_space<workgroup>>
// CHECK: gpu.func @turned
// CHECK: vector.load %{{.*}} {alignment = 16 : i64} : memref<32768xf32>, vector<4xf32>
// CHECK: gpu.barrier
// CHECK: vector.store %{{.*}} {alignment = 16 : i64} : memref<32768xf32>, vector<4xf32>
