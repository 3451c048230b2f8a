// RUN: xmlc opt %s -p assign-layouts,simplify,dce | filecheck %s

// A chain of convolutions and what lies between has its channels last; images are moved at its ends only.
// CHECK-LABEL: @main
// CHECK-NEXT:    %[[X:.*]] = ml.transpose %x [0, 2, 3, 1]
// CHECK:         %[[W:.*]] = ml.transpose %{{.*}} [0, 3, 4, 2, 1] : tensor<2x32x64x1x1xf32> -> tensor<2x1x1x64x32xf32>
// CHECK-NEXT:    %[[A:.*]] = ml.channels_last_conv %[[X]], %[[W]]
// CHECK-NEXT:    %[[B:.*]] = ml.relu %[[A]] : tensor<1x28x28x64xf32>
// CHECK:         %[[C:.*]] = ml.channels_last_conv %[[B]], %{{.*}} strides = [2, 2]
// CHECK-NEXT:    %[[D:.*]] = ml.transpose %[[C]] [0, 3, 1, 2]
// A convolution of few channels, or filters that the caller passes, leave images as they are.
// CHECK-NEXT:    %[[E:.*]] = ml.conv %x, %v
// CHECK-NEXT:    %[[F:.*]] = ml.conv %x, %u
// CHECK-NEXT:    func.return %[[D]], %[[E]], %[[F]]
func.func @main(
    %x: tensor<1x64x28x28xf32>, %w: tensor<64x64x1x1xf32> {ml.weight}, %s: tensor<64x64x3x3xf32> {ml.weight},
    %v: tensor<2x64x1x1xf32> {ml.weight}, %u: tensor<64x64x1x1xf32>)
    -> (tensor<1x64x14x14xf32>, tensor<1x2x28x28xf32>, tensor<1x64x28x28xf32>) {
  %a = ml.conv %x, %w strides = [1, 1] dilations = [1, 1] low = [0, 0] high = [0, 0] groups = 1 : tensor<1x64x28x28xf32>, tensor<64x64x1x1xf32> -> tensor<1x64x28x28xf32>
  %b = ml.relu %a : tensor<1x64x28x28xf32> -> tensor<1x64x28x28xf32>
  %c = ml.conv %b, %s strides = [2, 2] dilations = [1, 1] low = [1, 1] high = [1, 1] groups = 1 : tensor<1x64x28x28xf32>, tensor<64x64x3x3xf32> -> tensor<1x64x14x14xf32>
  %e = ml.conv %x, %v strides = [1, 1] dilations = [1, 1] low = [0, 0] high = [0, 0] groups = 1 : tensor<1x64x28x28xf32>, tensor<2x64x1x1xf32> -> tensor<1x2x28x28xf32>
  %f = ml.conv %x, %u strides = [1, 1] dilations = [1, 1] low = [0, 0] high = [0, 0] groups = 1 : tensor<1x64x28x28xf32>, tensor<64x64x1x1xf32> -> tensor<1x64x28x28xf32>
  func.return %c, %e, %f : tensor<1x64x14x14xf32>, tensor<1x2x28x28xf32>, tensor<1x64x28x28xf32>
}
