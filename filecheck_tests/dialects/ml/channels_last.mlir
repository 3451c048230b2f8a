// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @panels
func.func @panels(%x: tensor<1x8x9x2xf32>, %w: tensor<3x3x3x2x4xf32>, %b: tensor<12xf32>) {
  // CHECK: ml.channels_last_conv %x, %w bias %b : tensor<12xf32> strides = [2, 1] dilations = [1, 1] low = [1, 0] high = [1, 0] : tensor<1x8x9x2xf32>, tensor<3x3x3x2x4xf32> -> tensor<1x4x7x12xf32>
  %y = ml.channels_last_conv %x, %w bias %b : tensor<12xf32> strides = [2, 1] dilations = [1, 1] low = [1, 0] high = [1, 0] : tensor<1x8x9x2xf32>, tensor<3x3x3x2x4xf32> -> tensor<1x4x7x12xf32>
  func.return
}

// CHECK-LABEL: @a_filter_for_each_channel
func.func @a_filter_for_each_channel(%x: tensor<1x9x2xf32>, %w: tensor<3x2xf32>) {
  // CHECK: ml.channels_last_depthwise_conv %x, %w strides = [2] dilations = [1] low = [1] high = [1] : tensor<1x9x2xf32>, tensor<3x2xf32> -> tensor<1x5x2xf32>
  %y = ml.channels_last_depthwise_conv %x, %w strides = [2] dilations = [1] low = [1] high = [1] : tensor<1x9x2xf32>, tensor<3x2xf32> -> tensor<1x5x2xf32>
  func.return
}
