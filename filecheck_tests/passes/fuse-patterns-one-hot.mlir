// RUN: xmlc opt --split-input-file %s -p fuse-patterns,dce | filecheck %s

// A row of the table is taken; of none for an index outside of it.
// CHECK-LABEL: @look_up
// CHECK: ml.clamp
// CHECK: ml.gather %table
// CHECK: ml.select
// CHECK: ml.add {{%.*}}, %bias
// CHECK-NOT: ml.matmul
func.func @look_up(%i: tensor<5x1xi32>, %table: tensor<7x3xf32>, %bias: tensor<3xf32>) -> tensor<5x3xf32> {
  %n = ml.iota axis = 1 -> tensor<1x7xi32>
  %hot = ml.compare eq %i, %n : tensor<5x1xi32>, tensor<1x7xi32> -> tensor<5x7xi1>
  %x = ml.cast %hot : tensor<5x7xi1> -> tensor<5x7xf32>
  %y = ml.matmul %x, %table bias %bias : tensor<3xf32> : tensor<5x7xf32>, tensor<7x3xf32> -> tensor<5x3xf32>
  func.return %y : tensor<5x3xf32>
}

// -----

// Another comparison has more than a single one in each row.
// CHECK-LABEL: @a_sum
// CHECK: ml.matmul
func.func @a_sum(%i: tensor<5x1xi32>, %table: tensor<7x3xf32>) -> tensor<5x3xf32> {
  %n = ml.iota axis = 1 -> tensor<1x7xi32>
  %hot = ml.compare gt %i, %n : tensor<5x1xi32>, tensor<1x7xi32> -> tensor<5x7xi1>
  %x = ml.cast %hot : tensor<5x7xi1> -> tensor<5x7xf32>
  %y = ml.matmul %x, %table : tensor<5x7xf32>, tensor<7x3xf32> -> tensor<5x3xf32>
  func.return %y : tensor<5x3xf32>
}
