// RUN: xmlc opt %s -p 'map-rows{most_cluster=8}' | filecheck %s

// Rows that one block cannot hold: the blocks of a cluster stay, the next rows on their way into shared memory, and hand
// on what they found as words with a tag.
// CHECK-LABEL: func.func @centred
// CHECK: gpu.launch_func @kernels::@centred blocks in
// CHECK-SAME: dynamic_shared_memory_size
// CHECK-SAME: args(%x : memref<512x65536xf32>, %y : memref<512x65536xf32>)
func.func @centred(%x: memref<512x65536xf32>, %y: memref<512x65536xf32>) {
  %most = memref.alloc() : memref<512xf32>
  %lowest = arith.constant 0xFF800000 : f32
  linalg.fill ins(%lowest : f32) outs(%most : memref<512xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<512x65536xf32>) outs(%most : memref<512xf32>) {
  ^bb0(%a: f32, %so_far: f32):
    %b = arith.maximumf %so_far, %a : f32
    linalg.yield %b : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x, %most : memref<512x65536xf32>, memref<512xf32>) outs(%y : memref<512x65536xf32>) {
  ^bb0(%a: f32, %m: f32, %old: f32):
    %b = arith.subf %a, %m : f32
    linalg.yield %b : f32
  }
  func.return
}

// Limit: where nothing at a point needs the row's result, blocks need not wait for each other.
// CHECK-LABEL: func.func @most
// CHECK: gpu.launch_func @kernels::@most blocks in
// CHECK-NOT: dynamic_shared_memory_size
func.func @most(%x: memref<512x65536xf32>, %most: memref<512xf32>) {
  %lowest = arith.constant 0xFF800000 : f32
  linalg.fill ins(%lowest : f32) outs(%most : memref<512xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x : memref<512x65536xf32>) outs(%most : memref<512xf32>) {
  ^bb0(%a: f32, %so_far: f32):
    %b = arith.maximumf %so_far, %a : f32
    linalg.yield %b : f32
  }
  func.return
}

// CHECK-LABEL: gpu.func @centred
// CHECK-SAME: xmlc.together = 4
// CHECK: nvvm.cp.async.shared.global
// CHECK: nvvm.cluster.wait
// CHECK: scf.for
// CHECK: nvvm.cp.async.wait.group 2
// CHECK: vector.load
// CHECK: nvvm.cp.async.shared.global
// CHECK: gpu.peer_memory
// CHECK: "memref.atomic_rmw"
// CHECK: llvm.load {{.*}} atomic monotonic
// CHECK: vector.store
