// RUN: xmlc opt %s -p 'differentiate{function=again},differentiate{function=own},differentiate{function=stop},dce' | filecheck %s

// A checkpoint is computed again from barriers, which hide that it was before.
// CHECK-LABEL: @again_vjp
func.func @again(%x: tensor<3xf32>) -> tensor<3xf32> {
  // CHECK: ml.checkpoint
  // CHECK: [[B:%.*]] = ml.barrier %x
  // CHECK-NEXT: [[E:%.*]] = ml.exp [[B]]
  // CHECK-NEXT: [[D:%.*]] = ml.mul %cotangent, [[E]]
  // CHECK-NEXT: func.return {{.*}}, [[D]]
  %y = ml.checkpoint {
    %e = ml.exp %x : tensor<3xf32> -> tensor<3xf32>
    ml.yield %e : tensor<3xf32>
  } : tensor<3xf32>
  func.return %y : tensor<3xf32>
}

// A gradient of its own reads what the op kept for it.
// CHECK-LABEL: @own_vjp
func.func @own(%x: tensor<3xf32>) -> tensor<3xf32> {
  // CHECK: [[Y:%.*]], [[KEPT:%.*]] = ml.custom_gradient
  // CHECK: [[D:%.*]] = ml.sub %cotangent, [[KEPT]]
  // CHECK-NEXT: func.return [[Y]], [[D]]
  %y, %kept = ml.custom_gradient (%x) kept 1 {
  ^bb0(%a: tensor<3xf32>):
    %e = ml.exp %a : tensor<3xf32> -> tensor<3xf32>
    ml.yield %e, %a : tensor<3xf32>, tensor<3xf32>
  } gradient {
  ^bb0(%e: tensor<3xf32>, %g: tensor<3xf32>):
    %d = ml.sub %g, %e : tensor<3xf32>, tensor<3xf32> -> tensor<3xf32>
    ml.yield %d : tensor<3xf32>
  } : (tensor<3xf32>) -> tensor<3xf32>, tensor<3xf32>
  func.return %y : tensor<3xf32>
}

// CHECK-LABEL: @stop_vjp
func.func @stop(%x: tensor<3xf32>) -> tensor<3xf32> {
  // CHECK: [[C:%.*]] = ml.stop_gradient %x
  // CHECK: [[D:%.*]] = ml.mul %cotangent, [[C]]
  // CHECK-NEXT: func.return {{.*}}, [[D]]
  %c = ml.stop_gradient %x : tensor<3xf32> -> tensor<3xf32>
  %y = ml.mul %x, %c : tensor<3xf32>, tensor<3xf32> -> tensor<3xf32>
  func.return %y : tensor<3xf32>
}
