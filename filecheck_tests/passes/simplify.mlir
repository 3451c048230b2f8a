// RUN: xmlc opt %s -p simplify | filecheck %s

// CHECK-LABEL: @sum_with_nothing
// CHECK-NEXT:    func.return %n
// CHECK-LABEL: @sum_with_zero_keeps_no_sign
// CHECK:         ml.add
func.func @sum_with_nothing(%n: tensor<4xi32>) -> tensor<4xi32> {
  %zero = ml.constant dense<0> : tensor<i32>
  %y = ml.add %zero, %n : tensor<i32>, tensor<4xi32> -> tensor<4xi32>
  func.return %y : tensor<4xi32>
}
func.func @sum_with_zero_keeps_no_sign(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = ml.constant dense<0.0> : tensor<f32>
  %y = ml.add %x, %zero : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: @difference_with_zero
// CHECK-NEXT:    func.return %x
func.func @difference_with_zero(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = ml.constant dense<0.0> : tensor<f32>
  %y = ml.sub %x, %zero : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: @neutral_numbers
// CHECK-NEXT:    func.return %x
func.func @neutral_numbers(%x: tensor<4xf32>) -> tensor<4xf32> {
  %one = ml.constant dense<1.0> : tensor<4xf32>
  %lowest = ml.constant dense<0xFF800000> : tensor<f32>
  %a = ml.mul %one, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %b = ml.div %a, %one : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %c = ml.max %lowest, %b : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
  func.return %c : tensor<4xf32>
}

// An integer times 0 is 0; infinity times 0.0 is not.
// CHECK-LABEL: @product_with_zero
// CHECK-NEXT:    %[[ZERO:.*]] = ml.constant dense<0> : tensor<i32>
// CHECK-NEXT:    %[[ALL:.*]] = ml.broadcast %[[ZERO]]
// CHECK-NEXT:    func.return %[[ALL]]
// CHECK-LABEL: @real_product_with_zero
// CHECK:         ml.mul
func.func @product_with_zero(%n: tensor<4xi32>) -> tensor<4xi32> {
  %zero = ml.constant dense<0> : tensor<i32>
  %y = ml.mul %n, %zero : tensor<4xi32>, tensor<i32> -> tensor<4xi32>
  func.return %y : tensor<4xi32>
}
func.func @real_product_with_zero(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = ml.constant dense<0.0> : tensor<f32>
  %y = ml.mul %x, %zero : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// CHECK-LABEL: @signs
// CHECK-NEXT:    %[[D:.*]] = ml.sub %x, %y
// CHECK-NEXT:    %[[A:.*]] = ml.abs %[[D]]
// CHECK-NEXT:    func.return %[[A]]
func.func @signs(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %m = ml.neg %y : tensor<4xf32> -> tensor<4xf32>
  %d = ml.add %m, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %n = ml.neg %d : tensor<4xf32> -> tensor<4xf32>
  %a = ml.abs %n : tensor<4xf32> -> tensor<4xf32>
  %b = ml.abs %a : tensor<4xf32> -> tensor<4xf32>
  func.return %b : tensor<4xf32>
}

// CHECK-LABEL: @numbers_combine
// CHECK:         %[[C:.*]] = ml.constant dense<1.500000e+00>
// CHECK-NEXT:    %[[Y:.*]] = ml.mul %x, %[[C]]
// CHECK-NEXT:    func.return %[[Y]]
func.func @numbers_combine(%x: tensor<4xf32>) -> tensor<4xf32> {
  %two = ml.constant dense<2.0> : tensor<f32>
  %three = ml.constant dense<3.0> : tensor<f32>
  %a = ml.div %x, %two : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %b = ml.mul %a, %three : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %b : tensor<4xf32>
}

// A common factor is taken out where that leaves one product less, not where the products are needed anyway.
// CHECK-LABEL: @common_factor
// CHECK-NEXT:    %[[S:.*]] = ml.add %a, %b
// CHECK-NEXT:    ml.mul %x, %[[S]]
// CHECK-LABEL: @needed_products
// CHECK-NEXT:    ml.mul
// CHECK-NEXT:    ml.mul
// CHECK-NEXT:    ml.add
func.func @common_factor(%x: tensor<4xf32>, %a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %p = ml.mul %x, %a : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %q = ml.mul %b, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %y = ml.add %p, %q : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}
func.func @needed_products(%x: tensor<4xf32>, %a: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %p = ml.mul %x, %a : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %q = ml.mul %b, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %y = ml.add %p, %q : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  func.return %y, %p : tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: @limits
// CHECK:         %[[Y:.*]] = ml.clamp %x, %{{.*}}, %six
// CHECK-NEXT:    func.return %[[Y]]
func.func @limits(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = ml.constant dense<0.0> : tensor<f32>
  %six = ml.constant dense<6.0> : tensor<f32>
  %a = ml.max %x, %zero : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %b = ml.min %a, %six : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  func.return %b : tensor<4xf32>
}

// not (x < y) is not x >= y where one is NaN.
// CHECK-LABEL: @negated_comparisons
// CHECK-NEXT:    %[[A:.*]] = ml.compare ge %n, %m
// CHECK-NEXT:    %[[B:.*]] = ml.compare lt %x, %y
// CHECK-NEXT:    %[[C:.*]] = ml.not %[[B]]
// CHECK-NEXT:    func.return %[[A]], %[[C]]
func.func @negated_comparisons(%n: tensor<4xi32>, %m: tensor<4xi32>, %x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xi1>, tensor<4xi1>) {
  %a = ml.compare lt %n, %m : tensor<4xi32>, tensor<4xi32> -> tensor<4xi1>
  %b = ml.not %a : tensor<4xi1> -> tensor<4xi1>
  %c = ml.compare lt %x, %y : tensor<4xf32>, tensor<4xf32> -> tensor<4xi1>
  %d = ml.not %c : tensor<4xi1> -> tensor<4xi1>
  func.return %b, %d : tensor<4xi1>, tensor<4xi1>
}

// CHECK-LABEL: @choices
// CHECK-NEXT:    %[[Y:.*]] = ml.select %c, %x, %y
// CHECK-NEXT:    func.return %[[Y]]
func.func @choices(%c: tensor<4xi1>, %x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %true = ml.constant dense<true> : tensor<i1>
  %n = ml.not %c : tensor<4xi1> -> tensor<4xi1>
  %a = ml.select %n, %y, %x : tensor<4xi1>, tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %b = ml.select %c, %a, %y : tensor<4xi1>, tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %d = ml.select %true, %b, %x : tensor<i1>, tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  func.return %d : tensor<4xf32>
}

// Through a type that holds every number; f32 does not hold every i64, and wrapping is not saturating.
// CHECK-LABEL: @casts
// CHECK-NEXT:    %[[A:.*]] = ml.cast %x : tensor<4xf16> -> tensor<4xi32>
// CHECK-NEXT:    ml.cast %n : tensor<4xi64> -> tensor<4xf32>
// CHECK-NEXT:    ml.cast %{{.*}} : tensor<4xf32> -> tensor<4xi64>
// CHECK-NEXT:    ml.cast %k : tensor<4xi8> -> tensor<4xf32>
// CHECK-NEXT:    ml.cast %{{.*}} : tensor<4xf32> -> tensor<4xui8>
func.func @casts(%x: tensor<4xf16>, %n: tensor<4xi64>, %k: tensor<4xi8>) -> (tensor<4xi32>, tensor<4xi64>, tensor<4xui8>) {
  %a = ml.cast %x : tensor<4xf16> -> tensor<4xf32>
  %b = ml.cast %a : tensor<4xf32> -> tensor<4xi32>
  %c = ml.cast %n : tensor<4xi64> -> tensor<4xf32>
  %d = ml.cast %c : tensor<4xf32> -> tensor<4xi64>
  %e = ml.cast %k : tensor<4xi8> -> tensor<4xf32>
  %f = ml.cast %e : tensor<4xf32> -> tensor<4xui8>
  func.return %b, %d, %f : tensor<4xi32>, tensor<4xi64>, tensor<4xui8>
}

// CHECK-LABEL: @transposes_and_reshapes
// CHECK-NEXT:    %[[T:.*]] = ml.transpose %x [0, 2, 1] : tensor<2x3x4xf32> -> tensor<2x4x3xf32>
// CHECK-NEXT:    %[[R:.*]] = ml.reshape %[[T]] : tensor<2x4x3xf32> -> tensor<2x1x4x3xf32>
// CHECK-NEXT:    func.return %[[R]]
func.func @transposes_and_reshapes(%x: tensor<2x3x4xf32>) -> tensor<2x1x4x3xf32> {
  %a = ml.reshape %x : tensor<2x3x4xf32> -> tensor<1x2x3x4xf32>
  %b = ml.transpose %a [1, 0, 2, 3] : tensor<1x2x3x4xf32> -> tensor<2x1x3x4xf32>
  %c = ml.transpose %b [0, 1, 3, 2] : tensor<2x1x3x4xf32> -> tensor<2x1x4x3xf32>
  func.return %c : tensor<2x1x4x3xf32>
}

// CHECK-LABEL: @slices_and_concats
// CHECK-NEXT:    %[[S:.*]] = ml.slice %x starts = [1, 0] sizes = [3, 2] strides = [1, 1]
// CHECK-NEXT:    func.return %[[S]]
func.func @slices_and_concats(%x: tensor<5x2xf32>, %y: tensor<5x2xf32>) -> tensor<3x2xf32> {
  %a = ml.slice %x starts = [0, 0] sizes = [2, 2] strides = [1, 1] : tensor<5x2xf32> -> tensor<2x2xf32>
  %b = ml.slice %x starts = [2, 0] sizes = [3, 2] strides = [1, 1] : tensor<5x2xf32> -> tensor<3x2xf32>
  %c = ml.concat %a, %b, %y axis = 0 : tensor<2x2xf32>, tensor<3x2xf32>, tensor<5x2xf32> -> tensor<10x2xf32>
  %d = ml.slice %c starts = [1, 0] sizes = [3, 2] strides = [1, 1] : tensor<10x2xf32> -> tensor<3x2xf32>
  func.return %d : tensor<3x2xf32>
}

// CHECK-LABEL: @broadcasts
// CHECK-NEXT:    %[[Y:.*]] = ml.atan2 %x, %y : tensor<3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT:    func.return %[[Y]]
func.func @broadcasts(%x: tensor<3xf32>, %y: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %a = ml.broadcast %x : tensor<3xf32> -> tensor<1x3xf32>
  %b = ml.broadcast %a : tensor<1x3xf32> -> tensor<2x3xf32>
  %c = ml.atan2 %b, %y : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x3xf32>
  func.return %c : tensor<2x3xf32>
}

// CHECK-LABEL: @reductions
// CHECK-NEXT:    %[[S:.*]] = ml.reduce_sum %x axes = [0, 2] keep_dims
// CHECK-NEXT:    func.return %[[S]]
func.func @reductions(%x: tensor<2x3x4xf32>) -> tensor<1x3x1xf32> {
  %a = ml.reduce_sum %x axes = [2] : tensor<2x3x4xf32> -> tensor<2x3xf32>
  %b = ml.reduce_sum %a axes = [0] : tensor<2x3xf32> -> tensor<3xf32>
  %c = ml.reshape %b : tensor<3xf32> -> tensor<1x3x1xf32>
  func.return %c : tensor<1x3x1xf32>
}

// CHECK-LABEL: @known_indices
// CHECK-NEXT:    %[[S:.*]] = ml.slice %x starts = [3, 0] sizes = [2, 2] strides = [-2, 1]
// CHECK-NEXT:    func.return %[[S]]
func.func @known_indices(%x: tensor<5x2xf32>) -> tensor<2x2xf32> {
  %i = ml.constant dense<[3, 1]> : tensor<2xi64>
  %y = ml.gather %x, %i axis = 0 : tensor<5x2xf32>, tensor<2xi64> -> tensor<2x2xf32>
  func.return %y : tensor<2x2xf32>
}

// CHECK-LABEL: @swapped_product
// CHECK-NEXT:    %[[P:.*]] = ml.matmul %b, %a
// CHECK-NEXT:    func.return %[[P]]
func.func @swapped_product(%a: tensor<3x2xf32>, %b: tensor<4x3xf32>) -> tensor<4x2xf32> {
  %s = ml.transpose %a [1, 0] : tensor<3x2xf32> -> tensor<2x3xf32>
  %t = ml.transpose %b [1, 0] : tensor<4x3xf32> -> tensor<3x4xf32>
  %p = ml.matmul %s, %t : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  %y = ml.transpose %p [1, 0] : tensor<2x4xf32> -> tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}

// 8-bit integers are multiplied before their zeros are taken off, since processors have instructions for that …
// CHECK-LABEL: @integers
// CHECK: [[A:%.*]] = ml.cast %a
// CHECK: [[B:%.*]] = ml.cast %b
// CHECK: ml.matmul [[A]], [[B]]
// CHECK-DAG: ml.reduce_sum {{.*}} axes = [0] keep_dims
// CHECK-DAG: ml.reduce_sum {{.*}} axes = [1] keep_dims
func.func @integers(%a: tensor<2x3xui8>, %b: tensor<3x4xi8>, %u: tensor<i32>, %v: tensor<4xi32>) -> tensor<2x4xi32> {
  %0 = ml.cast %a : tensor<2x3xui8> -> tensor<2x3xi32>
  %1 = ml.sub %0, %u : tensor<2x3xi32>, tensor<i32> -> tensor<2x3xi32>
  %2 = ml.cast %b : tensor<3x4xi8> -> tensor<3x4xi32>
  %3 = ml.sub %2, %v : tensor<3x4xi32>, tensor<4xi32> -> tensor<3x4xi32>
  %4 = ml.matmul %1, %3 : tensor<2x3xi32>, tensor<3x4xi32> -> tensor<2x4xi32>
  func.return %4 : tensor<2x4xi32>
}

// … limit: a zero for each column of the rows has no place outside of the product.
// CHECK-LABEL: @zeros_along_the_sum
// CHECK: ml.sub
// CHECK-NEXT: ml.matmul
func.func @zeros_along_the_sum(%a: tensor<2x3xui8>, %b: tensor<3x4xi32>, %u: tensor<3xi32>) -> tensor<2x4xi32> {
  %0 = ml.cast %a : tensor<2x3xui8> -> tensor<2x3xi32>
  %1 = ml.sub %0, %u : tensor<2x3xi32>, tensor<3xi32> -> tensor<2x3xi32>
  %2 = ml.matmul %1, %b : tensor<2x3xi32>, tensor<3x4xi32> -> tensor<2x4xi32>
  func.return %2 : tensor<2x4xi32>
}
