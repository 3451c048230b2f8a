// RUN: xmlc opt %s -p lower-rows | filecheck %s

// The largest element of a row and where it is: of four vectors only the largest is compared with what was found before,
// and in the four that have the row's the first place of it is looked up; the first NaN's, where there is one.
// CHECK-LABEL: @place
// CHECK-NOT: linalg.generic
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xi32>, vector<16xi1>)
// CHECK: vector.reduction <maxnumf>
// CHECK: vector.reduction <minsi>
// CHECK: scf.if
// CHECK: arith.cmpf uno
// CHECK: } else {
// CHECK-NOT: scf.for
// CHECK: arith.cmpf oeq
// CHECK: vector.reduction <minsi>
// CHECK: arith.extsi
func.func @place(%x: memref<8x512xf32>, %places: memref<8xi64>) {
  %lowest = arith.constant 0xff800000 : f32
  %zero = arith.constant 0 : i64
  %best = memref.alloc() : memref<8xf32>
  linalg.fill ins(%lowest : f32) outs(%best : memref<8xf32>)
  linalg.fill ins(%zero : i64) outs(%places : memref<8xi64>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<8x512xf32>) outs(%best, %places : memref<8xf32>, memref<8xi64>) {
  ^bb0(%a: f32, %b: f32, %p: i64):
    %above = arith.cmpf ugt, %a, %b : f32
    %number = arith.cmpf ord, %b, %b : f32
    %better = arith.andi %above, %number : i1
    %j = linalg.index 1 : index
    %here = arith.index_cast %j : index to i64
    %c = arith.select %better, %a, %b : f32
    %d = arith.select %better, %here, %p : i64
    linalg.yield %c, %d : f32, i64
  }
  func.return
}

// Rows that are not whole blocks: one sweep for the largest element, one for the least index where that stands.
// CHECK-LABEL: @place_in_odd_rows
// CHECK-NOT: linalg
// CHECK: vector.reduction <maxnumf>
// CHECK: arith.cmpf oeq
// CHECK: vector.reduction <minsi>
// CHECK: arith.extsi
func.func @place_in_odd_rows(%x: memref<8x500xf32>, %places: memref<8xi64>) {
  %lowest = arith.constant 0xff800000 : f32
  %zero = arith.constant 0 : i64
  %best = memref.alloc() : memref<8xf32>
  linalg.fill ins(%lowest : f32) outs(%best : memref<8xf32>)
  linalg.fill ins(%zero : i64) outs(%places : memref<8xi64>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<8x500xf32>) outs(%best, %places : memref<8xf32>, memref<8xi64>) {
  ^bb0(%a: f32, %b: f32, %p: i64):
    %above = arith.cmpf ugt, %a, %b : f32
    %number = arith.cmpf ord, %b, %b : f32
    %better = arith.andi %above, %number : i1
    %j = linalg.index 1 : index
    %here = arith.index_cast %j : index to i64
    %c = arith.select %better, %a, %b : f32
    %d = arith.select %better, %here, %p : i64
    linalg.yield %c, %d : f32, i64
  }
  func.return
}

// Limit: where memory does not run along what is folded, both are folded at once, in one sweep.
// CHECK-LABEL: @place_of_columns
// CHECK: linalg.generic
// CHECK: linalg.yield {{.*}} : f32, i64
func.func @place_of_columns(%x: memref<512x8xf32>, %best: memref<8xf32>, %places: memref<8xi64>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<512x8xf32>) outs(%best, %places : memref<8xf32>, memref<8xi64>) {
  ^bb0(%a: f32, %b: f32, %p: i64):
    %above = arith.cmpf ugt, %a, %b : f32
    %number = arith.cmpf ord, %b, %b : f32
    %better = arith.andi %above, %number : i1
    %j = linalg.index 1 : index
    %here = arith.index_cast %j : index to i64
    %c = arith.select %better, %a, %b : f32
    %d = arith.select %better, %here, %p : i64
    linalg.yield %c, %d : f32, i64
  }
  func.return
}
