// RUN: xmlc opt --split-input-file %s -p hoist-weights,dce | filecheck %s

// What depends on weights alone is computed by @prepare; a weight that @main uses itself stays.
// CHECK:      func.func public @main(%x: tensor<2x3xf32> {ml.name = "x"}, %v: tensor<4xf32> {ml.name = "v", ml.weight}, %t: tensor<3x4xf32> {ml.name = "prepared.0", ml.weight}) -> tensor<2x4xf32> {
// CHECK-NEXT:   ml.matmul %x, %t bias %v
// CHECK-NEXT:   func.return
// CHECK:      func.func public @prepare(%{{[0-9]+}}: tensor<4x3xf32> {ml.name = "w", ml.weight}) -> (tensor<3x4xf32> {ml.name = "prepared.0"}) {
// CHECK-NEXT:   ml.transpose
// CHECK-NEXT:   func.return
func.func public @main(%x: tensor<2x3xf32> {ml.name = "x"}, %w: tensor<4x3xf32> {ml.name = "w", ml.weight}, %v: tensor<4xf32> {ml.name = "v", ml.weight}) -> tensor<2x4xf32> {
  %t = ml.transpose %w [1, 0] : tensor<4x3xf32> -> tensor<3x4xf32>
  %y = ml.matmul %x, %t bias %v : tensor<4xf32> : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}

// -----

// What takes much more memory than the weights it is made of is made anew by each call.
// CHECK:     func.func public @main
// CHECK:       ml.broadcast
// CHECK-NOT: @prepare
func.func public @main(%x: tensor<512x512xf32>, %w: tensor<512xf32> {ml.weight}) -> tensor<512x512xf32> {
  %b = ml.broadcast %w : tensor<512xf32> -> tensor<512x512xf32>
  %y = ml.atan2 %b, %x : tensor<512x512xf32>, tensor<512x512xf32> -> tensor<512x512xf32>
  func.return %y : tensor<512x512xf32>
}

// -----

// integers stay narrow for what stays, and are widened for what moves
// CHECK-LABEL: func.func @main
// CHECK-SAME: %w: tensor<3x4xi8>
// CHECK: ml.cast %w
// CHECK: ml.matmul
// CHECK: func.func {{.*}}@prepare
// CHECK: ml.cast
// CHECK-NEXT: ml.reduce_sum
func.func @main(%x: tensor<2x3xi32>, %w: tensor<3x4xi8> {ml.weight}) -> (tensor<2x4xi32>, tensor<4xi32>) {
  %0 = ml.cast %w : tensor<3x4xi8> -> tensor<3x4xi32>
  %1 = ml.matmul %x, %0 : tensor<2x3xi32>, tensor<3x4xi32> -> tensor<2x4xi32>
  %2 = ml.reduce_sum %0 axes = [0] : tensor<3x4xi32> -> tensor<4xi32>
  func.return %1, %2 : tensor<2x4xi32>, tensor<4xi32>
}

// -----

// A gather by an iota stays with it: @prepare would lack the iota, which is neither a weight nor a constant.
// CHECK-LABEL: func.func @main
// CHECK-SAME: %w: tensor<4x3xf32>
// CHECK:     ml.iota
// CHECK:     ml.gather %w
// CHECK-NOT: @prepare
func.func @main(%x: tensor<2x3xf32>, %w: tensor<4x3xf32> {ml.weight}) -> tensor<2x3xf32> {
  %i = ml.iota axis = 0 -> tensor<2xi64>
  %g = ml.gather %w, %i axis = 0 : tensor<4x3xf32>, tensor<2xi64> -> tensor<2x3xf32>
  %y = ml.add %x, %g : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}
