// RUN: xmlc opt %s -p 'specialise{sizes="n=3"}' | filecheck %s

// A number stands wherever its name stood; what is not given stays free.
// CHECK-LABEL: @main(%x: tensor<3x?xf32, ["3", "m"]>) -> tensor<?xf32, ["3*m"]>
// CHECK: ml.reshape %x : tensor<3x?xf32, ["3", "m"]> -> tensor<?xf32, ["3*m"]>
// CHECK: ml.sizes ["6", "m"] -> tensor<2xi64>
func.func @main(%x: tensor<?x?xf32, ["n", "m"]>) -> tensor<?xf32, ["m*n"]> {
  %y = ml.reshape %x : tensor<?x?xf32, ["n", "m"]> -> tensor<?xf32, ["m*n"]>
  %sizes = ml.sizes ["2*n", "m"] -> tensor<2xi64>
  func.return %y : tensor<?xf32, ["m*n"]>
}
