// RUN: xmlc opt %s -p 'lower-contractions{schedule=blocked dots="bf16","i8"}' | filecheck %s
// RUN: xmlc opt %s -p 'lower-contractions{schedule=blocked dots="i16"}' | filecheck %s --check-prefix=WORDS
// RUN: xmlc opt %s -p 'lower-contractions{schedule=blocked}' | filecheck %s --check-prefix=NONE

// Rows and columns are both signed: rows are flipped to unsigned as they are packed, for that is what the
// instruction takes, and sums start from what makes up for it. Where only words have an instruction, bytes are widened.
// CHECK-LABEL: @bytes
// CHECK: vector.shuffle
// CHECK: arith.muli {{.*}} : vector<16xi32>
// CHECK: arith.xori {{.*}} : vector<64xi8>
// CHECK: grouped.dot unsigned {{.*}} : vector<16xi32>, vector<64xi8>
// WORDS-LABEL: @bytes
// WORDS: arith.extsi {{.*}} to vector<16xi16>
// WORDS-NOT: arith.xori
// WORDS: grouped.dot %{{.*}} : vector<16xi32>, vector<32xi16>
// NONE-LABEL: @bytes
// NONE-NOT: grouped.dot
// NONE: arith.muli {{.*}} : vector<16xi32>
func.func @bytes(%a: memref<8x64xi8>, %b: memref<64x64xi8>, %c: memref<8x64xi32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<8x64xi8>, memref<64x64xi8>) outs(%c : memref<8x64xi32>) {
  ^bb0(%x: i8, %y: i8, %s: i32):
    %p = arith.extsi %x : i8 to i32
    %q = arith.extsi %y : i8 to i32
    %m = arith.muli %p, %q : i32
    %t = arith.addi %s, %m : i32
    linalg.yield %t : i32
  }
  func.return
}

// Two steps of bf16 at a time; limit: rows that lie along the reduction are read where they are.
// CHECK-LABEL: @halves
// CHECK-COUNT-1: memref.alloc
// CHECK: grouped.dot %{{.*}} : vector<16xf32>, vector<32xbf16>
// CHECK-NOT: memref.alloc
func.func @halves(%a: memref<8x64xbf16>, %b: memref<64x64xbf16>, %c: memref<8x64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>,
      affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<8x64xbf16>, memref<64x64xbf16>) outs(%c : memref<8x64xf32>) {
  ^bb0(%x: bf16, %y: bf16, %s: f32):
    %p = arith.extf %x : bf16 to f32
    %q = arith.extf %y : bf16 to f32
    %m = arith.mulf %p, %q fastmath<reassoc> : f32
    %t = arith.addf %s, %m fastmath<reassoc> : f32
    linalg.yield %t : f32
  }
  func.return
}
