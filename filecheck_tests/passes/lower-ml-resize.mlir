// RUN: xmlc opt %s -p bind-sizes,lower-ml | filecheck %s

// a whole factor of a free size divides the index; a known size has a table
// CHECK-LABEL: func.func @by_whole_factors(
// CHECK: [[PLACES:%.*]] = arith.constant dense<[0, 0, 1, 1, 2, 2, 3, 3]> : tensor<8xi64>
// CHECK: ins([[PLACES]] : tensor<8xi64>)
// CHECK: [[I:%.*]] = linalg.index 1 : index
// CHECK: [[TWO:%.*]] = arith.constant 2 : index
// CHECK-NEXT: [[AT:%.*]] = arith.divui {{%.*}}, [[TWO]] : index
// CHECK-NEXT: tensor.extract %x[{{%.*}}, [[AT]], {{%.*}}]
func.func @by_whole_factors(%x: tensor<1x?x4xf32, ["1", "height", "4"]>) -> tensor<1x?x8xf32, ["1", "2*height", "8"]> {
  %y = ml.resize %x nearest asymmetric floor scales = [1.0, 2.0, 2.0] : tensor<1x?x4xf32, ["1", "height", "4"]> -> tensor<1x?x8xf32, ["1", "2*height", "8"]>
  func.return %y : tensor<1x?x8xf32, ["1", "2*height", "8"]>
}

// any other factor is computed with, in f64
// CHECK-LABEL: func.func @by_broken_factors(
// CHECK: arith.divf {{.*}} : f64
// CHECK: math.ceil {{.*}} : f64
// CHECK: arith.fptosi {{.*}} : f64 to i64
func.func @by_broken_factors(%x: tensor<?xf32, ["2*n"]>) -> tensor<?xf32, ["3*n"]> {
  %y = ml.resize %x nearest half_pixel round_prefer_floor scales = [1.5] : tensor<?xf32, ["2*n"]> -> tensor<?xf32, ["3*n"]>
  func.return %y : tensor<?xf32, ["3*n"]>
}
