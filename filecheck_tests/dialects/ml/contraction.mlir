// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @products
func.func @products(%a: tensor<2x3xf32>, %b: tensor<3x4xf32>, %bias: tensor<4xf32>) {
  // CHECK: ml.matmul %a, %b : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  %c = ml.matmul %a, %b : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  // CHECK: ml.matmul %a, %b bias %bias : tensor<4xf32> : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  %d = ml.matmul %a, %b bias %bias : tensor<4xf32> : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  // CHECK: ml.einsum "ij,jk->ki" %a, %b : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<4x2xf32>
  %e = ml.einsum "ij,jk->ki" %a, %b : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<4x2xf32>
  func.return
}

// CHECK-LABEL: @windows
func.func @windows(%x: tensor<1x2x8xf32>, %w: tensor<6x2x3xf32>) {
  // CHECK: ml.conv %x, %w strides = [2] dilations = [1] low = [1] high = [0] groups = 1
  %a = ml.conv %x, %w strides = [2] dilations = [1] low = [1] high = [0] groups = 1 : tensor<1x2x8xf32>, tensor<6x2x3xf32> -> tensor<1x6x4xf32>
  // CHECK: ml.avg_pool %x window = [3] strides = [1] dilations = [2] low = [0] high = [0] include_pad
  %b = ml.avg_pool %x window = [3] strides = [1] dilations = [2] low = [0] high = [0] include_pad : tensor<1x2x8xf32> -> tensor<1x2x4xf32>
  // CHECK: ml.resize %x linear align_corners floor scales = [1.000000e+00, 1.000000e+00, 2.000000e+00]
  %c = ml.resize %x linear align_corners floor scales = [1.0, 1.0, 2.0] : tensor<1x2x8xf32> -> tensor<1x2x16xf32>
  func.return
}
