// RUN: xmlc opt %s -p 'simplify{fast-math=true}' | filecheck %s

// CHECK-LABEL: @sum_with_zero
// CHECK-NEXT:    func.return %x
func.func @sum_with_zero(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = ml.constant dense<0.0> : tensor<f32>
  %y = ml.add %x, %zero : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: @quotient_with_itself
// CHECK-NEXT:    ml.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    ml.broadcast
// CHECK-NEXT:    func.return
func.func @quotient_with_itself(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = ml.div %x, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}
