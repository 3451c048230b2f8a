// RUN: xmlc opt %s -p lower-rows | filecheck %s

// A reduction and what is done with it: one loop over rows, two at a time, two sweeps over them, and nothing of a row
// in memory.
// CHECK-LABEL: @shifted
// CHECK-NOT: linalg
// CHECK: scf.for %[[ROW:[0-9]+]] =
// CHECK-NEXT: %[[NEXT:[0-9]+]] = arith.addi %[[ROW]]
// CHECK-NEXT: scf.for %{{.*}} iter_args
// CHECK: vector.load %x[%[[ROW]]
// CHECK: vector.load %x[%[[NEXT]]
// CHECK: %[[HIGHEST:[0-9]+]] = arith.maximumf
// CHECK: %[[OTHER:[0-9]+]] = arith.maximumf
// CHECK-NEXT: scf.for
// CHECK: vector.broadcast %[[HIGHEST]]
// CHECK: vector.broadcast %[[OTHER]]
// CHECK: vector.store
// CHECK-NOT: memref.store
func.func @shifted(%x: memref<8x512xf32>, %y: memref<8x512xf32>) {
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

// Where memory runs along the rows, a vector holds a column of sixteen rows, and no lanes are added up.
// CHECK-LABEL: @side_by_side
// CHECK-NOT: vector.reduction
// CHECK: scf.for {{.*}} iter_args({{.*}}vector<16xf32>
// CHECK-NOT: vector.reduction
// CHECK: scf.for
// CHECK: vector.store {{.*}} vector<16xf32>
func.func @side_by_side(%x: memref<40x16xf32>, %y: memref<40x16xf32>) {
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

// Limit: a sum whose order is fixed stays as it is.
// CHECK-LABEL: @exact
// CHECK: linalg.generic
func.func @exact(%x: memref<8x512xf32>, %m: memref<8xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : memref<8x512xf32>) outs(%m : memref<8xf32>) {
  ^bb0(%a: f32, %t: f32):
    %b = arith.addf %t, %a : f32
    linalg.yield %b : f32
  }
  func.return
}
