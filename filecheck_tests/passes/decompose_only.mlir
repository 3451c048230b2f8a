// RUN: xmlc opt %s -p decompose{only=recurrent},hoist-weights | filecheck %s

// Only recurrent layers are taken apart; what their weights become can then be hoisted, so no step transposes them.
// CHECK-LABEL: @main
// CHECK-NOT: ml.transpose
// CHECK: ml.scan
// CHECK: ml.softmax
// CHECK-LABEL: @prepare
// CHECK: ml.transpose
func.func public @main(%x: tensor<7x2x3xf32>, %w: tensor<1x20x3xf32> {ml.weight}, %r: tensor<1x20x5xf32> {ml.weight}) -> tensor<7x1x2x5xf32> {
  %y, %h, %c = ml.lstm forward %x, %w, %r : tensor<7x2x3xf32>, tensor<1x20x3xf32>, tensor<1x20x5xf32> -> tensor<7x1x2x5xf32>, tensor<1x2x5xf32>, tensor<1x2x5xf32>
  %s = ml.softmax %y axis = 3 : tensor<7x1x2x5xf32> -> tensor<7x1x2x5xf32>
  func.return %s : tensor<7x1x2x5xf32>
}
