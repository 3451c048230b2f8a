// RUN: xmlc opt %s -p lower-contractions | filecheck %s

// A factor in panels is read one panel after the other; while tiles of rows read one, they ask for the next.
// CHECK-LABEL: @panels
// CHECK-NOT: linalg
// CHECK: scf.for %[[Q:[0-9]+]] = 
// CHECK: memref.subview %{{.*}}[%[[Q]], 0, 0] [1, 512, 32]
// CHECK: scf.for {{.*}} iter_args
// CHECK: memref.prefetch %{{.*}}, read, locality<3>, data
// CHECK: vector.fma
// CHECK: vector.store
#panels = affine_map<(i, j, k) -> (j floordiv 32, k, j mod 32, 0)>
func.func @panels(%a: memref<24x512xf32>, %b: memref<64x512x32x1xf32>, %c: memref<24x2048xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<24x2048xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, #panels,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<24x512xf32>, memref<64x512x32x1xf32>) outs(%c : memref<24x2048xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// Limit: panels that the columns do not fill are no panels to it.
// CHECK-LABEL: @ragged
// CHECK: linalg.generic
func.func @ragged(%a: memref<24x512xf32>, %b: memref<64x512x32x1xf32>, %c: memref<24x2040xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<24x2040xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, #panels,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<24x512xf32>, memref<64x512x32x1xf32>) outs(%c : memref<24x2040xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}
