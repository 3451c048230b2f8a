// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @layers
func.func @layers(%x: tensor<4x2x3xf32>, %w: tensor<1x20x3xf32>, %r: tensor<1x20x5xf32>, %n: tensor<2xi32>, %h: tensor<1x2x5xf32>, %v: tensor<1x15x3xf32>, %u: tensor<1x15x5xf32>) {
  // CHECK: ml.lstm reverse %x, %w, %r lengths %n : tensor<2xi32> initial_h %h : tensor<1x2x5xf32> :
  %y, %yh, %yc = ml.lstm reverse %x, %w, %r lengths %n : tensor<2xi32> initial_h %h : tensor<1x2x5xf32> : tensor<4x2x3xf32>, tensor<1x20x3xf32>, tensor<1x20x5xf32> -> tensor<4x1x2x5xf32>, tensor<1x2x5xf32>, tensor<1x2x5xf32>
  // CHECK: ml.gru forward %x, %v, %u linear_before_reset :
  %z, %zh = ml.gru forward %x, %v, %u linear_before_reset : tensor<4x2x3xf32>, tensor<1x15x3xf32>, tensor<1x15x5xf32> -> tensor<4x1x2x5xf32>, tensor<1x2x5xf32>
  func.return
}
