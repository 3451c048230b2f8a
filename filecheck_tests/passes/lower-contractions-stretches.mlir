// RUN: xmlc opt %s -p lower-contractions | filecheck %s

// A long reduction: sixteen stretches, which threads may share, each with sums of its own; then those are added up.
// CHECK-LABEL: @long
// CHECK: memref.alloc() {{.*}} : memref<65536xf32>
// CHECK: memref.subview {{.*}} [8, 1, 1024]
// CHECK: memref.subview {{.*}} [1, 1024, 32]
// CHECK: vector.fma
// CHECK-COUNT-3: } {xmlc.parallel}
// CHECK: memref.subview {{.*}} : memref<64x64xf32> to memref<1x64xf32
// CHECK: scf.for {{.*}} iter_args
// CHECK: arith.addf {{.*}} : vector<16xf32>
func.func @long(%a: memref<64x16384xf32>, %b: memref<16384x64xf32>, %c: memref<64x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<64x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<64x16384xf32>, memref<16384x64xf32>) outs(%c : memref<64x64xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// Limit: factors that stay in the second cache.
// CHECK-LABEL: @short
// CHECK-NOT: memref.alloc
func.func @short(%a: memref<16x256xf32>, %b: memref<256x16xf32>, %c: memref<16x16xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<16x16xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<16x256xf32>, memref<256x16xf32>) outs(%c : memref<16x16xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}
