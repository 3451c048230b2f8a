// RUN: xmlc opt %s -p lower-toy | filecheck %s

// Every op becomes one of `ml`, but for printing.
// CHECK-LABEL: func.func @main(%x: tensor<2x3xf64>) {
// CHECK-NEXT:    [[T:%.*]] = ml.transpose %x [1, 0] : tensor<2x3xf64> -> tensor<3x2xf64>
// CHECK-NEXT:    [[P:%.*]] = ml.matmul %x, [[T]] : tensor<2x3xf64>, tensor<3x2xf64> -> tensor<2x2xf64>
// CHECK-NEXT:    [[S:%.*]] = ml.reduce_sum [[P]] axes = [1] : tensor<2x2xf64> -> tensor<2xf64>
// CHECK-NEXT:    [[B:%.*]] = ml.broadcast [[S]] : tensor<2xf64> -> tensor<2x2xf64>
// CHECK-NEXT:    toy.print [[B]] : tensor<2x2xf64>
// CHECK-NEXT:    func.return
toy.func @main(%x: tensor<2x3xf64>) {
  %t = toy.transpose(%x : tensor<2x3xf64>) to tensor<3x2xf64>
  %p = toy.matmul %x, %t : (tensor<2x3xf64>, tensor<3x2xf64>) -> tensor<2x2xf64>
  %s = toy.reduce_sum(%p : tensor<2x2xf64>) along -1 to tensor<2xf64>
  %b = toy.broadcast(%s : tensor<2xf64>) to tensor<2x2xf64>
  toy.print %b : tensor<2x2xf64>
  toy.return
}
