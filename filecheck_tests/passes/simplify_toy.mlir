// RUN: xmlc opt %s -p simplify-toy | filecheck %s

// CHECK-LABEL: @transposes_cancel
// CHECK-NEXT:    toy.return %x
toy.func @transposes_cancel(%x: tensor<*xf64>) -> tensor<*xf64> {
  %t = toy.transpose(%x : tensor<*xf64>) to tensor<*xf64>
  %y = toy.transpose(%t : tensor<*xf64>) to tensor<*xf64>
  toy.return %y : tensor<*xf64>
}

// CHECK-LABEL: @one_transpose_stays
// CHECK-NEXT:    toy.transpose
toy.func @one_transpose_stays(%x: tensor<*xf64>) -> tensor<*xf64> {
  %y = toy.transpose(%x : tensor<*xf64>) to tensor<*xf64>
  toy.return %y : tensor<*xf64>
}

// CHECK-LABEL: @the_last_reshape_counts
// CHECK-NEXT:    [[Y:%.*]] = toy.reshape(%x : tensor<2x3xf64>) to tensor<3x2xf64>
// CHECK-NEXT:    toy.return [[Y]]
toy.func @the_last_reshape_counts(%x: tensor<2x3xf64>) -> tensor<3x2xf64> {
  %r = toy.reshape(%x : tensor<2x3xf64>) to tensor<6xf64>
  %y = toy.reshape(%r : tensor<6xf64>) to tensor<3x2xf64>
  toy.return %y : tensor<3x2xf64>
}

// CHECK-LABEL: @a_constant_is_reshaped
// CHECK-NEXT:    toy.constant dense<{{\[\[}}1.000000e+00], [2.000000e+00]]> : tensor<2x1xf64>
// CHECK-NEXT:    toy.return
toy.func @a_constant_is_reshaped() -> tensor<2x1xf64> {
  %c = toy.constant dense<[1.0, 2.0]> : tensor<2xf64>
  %y = toy.reshape(%c : tensor<2xf64>) to tensor<2x1xf64>
  toy.return %y : tensor<2x1xf64>
}

// CHECK-LABEL: @a_member_of_a_constant_is_a_constant
// CHECK-NEXT:    [[C:%.*]] = toy.constant dense<2.000000e+00> : tensor<f64>
// CHECK-NEXT:    [[Y:%.*]] = toy.cast [[C]] : tensor<f64> to tensor<*xf64>
// CHECK-NEXT:    toy.return [[Y]]
toy.func @a_member_of_a_constant_is_a_constant() -> tensor<*xf64> {
  %s = toy.struct_constant [dense<1.0> : tensor<1xf64>, dense<2.0> : tensor<f64>] : !toy.struct<tensor<*xf64>, tensor<*xf64>>
  %y = toy.struct_access %s[1] : !toy.struct<tensor<*xf64>, tensor<*xf64>> -> tensor<*xf64>
  toy.return %y : tensor<*xf64>
}

// A parameter's members are not known.
// CHECK-LABEL: @a_member_of_a_parameter_stays
// CHECK-NEXT:    toy.struct_access
toy.func @a_member_of_a_parameter_stays(%s: !toy.struct<tensor<*xf64>>) -> tensor<*xf64> {
  %y = toy.struct_access %s[0] : !toy.struct<tensor<*xf64>> -> tensor<*xf64>
  toy.return %y : tensor<*xf64>
}
