// RUN: xmlc opt %s -p 'lower-rows{second-cache=4096 third-cache=16384}' | filecheck %s

// Rows that lie beyond the caches: the second sweep has the next row fetched, the last one stores past the caches.
// CHECK-LABEL: @large
// CHECK: scf.for %[[ROW:[0-9]+]] =
// CHECK: %[[NEXT:[0-9]+]] = arith.minsi
// CHECK-NOT: memref.prefetch
// CHECK: arith.maximumf
// CHECK: memref.prefetch %x[%[[NEXT]], %{{.*}}], read, locality<3>, data
// CHECK: vector.store {{.*}} {alignment = 64 : i64, nontemporal = true}
func.func @large(%x: memref<8x512xf32>, %y: memref<8x512xf32>) {
  %lowest = arith.constant 0xff800000 : f32
  %m = memref.alloc() : memref<8xf32>
  linalg.fill ins(%lowest : f32) outs(%m : memref<8xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : memref<8x512xf32>) outs(%m : memref<8xf32>) {
  ^bb0(%a: f32, %t: f32):
    %b = arith.maximumf %t, %a : f32
    linalg.yield %b : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>,
      affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %m : memref<8x512xf32>, memref<8xf32>) outs(%y : memref<8x512xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %d = arith.subf %a, %b : f32
    linalg.yield %d : f32
  }
  func.return
}

// Limit: rows that do not start at a cache line are stored as usual.
// CHECK-LABEL: @odd
// CHECK-NOT: nontemporal = true
func.func @odd(%x: memref<16x509xf32>, %b: memref<509xf32>, %y: memref<16x509xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>,
      affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %b : memref<16x509xf32>, memref<509xf32>) outs(%y : memref<16x509xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %d = arith.mulf %a, %c : f32
    %e = math.exp %d : f32
    linalg.yield %e : f32
  }
  func.return
}
