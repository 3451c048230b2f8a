// RUN: xmlc opt %s -p lower-attention | filecheck %s

// Scores of a block of 32 queries and some keys: two vectors of queries for each key, and never more of them.
// CHECK-LABEL: @attend
// CHECK-NOT: memref<2x8x{{[0-9]+}}x512xf32>
// CHECK: vector.shuffle
// CHECK: scf.for
// CHECK: vector.broadcast
// CHECK-NEXT: math.fma {{.*}} vector<16xf32>
// CHECK: math.exp2 {{.*}} vector<16xf32>
// CHECK: vector.store {{.*}}, %out
// CHECK-NOT: fused.attention
func.func @attend(%q: memref<2x8x32x64xf32>, %k: memref<2x8x512x64xf32>, %v: memref<2x8x512x64xf32>,
    %out: memref<2x8x32x64xf32>) {
  "fused.attention"(%q, %k, %v, %out) <{scale = 1.250000e-01 : f32}> : (memref<2x8x32x64xf32>, memref<2x8x512x64xf32>, memref<2x8x512x64xf32>, memref<2x8x32x64xf32>) -> ()
  func.return
}

// A mask of its own for each query is turned tile by tile, so that a lane is a query there too.
// CHECK-LABEL: @masked
// CHECK: arith.select {{.*}} vector<16xi1>, vector<16xf32>
// CHECK: vector.shuffle
// CHECK: math.fma
func.func @masked(%q: memref<1x1x16x16xf32>, %k: memref<1x1x16x16xf32>, %v: memref<1x1x16x16xf32>,
    %out: memref<1x1x16x16xf32>, %m: memref<16x16xi1>) {
  "fused.attention"(%q, %k, %v, %out, %m) <{scale = 1.0 : f32}> : (memref<1x1x16x16xf32>, memref<1x1x16x16xf32>, memref<1x1x16x16xf32>, memref<1x1x16x16xf32>, memref<16x16xi1>) -> ()
  func.return
}

// The values of sixteen queries are mixed beside the powers of the next sixteen. One block holds all keys: its mixtures
// are divided by the sums of powers and go to the result, through no buffer.
// CHECK-LABEL: @beside
// CHECK-NOT: memref<32x64xf32>
// CHECK: arith.divf
// CHECK-NEXT: vector.store
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>) {
// CHECK-NOT: memref<32x64xf32>
// CHECK: math.fma
// CHECK: math.exp2
// CHECK: vector.store {{.*}}, %out
func.func @beside(%q: memref<1x1x32x64xf32>, %k: memref<1x1x64x64xf32>, %v: memref<1x1x64x64xf32>,
    %out: memref<1x1x32x64xf32>) {
  "fused.attention"(%q, %k, %v, %out) <{scale = 1.0 : f32}> : (memref<1x1x32x64xf32>, memref<1x1x64x64xf32>, memref<1x1x64x64xf32>, memref<1x1x32x64xf32>) -> ()
  func.return
}
