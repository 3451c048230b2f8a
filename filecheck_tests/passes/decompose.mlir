// RUN: xmlc opt %s -p decompose | filecheck %s

// CHECK-LABEL: @softmax_subtracts_the_largest
func.func @softmax_subtracts_the_largest(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  // CHECK-NEXT: [[LARGEST:%.*]] = ml.reduce_max %x axes = [1] keep_dims
  // CHECK-NEXT: [[SHIFTED:%.*]] = ml.sub %x, [[LARGEST]]
  // CHECK-NEXT: [[POWERS:%.*]] = ml.exp [[SHIFTED]] {xmlc.below_zero}
  // CHECK-NEXT: [[SUM:%.*]] = ml.reduce_sum [[POWERS]] axes = [1] keep_dims
  // CHECK: [[SHARE:%.*]] = ml.div {{.*}}, [[SUM]]
  // CHECK-NEXT: [[RESULT:%.*]] = ml.mul [[POWERS]], [[SHARE]]
  // CHECK-NEXT: func.return [[RESULT]]
  %r = ml.softmax %x axis = 1 : tensor<2x3xf32> -> tensor<2x3xf32>
  func.return %r : tensor<2x3xf32>
}

// CHECK-LABEL: @half_precision_is_computed_in_f32
func.func @half_precision_is_computed_in_f32(%x: tensor<3xf16>) -> tensor<3xf16> {
  // CHECK-NEXT: ml.cast %x : tensor<3xf16> -> tensor<3xf32>
  // CHECK: [[RESULT:%.*]] = ml.cast {{%.*}} : tensor<3xf32> -> tensor<3xf16>
  // CHECK-NEXT: func.return [[RESULT]]
  %r = ml.log_softmax %x axis = 0 : tensor<3xf16> -> tensor<3xf16>
  func.return %r : tensor<3xf16>
}

// CHECK-LABEL: @one_product_for_the_inputs_of_all_steps
func.func @one_product_for_the_inputs_of_all_steps(%x: tensor<7x2x3xf32>, %w: tensor<1x15x3xf32>, %r: tensor<1x15x5xf32>) -> tensor<7x1x2x5xf32> {
  // CHECK: ml.matmul {{%.*}}, {{%.*}} : tensor<14x3xf32>, tensor<3x15xf32> -> tensor<14x15xf32>
  // CHECK: ml.scan
  // CHECK: ml.matmul {{%.*}}, {{%.*}} : tensor<2x5xf32>, tensor<5x15xf32> -> tensor<2x15xf32>
  // CHECK-NOT: ml.matmul
  // CHECK: ml.yield
  %y, %h = ml.gru forward %x, %w, %r linear_before_reset : tensor<7x2x3xf32>, tensor<1x15x3xf32>, tensor<1x15x5xf32> -> tensor<7x1x2x5xf32>, tensor<1x2x5xf32>
  func.return %y : tensor<7x1x2x5xf32>
}

// CHECK-LABEL: @heads_that_share_a_key_share_a_product
func.func @heads_that_share_a_key_share_a_product(%q: tensor<1x4x6x8xf32>, %k: tensor<1x2x7x8xf32>) -> tensor<1x4x6x8xf32> {
  // CHECK: ml.matmul {{%.*}}, {{%.*}} : tensor<1x2x12x8xf32>, tensor<1x2x8x7xf32> -> tensor<1x2x12x7xf32>
  %r = ml.attention %q, %k, %k : tensor<1x4x6x8xf32>, tensor<1x2x7x8xf32>, tensor<1x2x7x8xf32> -> tensor<1x4x6x8xf32>
  func.return %r : tensor<1x4x6x8xf32>
}

// CHECK-LABEL: @what_is_primitive_stays
func.func @what_is_primitive_stays(%x: tensor<1x2x8xf32>) -> tensor<1x2x4xf32> {
  // CHECK-NEXT: ml.max_pool
  // CHECK-NEXT: func.return
  %r = ml.max_pool %x window = [2] strides = [2] dilations = [1] low = [0] high = [0] : tensor<1x2x8xf32> -> tensor<1x2x4xf32>
  func.return %r : tensor<1x2x4xf32>
}

// Windows that lie side by side are a product, its results interleaved.
// CHECK-LABEL: @transposed_convolution_of_tiles
// CHECK:         ml.matmul %{{.*}} : tensor<24x3xf32>, tensor<3x20xf32> -> tensor<24x20xf32>
// CHECK:         ml.transpose %{{.*}} : tensor<1x6x2x2x4x5xf32> -> tensor<1x6x4x2x5x2xf32>
func.func @transposed_convolution_of_tiles(%x: tensor<1x3x4x5xf32>, %w: tensor<3x6x2x2xf32>) -> tensor<1x6x8x10xf32> {
  %y = ml.conv_transpose %x, %w strides = [2, 2] dilations = [1, 1] low = [0, 0] high = [0, 0] groups = 1 : tensor<1x3x4x5xf32>, tensor<3x6x2x2xf32> -> tensor<1x6x8x10xf32>
  func.return %y : tensor<1x6x8x10xf32>
}
