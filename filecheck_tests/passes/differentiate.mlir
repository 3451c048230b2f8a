// RUN: xmlc opt %s -p 'differentiate{function=product},differentiate{function=loop},differentiate{function=branch},differentiate{function=kept wrt=1},dce' | filecheck %s
// RUN: xmlc opt %s -p 'differentiate{function=product forward=true},simplify,dce' | filecheck %s --check-prefix FORWARD

// What reaches an operand that was broadcast is summed.
// CHECK-LABEL: @product_vjp
// FORWARD-LABEL: @product_jvp
func.func @product(%x: tensor<2x3xf32>, %w: tensor<3xf32>) -> tensor<2x3xf32> {
  // CHECK: [[Y:%.*]] = ml.mul %x, %w
  // CHECK-NEXT: [[DX:%.*]] = ml.mul %cotangent, %w
  // CHECK-NEXT: [[PART:%.*]] = ml.mul %cotangent, %x
  // CHECK-NEXT: [[DW:%.*]] = ml.reduce_sum [[PART]] axes = [0]
  // CHECK-NEXT: func.return [[Y]], [[DX]], [[DW]]
  // FORWARD: [[Y:%.*]] = ml.mul %x, %w
  // FORWARD-NEXT: [[A:%.*]] = ml.mul %tangent_1, %x
  // FORWARD-NEXT: [[B:%.*]] = ml.mul %tangent, %w
  // FORWARD-NEXT: [[DY:%.*]] = ml.add [[A]], [[B]]
  // FORWARD-NEXT: func.return [[Y]], [[DY]]
  %y = ml.mul %x, %w : tensor<2x3xf32>, tensor<3xf32> -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// A scan goes back over the carried values that each step began with.
// CHECK-LABEL: @loop_vjp
func.func @loop(%x: tensor<3xf32>, %s: tensor<4x3xf32>) -> tensor<3xf32> {
  // CHECK: [[R:%.*]], [[STARTS:%.*]] = ml.scan
  // CHECK: ml.yield %n, %c
  // CHECK: ml.scan ([[G:%.*]] = %cotangent) over ([[START:%.*]] = [[STARTS]], [[SLICE:%.*]] = %s) reverse
  // CHECK-NEXT: [[DC:%.*]] = ml.mul [[G]], [[SLICE]]
  // CHECK-NEXT: [[DS:%.*]] = ml.mul [[G]], [[START]]
  // CHECK-NEXT: ml.yield [[DC]], [[DS]]
  %r = ml.scan (%c = %x) over (%e = %s) : (tensor<3xf32>, tensor<4x3xf32>) -> (tensor<3xf32>) {
    %n = ml.mul %c, %e : tensor<3xf32>, tensor<3xf32> -> tensor<3xf32>
    ml.yield %n : tensor<3xf32>
  }
  func.return %r : tensor<3xf32>
}

// The branch that was taken passes on what reaches it; the other one gives 0.
// CHECK-LABEL: @branch_vjp
func.func @branch(%c: tensor<i1>, %x: tensor<3xf32>) -> tensor<3xf32> {
  // CHECK: ml.if %c
  // CHECK: ml.if %c
  // CHECK-NEXT: [[COS:%.*]] = ml.cos %x
  // CHECK-NEXT: [[DX:%.*]] = ml.mul %cotangent, [[COS]]
  // CHECK-NEXT: ml.yield [[DX]]
  // CHECK: else
  // CHECK: [[ZERO:%.*]] = ml.constant dense<0.{{.*}}> : tensor<f32>
  // CHECK-NEXT: [[ZEROS:%.*]] = ml.broadcast [[ZERO]]
  // CHECK-NEXT: ml.yield [[ZEROS]]
  %r = ml.if %c -> (tensor<3xf32>) {
    %y = ml.sin %x : tensor<3xf32> -> tensor<3xf32>
    ml.yield %y : tensor<3xf32>
  } else {
    %y = ml.floor %x : tensor<3xf32> -> tensor<3xf32>
    ml.yield %y : tensor<3xf32>
  }
  func.return %r : tensor<3xf32>
}

// Weights stay last, and only what was asked for is computed.
// CHECK-LABEL: @kept_vjp
// CHECK-SAME: %x: tensor<3xf32>, %cotangent: tensor<3xf32> {ml.name = "cotangent.0"}, %w: tensor<3xf32> {ml.weight}
func.func @kept(%x: tensor<3xf32>, %w: tensor<3xf32> {ml.weight}) -> tensor<3xf32> {
  // CHECK: [[DW:%.*]] = ml.mul %cotangent, %x
  // CHECK-NEXT: func.return {{%.*}}, [[DW]]
  %y = ml.mul %x, %w : tensor<3xf32>, tensor<3xf32> -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}
