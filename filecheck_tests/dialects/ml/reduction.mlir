// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @spelling
func.func @spelling(%x: tensor<2x3xf32>) {
  // CHECK: ml.reduce_sum %x axes = [1] : tensor<2x3xf32> -> tensor<2xf32>
  %a = ml.reduce_sum %x axes = [1] : tensor<2x3xf32> -> tensor<2xf32>
  // CHECK: ml.reduce_max %x axes = [0, 1] keep_dims : tensor<2x3xf32> -> tensor<1x1xf32>
  %b = ml.reduce_max %x axes = [0, 1] keep_dims : tensor<2x3xf32> -> tensor<1x1xf32>
  // CHECK: ml.argmax %x axis = 1 : tensor<2x3xf32> -> tensor<2xi64>
  %c = ml.argmax %x axis = 1 : tensor<2x3xf32> -> tensor<2xi64>
  // CHECK: ml.cumulative_sum %x axis = 1 exclusive reverse : tensor<2x3xf32> -> tensor<2x3xf32>
  %d = ml.cumulative_sum %x axis = 1 exclusive reverse : tensor<2x3xf32> -> tensor<2x3xf32>
  // CHECK: ml.topk %x k = 2 axis = 1 smallest : tensor<2x3xf32> -> tensor<2x2xf32>, tensor<2x2xi64>
  %v, %i = ml.topk %x k = 2 axis = 1 smallest : tensor<2x3xf32> -> tensor<2x2xf32>, tensor<2x2xi64>
  func.return
}
