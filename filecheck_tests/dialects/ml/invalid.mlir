// RUN: xmlc opt %s --split-input-file --verify-diagnostics

func.func @result_type(%x: tensor<2x3xf32>, %y: tensor<2xf32>) {
  // expected-error@+1 {{cannot broadcast shapes 2x3 and 2: sizes 2 and 3 differ in dimension -1}}
  %r = ml.add %x, %y : tensor<2x3xf32>, tensor<2xf32> -> tensor<2x3xf32>
  func.return
}

// -----

func.func @inner_sizes(%x: tensor<2x3xf32>, %y: tensor<4x5xf32>) {
  // expected-error@+1 {{the inner sizes, 3 and 4, must be equal}}
  %r = ml.matmul %x, %y : tensor<2x3xf32>, tensor<4x5xf32> -> tensor<2x5xf32>
  func.return
}

// -----

func.func @heads(%q: tensor<1x3x2x4xf32>, %k: tensor<1x2x2x4xf32>) {
  // expected-error@+1 {{3 heads of the query are not a multiple of 2 heads of the key}}
  %r = ml.attention %q, %k, %k : tensor<1x3x2x4xf32>, tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32> -> tensor<1x3x2x4xf32>
  func.return
}

// -----

func.func @carried(%x: tensor<3xf32>, %xs: tensor<2xf32>) {
  // expected-error@+1 {{what the body yields to the next step: value 0 must be tensor<3xf32>, found tensor<f32>}}
  %r = ml.scan (%v = %x) over (%s = %xs) : (tensor<3xf32>, tensor<2xf32>) -> (tensor<3xf32>) {
    ml.yield %s : tensor<f32>
  }
  func.return
}
