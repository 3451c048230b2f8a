// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @branch
func.func @branch(%c: tensor<i1>, %x: tensor<3xf32>) -> tensor<3xf32> {
  // CHECK: ml.if %c -> (tensor<3xf32>) {
  // CHECK: } else {
  %r = ml.if %c -> (tensor<3xf32>) {
    %n = ml.neg %x : tensor<3xf32> -> tensor<3xf32>
    ml.yield %n : tensor<3xf32>
  } else {
    ml.yield %x : tensor<3xf32>
  }
  func.return %r : tensor<3xf32>
}

// CHECK-LABEL: @branch_without_results
func.func @branch_without_results(%c: tensor<i1>) {
  // CHECK: ml.if %c -> () {
  // CHECK-NEXT: ml.yield
  ml.if %c -> () {
    ml.yield
  } else {
    ml.yield
  }
  func.return
}

// CHECK-LABEL: @loop
func.func @loop(%n: tensor<i64>, %x: tensor<3xf32>) -> tensor<3xf32> {
  // CHECK: ml.while (%i = %n, %v = %x) : (tensor<i64>, tensor<3xf32>) {
  // CHECK: } do (%j, %w) {
  %last, %r = ml.while (%i = %n, %v = %x) : (tensor<i64>, tensor<3xf32>) {
    %zero = ml.constant dense<0> : tensor<i64>
    %c = ml.compare gt %i, %zero : tensor<i64>, tensor<i64> -> tensor<i1>
    ml.yield %c : tensor<i1>
  } do (%j, %w) {
    %one = ml.constant dense<1> : tensor<i64>
    %k = ml.sub %j, %one : tensor<i64>, tensor<i64> -> tensor<i64>
    %s = ml.add %w, %x : tensor<3xf32>, tensor<3xf32> -> tensor<3xf32>
    ml.yield %k, %s : tensor<i64>, tensor<3xf32>
  }
  func.return %r : tensor<3xf32>
}

// CHECK-LABEL: @running_sums
func.func @running_sums(%start: tensor<3xf32>, %xs: tensor<?x3xf32>) -> tensor<?x3xf32> {
  // CHECK: ml.scan (%sum = %start) over (%x = %xs) reverse : (tensor<3xf32>, tensor<?x3xf32>) -> (tensor<3xf32>, tensor<?x3xf32>) {
  %total, %sums = ml.scan (%sum = %start) over (%x = %xs) reverse : (tensor<3xf32>, tensor<?x3xf32>) -> (tensor<3xf32>, tensor<?x3xf32>) {
    %next = ml.add %sum, %x : tensor<3xf32>, tensor<3xf32> -> tensor<3xf32>
    ml.yield %next, %next : tensor<3xf32>, tensor<3xf32>
  }
  func.return %sums : tensor<?x3xf32>
}

// CHECK-LABEL: @powers
func.func @powers(%x: tensor<f32>) -> tensor<8xf32> {
  // CHECK: ml.scan (%p = %x) length = 8 : (tensor<f32>) -> (tensor<f32>, tensor<8xf32>) {
  %last, %all = ml.scan (%p = %x) length = 8 : (tensor<f32>) -> (tensor<f32>, tensor<8xf32>) {
    %q = ml.mul %p, %x : tensor<f32>, tensor<f32> -> tensor<f32>
    ml.yield %q, %p : tensor<f32>, tensor<f32>
  }
  func.return %all : tensor<8xf32>
}
