// RUN: xmlc opt %s -p form-kernels --split-input-file | filecheck %s

// an epilogue of its size joins a contraction; the next contraction has a kernel of its own
// CHECK-LABEL: func.func @epilogue(
// CHECK-NEXT: [[HIDDEN:%.*]] = func.call @matmul_relu(%x, %w, %b)
// CHECK-NEXT: [[OUT:%.*]] = func.call @matmul([[HIDDEN]], %v)
// CHECK-NEXT: func.return [[OUT]]
// CHECK: func.func private @matmul_relu({{.*}}) -> tensor<2x3xf32> attributes {xmlc.kernel}
// CHECK: ml.matmul
// CHECK: ml.relu
// CHECK: func.func private @matmul({{.*}}) -> tensor<2x5xf32> attributes {xmlc.kernel}
func.func @epilogue(%x: tensor<2x4xf32>, %w: tensor<4x3xf32>, %b: tensor<3xf32>, %v: tensor<3x5xf32>) -> tensor<2x5xf32> {
  %p = ml.matmul %x, %w bias %b : tensor<3xf32> : tensor<2x4xf32>, tensor<4x3xf32> -> tensor<2x3xf32>
  %h = ml.relu %p : tensor<2x3xf32> -> tensor<2x3xf32>
  %y = ml.matmul %h, %v : tensor<2x3xf32>, tensor<3x5xf32> -> tensor<2x5xf32>
  func.return %y : tensor<2x5xf32>
}

// -----

// a reshape is in a kernel between two of its ops, and in the host at an edge; constants go where they are used
// CHECK-LABEL: func.func @reshapes(
// CHECK-NEXT: [[FLAT:%.*]] = ml.reshape %x
// CHECK-NEXT: [[OUT:%.*]] = func.call @tanh_add([[FLAT]])
// CHECK-NEXT: [[LAST:%.*]] = ml.reshape [[OUT]]
// CHECK-NEXT: func.return [[LAST]]
// CHECK: func.func private @tanh_add(
// CHECK-DAG: ml.constant
// CHECK-DAG: ml.reshape
func.func @reshapes(%x: tensor<2x3xf32>) -> tensor<6x1xf32> {
  %one = ml.constant dense<1.0> : tensor<f32>
  %flat = ml.reshape %x : tensor<2x3xf32> -> tensor<6xf32>
  %t = ml.tanh %flat : tensor<6xf32> -> tensor<6xf32>
  %r = ml.reshape %t : tensor<6xf32> -> tensor<3x2xf32>
  %y = ml.add %r, %one : tensor<3x2xf32>, tensor<f32> -> tensor<3x2xf32>
  %z = ml.reshape %y : tensor<3x2xf32> -> tensor<6x1xf32>
  func.return %z : tensor<6x1xf32>
}

// -----

// no group may depend on itself: the relu is computed before the call of @external, the add after it
// CHECK-LABEL: func.func @order(
// CHECK-NEXT: [[A:%.*]] = func.call @relu(%x)
// CHECK-NEXT: [[B:%.*]] = func.call @external([[A]])
// CHECK-NEXT: [[C:%.*]] = func.call @add([[A]], [[B]])
func.func private @external(tensor<4xf32>) -> tensor<4xf32>
func.func @order(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = ml.relu %x : tensor<4xf32> -> tensor<4xf32>
  %b = func.call @external(%a) : (tensor<4xf32>) -> tensor<4xf32>
  %c = ml.add %a, %b : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  func.return %c : tensor<4xf32>
}

// -----

// kernels are formed inside regions too
// CHECK-LABEL: func.func @regions(
// CHECK: ml.scan
// CHECK-NEXT: [[S:%.*]] = func.call @add(
// CHECK-NEXT: ml.yield [[S]], [[S]]
func.func @regions(%x: tensor<3x2xf32>, %start: tensor<2xf32>) -> tensor<3x2xf32> {
  %final, %all = ml.scan (%c = %start) over (%e = %x) : (tensor<2xf32>, tensor<3x2xf32>) -> (tensor<2xf32>, tensor<3x2xf32>) {
    %s = ml.add %c, %e : tensor<2xf32>, tensor<2xf32> -> tensor<2xf32>
    ml.yield %s, %s : tensor<2xf32>, tensor<2xf32>
  }
  func.return %all : tensor<3x2xf32>
}

// -----

// what a contraction reads transposed or widened it reads so itself, each contraction on its own
// CHECK-LABEL: func.func @free(
// CHECK-NEXT: = func.call @{{[a-z_]*}}matmul({{.*}}%w
// CHECK-NEXT: = func.call @{{[a-z_]*}}matmul({{.*}}%w
// CHECK-NEXT: func.return
func.func @free(%x: tensor<2x4xi8>, %y: tensor<2x4xi8>, %w: tensor<3x4xi8>) -> (tensor<2x3xi32>, tensor<2x3xi32>) {
  %t = ml.transpose %w [1, 0] : tensor<3x4xi8> -> tensor<4x3xi8>
  %u = ml.cast %t : tensor<4x3xi8> -> tensor<4x3xi32>
  %a = ml.cast %x : tensor<2x4xi8> -> tensor<2x4xi32>
  %b = ml.cast %y : tensor<2x4xi8> -> tensor<2x4xi32>
  %p = ml.matmul %a, %u : tensor<2x4xi32>, tensor<4x3xi32> -> tensor<2x3xi32>
  %q = ml.matmul %b, %u : tensor<2x4xi32>, tensor<4x3xi32> -> tensor<2x3xi32>
  func.return %p, %q : tensor<2x3xi32>, tensor<2x3xi32>
}
