// RUN: xmlc opt %s -p winograd,dce | filecheck %s

// Filters that are weights are transformed, into panels of 32 output channels.
// CHECK-LABEL: @main
// CHECK:         %[[ROWS:.*]] = ml.einsum "ai,qpcij->aqcpj"
// CHECK-NEXT:    %[[U:.*]] = ml.einsum "aqcpj,bj->abqcp" %[[ROWS]], %{{.*}} -> tensor<6x6x2x64x32xf32>
// CHECK-NEXT:    ml.winograd_conv %x, %[[U]] low = [1, 1] high = [1, 1]
// A stride of 2, or filters that the caller passes, leave the convolution as it is.
// CHECK-NEXT:    ml.conv %x, %w strides = [2, 2]
// CHECK-NEXT:    ml.conv %x, %v
func.func @main(%x: tensor<1x64x56x56xf32>, %v: tensor<64x64x3x3xf32>, %w: tensor<64x64x3x3xf32> {ml.weight}) -> (tensor<1x64x56x56xf32>, tensor<1x64x28x28xf32>, tensor<1x64x56x56xf32>) {
  %y = ml.conv %x, %w strides = [1, 1] dilations = [1, 1] low = [1, 1] high = [1, 1] groups = 1 : tensor<1x64x56x56xf32>, tensor<64x64x3x3xf32> -> tensor<1x64x56x56xf32>
  %z = ml.conv %x, %w strides = [2, 2] dilations = [1, 1] low = [1, 1] high = [1, 1] groups = 1 : tensor<1x64x56x56xf32>, tensor<64x64x3x3xf32> -> tensor<1x64x28x28xf32>
  %u = ml.conv %x, %v strides = [1, 1] dilations = [1, 1] low = [1, 1] high = [1, 1] groups = 1 : tensor<1x64x56x56xf32>, tensor<64x64x3x3xf32> -> tensor<1x64x56x56xf32>
  func.return %y, %z, %u : tensor<1x64x56x56xf32>, tensor<1x64x28x28xf32>, tensor<1x64x56x56xf32>
}
