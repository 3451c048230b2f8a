// RUN: xmlc opt --split-input-file %s -p fuse-patterns,dce | filecheck %s

// As PyTorch writes it, and as others do.
// CHECK-LABEL: @gelu
// CHECK-NEXT:    %[[A:.*]] = ml.gelu %x exact
// CHECK-NEXT:    %[[B:.*]] = ml.gelu %x exact
// CHECK-NEXT:    func.return %[[A]], %[[B]]
func.func @gelu(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %root = ml.constant dense<1.41421354> : tensor<f32>
  %inverse = ml.constant dense<0.707106769> : tensor<f32>
  %one = ml.constant dense<1.0> : tensor<f32>
  %half = ml.constant dense<0.5> : tensor<f32>
  %a = ml.div %x, %root : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %b = ml.erf %a : tensor<4xf32> -> tensor<4xf32>
  %c = ml.add %b, %one : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %d = ml.mul %x, %c : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %e = ml.mul %d, %half : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %f = ml.mul %x, %inverse : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %g = ml.erf %f : tensor<4xf32> -> tensor<4xf32>
  %h = ml.add %one, %g : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
  %i = ml.mul %half, %h : tensor<f32>, tensor<4xf32> -> tensor<4xf32>
  %j = ml.mul %i, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  func.return %e, %j : tensor<4xf32>, tensor<4xf32>
}

// -----

// Another number inside erf is no GELU.
// CHECK-LABEL: @no_gelu
// CHECK-NOT:     ml.gelu
func.func @no_gelu(%x: tensor<4xf32>) -> tensor<4xf32> {
  %inverse = ml.constant dense<0.7> : tensor<f32>
  %one = ml.constant dense<1.0> : tensor<f32>
  %half = ml.constant dense<0.5> : tensor<f32>
  %f = ml.mul %x, %inverse : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %g = ml.erf %f : tensor<4xf32> -> tensor<4xf32>
  %h = ml.add %g, %one : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %i = ml.mul %h, %half : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %j = ml.mul %i, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  func.return %j : tensor<4xf32>
}

// -----

// CHECK-LABEL: @tanh_form
// CHECK-NEXT:    ml.gelu %x tanh
// CHECK-NEXT:    func.return
func.func @tanh_form(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = ml.constant dense<0.044715> : tensor<f32>
  %k = ml.constant dense<0.797884583> : tensor<f32>
  %one = ml.constant dense<1.0> : tensor<f32>
  %half = ml.constant dense<0.5> : tensor<f32>
  %a = ml.mul %x, %c : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %b = ml.mul %x, %a : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %d = ml.mul %x, %b : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %e = ml.add %x, %d : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %f = ml.mul %e, %k : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %g = ml.tanh %f : tensor<4xf32> -> tensor<4xf32>
  %h = ml.add %g, %one : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %i = ml.mul %h, %half : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %j = ml.mul %x, %i : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  func.return %j : tensor<4xf32>
}

// -----

// CHECK-LABEL: @gates
// CHECK-NEXT:    %[[A:.*]] = ml.hard_swish %x
// CHECK-NEXT:    %[[B:.*]] = ml.silu %x
// CHECK-NEXT:    func.return %[[A]], %[[B]]
func.func @gates(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %zero = ml.constant dense<0.0> : tensor<f32>
  %three = ml.constant dense<3.0> : tensor<f32>
  %six = ml.constant dense<6.0> : tensor<f32>
  %a = ml.add %x, %three : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %b = ml.clamp %a, %zero, %six : tensor<4xf32>, tensor<f32>, tensor<f32> -> tensor<4xf32>
  %c = ml.mul %x, %b : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  %d = ml.div %c, %six : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  %e = ml.sigmoid %x : tensor<4xf32> -> tensor<4xf32>
  %f = ml.mul %e, %x : tensor<4xf32>, tensor<4xf32> -> tensor<4xf32>
  func.return %d, %f : tensor<4xf32>, tensor<4xf32>
}

// -----

// CHECK-LABEL: @layer_norm
// CHECK-NEXT:    ml.layer_norm %x, %s bias %b : tensor<4xf32> axis = 1
// CHECK-NEXT:    func.return
func.func @layer_norm(%x: tensor<2x4xf32>, %s: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<2x4xf32> {
  %epsilon = ml.constant dense<1.0e-05> : tensor<f32>
  %mean = ml.reduce_mean %x axes = [1] keep_dims : tensor<2x4xf32> -> tensor<2x1xf32>
  %centred = ml.sub %x, %mean : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
  %square = ml.mul %centred, %centred : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
  %variance = ml.reduce_mean %square axes = [1] keep_dims : tensor<2x4xf32> -> tensor<2x1xf32>
  %positive = ml.add %variance, %epsilon : tensor<2x1xf32>, tensor<f32> -> tensor<2x1xf32>
  %root = ml.sqrt %positive : tensor<2x1xf32> -> tensor<2x1xf32>
  %normal = ml.div %centred, %root : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
  %scaled = ml.mul %normal, %s : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  %y = ml.add %scaled, %b : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}

// -----

// CHECK-LABEL: @softmax
// CHECK-NEXT:    ml.softmax %x axis = 0
// CHECK-NEXT:    func.return
func.func @softmax(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %highest = ml.reduce_max %x axes = [0] keep_dims : tensor<2x4xf32> -> tensor<1x4xf32>
  %shifted = ml.sub %x, %highest : tensor<2x4xf32>, tensor<1x4xf32> -> tensor<2x4xf32>
  %powers = ml.exp %shifted : tensor<2x4xf32> -> tensor<2x4xf32>
  %total = ml.reduce_sum %powers axes = [0] keep_dims : tensor<2x4xf32> -> tensor<1x4xf32>
  %y = ml.div %powers, %total : tensor<2x4xf32>, tensor<1x4xf32> -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}

// -----

// CHECK-LABEL: @attention
// CHECK-NEXT:    %[[K:.*]] = ml.transpose %k
// CHECK-NEXT:    ml.attention %q, %[[K]], %v mask %m : tensor<5xf32> scale = 5.000000e-01
// CHECK-NEXT:    func.return
func.func @attention(%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x4x5xf32>, %v: tensor<1x2x5x6xf32>, %m: tensor<5xf32>) -> tensor<1x2x3x6xf32> {
  %two = ml.constant dense<2.0> : tensor<f32>
  %a = ml.matmul %q, %k : tensor<1x2x3x4xf32>, tensor<1x2x4x5xf32> -> tensor<1x2x3x5xf32>
  %b = ml.div %a, %two : tensor<1x2x3x5xf32>, tensor<f32> -> tensor<1x2x3x5xf32>
  %c = ml.add %b, %m : tensor<1x2x3x5xf32>, tensor<5xf32> -> tensor<1x2x3x5xf32>
  %d = ml.softmax %c axis = 3 : tensor<1x2x3x5xf32> -> tensor<1x2x3x5xf32>
  %y = ml.matmul %d, %v : tensor<1x2x3x5xf32>, tensor<1x2x5x6xf32> -> tensor<1x2x3x6xf32>
  func.return %y : tensor<1x2x3x6xf32>
}

// -----

// A bias varies along one dimension; what varies along both stays a sum.
// CHECK-LABEL: @biases
// CHECK-NEXT:    ml.matmul %a, %b bias %c
// CHECK-NEXT:    ml.matmul %a, %b :
// CHECK-NEXT:    ml.add
func.func @biases(%a: tensor<2x3xf32>, %b: tensor<3x4xf32>, %c: tensor<4xf32>, %d: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  %p = ml.matmul %a, %b : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  %x = ml.add %p, %c : tensor<2x4xf32>, tensor<4xf32> -> tensor<2x4xf32>
  %q = ml.matmul %a, %b : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  %y = ml.add %q, %d : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
  func.return %x, %y : tensor<2x4xf32>, tensor<2x4xf32>
}

// -----

// The weights of a convolution take in a batch norm where they are known at load, not where each call brings them.
// CHECK-LABEL: @main
// CHECK:         ml.mul %w
// CHECK:         ml.conv %x
// CHECK-NOT:     ml.batch_norm
// CHECK:         func.return
// CHECK-LABEL: @no_weights
// CHECK:         ml.batch_norm
func.func @main(%x: tensor<1x2x5xf32>, %w: tensor<4x2x3xf32> {ml.weight}, %s: tensor<4xf32> {ml.weight}, %v: tensor<4xf32> {ml.weight}) -> tensor<1x4x3xf32> {
  %c = ml.conv %x, %w strides = [1] dilations = [1] low = [0] high = [0] groups = 1 : tensor<1x2x5xf32>, tensor<4x2x3xf32> -> tensor<1x4x3xf32>
  %y = ml.batch_norm %c scale %s bias %s mean %s variance %v epsilon = 1.0e-05 : tensor<1x4x3xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32> -> tensor<1x4x3xf32>
  func.return %y : tensor<1x4x3xf32>
}
func.func @no_weights(%x: tensor<1x2x5xf32>, %w: tensor<4x2x3xf32>, %s: tensor<4xf32>, %v: tensor<4xf32>) -> tensor<1x4x3xf32> {
  %c = ml.conv %x, %w strides = [1] dilations = [1] low = [0] high = [0] groups = 1 : tensor<1x2x5xf32>, tensor<4x2x3xf32> -> tensor<1x4x3xf32>
  %y = ml.batch_norm %c scale %s bias %s mean %s variance %v epsilon = 1.0e-05 : tensor<1x4x3xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32> -> tensor<1x4x3xf32>
  func.return %y : tensor<1x4x3xf32>
}

// -----

// Heads of one batch: three dimensions. A mask that is true where it hides is turned round.
// CHECK-LABEL: @attention_of_heads
// CHECK-NEXT:    %[[Q:.*]] = ml.reshape %q : tensor<8x3x4xf32> -> tensor<1x8x3x4xf32>
// CHECK-NEXT:    %[[M:.*]] = ml.not %m
// CHECK-NEXT:    %[[K:.*]] = ml.reshape %k : tensor<8x5x4xf32> -> tensor<1x8x5x4xf32>
// CHECK-NEXT:    %[[V:.*]] = ml.reshape %v : tensor<8x5x6xf32> -> tensor<1x8x5x6xf32>
// CHECK-NEXT:    %[[Y:.*]] = ml.attention %[[Q]], %[[K]], %[[V]] mask %[[M]] : tensor<3x5xi1> scale = 1.000000e+00
// CHECK-NEXT:    ml.reshape %[[Y]]
// CHECK-NEXT:    func.return
func.func @attention_of_heads(%q: tensor<8x3x4xf32>, %k: tensor<8x5x4xf32>, %v: tensor<8x5x6xf32>, %m: tensor<3x5xi1>) -> tensor<8x3x6xf32> {
  %hidden = ml.constant dense<0xFF800000> : tensor<f32>
  %t = ml.transpose %k [0, 2, 1] : tensor<8x5x4xf32> -> tensor<8x4x5xf32>
  %a = ml.matmul %q, %t : tensor<8x3x4xf32>, tensor<8x4x5xf32> -> tensor<8x3x5xf32>
  %c = ml.select %m, %hidden, %a : tensor<3x5xi1>, tensor<f32>, tensor<8x3x5xf32> -> tensor<8x3x5xf32>
  %d = ml.softmax %c axis = 2 : tensor<8x3x5xf32> -> tensor<8x3x5xf32>
  %y = ml.matmul %d, %v : tensor<8x3x5xf32>, tensor<8x5x6xf32> -> tensor<8x3x6xf32>
  func.return %y : tensor<8x3x6xf32>
}

// -----

// Grouped queries: keys and values that are repeated for the heads of a group are taken once.
// CHECK-LABEL: @grouped_queries
// CHECK-NEXT:    %[[K:.*]] = ml.reshape %k : tensor<2x3x1x5x4xf32> -> tensor<2x3x5x4xf32>
// CHECK-NEXT:    %[[V:.*]] = ml.reshape %v : tensor<2x3x1x5x4xf32> -> tensor<2x3x5x4xf32>
// CHECK-NEXT:    ml.attention %q, %[[K]], %[[V]] scale = 1.000000e+00
// CHECK-NEXT:    func.return
func.func @grouped_queries(%q: tensor<2x6x7x4xf32>, %k: tensor<2x3x1x5x4xf32>, %v: tensor<2x3x1x5x4xf32>) -> tensor<2x6x7x4xf32> {
  %a = ml.broadcast %k : tensor<2x3x1x5x4xf32> -> tensor<2x3x2x5x4xf32>
  %b = ml.reshape %a : tensor<2x3x2x5x4xf32> -> tensor<2x6x5x4xf32>
  %c = ml.transpose %b [0, 1, 3, 2] : tensor<2x6x5x4xf32> -> tensor<2x6x4x5xf32>
  %d = ml.broadcast %v : tensor<2x3x1x5x4xf32> -> tensor<2x3x2x5x4xf32>
  %e = ml.reshape %d : tensor<2x3x2x5x4xf32> -> tensor<2x6x5x4xf32>
  %f = ml.matmul %q, %c : tensor<2x6x7x4xf32>, tensor<2x6x4x5xf32> -> tensor<2x6x7x5xf32>
  %g = ml.softmax %f axis = 3 : tensor<2x6x7x5xf32> -> tensor<2x6x7x5xf32>
  %y = ml.matmul %g, %e : tensor<2x6x7x5xf32>, tensor<2x6x5x4xf32> -> tensor<2x6x7x4xf32>
  func.return %y : tensor<2x6x7x4xf32>
}

// -----

// Keys that are repeated another way, the whole of the heads after one another, stay so.
// CHECK-LABEL: @heads_after_one_another
// CHECK:         ml.broadcast
// CHECK:         ml.attention %{{.*}} : tensor<1x6x7x4xf32>, tensor<1x6x5x4xf32>, tensor<1x6x5x4xf32>
func.func @heads_after_one_another(%q: tensor<6x7x4xf32>, %k: tensor<1x3x4x5xf32>, %v: tensor<6x5x4xf32>) -> tensor<6x7x4xf32> {
  %a = ml.broadcast %k : tensor<1x3x4x5xf32> -> tensor<2x3x4x5xf32>
  %b = ml.reshape %a : tensor<2x3x4x5xf32> -> tensor<6x4x5xf32>
  %f = ml.matmul %q, %b : tensor<6x7x4xf32>, tensor<6x4x5xf32> -> tensor<6x7x5xf32>
  %g = ml.softmax %f axis = 2 : tensor<6x7x5xf32> -> tensor<6x7x5xf32>
  %y = ml.matmul %g, %v : tensor<6x7x5xf32>, tensor<6x5x4xf32> -> tensor<6x7x4xf32>
  func.return %y : tensor<6x7x4xf32>
}

// -----

// A number that no power is left of hides too, as the lowest number added: where all is hidden, all is seen alike.
// CHECK-LABEL: @finite_mask
// CHECK:         %[[NOTHING:.*]] = ml.constant dense<0.0
// CHECK-NEXT:    %[[LOWEST:.*]] = ml.constant dense<-3.40282347e+38>
// CHECK-NEXT:    %[[M:.*]] = ml.select %m, %[[NOTHING]], %[[LOWEST]]
// CHECK:         ml.attention {{.*}} mask %[[M]] : tensor<3x5xf32>
func.func @finite_mask(%q: tensor<3x4xf32>, %k: tensor<4x5xf32>, %v: tensor<5x6xf32>, %m: tensor<3x5xi1>) -> tensor<3x6xf32> {
  %hidden = ml.constant dense<-1.0e+09> : tensor<f32>
  %a = ml.matmul %q, %k : tensor<3x4xf32>, tensor<4x5xf32> -> tensor<3x5xf32>
  %c = ml.select %m, %a, %hidden : tensor<3x5xi1>, tensor<3x5xf32>, tensor<f32> -> tensor<3x5xf32>
  %d = ml.softmax %c axis = 1 : tensor<3x5xf32> -> tensor<3x5xf32>
  %y = ml.matmul %d, %v : tensor<3x5xf32>, tensor<5x6xf32> -> tensor<3x6xf32>
  func.return %y : tensor<3x6xf32>
}

// -----

// A number that leaves powers hides nothing.
// CHECK-LABEL: @penalty
// CHECK-NOT:     ml.attention
func.func @penalty(%q: tensor<3x4xf32>, %k: tensor<4x5xf32>, %v: tensor<5x6xf32>, %m: tensor<3x5xi1>) -> tensor<3x6xf32> {
  %penalty = ml.constant dense<-1.0e+02> : tensor<f32>
  %a = ml.matmul %q, %k : tensor<3x4xf32>, tensor<4x5xf32> -> tensor<3x5xf32>
  %c = ml.select %m, %a, %penalty : tensor<3x5xi1>, tensor<3x5xf32>, tensor<f32> -> tensor<3x5xf32>
  %d = ml.softmax %c axis = 1 : tensor<3x5xf32> -> tensor<3x5xf32>
  %y = ml.matmul %d, %v : tensor<3x5xf32>, tensor<5x6xf32> -> tensor<3x6xf32>
  func.return %y : tensor<3x6xf32>
}

// -----

// The variance as a mean of squares less a square, which may be cut at 0.
// CHECK-LABEL: @layer_norm_by_squares
// CHECK-NEXT:    %[[ONE:.*]] = ml.constant dense<1.0
// CHECK-NEXT:    ml.layer_norm %x, %[[ONE]] axis = 1
// CHECK-NEXT:    func.return
func.func @layer_norm_by_squares(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %epsilon = ml.constant dense<1.0e-05> : tensor<f32>
  %zero = ml.constant dense<0.0> : tensor<f32>
  %mean = ml.reduce_mean %x axes = [1] keep_dims : tensor<2x4xf32> -> tensor<2x1xf32>
  %squares = ml.mul %x, %x : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
  %of_squares = ml.reduce_mean %squares axes = [1] keep_dims : tensor<2x4xf32> -> tensor<2x1xf32>
  %square = ml.mul %mean, %mean : tensor<2x1xf32>, tensor<2x1xf32> -> tensor<2x1xf32>
  %difference = ml.sub %of_squares, %square : tensor<2x1xf32>, tensor<2x1xf32> -> tensor<2x1xf32>
  %variance = ml.max %difference, %zero : tensor<2x1xf32>, tensor<f32> -> tensor<2x1xf32>
  %positive = ml.add %variance, %epsilon : tensor<2x1xf32>, tensor<f32> -> tensor<2x1xf32>
  %root = ml.rsqrt %positive : tensor<2x1xf32> -> tensor<2x1xf32>
  %centred = ml.sub %x, %mean : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
  %y = ml.mul %centred, %root : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}

// -----

// The mean of the squares of something else makes no variance.
// CHECK-LABEL: @squares_of_another
// CHECK-NOT:     ml.layer_norm
func.func @squares_of_another(%x: tensor<2x4xf32>, %z: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %epsilon = ml.constant dense<2.0> : tensor<f32>
  %mean = ml.reduce_mean %x axes = [1] keep_dims : tensor<2x4xf32> -> tensor<2x1xf32>
  %squares = ml.mul %z, %z : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x4xf32>
  %of_squares = ml.reduce_mean %squares axes = [1] keep_dims : tensor<2x4xf32> -> tensor<2x1xf32>
  %square = ml.mul %mean, %mean : tensor<2x1xf32>, tensor<2x1xf32> -> tensor<2x1xf32>
  %difference = ml.sub %of_squares, %square : tensor<2x1xf32>, tensor<2x1xf32> -> tensor<2x1xf32>
  %positive = ml.add %difference, %epsilon : tensor<2x1xf32>, tensor<f32> -> tensor<2x1xf32>
  %root = ml.rsqrt %positive : tensor<2x1xf32> -> tensor<2x1xf32>
  %centred = ml.sub %x, %mean : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
  %y = ml.mul %centred, %root : tensor<2x4xf32>, tensor<2x1xf32> -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
