// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @spelling
func.func @spelling(%x: tensor<2x3xf32>, %row: tensor<3xf32>, %c: tensor<i1>) {
  // CHECK: ml.exp %x : tensor<2x3xf32> -> tensor<2x3xf32>
  %a = ml.exp %x : tensor<2x3xf32> -> tensor<2x3xf32>
  // CHECK: ml.add %x, %row : tensor<2x3xf32>, tensor<3xf32> -> tensor<2x3xf32>
  %b = ml.add %x, %row : tensor<2x3xf32>, tensor<3xf32> -> tensor<2x3xf32>
  // CHECK: ml.gelu %x tanh : tensor<2x3xf32> -> tensor<2x3xf32>
  %d = ml.gelu %x tanh : tensor<2x3xf32> -> tensor<2x3xf32>
  // CHECK: ml.compare lt %x, %row : tensor<2x3xf32>, tensor<3xf32> -> tensor<2x3xi1>
  %e = ml.compare lt %x, %row : tensor<2x3xf32>, tensor<3xf32> -> tensor<2x3xi1>
  // CHECK: ml.select %c, %x, %row : tensor<i1>, tensor<2x3xf32>, tensor<3xf32> -> tensor<2x3xf32>
  %f = ml.select %c, %x, %row : tensor<i1>, tensor<2x3xf32>, tensor<3xf32> -> tensor<2x3xf32>
  // CHECK: ml.cast %x : tensor<2x3xf32> -> tensor<2x3xbf16>
  %g = ml.cast %x : tensor<2x3xf32> -> tensor<2x3xbf16>
  // CHECK: ml.leaky_relu %x alpha = 1.000000e-01 : tensor<2x3xf32> -> tensor<2x3xf32>
  %h = ml.leaky_relu %x alpha = 0.1 : tensor<2x3xf32> -> tensor<2x3xf32>
  func.return
}

// CHECK-LABEL: @unknown_sizes
func.func @unknown_sizes(%x: tensor<?x4xf32>, %y: tensor<3x1x4xf32>) -> tensor<3x?x4xf32> {
  // CHECK: ml.mul %x, %y : tensor<?x4xf32>, tensor<3x1x4xf32> -> tensor<3x?x4xf32>
  %r = ml.mul %x, %y : tensor<?x4xf32>, tensor<3x1x4xf32> -> tensor<3x?x4xf32>
  func.return %r : tensor<3x?x4xf32>
}
