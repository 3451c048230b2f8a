// RUN: not xmlc opt %s --split-input-file -p cse 2>&1 | filecheck %s

// Each part stands for itself: an error in one leaves the others as they are.
// CHECK: @first
// CHECK: // -----
// CHECK: @third
// CHECK: split.mlir:13:3: error: unknown operation 'arith.adi'
// CHECK-NEXT: arith.adi %a
func.func private @first()

// -----
func.func @second(%a: i32) {
  arith.adi %a, %a : i32
  func.return
}

// -----
func.func private @third()
