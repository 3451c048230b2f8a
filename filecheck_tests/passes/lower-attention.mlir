// RUN: xmlc opt %s -p lower-attention | filecheck %s

// Scores of a block of 32 queries and some keys: two vectors of queries for each key, and never more of them.
// CHECK-LABEL: @attend
// CHECK-NOT: memref<2x8x{{[0-9]+}}x512xf32>
// CHECK: vector.shuffle
// CHECK: scf.for
// CHECK: vector.broadcast
// CHECK-NEXT: math.fma {{.*}} vector<16xf32>
// CHECK: math.exp {{.*}} vector<16xf32>
// CHECK: vector.store {{.*}}, %out
// CHECK-NOT: fused.attention
func.func @attend(%q: memref<2x8x32x64xf32>, %k: memref<2x8x512x64xf32>, %v: memref<2x8x512x64xf32>,
    %out: memref<2x8x32x64xf32>) {
  "fused.attention"(%q, %k, %v, %out) <{scale = 1.250000e-01 : f32}> : (memref<2x8x32x64xf32>, memref<2x8x512x64xf32>, memref<2x8x512x64xf32>, memref<2x8x32x64xf32>) -> ()
  func.return
}
