// RUN: xmlc opt %s -p expand-math{avx512=true} | filecheck %s

// CHECK-LABEL: @called
// CHECK-NEXT: func.call @xmlc.exp.v16f32(%x)
func.func @called(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.exp %x : vector<16xf32>
  func.return %y : vector<16xf32>
}

// Tables have sixteen entries: shorter vectors get a polynomial.
// CHECK-LABEL: @short
func.func @short(%x: vector<8xf32>) -> vector<8xf32> {
  %y = math.exp %x : vector<8xf32>
  func.return %y : vector<8xf32>
}

// Powers of what is never above zero need no scaling: what is no normal number may be zero.
// CHECK-LABEL: @below_zero
// CHECK-NEXT: func.call @xmlc.exp.v16f32.below_zero(%x)
func.func @below_zero(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.exp %x {xmlc.below_zero} : vector<16xf32>
  func.return %y : vector<16xf32>
}

// CHECK: func.func private @xmlc.exp.v16f32
// CHECK: "avx512.look_up"
// CHECK: "avx512.scale"
// CHECK: func.func private @xmlc.exp.v8f32
// CHECK-NOT: "avx512.look_up"
// CHECK: "avx512.scale"
// CHECK: func.func private @xmlc.exp.v16f32.below_zero
// CHECK: "avx512.look_up"
// CHECK-NOT: "avx512.scale"
