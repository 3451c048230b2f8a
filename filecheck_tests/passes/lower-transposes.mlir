// RUN: xmlc opt %s -p lower-transposes | filecheck %s

// Four rows are read, exchanged in two steps, and written as four columns.
// CHECK-LABEL: @four_by_four
// CHECK-NOT: linalg
// CHECK-COUNT-4: vector.load %x{{.*}} vector<4xf32>
// CHECK-COUNT-8: vector.shuffle
// CHECK-COUNT-4: vector.store
func.func @four_by_four(%x: memref<4x4xf32>, %y: memref<4x4xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : memref<4x4xf32>) outs(%y : memref<4x4xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  }
  func.return
}

// Rows of the target are 2 KiB apart: sixteen of them are gathered in a buffer, then each is written by eight vectors.
// CHECK-LABEL: @crowded
// CHECK: memref.alloc() {{.*}} : memref<16x144xf32>
// CHECK-COUNT-16: vector.load %x
// CHECK-COUNT-16: vector.store {{.*}} : memref<16x144xf32>
// CHECK: scf.for
// CHECK: scf.for
// CHECK: vector.load {{.*}} : memref<16x144xf32>
// CHECK-NEXT: vector.store {{.*}} : memref<48x512xf32>
func.func @crowded(%x: memref<512x48xf32>, %y: memref<48x512xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : memref<512x48xf32>) outs(%y : memref<48x512xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  }
  func.return
}

// Limit: what exceeds the second cache is written where it belongs.
// CHECK-LABEL: @crowded_and_large
// CHECK-NOT: memref.alloc
func.func @crowded_and_large(%x: memref<512x1024xf32>, %y: memref<1024x512xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : memref<512x1024xf32>) outs(%y : memref<1024x512xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  }
  func.return
}

// Limit: where both run through memory along the same loop there is nothing to exchange.
// CHECK-LABEL: @rows_move
// CHECK: linalg.generic
func.func @rows_move(%x: memref<4x6x8xf32>, %y: memref<6x4x8xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (j, i, k)>, affine_map<(i, j, k) -> (i, j, k)>],
      iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : memref<4x6x8xf32>) outs(%y : memref<6x4x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  }
  func.return
}
