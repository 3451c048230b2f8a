// RUN: xmlc opt %s -p bufferize | filecheck %s

// A result is an out-parameter, and what makes the result writes there.
// CHECK-LABEL: @in_place(%x: memref<4xf32>, %out: memref<4xf32> {ml.name = "y", xmlc.output})
// CHECK-NOT: memref.copy
// CHECK: linalg.fill {{.*}} outs(%out
// CHECK: memref.store {{.*}}, %out
// CHECK-NOT: memref.copy
// CHECK: func.return
func.func @in_place(%x: tensor<4xf32>) -> (tensor<4xf32> {ml.name = "y"}) {
  %c = arith.constant 1.0 : f32
  %i = arith.constant 2 : index
  %e = tensor.empty() : tensor<4xf32>
  %f = linalg.fill ins(%c : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %a = tensor.extract %x[%i] : tensor<4xf32>
  %r = tensor.insert %a into %f[%i] : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// Limit: an argument is not ours to write.
// CHECK-LABEL: @argument_is_copied
// CHECK: "memref.copy"(%x, %out)
// CHECK: memref.store {{.*}}, %out
func.func @argument_is_copied(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = arith.constant 1.0 : f32
  %i = arith.constant 2 : index
  %r = tensor.insert %c into %x[%i] : tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// Limit: what is read later is not overwritten.
// CHECK-LABEL: @read_later
// CHECK: memref.store %c, %out[
// CHECK: "memref.copy"(%out, %out_1)
// CHECK: memref.store %d, %out_1[
func.func @read_later(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %c = arith.constant 1.0 : f32
  %d = arith.constant 2.0 : f32
  %i = arith.constant 2 : index
  %a = tensor.insert %c into %x[%i] : tensor<4xf32>
  %b = tensor.insert %d into %a[%i] : tensor<4xf32>
  func.return %a, %b : tensor<4xf32>, tensor<4xf32>
}

// What a loop carries stays in one buffer.
// CHECK-LABEL: @loop
// CHECK: "memref.copy"(%x, %out)
// CHECK: scf.for %i = %zero to %four step %one {
// CHECK-NOT: memref.copy
// CHECK: memref.store %c, %out[%i]
// CHECK-NOT: memref.copy
// CHECK: func.return
func.func @loop(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = arith.constant 1.0 : f32
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %four = arith.constant 4 : index
  %r = scf.for %i = %zero to %four step %one iter_args(%s = %x) -> (tensor<4xf32>) {
    %n = tensor.insert %c into %s[%i] : tensor<4xf32>
    scf.yield %n : tensor<4xf32>
  }
  func.return %r : tensor<4xf32>
}
