// RUN: xmlc opt %s -p 'fold{max-elements=8}' | filecheck %s

// CHECK-LABEL: @composites_too
// CHECK-NEXT:    %[[Y:.*]] = ml.constant dense<5.000000e-01> : tensor<2xf32>
// CHECK-NEXT:    func.return %[[Y]]
func.func @composites_too() -> tensor<2xf32> {
  %x = ml.constant dense<3.0> : tensor<2xf32>
  %y = ml.softmax %x axis = 0 : tensor<2xf32> -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// CHECK-LABEL: @larger_than_the_limit
// CHECK-NEXT:    ml.constant dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT:    ml.broadcast
func.func @larger_than_the_limit() -> tensor<9xf32> {
  %x = ml.constant dense<1.0> : tensor<f32>
  %y = ml.broadcast %x : tensor<f32> -> tensor<9xf32>
  func.return %y : tensor<9xf32>
}

// Random numbers are made when the program runs.
// CHECK-LABEL: @random_numbers
// CHECK:         ml.random_uniform
func.func @random_numbers() -> tensor<2xf32> {
  %key = ml.constant dense<[1, 2]> : tensor<2xui32>
  %y = ml.random_uniform %key low = 0.000000e+00 high = 1.000000e+00 : tensor<2xui32> -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}
