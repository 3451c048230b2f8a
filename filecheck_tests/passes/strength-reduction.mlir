// RUN: xmlc opt %s -p strength-reduction,dce | filecheck %s

// CHECK-LABEL: @squares
// CHECK-NEXT:    %[[Y:.*]] = ml.mul %x, %x
// CHECK-NEXT:    func.return %[[Y]]
func.func @squares(%x: tensor<4xf32>) -> tensor<4xf32> {
  %two = ml.constant dense<2.0> : tensor<f32>
  %y = ml.pow %x, %two : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// pow(-inf, 0.5) is inf, sqrt(-inf) is NaN: x must not be negative.
// CHECK-LABEL: @roots
// CHECK-NEXT:    %half = ml.constant
// CHECK-NEXT:    ml.pow %x, %half
// CHECK-NEXT:    %[[A:.*]] = ml.abs %x
// CHECK-NEXT:    ml.sqrt %[[A]]
func.func @roots(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %half = ml.constant dense<0.5> : tensor<f32>
  %y = ml.pow %x, %half : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %a = ml.abs %x : tensor<4xf32> -> tensor<4xf32>
  %z = ml.pow %a, %half : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %y, %z : tensor<4xf32>, tensor<4xf32>
}

// 1/4 is exact, 1/3 is not.
// CHECK-LABEL: @quotients
// CHECK:         %[[Q:.*]] = ml.constant dense<2.500000e-01>
// CHECK-NEXT:    ml.mul %x, %[[Q]]
// CHECK-NEXT:    ml.div %x, %three
func.func @quotients(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %four = ml.constant dense<4.0> : tensor<f32>
  %three = ml.constant dense<3.0> : tensor<f32>
  %y = ml.div %x, %four : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %z = ml.div %x, %three : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %y, %z : tensor<4xf32>, tensor<4xf32>
}

// A shift rounds down, a signed division to zero; the remainder of a negative number is negative.
// CHECK-LABEL: @powers_of_two
// CHECK:         ml.shift_left %n
// CHECK:         ml.shift_right %n
// CHECK-NEXT:    ml.div %n
// CHECK-NEXT:    ml.rem %n
// CHECK:         ml.shift_right %u
// CHECK:         ml.and %u
func.func @powers_of_two(%n: tensor<4xi32>, %u: tensor<4xui8>) -> (tensor<4xi32>, tensor<4xi32>, tensor<4xi32>, tensor<4xi32>, tensor<4xui8>, tensor<4xui8>) {
  %eight = ml.constant dense<8> : tensor<i32>
  %four = ml.constant dense<4> : tensor<ui8>
  %a = ml.mul %n, %eight : tensor<4xi32>, tensor<i32> -> tensor<4xi32>
  %b = ml.floor_div %n, %eight : tensor<4xi32>, tensor<i32> -> tensor<4xi32>
  %c = ml.div %n, %eight : tensor<4xi32>, tensor<i32> -> tensor<4xi32>
  %d = ml.rem %n, %eight : tensor<4xi32>, tensor<i32> -> tensor<4xi32>
  %e = ml.div %u, %four : tensor<4xui8>, tensor<ui8> -> tensor<4xui8>
  %f = ml.rem %u, %four : tensor<4xui8>, tensor<ui8> -> tensor<4xui8>
  func.return %a, %b, %c, %d, %e, %f : tensor<4xi32>, tensor<4xi32>, tensor<4xi32>, tensor<4xi32>, tensor<4xui8>, tensor<4xui8>
}

// CHECK-LABEL: @single_points
// CHECK-NEXT:    %[[W:.*]] = ml.reshape %w : tensor<8x3x1x1xf32> -> tensor<8x3xf32>
// CHECK-NEXT:    %[[X:.*]] = ml.reshape %x : tensor<1x3x4x5xf32> -> tensor<3x20xf32>
// CHECK-NEXT:    %[[P:.*]] = ml.matmul %[[W]], %[[X]]
// CHECK-NEXT:    ml.reshape %[[P]] : tensor<8x20xf32> -> tensor<1x8x4x5xf32>
// CHECK-LABEL: @strided
// CHECK-NEXT:    ml.conv
func.func @single_points(%x: tensor<1x3x4x5xf32>, %w: tensor<8x3x1x1xf32>) -> tensor<1x8x4x5xf32> {
  %y = ml.conv %x, %w strides = [1, 1] dilations = [1, 1] low = [0, 0] high = [0, 0] groups = 1 : tensor<1x3x4x5xf32>, tensor<8x3x1x1xf32> -> tensor<1x8x4x5xf32>
  func.return %y : tensor<1x8x4x5xf32>
}
func.func @strided(%x: tensor<1x3x4x5xf32>, %w: tensor<8x3x1x1xf32>) -> tensor<1x8x2x3xf32> {
  %y = ml.conv %x, %w strides = [2, 2] dilations = [1, 1] low = [0, 0] high = [0, 0] groups = 1 : tensor<1x3x4x5xf32>, tensor<8x3x1x1xf32> -> tensor<1x8x2x3xf32>
  func.return %y : tensor<1x8x2x3xf32>
}
