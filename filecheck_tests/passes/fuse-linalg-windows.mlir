// RUN: xmlc opt %s -p lower-ml,fuse-linalg | filecheck %s

// What strides read is transposed before, so that the channels they sum over lie side by side.
// CHECK-LABEL: @strides
// CHECK: linalg.generic
// CHECK-SAME: ins(%x : tensor<1x32x8x8xf32>)
// CHECK: ins(%{{.*}}, %w : tensor<1x8x8x32xf32>, tensor<1x1x1x32x32xf32>)
func.func @strides(%x: tensor<1x32x8x8xf32>, %w: tensor<1x1x1x32x32xf32>) -> tensor<1x4x4x32xf32> {
  %t = ml.transpose %x [0, 2, 3, 1] : tensor<1x32x8x8xf32> -> tensor<1x8x8x32xf32>
  %y = ml.channels_last_conv %t, %w strides = [2, 2] dilations = [1, 1] low = [0, 0] high = [0, 0] : tensor<1x8x8x32xf32>, tensor<1x1x1x32x32xf32> -> tensor<1x4x4x32xf32>
  func.return %y : tensor<1x4x4x32xf32>
}

// Limit: three channels are read where they are.
// CHECK-LABEL: @few_channels
// CHECK: ins(%x, %w : tensor<1x3x8x8xf32>, tensor<1x1x1x3x32xf32>)
func.func @few_channels(%x: tensor<1x3x8x8xf32>, %w: tensor<1x1x1x3x32xf32>) -> tensor<1x4x4x32xf32> {
  %t = ml.transpose %x [0, 2, 3, 1] : tensor<1x3x8x8xf32> -> tensor<1x8x8x3xf32>
  %y = ml.channels_last_conv %t, %w strides = [2, 2] dilations = [1, 1] low = [0, 0] high = [0, 0] : tensor<1x8x8x3xf32>, tensor<1x1x1x3x32xf32> -> tensor<1x4x4x32xf32>
  func.return %y : tensor<1x4x4x32xf32>
}
