// RUN: xmlc opt %s -p lower-free-contractions | filecheck %s

// Columns by two vectors, then by one under a mask; inside of them rows by 12, then by 4, then by 1.
// CHECK-LABEL: @product
// CHECK-NOT: linalg
// CHECK: scf.for
// CHECK: scf.for
// CHECK: vector.load %c{{.*}} : memref<?x?xf32>, vector<16xf32>
// CHECK: scf.for {{.*}} iter_args
// CHECK-COUNT-24: vector.fma
// CHECK: vector.create_mask
// CHECK: vector.maskedload %c
func.func @product(%a: memref<?x64xf32>, %b: memref<64x?xf32>, %c: memref<?x?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<?x64xf32>, memref<64x?xf32>) outs(%c : memref<?x?xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// Limit: where no loop moves the result and a factor by one element, it becomes plain loops later.
// CHECK-LABEL: @columns_lie_apart
// CHECK: linalg.generic
func.func @columns_lie_apart(%a: memref<?x64xf32>, %b: memref<?x64xf32>, %c: memref<?x?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<?x64xf32>, memref<?x64xf32>) outs(%c : memref<?x?xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// A factor that lies in panels as wide as a tile is read where the tile's panel is.
// CHECK-LABEL: @panels
// CHECK-NOT: linalg
// CHECK: scf.for {{.*}} iter_args
// CHECK-COUNT-24: vector.fma
func.func @panels(%a: memref<?x64xf32>, %b: memref<4x64x32x1xf32>, %c: memref<?x128xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>,
      affine_map<(i, j, k) -> (j floordiv 32, k, j mod 32, 0)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<?x64xf32>, memref<4x64x32x1xf32>) outs(%c : memref<?x128xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// A factor that moves by two elements a column: every other one of two vectors, of which the second starts with the
// first's last element, so that nothing is read behind what is wanted.
// CHECK-LABEL: @every_other
// CHECK-NOT: linalg
// CHECK: %[[LOW:.*]] = vector.load %x
// CHECK: %[[HIGH:.*]] = vector.load %x
// CHECK: vector.shuffle %[[LOW]], %[[HIGH]] [0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31]
// CHECK: vector.maskedload %x
func.func @every_other(%x: memref<4x?xf32>, %w: memref<4x3xf32>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(j, c, q) -> (c, j * 2 + q)>, affine_map<(j, c, q) -> (c, q)>,
      affine_map<(j, c, q) -> (j)>], iterator_types = ["parallel", "reduction", "reduction"]}
      ins(%x, %w : memref<4x?xf32>, memref<4x3xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %m = arith.mulf %a, %b fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// Limit: three elements apart.
// CHECK-LABEL: @every_third
// CHECK: linalg.generic
func.func @every_third(%x: memref<4x?xf32>, %w: memref<4x3xf32>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(j, c, q) -> (c, j * 3 + q)>, affine_map<(j, c, q) -> (c, q)>,
      affine_map<(j, c, q) -> (j)>], iterator_types = ["parallel", "reduction", "reduction"]}
      ins(%x, %w : memref<4x?xf32>, memref<4x3xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %m = arith.mulf %a, %b fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}
