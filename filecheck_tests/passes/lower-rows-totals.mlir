// RUN: xmlc opt %s -p lower-rows | filecheck %s

// Sums that lie side by side: eight rows of memory are added to a vector of sums that is read and written once.
// CHECK-LABEL: @sums
// CHECK-NOT: linalg
// CHECK: scf.for
// CHECK-NEXT: vector.store %{{[0-9]+}}, %m
// CHECK: scf.for %[[ROW:[0-9]+]] =
// CHECK: scf.for
// CHECK-NEXT: vector.load %m
// CHECK-COUNT-8: arith.addf
// CHECK-NEXT: vector.store %{{[0-9]+}}, %m
func.func @sums(%x: memref<64x512xf32>, %m: memref<512xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%m : memref<512xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x512xf32>) outs(%m : memref<512xf32>) {
  ^bb0(%a: f32, %t: f32):
    %b = arith.addf %t, %a fastmath<reassoc> : f32
    linalg.yield %b : f32
  }
  func.return
}

// Limit: where elements are used again, a vector holds all of a column, from the first sweep to the last.
// CHECK-LABEL: @shifted
// CHECK: scf.for {{.*}} iter_args
// CHECK-NOT: vector.store %{{[0-9]+}}, %m
func.func @shifted(%x: memref<40x16xf32>, %y: memref<40x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %m = memref.alloc() : memref<16xf32>
  linalg.fill ins(%zero : f32) outs(%m : memref<16xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : memref<40x16xf32>) outs(%m : memref<16xf32>) {
  ^bb0(%a: f32, %t: f32):
    %b = arith.addf %t, %a fastmath<reassoc> : f32
    linalg.yield %b : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i)>,
      affine_map<(i, j) -> (j, i)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %m : memref<40x16xf32>, memref<16xf32>) outs(%y : memref<40x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %d = arith.subf %a, %b : f32
    linalg.yield %d : f32
  }
  func.return
}

// What has the rows of the totals besides is made once they are complete.
// CHECK-LABEL: @beside
// CHECK-COUNT-8: arith.addf
// CHECK: vector.store %{{[0-9]+}}, %n
func.func @beside(%x: memref<64x512xf32>, %m: memref<512xf32>, %n: memref<512xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%m : memref<512xf32>)
  linalg.fill ins(%zero : f32) outs(%n : memref<512xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : memref<64x512xf32>) outs(%m : memref<512xf32>) {
  ^bb0(%a: f32, %t: f32):
    %b = arith.addf %t, %a fastmath<reassoc> : f32
    linalg.yield %b : f32
  }
  func.return
}
