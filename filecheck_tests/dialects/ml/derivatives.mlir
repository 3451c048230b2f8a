// RUN: xmlc opt %s | xmlc opt | filecheck %s
// RUN: xmlc opt %s -p 'decompose{only=derivatives}' | filecheck %s --check-prefix PLAIN

// What says how to differentiate reads back as it was written, and decomposes into what it computes.
// CHECK-LABEL: @own
// PLAIN-LABEL: @own
func.func @own(%x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  // CHECK: ml.stop_gradient %x : tensor<3xf32> -> tensor<3xf32>
  // CHECK: ml.barrier %x : tensor<3xf32> -> tensor<3xf32>
  // CHECK: ml.custom_gradient(%{{.*}}) kept 1 {
  // CHECK: ml.checkpoint {
  // PLAIN-NEXT: [[B:%.*]] = ml.barrier %x
  // PLAIN-NEXT: [[Y:%.*]] = ml.exp %x
  // PLAIN-NEXT: [[Z:%.*]] = ml.mul [[B]], [[Y]]
  // PLAIN-NEXT: func.return [[Y]], [[Z]]
  %c = ml.stop_gradient %x : tensor<3xf32> -> tensor<3xf32>
  %b = ml.barrier %x : tensor<3xf32> -> tensor<3xf32>
  %y, %kept = ml.custom_gradient (%c) kept 1 {
  ^bb0(%a: tensor<3xf32>):
    %e = ml.exp %a : tensor<3xf32> -> tensor<3xf32>
    ml.yield %e, %e : tensor<3xf32>, tensor<3xf32>
  } gradient {
  ^bb0(%e: tensor<3xf32>, %g: tensor<3xf32>):
    %d = ml.mul %e, %g : tensor<3xf32>, tensor<3xf32> -> tensor<3xf32>
    ml.yield %d : tensor<3xf32>
  } : (tensor<3xf32>) -> tensor<3xf32>, tensor<3xf32>
  %z = ml.checkpoint {
    %p = ml.mul %b, %y : tensor<3xf32>, tensor<3xf32> -> tensor<3xf32>
    ml.yield %p : tensor<3xf32>
  } : tensor<3xf32>
  func.return %y, %z : tensor<3xf32>, tensor<3xf32>
}
