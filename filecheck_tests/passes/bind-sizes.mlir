// RUN: xmlc opt %s -p bind-sizes | filecheck %s

// A function takes the free sizes that its types name, and passes them on.
// CHECK-LABEL: @main
// CHECK-SAME: %length: index {ml.size = "length"}, %n: index {ml.size = "n"}
// CHECK: func.call @both(%{{.*}}, %length, %n)
// CHECK: func.call @one(%{{.*}}, %n)
func.func @main(%x: tensor<?x?xf32, ["n", "2*length"]>, %y: tensor<?xf32, ["n"]>) {
  func.call @both(%x) : (tensor<?x?xf32, ["n", "2*length"]>) -> ()
  func.call @one(%y) : (tensor<?xf32, ["n"]>) -> ()
  func.return
}

// CHECK: @both({{.*}}, %length: index {ml.size = "length"}, %n: index {ml.size = "n"})
func.func private @both(%x: tensor<?x?xf32, ["n", "2*length"]>) {
  func.return
}

// CHECK: @one({{.*}}, %n: index {ml.size = "n"})
func.func private @one(%x: tensor<?xf32, ["n"]>) {
  func.return
}

// Limit: without free sizes nothing changes.
// CHECK: @fixed(%x: tensor<2xf32>) {
func.func private @fixed(%x: tensor<2xf32>) {
  func.return
}
