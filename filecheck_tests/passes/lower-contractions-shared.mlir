// RUN: xmlc opt %s -p 'lower-contractions{threads=2 schedule=blocked second-cache=4096}' | filecheck %s
// RUN: xmlc opt %s -p 'lower-contractions{threads=2 schedule=blocked}' | filecheck %s --check-prefix=NEAR

// What exceeds the caches by far: columns are packed by all threads together, which then share the rows of the block;
// while a tile computes, the sums that it will be added to are on their way.
// CHECK-LABEL: @product
// CHECK: vector.load %b
// CHECK: } {xmlc.parallel}
// CHECK-NEXT: } {xmlc.parallel}
// CHECK: scf.for %[[ROW:[0-9]+]] =
// CHECK: scf.for %[[PANEL:[0-9]+]] =
// CHECK: %[[SUMS:[0-9]+]] = memref.subview %c[%[[ROW]], %{{.*}}] [12, 32]
// CHECK: memref.prefetch %[[SUMS]]
// CHECK: vector.fma
// CHECK: } {xmlc.parallel}
// CHECK-NEXT: } {xmlc.parallel}
// CHECK-NOT: xmlc.parallel

// Limit: of what fits the caches, each thread packs blocks of columns of its own.
// NEAR-LABEL: @product
// NEAR: } {xmlc.parallel}
// NEAR-NEXT: } {xmlc.parallel}
// NEAR: } {xmlc.parallel}
// NEAR-NEXT: } {xmlc.parallel}
// NEAR: } {xmlc.parallel}
func.func @product(%a: memref<120x2048xf32>, %b: memref<2048x256xf32>, %c: memref<120x256xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<120x256xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<120x2048xf32>, memref<2048x256xf32>) outs(%c : memref<120x256xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}
