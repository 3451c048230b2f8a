// RUN: xmlc opt %s -p fuse-linalg | filecheck %s

// A producer with one reader moves into it, its maps composed with the reader's.
// CHECK-LABEL: @one_reader
// CHECK: %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0, d1)>]
// CHECK-SAME: ins(%x : tensor<3x2xf32>)
// CHECK: arith.negf
// CHECK: math.exp
// CHECK-NOT: linalg.generic
func.func @one_reader(%x: tensor<3x2xf32>) -> tensor<2x3xf32> {
  %e = tensor.empty() : tensor<3x2xf32>
  %n = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : tensor<3x2xf32>) outs(%e : tensor<3x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.negf %a : f32
    linalg.yield %s : f32
  } -> tensor<3x2xf32>
  %t = tensor.empty() : tensor<2x3xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%n : tensor<3x2xf32>) outs(%t : tensor<2x3xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<2x3xf32>
  func.return %r : tensor<2x3xf32>
}

// Limit: exp costs more than storing it, so that it is not computed once for each of four readings.
// CHECK-LABEL: @read_many_times
// CHECK: math.exp
// CHECK: linalg.yield
// CHECK: %r = linalg.generic
// CHECK-NOT: math.exp
func.func @read_many_times(%x: tensor<3xf32>) -> tensor<4x3xf32> {
  %e = tensor.empty() : tensor<3xf32>
  %n = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]} ins(%x : tensor<3xf32>) outs(%e : tensor<3xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<3xf32>
  %t = tensor.empty() : tensor<4x3xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%n : tensor<3xf32>) outs(%t : tensor<4x3xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<4x3xf32>
  func.return %r : tensor<4x3xf32>
}

// A splat constant becomes a scalar, and the index of a producer's loop that of its reader's.
// CHECK-LABEL: @index_and_splat
// CHECK: %r = linalg.generic
// CHECK-SAME: ins(%x : tensor<8xi64>)
// CHECK: linalg.index 0
// CHECK-NOT: tensor<4xi64>)
func.func @index_and_splat(%x: tensor<8xi64>) -> tensor<2xi64> {
  %three = arith.constant dense<3> : tensor<4xi64>
  %e = tensor.empty() : tensor<4xi64>
  %n = linalg.generic {indexing_maps = [affine_map<(i) -> (i * 2 + 1)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]} ins(%x, %three : tensor<8xi64>, tensor<4xi64>) outs(%e : tensor<4xi64>) {
  ^bb0(%a: i64, %b: i64, %o: i64):
    %i = linalg.index 0 : index
    %j = arith.index_cast %i : index to i64
    %s = arith.addi %a, %j : i64
    %t = arith.muli %s, %b : i64
    linalg.yield %t : i64
  } -> tensor<4xi64>
  %f = tensor.empty() : tensor<2xi64>
  %r = linalg.generic {indexing_maps = [affine_map<(i) -> (i + 2)>, affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]} ins(%n : tensor<4xi64>) outs(%f : tensor<2xi64>) {
  ^bb0(%a: i64, %o: i64):
    linalg.yield %a : i64
  } -> tensor<2xi64>
  func.return %r : tensor<2xi64>
}

// What computes is not fused into what only transposes: that is copied in tiles.
// CHECK-LABEL: @transposed
// CHECK: linalg.generic
// CHECK: linalg.generic
// CHECK-LABEL: @a_short_side
// CHECK: linalg.generic
// CHECK-NOT: linalg.generic
func.func @transposed(%x: tensor<32x64xf32>) -> tensor<64x32xf32> {
  %e = tensor.empty() : tensor<32x64xf32>
  %n = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : tensor<32x64xf32>) outs(%e : tensor<32x64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.mulf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<32x64xf32>
  %f = tensor.empty() : tensor<64x32xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%n : tensor<32x64xf32>) outs(%f : tensor<64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<64x32xf32>
  func.return %r : tensor<64x32xf32>
}
func.func @a_short_side(%x: tensor<32x3xf32>) -> tensor<3x32xf32> {
  %e = tensor.empty() : tensor<32x3xf32>
  %n = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : tensor<32x3xf32>) outs(%e : tensor<32x3xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.mulf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<32x3xf32>
  %f = tensor.empty() : tensor<3x32xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%n : tensor<32x3xf32>) outs(%f : tensor<3x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<3x32xf32>
  func.return %r : tensor<3x32xf32>
}
