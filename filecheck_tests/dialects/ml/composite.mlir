// RUN: xmlc opt %s | filecheck %s

// CHECK-LABEL: @normalisations
func.func @normalisations(%x: tensor<2x4x3xf32>, %row: tensor<3xf32>, %c: tensor<4xf32>) {
  // CHECK: ml.softmax %x axis = 2 : tensor<2x4x3xf32> -> tensor<2x4x3xf32>
  %a = ml.softmax %x axis = 2 : tensor<2x4x3xf32> -> tensor<2x4x3xf32>
  // CHECK: ml.layer_norm %x, %row bias %row : tensor<3xf32> axis = 2 epsilon = 1.000000e-05 : tensor<2x4x3xf32>, tensor<3xf32> -> tensor<2x4x3xf32>
  %b = ml.layer_norm %x, %row bias %row : tensor<3xf32> axis = 2 epsilon = 1.0e-5 : tensor<2x4x3xf32>, tensor<3xf32> -> tensor<2x4x3xf32>
  // CHECK: ml.rms_norm %x, %row axis = 2 epsilon = 1.000000e-05 : tensor<2x4x3xf32>, tensor<3xf32> -> tensor<2x4x3xf32>
  %d = ml.rms_norm %x, %row axis = 2 epsilon = 1.0e-5 : tensor<2x4x3xf32>, tensor<3xf32> -> tensor<2x4x3xf32>
  // CHECK: ml.batch_norm %x scale %c bias %c mean %c variance %c epsilon = 1.000000e-05
  %e = ml.batch_norm %x scale %c bias %c mean %c variance %c epsilon = 1.0e-5 : tensor<2x4x3xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32> -> tensor<2x4x3xf32>
  // CHECK: ml.group_norm %x scale %c bias %c groups = 2 epsilon = 1.000000e-05
  %f = ml.group_norm %x scale %c bias %c groups = 2 epsilon = 1.0e-5 : tensor<2x4x3xf32>, tensor<4xf32>, tensor<4xf32> -> tensor<2x4x3xf32>
  func.return
}

// CHECK-LABEL: @attentions
func.func @attentions(%q: tensor<1x4x6x8xf32>, %k: tensor<1x2x6x8xf32>, %mask: tensor<6xi1>) {
  // CHECK: ml.attention %q, %k, %k : tensor<1x4x6x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x8xf32> -> tensor<1x4x6x8xf32>
  %a = ml.attention %q, %k, %k : tensor<1x4x6x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x8xf32> -> tensor<1x4x6x8xf32>
  // CHECK: ml.attention %q, %k, %k mask %mask : tensor<6xi1> scale = 5.000000e-01 causal offset = 2 :
  %b = ml.attention %q, %k, %k mask %mask : tensor<6xi1> scale = 0.5 causal offset = 2 : tensor<1x4x6x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x8xf32> -> tensor<1x4x6x8xf32>
  func.return
}
