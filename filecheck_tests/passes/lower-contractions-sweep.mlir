// RUN: xmlc opt %s -p 'lower-contractions{first-cache=16384}' | filecheck %s

// Some rows times a large matrix: sums wait in a buffer while the matrix is read once, eight steps at a time.
// CHECK-LABEL: @some_rows
// CHECK: memref.alloc() {{.*}} : memref<8x256xf32>
// CHECK: memref.alloc() {{.*}} : memref<8x1040xf32>
// CHECK: memref.subview %b[0, %{{.*}}] [1024, 256]
// CHECK: memref.subview {{.*}} [8, 32] [1, 1] : memref<1024x256xf32
// CHECK: scf.for {{.*}} iter_args
// CHECK: vector.fma
func.func @some_rows(%a: memref<8x1024xf32>, %b: memref<1024x1024xf32>, %c: memref<8x1024xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<8x1024xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<8x1024xf32>, memref<1024x1024xf32>) outs(%c : memref<8x1024xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// Limit: rows whose steps are far apart are not copied: the matrix is packed.
// CHECK-LABEL: @columns
// CHECK-NOT: memref<8x1040xf32>
func.func @columns(%a: memref<1024x8xf32>, %b: memref<1024x1024xf32>, %c: memref<8x1024xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<8x1024xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (k, i)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<1024x8xf32>, memref<1024x1024xf32>) outs(%c : memref<8x1024xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}
