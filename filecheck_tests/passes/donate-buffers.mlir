// RUN: xmlc opt %s -p donate-buffers | filecheck %s
// RUN: xmlc opt %s -p donate-buffers,bufferize | filecheck %s --check-prefix=BUFFER

#same = affine_map<(i) -> (i)>

// A kernel that updates its first argument element by element: the caller's result takes that argument's memory.
// CHECK-LABEL: @step(%p: tensor<4xf32> {ml.donated, xmlc.in_place = 0 : i64}, %g: tensor<4xf32>)
// CHECK: func.call @update(%p, %g)
// BUFFER-LABEL: @step(%p: memref<4xf32> {ml.donated, xmlc.in_place = 0 : i64}, %g: memref<4xf32>)
// BUFFER-NOT: memref.copy
// BUFFER: func.call @update(%p, %g) : (memref<4xf32>, memref<4xf32>) -> ()
func.func @step(%p: tensor<4xf32> {ml.donated}, %g: tensor<4xf32>) -> tensor<4xf32> {
  %new = func.call @update(%p, %g) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %new : tensor<4xf32>
}

// Limit: nobody gave this argument away; the kernel that updates in place is another one then.
// CHECK-LABEL: @kept
// CHECK: func.call @update_2(
func.func @kept(%p: tensor<4xf32>, %g: tensor<4xf32>) -> tensor<4xf32> {
  %new = func.call @update_2(%p, %g) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %new : tensor<4xf32>
}

// The update moves behind the last that reads the argument.
// CHECK-LABEL: @moved(%p: tensor<4xf32> {ml.donated, xmlc.in_place = 0 : i64}
// CHECK: func.call @first
// CHECK-NEXT: func.call @update_2_in_place(
func.func @moved(%p: tensor<4xf32> {ml.donated}, %g: tensor<4xf32>) -> (tensor<4xf32>, tensor<i1>) {
  %new = func.call @update_2(%p, %g) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %one = func.call @first(%p) : (tensor<4xf32>) -> tensor<i1>
  func.return %new, %one : tensor<4xf32>, tensor<i1>
}

// Limit: what is made is needed before the last read, so the argument stays as it is.
// CHECK-LABEL: @needed(%p: tensor<4xf32> {ml.donated}, %g: tensor<4xf32>)
func.func @needed(%p: tensor<4xf32> {ml.donated}, %g: tensor<4xf32>) -> (tensor<4xf32>, tensor<f32>) {
  %new = func.call @update_2(%p, %g) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %one = func.call @first(%new) : (tensor<4xf32>) -> tensor<i1>
  %two = func.call @chosen(%one, %p) : (tensor<i1>, tensor<4xf32>) -> tensor<f32>
  func.return %new, %two : tensor<4xf32>, tensor<f32>
}

// An argument that is returned as it is needs no copy.
// CHECK-LABEL: @returned(%p: tensor<4xf32> {ml.donated, xmlc.in_place = 0 : i64})
// BUFFER-LABEL: @returned(%p: memref<4xf32>
// BUFFER-NEXT: func.return
func.func @returned(%p: tensor<4xf32> {ml.donated}) -> tensor<4xf32> {
  func.return %p : tensor<4xf32>
}

// CHECK: @update(%p: tensor<4xf32> {xmlc.in_place = 0 : i64}, %g: tensor<4xf32>)
// BUFFER: @update(%p: memref<4xf32> {xmlc.in_place = 0 : i64}, %g: memref<4xf32>)
// BUFFER: linalg.generic {{.*}} ins(%p, %g : memref<4xf32>, memref<4xf32>) outs(%p : memref<4xf32>)
func.func private @update(%p: tensor<4xf32>, %g: tensor<4xf32>) -> tensor<4xf32> attributes {xmlc.kernel} {
  %e = tensor.empty() : tensor<4xf32>
  %r = linalg.generic {indexing_maps = [#same, #same, #same], iterator_types = ["parallel"]}
      ins(%p, %g : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %_: f32):
    %c = arith.subf %a, %b : f32
    linalg.yield %c : f32
  } -> tensor<4xf32>
  func.return %r : tensor<4xf32>
}

// CHECK: @update_2(%p: tensor<4xf32>, %g: tensor<4xf32>)
// CHECK: @update_2_in_place(%p: tensor<4xf32> {xmlc.in_place = 0 : i64}, %g: tensor<4xf32>)
func.func private @update_2(%p: tensor<4xf32>, %g: tensor<4xf32>) -> tensor<4xf32> attributes {xmlc.kernel} {
  %e = tensor.empty() : tensor<4xf32>
  %r = linalg.generic {indexing_maps = [#same, #same, #same], iterator_types = ["parallel"]}
      ins(%p, %g : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %_: f32):
    %c = arith.mulf %a, %b : f32
    linalg.yield %c : f32
  } -> tensor<4xf32>
  func.return %r : tensor<4xf32>
}

func.func private @first(%p: tensor<4xf32>) -> tensor<i1> attributes {xmlc.kernel} {
  %zero = arith.constant 0 : index
  %limit = arith.constant 0.0 : f32
  %a = tensor.extract %p[%zero] : tensor<4xf32>
  %is = arith.cmpf olt, %a, %limit : f32
  %r = tensor.from_elements %is : tensor<i1>
  func.return %r : tensor<i1>
}

func.func private @chosen(%which: tensor<i1>, %p: tensor<4xf32>) -> tensor<f32> attributes {xmlc.kernel} {
  %zero = arith.constant 0 : index
  %last = arith.constant 3 : index
  %is = tensor.extract %which[] : tensor<i1>
  %i = arith.select %is, %zero, %last : index
  %a = tensor.extract %p[%i] : tensor<4xf32>
  %r = tensor.from_elements %a : tensor<f32>
  func.return %r : tensor<f32>
}
