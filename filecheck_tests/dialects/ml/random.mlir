// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @spelling
func.func @spelling(%key: tensor<2xui32>) {
  // CHECK: ml.random_uniform %key low = 0.000000e+00 high = 1.000000e+00 : tensor<2xui32> -> tensor<3x4xf32>
  %a = ml.random_uniform %key low = 0.0 high = 1.0 : tensor<2xui32> -> tensor<3x4xf32>
  // CHECK: ml.random_normal %key mean = 0.000000e+00 scale = 2.000000e+00 : tensor<2xui32> -> tensor<3x4xbf16>
  %b = ml.random_normal %key mean = 0.0 scale = 2.0 : tensor<2xui32> -> tensor<3x4xbf16>
  func.return
}
