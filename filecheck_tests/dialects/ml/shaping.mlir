// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @spelling
func.func @spelling(%x: tensor<4x3xf32>, %zero: tensor<f32>, %i: tensor<2xi64>, %rows: tensor<2x1xi64>, %u: tensor<2x3xf32>) {
  // CHECK: ml.constant dense<[1, 2]> : tensor<2xi64>
  %a = ml.constant dense<[1, 2]> : tensor<2xi64>
  // CHECK: ml.iota axis = 1 -> tensor<2x3xf32>
  %b = ml.iota axis = 1 -> tensor<2x3xf32>
  // CHECK: ml.transpose %x [1, 0] : tensor<4x3xf32> -> tensor<3x4xf32>
  %c = ml.transpose %x [1, 0] : tensor<4x3xf32> -> tensor<3x4xf32>
  // CHECK: ml.concat %x, %x axis = 0 : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
  %d = ml.concat %x, %x axis = 0 : tensor<4x3xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
  // CHECK: ml.slice %x starts = [3, 0] sizes = [2, 3] strides = [-2, 1] : tensor<4x3xf32> -> tensor<2x3xf32>
  %e = ml.slice %x starts = [3, 0] sizes = [2, 3] strides = [-2, 1] : tensor<4x3xf32> -> tensor<2x3xf32>
  // CHECK: ml.pad %x constant value %zero : tensor<f32> low = [0, 1] high = [2, 0] : tensor<4x3xf32> -> tensor<6x4xf32>
  %f = ml.pad %x constant value %zero : tensor<f32> low = [0, 1] high = [2, 0] : tensor<4x3xf32> -> tensor<6x4xf32>
  // CHECK: ml.pad %x reflect low = [0, 1] high = [2, 0] : tensor<4x3xf32> -> tensor<6x4xf32>
  %g = ml.pad %x reflect low = [0, 1] high = [2, 0] : tensor<4x3xf32> -> tensor<6x4xf32>
  // CHECK: ml.gather %x, %i axis = 0 : tensor<4x3xf32>, tensor<2xi64> -> tensor<2x3xf32>
  %h = ml.gather %x, %i axis = 0 : tensor<4x3xf32>, tensor<2xi64> -> tensor<2x3xf32>
  // CHECK: ml.scatter_nd add %x, %rows, %u : tensor<4x3xf32>, tensor<2x1xi64>, tensor<2x3xf32> -> tensor<4x3xf32>
  %j = ml.scatter_nd add %x, %rows, %u : tensor<4x3xf32>, tensor<2x1xi64>, tensor<2x3xf32> -> tensor<4x3xf32>
  // CHECK: ml.one_hot %i, %zero, %zero depth = 5 axis = 1 : tensor<2xi64>, tensor<f32>, tensor<f32> -> tensor<2x5xf32>
  %k = ml.one_hot %i, %zero, %zero depth = 5 axis = 1 : tensor<2xi64>, tensor<f32>, tensor<f32> -> tensor<2x5xf32>
  func.return
}
