// RUN: xmlc opt %s -p 'lower-contractions{tiles=bf16,i8}' | filecheck %s

// Two tiles of rows by two of columns are summed by the matrix unit, then stored and finished row by row.
// CHECK-LABEL: @product
// CHECK-NOT: linalg
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (!amx.tile<16x16xf32>, !amx.tile<16x16xf32>, !amx.tile<16x16xf32>, !amx.tile<16x16xf32>)
// CHECK-COUNT-2: amx.tile_load {{.*}} into !amx.tile<16x32xbf16>
// CHECK-COUNT-1: amx.tile_mulf
// CHECK: amx.tile_load
// CHECK-COUNT-1: amx.tile_mulf
// CHECK: amx.tile_load
// CHECK-COUNT-2: amx.tile_mulf
// CHECK: amx.tile_store
// CHECK: vector.store
func.func @product(%a: memref<64x128xbf16>, %b: memref<128x64xbf16>, %c: memref<64x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<64x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<64x128xbf16>, memref<128x64xbf16>) outs(%c : memref<64x64xf32>) {
  ^bb0(%x: bf16, %y: bf16, %s: f32):
    %xw = arith.extf %x : bf16 to f32
    %yw = arith.extf %y : bf16 to f32
    %m = arith.mulf %xw, %yw fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// Limit: a reduction that is not whole rows of tiles stays with the vectors.
// CHECK-LABEL: @ragged
// CHECK-NOT: amx
// CHECK: vector.store
func.func @ragged(%a: memref<64x120xbf16>, %b: memref<120x64xbf16>, %c: memref<64x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<64x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<64x120xbf16>, memref<120x64xbf16>) outs(%c : memref<64x64xf32>) {
  ^bb0(%x: bf16, %y: bf16, %s: f32):
    %xw = arith.extf %x : bf16 to f32
    %yw = arith.extf %y : bf16 to f32
    %m = arith.mulf %xw, %yw fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}

// A reduction that does not fill a row of a tile takes shorter ones.
// CHECK-LABEL: @short
// CHECK: amx.tile_load {{.*}} into !amx.tile<16x16xbf16>
// CHECK: amx.tile_load {{.*}} into !amx.tile<8x32xbf16>
func.func @short(%a: memref<64x16xbf16>, %b: memref<16x64xbf16>, %c: memref<64x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<64x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<64x16xbf16>, memref<16x64xbf16>) outs(%c : memref<64x64xf32>) {
  ^bb0(%x: bf16, %y: bf16, %s: f32):
    %xw = arith.extf %x : bf16 to f32
    %yw = arith.extf %y : bf16 to f32
    %m = arith.mulf %xw, %yw fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}
