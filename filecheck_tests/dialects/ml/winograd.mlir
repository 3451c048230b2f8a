// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @tiles
func.func @tiles(%x: tensor<1x2x8x8xf32>, %w: tensor<6x6x2x2x3xf32>, %b: tensor<6xf32>) {
  // CHECK: ml.winograd_conv %x, %w bias %b : tensor<6xf32> low = [1, 1] high = [1, 1] : tensor<1x2x8x8xf32>, tensor<6x6x2x2x3xf32> -> tensor<1x6x8x8xf32>
  %y = ml.winograd_conv %x, %w bias %b : tensor<6xf32> low = [1, 1] high = [1, 1] : tensor<1x2x8x8xf32>, tensor<6x6x2x2x3xf32> -> tensor<1x6x8x8xf32>
  func.return
}

// CHECK-LABEL: @channels_last
func.func @channels_last(%x: tensor<1x8x8x2xf32>, %w: tensor<6x6x2x2x3xf32>) {
  // CHECK: ml.winograd_conv %x, %w low = [1, 1] high = [1, 1] channels_last : tensor<1x8x8x2xf32>, tensor<6x6x2x2x3xf32> -> tensor<1x8x8x6xf32>
  %y = ml.winograd_conv %x, %w low = [1, 1] high = [1, 1] channels_last : tensor<1x8x8x2xf32>, tensor<6x6x2x2x3xf32> -> tensor<1x8x8x6xf32>
  func.return
}
