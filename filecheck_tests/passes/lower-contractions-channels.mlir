// RUN: xmlc opt %s -p lower-ml,bufferize,lower-contractions | filecheck %s

// Channels last, a filter for each: a vector of channels of all pixels is copied with zeros around it, then summed.
// CHECK-LABEL: @padded_channel_by_channel
// CHECK-NOT: 1x8x9x32
// CHECK: scf.for %[[C:[0-9]+]] =
// CHECK-NEXT: memref.alloc() {{.*}} : memref<1168xf32>
// CHECK: vector.load %{{.*}}[%{{.*}}, %{{.*}}, %{{.*}}, %[[C]]] : memref<1x6x7x32xf32>, vector<16xf32>
// CHECK: memref.subview %w[0, 0, %[[C]]] [3, 3, 16]
func.func @padded_channel_by_channel(%x: tensor<1x6x7x32xf32>, %w: tensor<3x3x32xf32>) -> tensor<1x6x7x32xf32> {
  %y = ml.channels_last_depthwise_conv %x, %w strides = [1, 1] dilations = [1, 1] low = [1, 1] high = [1, 1] : tensor<1x6x7x32xf32>, tensor<3x3x32xf32> -> tensor<1x6x7x32xf32>
  func.return %y : tensor<1x6x7x32xf32>
}

// Limit: one vector of channels is the whole image, which is padded as it is.
// CHECK-LABEL: @one_vector
// CHECK: memref.alloc() {{.*}} : memref<1x8x9x16xf32>
func.func @one_vector(%x: tensor<1x6x7x16xf32>, %w: tensor<3x3x16xf32>) -> tensor<1x6x7x16xf32> {
  %y = ml.channels_last_depthwise_conv %x, %w strides = [1, 1] dilations = [1, 1] low = [1, 1] high = [1, 1] : tensor<1x6x7x16xf32>, tensor<3x3x16xf32> -> tensor<1x6x7x16xf32>
  func.return %y : tensor<1x6x7x16xf32>
}
