// RUN: xmlc opt %s -p lower-contractions | filecheck %s
// RUN: xmlc opt %s -p 'lower-contractions{vector-bits=256 vector-registers=16}' | filecheck %s --check-prefix=AVX2

// A matrix product becomes a tile of rows x vectors of sums, carried by the loop over k and stored once.
// CHECK-LABEL: @product
// CHECK-NOT: linalg
// CHECK: scf.for %[[J:[0-9]+]] = 
// CHECK: memref.subview %b[0, %[[J]]] [64, 32]
// CHECK: scf.for {{.*}} iter_args
// CHECK: memref.load %a
// CHECK: vector.load %{{.*}} vector<16xf32>
// CHECK: vector.fma
// CHECK: vector.store
// AVX2-LABEL: @product
// AVX2: vector.fma {{.*}} : vector<8xf32>
func.func @product(%a: memref<8x64xf32>, %b: memref<64x64xf32>, %c: memref<8x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<8x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<8x64xf32>, memref<64x64xf32>) outs(%c : memref<8x64xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// Limit: a sum that may not be reordered is left alone, for it may not be fused into a multiply-add either.
// CHECK-LABEL: @exact
// CHECK: linalg.fill
// CHECK: linalg.generic
func.func @exact(%a: memref<8x64xf32>, %b: memref<64x64xf32>, %c: memref<8x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<8x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<8x64xf32>, memref<64x64xf32>) outs(%c : memref<8x64xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  }
  func.return
}

// Both factors run through memory along k: vectors do too, and are added up at the end.
// CHECK-LABEL: @transposed
// CHECK: vector.fma
// CHECK: vector.reduction <add>
func.func @transposed(%a: memref<1x64xf32>, %b: memref<40x64xf32>, %c: memref<1x40xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<1x64xf32>, memref<40x64xf32>) outs(%c : memref<1x40xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// A window that advances by two reads every other element: two loads and a shuffle.
// CHECK-LABEL: @window
// CHECK: vector.shuffle {{.*}}[0, 2, 4
func.func @window(%x: memref<67xf32>, %w: memref<3xf32>, %c: memref<32xf32>) {
  linalg.generic {indexing_maps = [affine_map<(p, q) -> (p * 2 + q)>, affine_map<(p, q) -> (q)>,
      affine_map<(p, q) -> (p)>], iterator_types = ["parallel", "reduction"]}
      ins(%x, %w : memref<67xf32>, memref<3xf32>) outs(%c : memref<32xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %m = arith.mulf %a, %b fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// What is computed of each sum is computed in the tile: the sums themselves are never stored.
// CHECK-LABEL: @epilogue
// CHECK-NOT: linalg
// CHECK-NOT: memref.alloc
// CHECK: vector.fma
// CHECK: arith.maximumf {{.*}} : vector<16xf32>
// CHECK: arith.truncf {{.*}} : vector<16xf32> to vector<16xf16>
// CHECK: vector.store {{.*}} memref<8x32xf16
func.func @epilogue(%a: memref<8x64xf32>, %b: memref<64x64xf32>, %d: memref<8x64xf16>) {
  %zero = arith.constant 0.0 : f32
  %c = memref.alloc() : memref<8x64xf32>
  linalg.fill ins(%zero : f32) outs(%c : memref<8x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<8x64xf32>, memref<64x64xf32>) outs(%c : memref<8x64xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%c : memref<8x64xf32>) outs(%d : memref<8x64xf16>) {
  ^bb0(%s: f32, %o: f16):
    %p = arith.maximumf %s, %zero : f32
    %h = arith.truncf %p : f32 to f16
    linalg.yield %h : f16
  }
  func.return
}

// Limit: what is read again afterwards must be stored, and so what follows is a loop of its own.
// CHECK-LABEL: @read_again
// CHECK: vector.fma
// CHECK: linalg.generic
// CHECK: linalg.generic
func.func @read_again(%a: memref<8x64xf32>, %b: memref<64x64xf32>, %d: memref<8x64xf32>, %e: memref<8x64xf32>) {
  %zero = arith.constant 0.0 : f32
  %c = memref.alloc() : memref<8x64xf32>
  linalg.fill ins(%zero : f32) outs(%c : memref<8x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<8x64xf32>, memref<64x64xf32>) outs(%c : memref<8x64xf32>) {
  ^bb0(%x: f32, %y: f32, %s: f32):
    %m = arith.mulf %x, %y fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%c : memref<8x64xf32>) outs(%d : memref<8x64xf32>) {
  ^bb0(%s: f32, %o: f32):
    %p = arith.negf %s : f32
    linalg.yield %p : f32
  }
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%c : memref<8x64xf32>) outs(%e : memref<8x64xf32>) {
  ^bb0(%s: f32, %o: f32):
    %p = math.absf %s : f32
    linalg.yield %p : f32
  }
  func.return
}
