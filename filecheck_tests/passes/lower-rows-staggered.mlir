// RUN: xmlc opt %s -p lower-rows | filecheck %s

// The largest element of a row is looked for while powers of the row before it are computed.
// CHECK-LABEL: @powers
// CHECK-NOT: linalg
// CHECK: scf.for %[[BATCH:[0-9]+]] =
// CHECK-NEXT: scf.for
// CHECK: vector.load %x[%[[BATCH]]
// CHECK-NOT: math.exp
// CHECK: vector.reduction
// CHECK: scf.for %[[PLACE:[0-9]+]] = {{.*}} iter_args(%{{.*}} = %{{.*}}) -> (f32)
// CHECK-NEXT: %[[ROW:[0-9]+]] = arith.addi %[[BATCH]], %[[PLACE]]
// CHECK: %[[NEXT:[0-9]+]] = arith.minsi
// CHECK-NEXT: %[[NEXT_ROW:[0-9]+]] = arith.addi %[[BATCH]], %[[NEXT]]
// CHECK: scf.for
// CHECK: vector.load %x[%[[ROW]]
// CHECK: math.exp
// CHECK: vector.load %x[%[[NEXT_ROW]]
// CHECK: arith.select
// CHECK: vector.reduction
// CHECK: scf.yield %{{.*}} : f32
func.func @powers(%x: memref<40x512xf32>, %y: memref<40x512xf32>) {
  %lowest = arith.constant 0xff800000 : f32
  %m = memref.alloc() : memref<40xf32>
  linalg.fill ins(%lowest : f32) outs(%m : memref<40xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : memref<40x512xf32>) outs(%m : memref<40xf32>) {
  ^bb0(%a: f32, %t: f32):
    %b = arith.maximumf %t, %a : f32
    linalg.yield %b : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>,
      affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %m : memref<40x512xf32>, memref<40xf32>) outs(%y : memref<40x512xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %d = arith.subf %a, %b : f32
    %e = math.exp %d : f32
    linalg.yield %e : f32
  }
  func.return
}

// Not where there are few rows.
// CHECK-LABEL: @few
// CHECK-NOT: linalg
// CHECK-NOT: iter_args(%{{.*}} = %{{.*}}) -> (f32)
// CHECK: func.return
func.func @few(%x: memref<20x512xf32>, %y: memref<20x512xf32>) {
  %lowest = arith.constant 0xff800000 : f32
  %m = memref.alloc() : memref<20xf32>
  linalg.fill ins(%lowest : f32) outs(%m : memref<20xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]} ins(%x : memref<20x512xf32>) outs(%m : memref<20xf32>) {
  ^bb0(%a: f32, %t: f32):
    %b = arith.maximumf %t, %a : f32
    linalg.yield %b : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>,
      affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %m : memref<20x512xf32>, memref<20xf32>) outs(%y : memref<20x512xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %d = arith.subf %a, %b : f32
    %e = math.exp %d : f32
    linalg.yield %e : f32
  }
  func.return
}
