// RUN: xmlc opt %s -p 'decompose{fuses_attention=true}' | filecheck %s

// Attention of f32 is left to `lower-attention`.
// CHECK-LABEL: @whole
// CHECK-NEXT: ml.attention %q, %k, %k
// CHECK-NEXT: func.return
func.func @whole(%q: tensor<1x4x6x8xf32>, %k: tensor<1x2x7x8xf32>) -> tensor<1x4x6x8xf32> {
  %r = ml.attention %q, %k, %k : tensor<1x4x6x8xf32>, tensor<1x2x7x8xf32>, tensor<1x2x7x8xf32> -> tensor<1x4x6x8xf32>
  func.return %r : tensor<1x4x6x8xf32>
}

// Attention of narrower numbers is too, in f32, and is rounded once.
// CHECK-LABEL: @narrow
// CHECK: [[WHOLE:%.*]] = ml.attention {{.*}} mask {{.*}} : tensor<6x7xf32> scale = {{.*}} causal {{.*}} -> tensor<1x4x6x8xf32>
// CHECK-NEXT: ml.cast [[WHOLE]] {{.*}} -> tensor<1x4x6x8xbf16>
func.func @narrow(%q: tensor<1x4x6x8xbf16>, %k: tensor<1x2x7x8xbf16>, %m: tensor<6x7xbf16>) -> tensor<1x4x6x8xbf16> {
  %r = ml.attention %q, %k, %k mask %m : tensor<6x7xbf16> causal : tensor<1x4x6x8xbf16>, tensor<1x2x7x8xbf16>, tensor<1x2x7x8xbf16> -> tensor<1x4x6x8xbf16>
  func.return %r : tensor<1x4x6x8xbf16>
}

// Attention of wider numbers is not.
// CHECK-LABEL: @wide
// CHECK-NOT: ml.attention
func.func @wide(%q: tensor<1x4x6x8xf64>, %k: tensor<1x2x7x8xf64>) -> tensor<1x4x6x8xf64> {
  %r = ml.attention %q, %k, %k : tensor<1x4x6x8xf64>, tensor<1x2x7x8xf64>, tensor<1x2x7x8xf64> -> tensor<1x4x6x8xf64>
  func.return %r : tensor<1x4x6x8xf64>
}
