// RUN: xmlc opt %s -p 'map-rows{most_cluster=8}' | filecheck %s

// Rows that a cluster cannot hold: each is shared by blocks anywhere, which store an older row and fold a newer one while
// words that say what they found are on their way.
// CHECK-LABEL: func.func @centred
// CHECK: gpu.launch_func @kernels::@centred blocks in
// CHECK-SAME: dynamic_shared_memory_size
// CHECK-LABEL: gpu.func @centred
// CHECK-SAME: xmlc.together = 128
// CHECK: nvvm.cp.async.shared.global
// CHECK: scf.for
// CHECK: vector.store
// CHECK: nvvm.cp.async.shared.global
// CHECK: llvm.load {{.*}} atomic monotonic
// CHECK: nvvm.cp.async.wait.group 1
// CHECK: gpu.barrier
// CHECK: "memref.atomic_rmw"
// CHECK: scf.while
// CHECK: gpu.barrier
func.func @centred(%x: memref<64x1048576xf32>, %y: memref<64x1048576xf32>) {
  %most = memref.alloc() : memref<64xf32>
  %lowest = arith.constant 0xFF800000 : f32
  linalg.fill ins(%lowest : f32) outs(%most : memref<64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x1048576xf32>) outs(%most : memref<64xf32>) {
  ^bb0(%a: f32, %so_far: f32):
    %b = arith.maximumf %so_far, %a : f32
    linalg.yield %b : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %most : memref<64x1048576xf32>, memref<64xf32>) outs(%y : memref<64x1048576xf32>) {
  ^bb0(%a: f32, %m: f32, %old: f32):
    %b = arith.subf %a, %m : f32
    linalg.yield %b : f32
  }
  func.return
}
