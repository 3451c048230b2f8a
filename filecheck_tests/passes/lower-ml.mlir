// RUN: xmlc opt %s -p lower-ml --split-input-file | filecheck %s

// broadcasting is a matter of maps; constants that are one number everywhere are in the body
// CHECK-LABEL: func.func @elementwise(
// CHECK: linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>]
// CHECK: arith.constant 2.000000e+00 : f32
// CHECK: arith.mulf
// CHECK: indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (0, d1)>, affine_map<(d0, d1) -> (d0, d1)>]
// CHECK: arith.addf
func.func @elementwise(%x: tensor<2x3xf32>, %row: tensor<1x3xf32>) -> tensor<2x3xf32> {
  %two = ml.constant dense<2.0> : tensor<f32>
  %y = ml.mul %x, %two : tensor<2x3xf32>, tensor<f32> -> tensor<2x3xf32>
  %z = ml.add %y, %row : tensor<2x3xf32>, tensor<1x3xf32> -> tensor<2x3xf32>
  func.return %z : tensor<2x3xf32>
}

// -----

// half precision is computed in f32, op by op; unsigned elements become signless under unsigned ops
// CHECK-LABEL: func.func @elements(
// CHECK-SAME: tensor<4xbf16>, {{.*}}tensor<4xi8>
// CHECK: arith.extf {{.*}} : bf16 to f32
// CHECK: arith.addf {{.*}} : f32
// CHECK: arith.truncf {{.*}} : f32 to bf16
// CHECK: arith.maxui {{.*}} : i8
func.func @elements(%x: tensor<4xbf16>, %k: tensor<4xui8>) -> (tensor<4xbf16>, tensor<4xui8>) {
  %y = ml.add %x, %x : tensor<4xbf16>, tensor<4xbf16> -> tensor<4xbf16>
  %m = ml.max %k, %k : tensor<4xui8>, tensor<4xui8> -> tensor<4xui8>
  func.return %y, %m : tensor<4xbf16>, tensor<4xui8>
}

// -----

// integer division never traps: by 0, and of the smallest number by -1, it divides by 1
// CHECK-LABEL: func.func @division(
// CHECK: arith.constant 0 : i32
// CHECK: arith.cmpi eq
// CHECK: arith.constant -2147483648 : i32
// CHECK: [[SAFE:%.*]] = arith.select
// CHECK: arith.divsi {{.*}}, [[SAFE]] : i32
func.func @division(%x: tensor<4xi32>, %y: tensor<4xi32>) -> tensor<4xi32> {
  %z = ml.div %x, %y : tensor<4xi32>, tensor<4xi32> -> tensor<4xi32>
  func.return %z : tensor<4xi32>
}

// -----

// sums start from the bias, in f32 for bf16, and are rounded once
// CHECK-LABEL: func.func @matmul(
// CHECK: linalg.generic {{.*}} ins(%b : tensor<3xbf16>) {{.*}}tensor<2x3xf32>
// CHECK: iterator_types = ["parallel", "parallel", "reduction"]
// CHECK: arith.mulf {{.*}} fastmath<reassoc> : f32
// CHECK: arith.addf {{.*}} fastmath<reassoc> : f32
// CHECK: arith.truncf {{.*}} : f32 to bf16
func.func @matmul(%x: tensor<2x4xbf16>, %w: tensor<4x3xbf16>, %b: tensor<3xbf16>) -> tensor<2x3xbf16> {
  %y = ml.matmul %x, %w bias %b : tensor<3xbf16> : tensor<2x4xbf16>, tensor<4x3xbf16> -> tensor<2x3xbf16>
  func.return %y : tensor<2x3xbf16>
}

// -----

// a convolution reads its padded input at position * stride + tap * dilation
// CHECK-LABEL: func.func @conv(
// CHECK: tensor.insert_slice %x into {{.*}}[0, 0, 1] [1, 2, 7] [1, 1, 1]
// CHECK: affine_map<(d0, d1, d2, d3, d4) -> (d0, d3, ((d2 * 2) + d4))>
// CHECK-SAME: iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]
func.func @conv(%x: tensor<1x2x7xf32>, %w: tensor<4x2x3xf32>) -> tensor<1x4x4xf32> {
  %y = ml.conv %x, %w strides = [2] dilations = [1] low = [1] high = [1] groups = 1 : tensor<1x2x7xf32>, tensor<4x2x3xf32> -> tensor<1x4x4xf32>
  func.return %y : tensor<1x4x4xf32>
}

// -----

// a reshape merges and splits only the dimensions it changes
// CHECK-LABEL: func.func @reshape(
// CHECK-NEXT: [[M:%.*]] = tensor.collapse_shape %x {{\[\[}}0 : i64], [1 : i64, 2 : i64]] : tensor<2x3x4xf32> into tensor<2x12xf32>
// CHECK-NEXT: tensor.expand_shape [[M]] {{\[\[}}0 : i64], [1 : i64, 2 : i64]] output_shape [2, 6, 2]
func.func @reshape(%x: tensor<2x3x4xf32>) -> tensor<2x6x2xf32> {
  %y = ml.reshape %x : tensor<2x3x4xf32> -> tensor<2x6x2xf32>
  func.return %y : tensor<2x6x2xf32>
}

// -----

// a scan is a counted loop that takes one slice of each sequence and puts one into each stacked output
// CHECK-LABEL: func.func @scan(
// CHECK: [[ALL:%.*]] = tensor.empty() : tensor<3x2xf32>
// CHECK: scf.for [[I:%.*]] = {{.*}} iter_args([[C:%.*]] = %start, [[OUT:%.*]] = [[ALL]])
// CHECK: [[E:%.*]] = tensor.extract_slice %x{{\[}}[[I]], 0] [1, 2] [1, 1] : tensor<3x2xf32> to tensor<2xf32>
// CHECK: [[S:%.*]] = func.call @step([[C]], [[E]])
// CHECK: [[NEXT:%.*]] = tensor.insert_slice [[S]] into [[OUT]]{{\[}}[[I]], 0] [1, 2] [1, 1]
// CHECK: scf.yield [[S]], [[NEXT]]
func.func private @step(tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
func.func @scan(%x: tensor<3x2xf32>, %start: tensor<2xf32>) -> tensor<3x2xf32> {
  %final, %all = ml.scan (%c = %start) over (%e = %x) : (tensor<2xf32>, tensor<3x2xf32>) -> (tensor<2xf32>, tensor<3x2xf32>) {
    %s = func.call @step(%c, %e) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    ml.yield %s, %s : tensor<2xf32>, tensor<2xf32>
  }
  func.return %all : tensor<3x2xf32>
}

// -----

// conditions are tensors of rank 0, of which the element is read
// CHECK-LABEL: func.func @while(
// CHECK: scf.while
// CHECK: [[T:%.*]] = func.call @positive(
// CHECK: [[FLAG:%.*]] = tensor.extract [[T]][] : tensor<i1>
// CHECK: scf.condition([[FLAG]])
// CHECK: scf.yield
func.func private @positive(tensor<i32>) -> tensor<i1>
func.func private @decrement(tensor<i32>) -> tensor<i32>
func.func @while(%n: tensor<i32>) -> tensor<i32> {
  %r = ml.while (%k = %n) : (tensor<i32>) {
    %t = func.call @positive(%k) : (tensor<i32>) -> tensor<i1>
    ml.yield %t : tensor<i1>
  } do (%k) {
    %m = func.call @decrement(%k) : (tensor<i32>) -> tensor<i32>
    ml.yield %m : tensor<i32>
  }
  func.return %r : tensor<i32>
}
