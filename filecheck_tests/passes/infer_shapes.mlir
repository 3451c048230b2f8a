// RUN: xmlc opt %s -p infer-shapes | filecheck %s

// CHECK-LABEL: @known
// CHECK:         toy.transpose(%x : tensor<2x3xf64>) to tensor<3x2xf64>
// CHECK-NEXT:    toy.matmul %x, %{{.*}} : (tensor<2x3xf64>, tensor<3x2xf64>) -> tensor<2x2xf64>
// CHECK-NEXT:    toy.reduce_sum(%{{.*}} : tensor<2x2xf64>) along 0 to tensor<2xf64>
toy.func @known(%x: tensor<2x3xf64>) {
  %t = toy.transpose(%x : tensor<2x3xf64>) to tensor<*xf64>
  %p = toy.matmul %x, %t : (tensor<2x3xf64>, tensor<*xf64>) -> tensor<*xf64>
  %s = toy.reduce_sum(%p : tensor<*xf64>) along 0 to tensor<*xf64>
  toy.print %s : tensor<*xf64>
  toy.return
}

// The shapes of a generic function are known where it is inlined.
// CHECK-LABEL: @generic
// CHECK-NEXT:    toy.transpose(%x : tensor<*xf64>) to tensor<*xf64>
toy.func @generic(%x: tensor<*xf64>) {
  %t = toy.transpose(%x : tensor<*xf64>) to tensor<*xf64>
  toy.print %t : tensor<*xf64>
  toy.return
}
