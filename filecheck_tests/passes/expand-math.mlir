// RUN: xmlc opt %s -p expand-math | filecheck %s

// CHECK-LABEL: @called
// CHECK-NEXT: %e = func.call @xmlc.exp.f32(%x) : (f32) -> f32
// CHECK-NEXT: return %e
func.func @called(%x: f32) -> f32 {
  %e = math.exp %x : f32
  func.return %e : f32
}

// CHECK-LABEL: @extended
// CHECK-NEXT: %[[WIDE:.*]] = arith.extf %x : f16 to f32
// CHECK-NEXT: %[[EXP:.*]] = func.call @xmlc.exp.f32(%[[WIDE]])
// CHECK-NEXT: arith.truncf %[[EXP]] : f32 to f16
func.func @extended(%x: f16) -> f16 {
  %e = math.exp %x : f16
  func.return %e : f16
}

// An instruction stays.
// CHECK-LABEL: @kept
// CHECK-NEXT: math.sqrt
func.func @kept(%x: f32) -> f32 {
  %e = math.sqrt %x : f32
  func.return %e : f32
}

// CHECK: func.func private @xmlc.exp.f32(%{{.*}}: f32) -> f32 attributes {xmlc.inline}
// CHECK-NOT: @xmlc.exp.f32
