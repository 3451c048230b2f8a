// RUN: xmlc opt %s -p lower-attention | filecheck %s

// One query: keys are read along their memory, sixteen products are added up lane by lane, and then values are mixed.
// CHECK-LABEL: @one
// CHECK: vector.load %k[
// CHECK: math.fma
// CHECK: vector.shuffle
// CHECK: vector.store
// CHECK: math.exp
// CHECK: vector.load %v[
// CHECK: vector.store {{.*}}, %out
func.func @one(%q: memref<1x8x1x64xf32>, %k: memref<1x8x512x64xf32>, %v: memref<1x8x512x64xf32>,
    %out: memref<1x8x1x64xf32>) {
  "fused.attention"(%q, %k, %v, %out) <{scale = 1.250000e-01 : f32}> : (memref<1x8x1x64xf32>, memref<1x8x512x64xf32>, memref<1x8x512x64xf32>, memref<1x8x1x64xf32>) -> ()
  func.return
}

// Limit: the scores of one query with so many keys do not stay in the second cache.
// CHECK-LABEL: @long
// CHECK-NOT: vector.reduction
func.func @long(%q: memref<1x1x1x16xf32>, %k: memref<1x1x200000x16xf32>, %v: memref<1x1x200000x16xf32>,
    %out: memref<1x1x1x16xf32>) {
  "fused.attention"(%q, %k, %v, %out) <{scale = 1.250000e-01 : f32}> : (memref<1x1x1x16xf32>, memref<1x1x200000x16xf32>, memref<1x1x200000x16xf32>, memref<1x1x1x16xf32>) -> ()
  func.return
}
