// RUN: xmlc opt %s -p deduplicate-kernels | filecheck %s

// one body under two names is kept once; another constant is another kernel; names are numbered anew
// CHECK-LABEL: func.func @main(
// CHECK-NEXT: [[A:%.*]] = func.call @mul(%x)
// CHECK-NEXT: [[B:%.*]] = func.call @mul([[A]])
// CHECK-NEXT: [[C:%.*]] = func.call @mul_2([[B]])
// CHECK: func.func private @mul(
// CHECK: dense<2.000000e+00>
// CHECK: func.func private @mul_2(
// CHECK: dense<3.000000e+00>
// CHECK-NOT: func.func private
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = func.call @mul(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %b = func.call @mul_2(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %c = func.call @mul_3(%b) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %c : tensor<4xf32>
}
func.func private @mul(%x: tensor<4xf32>) -> tensor<4xf32> attributes {xmlc.kernel} {
  %two = ml.constant dense<2.0> : tensor<f32>
  %y = ml.mul %x, %two : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}
func.func private @mul_2(%input: tensor<4xf32>) -> tensor<4xf32> attributes {xmlc.kernel} {
  %k = ml.constant dense<2.0> : tensor<f32>
  %out = ml.mul %input, %k : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %out : tensor<4xf32>
}
func.func private @mul_3(%x: tensor<4xf32>) -> tensor<4xf32> attributes {xmlc.kernel} {
  %three = ml.constant dense<3.0> : tensor<f32>
  %y = ml.mul %x, %three : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}
