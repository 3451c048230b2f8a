// RUN: xmlc opt %s -p 'batch{size=8 function=layer arguments=0},batch{size=8 function=choice}' | filecheck %s

// What differs within the batch has it as dimension 0; what is one for all stays as it is.
// CHECK-LABEL: @layer_batched
func.func @layer(%x: tensor<3xf32>, %w: tensor<3x3xf32>) -> tensor<3xf32> {
  // CHECK: [[V:%.*]] = ml.exp %w : tensor<3x3xf32>
  // CHECK-NEXT: [[Y:%.*]] = ml.einsum "ai,ij->aj" %x, [[V]] {{.*}} -> tensor<8x3xf32>
  // CHECK-NEXT: [[S:%.*]] = ml.softmax [[Y]] axis = 1
  // CHECK-NEXT: func.return [[S]]
  %v = ml.exp %w : tensor<3x3xf32> -> tensor<3x3xf32>
  %y = ml.einsum "i,ij->j" %x, %v : tensor<3xf32>, tensor<3x3xf32> -> tensor<3xf32>
  %s = ml.softmax %y axis = 0 : tensor<3xf32> -> tensor<3xf32>
  func.return %s : tensor<3xf32>
}

// Elements of a batch that part ways go both, and take their own.
// CHECK-LABEL: @choice_batched
func.func @choice(%c: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
  // CHECK: [[Y:%.*]] = ml.sin %x : tensor<8xf32>
  // CHECK-NEXT: [[Z:%.*]] = ml.neg %x : tensor<8xf32>
  // CHECK: ml.select {{.*}}, [[Y]], [[Z]]
  // CHECK-NOT: ml.if
  %r = ml.if %c -> (tensor<f32>) {
    %y = ml.sin %x : tensor<f32> -> tensor<f32>
    ml.yield %y : tensor<f32>
  } else {
    %y = ml.neg %x : tensor<f32> -> tensor<f32>
    ml.yield %y : tensor<f32>
  }
  func.return %r : tensor<f32>
}
