// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @panels
func.func @panels(%x: tensor<2x3x5xf32>, %w: tensor<4x5x8x1xf32>, %b: tensor<32xf32>) {
  // CHECK: ml.packed_matmul %x, %w bias %b : tensor<32xf32> : tensor<2x3x5xf32>, tensor<4x5x8x1xf32> -> tensor<2x3x32xf32>
  %y = ml.packed_matmul %x, %w bias %b : tensor<32xf32> : tensor<2x3x5xf32>, tensor<4x5x8x1xf32> -> tensor<2x3x32xf32>
  func.return
}
