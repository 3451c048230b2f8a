// RUN: xmlc opt %s -p inline | filecheck %s

// A call becomes the body of the function; arguments of a generic function are cast to what it takes.
// CHECK-NOT:   @twice
// CHECK-LABEL: toy.func @main()
// CHECK-NEXT:    [[X:%.*]] = toy.constant
// CHECK-NEXT:    [[C:%.*]] = toy.cast [[X]] : tensor<1xf64> to tensor<*xf64>
// CHECK-NEXT:    [[Y:%.*]] = toy.add [[C]], [[C]] : tensor<*xf64>
// CHECK-NEXT:    toy.print [[Y]]
toy.func private @twice(%x: tensor<*xf64>) -> tensor<*xf64> {
  %y = toy.add %x, %x : tensor<*xf64>
  toy.return %y : tensor<*xf64>
}
toy.func @main() {
  %x = toy.constant dense<1.0> : tensor<1xf64>
  %y = toy.generic_call @twice(%x) : (tensor<1xf64>) -> tensor<*xf64>
  toy.print %y : tensor<*xf64>
  toy.return
}

// A kernel stays a function.
// CHECK-LABEL: func.func private @kernel
func.func private @kernel(%x: f64) -> f64 attributes {xmlc.kernel} {
  func.return %x : f64
}
// CHECK-LABEL: func.func @launch
// CHECK-NEXT:    func.call @kernel
func.func @launch(%x: f64) -> f64 {
  %y = func.call @kernel(%x) : (f64) -> f64
  func.return %y : f64
}
